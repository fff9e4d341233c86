"""What all augmentations share: random draws for each row, levels, and where a clip is silent."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import cast

import torch
from torch import Tensor, nn

from semisonic.core.errors import DataError, OptionError
from semisonic.features.logmel import delta
from semisonic.features.options import LOG_MEL, REGISTERED, WAVE, MelOptions

_TO_POWER = math.log(10.0) / 10.0
_LEAST_RELATIVE = 1e-20  # -200 dB, where levels are below the clip's own maximum
_SAME_DB = 0.01

Drawn = dict[str, Tensor]
"""Random numbers of a batch by name, each of shape (batch,) or (batch, n)."""


class PowerScale:
    """What the options of a front end mean for arithmetic on its features.

    A cell of the features is ``20 / power * log10(mel)`` dB. Energies of sounds that have
    nothing to do with each other add, and ``10 ** (dB / 10)`` is such an energy: exactly for
    ``power=2``, where the bands sum energies. For other powers the bands sum magnitudes, and the
    sum of two sounds comes out up to about 1 dB too high where both are equally loud.

    All arguments named ``x`` are levels in dB, shape (batch, 1, mel, frame).
    """

    def __init__(self, mel: MelOptions) -> None:
        self.mel = mel
        self.is_relative = mel.reference == "max"
        self.floor_db = mel.quietest_db
        self._least = _LEAST_RELATIVE if self.is_relative else 10 ** (self.floor_db / 10)

    def power(self, x: Tensor) -> Tensor:
        """Levels as energies."""
        return torch.exp_(x * _TO_POWER)

    def from_power(self, power: Tensor) -> Tensor:
        """Energies as levels, in place; energies below silence become silence."""
        return self.restore_range(power.clamp_(min=self._least).log10_().mul_(10.0))

    def silence(self, x: Tensor) -> Tensor:
        """The level of silence, shape (batch or 1, 1, 1, 1).

        Where levels are relative to a clip's maximum it is the clip's lowest level.
        """
        if self.is_relative:
            return x.amin((1, 2, 3), keepdim=True)
        return x.new_full((1, 1, 1, 1), self.floor_db)

    def amplify(self, x: Tensor, gain_db: Tensor) -> Tensor:
        """Add a gain to all that sounds: silence times anything is silence.

        Within the lowest decibel above silence the gain fades in. ``gain_db`` broadcasts
        to ``x``.
        """
        sounds = (x - self.silence(x)).clamp_(0.0, 1.0)
        return self.restore_range(sounds.mul_(gain_db).add_(x))

    def restore_range(self, x: Tensor) -> Tensor:
        """Make levels again such as the front end gives: its floor, maximum and range.

        Works in place: memory is what these small sums cost most.
        """
        if self.is_relative:
            loudest = x.amax((1, 2, 3), keepdim=True)
            silent = loudest - x.amin((1, 2, 3), keepdim=True) < 1e-3
            x.sub_(loudest.masked_fill(silent, 0.0))
        else:
            x.clamp_(min=self.floor_db)
        if self.mel.top_db is not None:
            x.clamp_(min=x.amax((1, 2, 3), keepdim=True) - self.mel.top_db)
        return x


def silent_frames(x: Tensor) -> Tensor:
    """Which frames of levels are digital silence (all bands at the clip's floor), (batch, frame).

    Short sounds are padded with it to full length.
    """
    return x.amax((1, 2)) <= x.amin((1, 2, 3))[:, None] + _SAME_DB


class Augmentation(nn.Module):
    """A random change of features, drawn anew for each row; nothing in ``eval()``.

    One class changes log-mel levels and waveforms, as far as the transform makes sense for both;
    the front end says which. ``forward`` takes levels in dB, (batch, channel, mel, frame), or
    waveforms, (batch, time) or (batch, 1, 1, time). It keeps the shape (crops make it shorter)
    and never changes its input. Deltas are computed anew from the changed levels. Under autocast
    it still computes in float32. Random numbers come from torch's global generator of the
    tensor's device.

    A subclass has :meth:`draw`, which gives the random numbers, and :meth:`change_levels`,
    :meth:`change_wave` or both, which do what the numbers say. Together they make a change that
    can be repeated on other features.

    Parameters
    ----------
    mel : MelOptions
        The front end that the features come from.

    Raises
    ------
    OptionError
        When the transform does not know this kind of features.

    Examples
    --------
    >>> import torch
    >>> from semisonic.features.augment.time import Gain
    >>> from semisonic.features.options import MelOptions
    >>> louder = Gain(MelOptions(input="wave"), max_db=6.0)
    >>> louder(torch.zeros(8, 1000)).shape
    torch.Size([8, 1000])
    """

    kinds: tuple[str, ...] = (LOG_MEL,)
    """Kinds of features (``MelOptions.input``) that the transform knows."""

    def __init__(self, mel: MelOptions) -> None:
        super().__init__()
        if mel.input not in self.kinds:
            other = "spectrograms" if mel.input == WAVE else "waveforms"
            raise OptionError(
                f"{type(self).__name__}: this changes {other}, and the front end is "
                f"'{mel.input}'; leave it out, or take the network of a spectrogram"
            )
        self.mel = mel

    @property
    def is_wave(self) -> bool:
        """Whether the features are waveforms."""
        return self.mel.input == WAVE

    @cached_property
    def levels(self) -> PowerScale:
        """Arithmetic on the levels of the front end."""
        return PowerScale(self.mel)

    def forward(self, x: Tensor) -> Tensor:
        """Changed features in training, the same ones otherwise."""
        self.check(x)
        if not self.training:
            return x
        with full_precision(x):
            if self.is_wave:
                changed = self.once(x.flatten(1).float())
                return changed.view(*x.shape[:-1], -1).to(x.dtype)
            level = self.once(x[:, :1].float())
            if self.mel.deltas:
                level = torch.cat((level, delta(level)), dim=1)
        return level.to(x.dtype)

    def once(self, x: Tensor) -> Tensor:
        """One random change of levels, (batch, 1, mel, frame), or waveforms, (batch, time)."""
        return self.change(x, self.draw(x))

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """Levels or waveforms changed as the numbers say."""
        return self.change_wave(x, drawn) if self.is_wave else self.change_levels(x, drawn)

    def draw(self, x: Tensor) -> Drawn:
        """Random numbers for the rows of a batch of levels or waveforms."""
        raise NotImplementedError

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """Levels (batch, 1, mel, frame) changed as the numbers say."""
        raise NotImplementedError

    def change_wave(self, x: Tensor, drawn: Drawn) -> Tensor:
        """Waveforms (batch, time) changed as the numbers say."""
        raise NotImplementedError

    def frames(self, seconds: float) -> int:
        """The nearest number of frames (of waveforms: samples) in a time."""
        return round(seconds * self.mel.sample_rate / self.mel.hop_length)

    def require(self, holds: bool, option: str, found: object, expected: str) -> None:
        """Raise OptionError unless an option of this class can work."""
        if not holds:
            name = f"{type(self).__name__}, option '{option}'"
            raise OptionError(f"{name}: found {found}, expected {expected}")

    def check(self, x: Tensor) -> None:
        """Raise DataError unless the features have the shape that the front end gives."""
        if self.is_wave:
            check_wave(x, type(self).__name__)
            return
        expected = (self.mel.n_channels, self.mel.n_mels)
        if x.ndim != 4 or tuple(x.shape[1:3]) != expected or not x.is_floating_point():
            raise DataError(
                f"{type(self).__name__}: found features of shape {tuple(x.shape)} and type "
                f"{x.dtype}, expected floats (batch, {expected[0]}, {expected[1]}, frame)"
            )


def check_wave(wave: Tensor, name: str) -> None:
    """Raise DataError unless the shape is (batch, time) or (batch, 1, 1, time), of floats."""
    is_batch = wave.ndim == 2 or (wave.ndim == 4 and tuple(wave.shape[1:3]) == (1, 1))
    if not is_batch or not wave.is_floating_point() or not wave.shape[-1]:
        raise DataError(
            f"{name}: found a wave of shape {tuple(wave.shape)} and type {wave.dtype}, expected "
            "(batch, time) of floating-point samples, not empty"
        )


def full_precision(x: Tensor) -> AbstractContextManager[object]:
    """A context in which nothing is computed in half precision where ``x`` lives."""
    kind = x.device.type
    has_autocast = torch.amp.is_autocast_available(kind)
    return torch.autocast(kind, enabled=False) if has_autocast else nullcontext()


def uniform(x: Tensor, low: float, high: float, *size: int) -> Tensor:
    """Numbers from ``low`` to ``high``, shape (batch, *size), where the batch ``x`` lives."""
    return torch.rand(len(x), *size, device=x.device) * (high - low) + low


def random_integers(x: Tensor, low: int, high: int, *size: int) -> Tensor:
    """Whole numbers from ``low`` to ``high``, both included, shape (batch, *size)."""
    return torch.randint(low, high + 1, (len(x), *size), device=x.device)


class Chain(Augmentation):
    """Augmentations one after another; deltas are computed once, at the end.

    Parameters
    ----------
    mel : MelOptions
    steps : sequence of Augmentation
        For the same front end.
    """

    kinds = (LOG_MEL, WAVE)

    def __init__(self, mel: MelOptions, steps: Sequence[Augmentation]) -> None:
        super().__init__(mel)
        self.steps = nn.ModuleList(steps)

    def once(self, x: Tensor) -> Tensor:
        """One random change by each step."""
        for step in self.steps:
            x = cast(Augmentation, step).once(x)
        return x


class OneOf(nn.Module):
    """Some clips go through one module, the others through another; nothing in ``eval()``.

    With few labels, strong changes of every clip leave too few that sound as clips do.

    Parameters
    ----------
    first, second : nn.Module
        (batch, channel, mel, frame) in dB to the same shape; each clip draws one of them.
    """

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        """Changed features in training, the same ones otherwise."""
        if not self.training:
            return x
        chosen = torch.rand(len(x), device=x.device) < 0.5
        rows = torch.cat([(~chosen).nonzero()[:, 0], chosen.nonzero()[:, 0]])
        n = len(x) - int(chosen.sum())
        parts = [
            module(part)
            for module, part in ((self.first, x[rows[:n]]), (self.second, x[rows[n:]]))
            if len(part)
        ]
        changed = torch.empty_like(x)
        changed[rows] = torch.cat(parts)
        return changed


class RegisteredAugmentation(nn.Module):
    """An augmentation that is not from this package; nothing in ``eval()``, nothing learned.

    Parameters
    ----------
    name : str
        As it was registered: see :func:`semisonic.register_augmentation`.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        change = REGISTERED[name]
        self.name = name
        self.change = copy.deepcopy(change) if isinstance(change, nn.Module) else change
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Changed features in training, the same ones otherwise.

        Raises
        ------
        DataError
            When something else than features of the same shape comes out.
        """
        if not self.training:
            return x
        with torch.no_grad(), full_precision(x):
            changed: object = self.change(x.float())
        shape = tuple(changed.shape) if isinstance(changed, Tensor) else type(changed).__name__
        if not isinstance(changed, Tensor) or shape != tuple(x.shape):
            raise DataError(
                f"the augmentation '{self.name}' gives {shape} for features of shape "
                f"{tuple(x.shape)} (batch, channel, mel, frame), expected the same shape"
            )
        return changed.to(x.dtype)

    def extra_repr(self) -> str:
        """What torch prints of it beside its modules."""
        return self.name
