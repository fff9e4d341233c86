"""Size, cost and health of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from semisonic.core.errors import ModelError
from semisonic.models.sound_model import SoundModel


@runtime_checkable
class CountsItself(Protocol):
    """A layer that knows its multiply-adds."""

    def macs(self, inputs: tuple[Tensor, ...], output: Tensor) -> int:
        """Multiply-adds of one call."""


def count_parameters(module: nn.Module) -> int:
    """Trainable numbers of a module."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def count_macs(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiply-adds of convolutions, dense, recurrent and attention layers for one item.

    A layer of another kind is counted when it has a method ``macs`` of inputs and output.

    Parameters
    ----------
    module : nn.Module
        A :class:`SoundModel` is run from features in dB, anything else is called.
    shape : tuple of int
        Of one item, without the batch: (channel, mel, frame).
    """
    total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
        nonlocal total
        if isinstance(layer, CountsItself):
            total += layer.macs(inputs, output)
        elif isinstance(layer, nn.RNNBase):
            n_steps = inputs[0].numel() // layer.input_size
            total += n_steps * sum(p.numel() for p in layer.parameters() if p.ndim == 2)
        elif isinstance(layer, nn.Linear):
            total += output.numel() * layer.in_features
        elif isinstance(layer, nn.ConvTranspose2d):
            total += inputs[0].numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.Conv2d):
            total += output.numel() * layer.weight[0].numel()

    counted = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.RNNBase, CountsItself)
    layers: list[nn.Module] = [m for m in module.modules() if isinstance(m, counted)]
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    _observe(module, layers, count, [torch.zeros(1, *shape, device=device)], None)
    return total


@dataclass(frozen=True)
class DeadUnits:
    """One ReLU layer: how many of its units (channels) never rise above zero."""

    layer: str
    n_units: int
    n_dead: int

    @property
    def share(self) -> float:
        """Share of the units that are dead, 0 to 1."""
        return self.n_dead / self.n_units


def dead_units(
    module: nn.Module,
    batches: Iterable[Tensor],
    run: Callable[[Tensor], Any] | None = None,
) -> list[DeadUnits]:
    """Units that no clip activates, layer by layer.

    A unit of a convolution is a channel: it is dead when its ReLU gives zero for every cell
    of every clip. Dead units carry no information and get no gradient.

    Parameters
    ----------
    module : nn.Module
        Model, encoder or auto-encoder; looked at in evaluation mode, then set back.
    batches : iterable of Tensor
        What ``run`` takes.
    run : callable or None
        ``module`` itself if None; ``module.from_features`` (features in dB) for a
        :class:`SoundModel`.

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

    if not _observe(module, list(names), look, batches, run):
        raise ModelError("dead units: found no batch to look at")
    return [
        DeadUnits(names[layer], len(units), int((~units).sum())) for layer, units in active.items()
    ]


def _observe(
    module: nn.Module,
    layers: list[nn.Module],
    hook: Callable[[nn.Module, tuple[Tensor, ...], Any], None],
    batches: Iterable[Tensor],
    run: Callable[[Tensor], Any] | None,
) -> int:
    """Run batches with a hook on some layers, in evaluation mode; how many there were."""
    if run is None:
        run = module.from_features if isinstance(module, SoundModel) else module
    modes = [(m, m.training) for m in module.modules()]
    handles = [layer.register_forward_hook(hook) for layer in layers]
    n = 0
    try:
        module.eval()
        with torch.no_grad():
            for batch in batches:
                run(batch)
                n += 1
    finally:
        for handle in handles:
            handle.remove()
        for part, mode in modes:
            part.training = mode
    return n
