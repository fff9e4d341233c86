"""What all augmentations of spectrograms share."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from semisonic.base.errors import DataError, OptionError
from semisonic.features.augment.levels import Levels
from semisonic.features.deltas import delta
from semisonic.features.options import MelOptions

Drawn = dict[str, Tensor]
"""Random numbers of a batch by name, each of shape (batch,) or (batch, n)."""


class Augmentation(nn.Module):
    """A random change of features in dB, drawn anew for each row; nothing in ``eval()``.

    Parameters
    ----------
    mel : MelOptions
        The front end that the features come from.
    probability : float
        Share of rows that are changed, 0 to 1.

    Notes
    -----
    ``forward`` maps (batch, channel, mel, frame) to the same shape and never changes its
    input. Deltas are computed anew from the changed levels. Under autocast it still computes in
    float32. Random numbers come from torch's
    global generator of the tensor's device.

    A subclass has two methods: :meth:`draw` gives the random numbers, :meth:`change` does
    what they say. Together they make a change that can be repeated on other features.
    """

    def __init__(self, mel: MelOptions, probability: float = 1.0) -> None:
        super().__init__()
        self.mel = mel
        self.levels = Levels(mel)
        self.probability = share(probability, self.named("probability"))

    def forward(self, x: Tensor) -> Tensor:
        """Changed features in training, the same ones otherwise."""
        self._check(x)
        if not self.training:
            return x
        with full_precision(x):
            level = self.once(x[:, :1].float())
            if self.mel.deltas:
                level = torch.cat((level, delta(level)), dim=1)
        return level.to(x.dtype)

    def once(self, x: Tensor) -> Tensor:
        """One random change of the levels alone, (batch, 1, mel, frame)."""
        changed = self.change(x, self.draw(x))
        if self.probability == 1.0:
            return changed
        chosen = torch.rand(len(x), 1, 1, 1, device=x.device) < self.probability
        return torch.lerp(x, changed, chosen.to(x.dtype))

    def draw(self, x: Tensor) -> Drawn:
        """Random numbers for the rows of a batch of levels."""
        raise NotImplementedError

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """Levels (batch, 1, mel, frame) changed as the numbers say."""
        raise NotImplementedError

    def frames(self, seconds: float) -> int:
        """The nearest number of frames in a time."""
        return round(seconds * self.mel.sample_rate / self.mel.hop_length)

    def named(self, option: str) -> str:
        """What an option of this class is called in an error."""
        return f"{type(self).__name__}, option '{option}'"

    def _check(self, x: Tensor) -> None:
        expected = (self.mel.n_channels, self.mel.n_mels)
        if x.ndim != 4 or tuple(x.shape[1:3]) != expected or not x.is_floating_point():
            raise DataError(
                f"{type(self).__name__}: found features of shape {tuple(x.shape)} and type "
                f"{x.dtype}, expected floats (batch, {expected[0]}, {expected[1]}, frame)"
            )


def full_precision(x: Tensor) -> AbstractContextManager[object]:
    """A context in which nothing is computed in half precision where ``x`` lives."""
    kind = x.device.type
    known = torch.amp.is_autocast_available(kind)
    return torch.autocast(kind, enabled=False) if known else nullcontext()


def uniform(x: Tensor, low: float, high: float, *size: int) -> Tensor:
    """Numbers from ``low`` to ``high``, shape (batch, *size), where ``x`` lives."""
    return torch.rand(len(x), *size, device=x.device) * (high - low) + low


def whole(x: Tensor, low: int, high: int, *size: int) -> Tensor:
    """Whole numbers from ``low`` to ``high``, both included, shape (batch, *size)."""
    return torch.randint(low, high + 1, (len(x), *size), device=x.device)


def at_least(value: float, least: float, name: str, unit: str = "") -> float:
    """The value, or an OptionError unless it is finite and at least ``least``."""
    if not (math.isfinite(value) and value >= least):
        raise OptionError(f"{name}: found {value} {unit}, expected at least {least:g} {unit}")
    return value


def share(value: float, name: str) -> float:
    """The value, or an OptionError unless it lies in 0..1."""
    if not 0.0 <= value <= 1.0:
        raise OptionError(f"{name}: found {value}, expected 0 to 1")
    return value


def ordered(low: float, high: float, name: str, unit: str = "") -> tuple[float, float]:
    """Both ends of a range, or an OptionError when they are not finite or not in order."""
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise OptionError(f"{name}: found {low} to {high} {unit}, expected the lower value first")
    return low, high
