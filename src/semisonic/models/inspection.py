"""Size, cost and health of a network."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from semisonic.core.errors import ModelError
from semisonic.models.sound_model import SoundModel


def count_parameters(module: nn.Module) -> int:
    """Number of trainable parameters of a module."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def count_macs(module: nn.Module, shape: tuple[int, ...]) -> int | None:
    """Multiply-adds of convolutions and matrix products for one item, without computing them.

    Parameters
    ----------
    module : nn.Module
        For a :class:`SoundModel`, the part after the features is counted; other modules are
        called.
    shape : tuple of int
        Of one item, without the batch: (channel, mel, frame).

    Returns
    -------
    int or None
        None for a network whose work depends on values, which are not computed here.
    """
    from torch.utils.flop_counter import FlopCounterMode

    if isinstance(module, SoundModel):
        module = nn.Sequential(module.encoder, module.neck, module.head)
    counter = FlopCounterMode(display=False)
    try:
        unreal = copy.deepcopy(module).to("meta").eval()
        with counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad(), torch.device("meta"):
            unreal(torch.zeros(1, *shape))
    except Exception:  # whatever somebody's code raises without values
        return None
    return int(counter.get_total_flops()) // 2


def macs_text(macs: int | None) -> str:
    """The result of :func:`count_macs` for a window, as text."""
    return "not counted" if macs is None else f"{macs / 1e6:.1f} million per window"


@dataclass(frozen=True)
class DeadUnits:
    """A ReLU layer, with the number of units (channels) that never exceed zero."""

    layer: str
    n_units: int
    n_dead: int

    @property
    def share(self) -> float:
        """Share of the units that are dead, 0 to 1."""
        return self.n_dead / self.n_units


@torch.no_grad()
def dead_units(module: nn.Module, batches: Iterable[Tensor]) -> list[DeadUnits]:
    """Find units that no clip activates, layer by layer.

    A unit of a convolution is a channel: it is dead when its ReLU gives zero for every cell
    of every clip. Dead units carry no information and get no gradient.

    Parameters
    ----------
    module : nn.Module
        Encoder or auto-encoder; it is set to evaluation mode for the check.
    batches : iterable of Tensor
        Its inputs.

    Returns
    -------
    list of DeadUnits
        In the order of the layers.

    Raises
    ------
    ModelError
        Without a batch.
    """
    names: dict[nn.Module, str] = {
        m: name for name, m in module.named_modules() if isinstance(m, nn.ReLU)
    }
    active: dict[nn.Module, Tensor] = {}

    def look(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        units = (output > 0).transpose(0, 1).flatten(1).any(dim=1).cpu()
        active[layer] = active[layer] | units if layer in active else units

    modes = {part: part.training for part in module.modules()}
    handles = [layer.register_forward_hook(look) for layer in names]
    module.eval()
    try:
        for batch in batches:
            module(batch)
    finally:
        for handle in handles:
            handle.remove()
        for part, mode in modes.items():
            part.training = mode
    if names and not active:
        raise ModelError("dead units: found no batches, expected at least one")
    return [
        DeadUnits(names[layer], len(units), int((~units).sum())) for layer, units in active.items()
    ]
