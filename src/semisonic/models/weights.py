"""Initial weights, which depend only on a seed and on names, and hashes of weights."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from semisonic.core.errors import ModelError
from semisonic.core.seeds import derive, torch_generator
from semisonic.models.decoders import SubPixelConv

STORED = (torch.float32, torch.int64, torch.bool)
"""The types of the values of a model file."""


@contextmanager
def undisturbed(seed: int | None = None) -> Iterator[None]:
    """Build layers in this block without changing torch's global generator (CPU).

    With a seed, random values of layers depend only on it.
    """
    with torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(derive(seed, "layers") % (1 << 31))
        yield


@torch.no_grad()
def initialise(module: nn.Module, seed: int, prefix: str = "") -> None:
    """Draw all weights of a module.

    Convolutions: He et al. (2015), uniform with variance 2 / inputs, as ReLU follows.
    Dense and recurrent layers: Glorot and Bengio (2010), uniform. Biases are zero,
    normalisations one. A layer with a method ``draw_weights`` draws its own. Encoders of users
    keep their weights.

    Parameters
    ----------
    module : nn.Module
    seed : int
    prefix : str
        Prefix of the names of its layers, on which the weights depend, too.
    """
    if getattr(module, "keeps_weights", False):
        return
    for name, layer in module.named_modules():
        if hasattr(layer, "draw_weights"):
            layer.draw_weights(torch_generator(seed, "weights", f"{prefix}{name}"))
            continue
        if isinstance(layer, nn.RNNBase):
            _draw_recurrent(layer, seed, f"{prefix}{name}")
            continue
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            bound = math.sqrt(6.0 / _fan(layer))
            _draw(layer.weight, bound, torch_generator(seed, "weights", f"{prefix}{name}"))
            if layer.bias is not None:
                layer.bias.zero_()
            if isinstance(layer, SubPixelConv):
                layer.spread()
        elif isinstance(layer, (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.PReLU)):
            layer.reset_parameters()


def tensors_digest(tensors: Iterable[tuple[str, Tensor | None]]) -> str:
    """A short hash (16 hex digits) of names, types, shapes and values of tensors."""
    hashed = hashlib.sha256()
    for name, tensor in tensors:
        if tensor is None or nn.parameter.is_lazy(tensor):
            hashed.update(f"{name}:none".encode())
            continue
        plain = tensor.detach().cpu().contiguous()
        hashed.update(f"{name}:{plain.dtype}:{tuple(plain.shape)}".encode())
        hashed.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return hashed.hexdigest()[:16]


def weights_digest(module: nn.Module) -> str:
    """A short hash of a module's parameters and buffers."""
    return tensors_digest(sorted(module.state_dict().items()))


def check_values(where: object, weights: Mapping[str, Tensor], advice: str) -> None:
    """Check that a model file can hold these parameters and buffers.

    Raises
    ------
    ModelError
        For a value of another type, or one that is not finite. The message begins with ``where``
        and ends with ``advice``.
    """
    for name, value in weights.items():
        kind = getattr(value, "dtype", type(value).__name__)
        if kind not in STORED:
            raise ModelError(
                f"{where}: '{name}' has type {kind}, expected float32, int64 or bool; {advice}"
            )
        if not torch.isfinite(value).all():
            raise ModelError(f"{where}: '{name}' contains values that are not finite; {advice}")


def _draw(values: Tensor, bound: float, stream: torch.Generator) -> None:
    values.copy_(torch.empty(values.shape).uniform_(-bound, bound, generator=stream))


def _draw_recurrent(layer: nn.RNNBase, seed: int, place: str) -> None:
    """The gates of a matrix are drawn together, each matrix from a stream of its own."""
    for name, values in layer.named_parameters():
        if values.ndim == 1:
            values.zero_()
        else:
            stream = torch_generator(seed, "weights", f"{place}.{name}")
            _draw(values, math.sqrt(6.0 / sum(values.shape)), stream)


def _fan(layer: nn.Conv2d | nn.Linear) -> int:
    """Inputs of a convolution; inputs and outputs of a dense layer."""
    if isinstance(layer, nn.Linear):
        return layer.in_features + layer.out_features
    return layer.weight[0].numel()
