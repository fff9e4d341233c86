"""What all augmentations share: when they apply, random draws, levels and loudness."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from semisonic.core.errors import DataError, OptionError
from semisonic.features.filterbank import band_edges_hz
from semisonic.features.logmel import delta
from semisonic.features.options import LOG_MEL, WAVE, MelOptions

_TO_POWER = math.log(10.0) / 10.0
_LEAST_RELATIVE = 1e-20  # -200 dB, where levels are below the clip's own maximum


class PowerScale:
    """What the options of a front end mean for arithmetic on its features.

    A cell of the features is ``20 / power * log10(mel)`` dB. Energies of sounds that have
    nothing to do with each other add, and ``10 ** (dB / 10)`` is such an energy: exactly for
    ``power=2``, where the bands sum energies. For other powers the bands sum magnitudes, and the
    sum of two sounds comes out up to about 1 dB too high where both are equally loud.

    All arguments named ``x`` are levels in dB, shape (batch, 1, mel, frame).
    """

    def __init__(self, mel: MelOptions) -> None:
        if mel.input == WAVE:
            raise OptionError(
                "augmentation: this changes spectrograms, and the front end is 'wave'; leave it "
                "out, or take the network of a spectrogram"
            )
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


# The power and the loudness of a clip, read from its mel bands.


WINDOW = 0.1
"""Seconds over which loudness is taken."""


def band_widths(mel: MelOptions) -> Tensor:
    """Weights that turn band values into power, in Hz or without a unit, shape (n_mels,).

    A band is a mean of the power density under a triangle, so the sum over bands of value
    times half the triangle's base is the power between the first and the last centre. The
    first and the last band also stand for what is beyond their centres. Where a band is a sum
    under a triangle of height one, its weight is one.

    Parameters
    ----------
    mel : MelOptions

    Returns
    -------
    Tensor, shape (n_mels,)
    """
    edges = band_edges_hz(mel)
    widths = (edges[2:] - edges[:-2]) / 2
    widths[0] += (edges[1] - edges[0]) / 2
    widths[-1] += (edges[-1] - edges[-2]) / 2
    if not mel.has_unit_areas:
        widths /= (edges[2:] - edges[:-2]) / 2
    return torch.from_numpy(widths).float()


def a_weights(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Power weights of the A curve (IEC 61672), about one at 1 kHz."""
    f2 = np.square(hz)
    response = (
        12194.0**2
        * np.square(f2)
        / ((f2 + 20.6**2) * np.sqrt((f2 + 107.7**2) * (f2 + 737.9**2)) * (f2 + 12194.0**2))
    )
    weights: NDArray[np.float64] = np.square(response) * 10**0.2
    return weights


def frame_power(power: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums over bands, (batch, frame), of energies (batch, 1, mel, frame)."""
    return torch.matmul(weights, power[:, 0])


def loudness_db(x: Tensor, levels: PowerScale) -> Tensor:
    """A-weighted level of the loudest tenth of a second of each clip, shape (batch,).

    Parameters
    ----------
    x : Tensor, shape (batch, 1, mel, frame)
        Levels in dB.

    Returns
    -------
    Tensor, shape (batch,)
    """
    mel = levels.mel
    weights = band_widths(mel) * torch.from_numpy(a_weights(band_edges_hz(mel)[1:-1])).float()
    power = frame_power(levels.power(x), weights.to(x.device))
    n = min(max(1, round(WINDOW * mel.sample_rate / mel.hop_length)), power.shape[1])
    windows = functional.avg_pool1d(power[:, None], n, stride=1)[:, 0]
    return windows.amax(1).clamp(min=1e-30).log10() * 10


# Where in a clip something sounds: short sounds are padded with silence to full length.


QUIET_DB = 60.0
"""A frame whose loudest band is this far below the clip's loudest cell counts as quiet."""

_SAME_DB = 0.01
_BLOCK = 1024  # samples
DIGITAL_SILENCE = 2e-5  # of full scale, less than one step of 16-bit samples


def sounding_frames(x: Tensor, quiet_db: float = QUIET_DB) -> Tensor:
    """Which frames of each clip are heard beside its loudest.

    Parameters
    ----------
    x : Tensor, shape (batch, 1, mel, frame)
        Levels in dB.
    quiet_db : float
        How far below the clip's loudest cell a whole frame is no longer heard.

    Returns
    -------
    Tensor of bool, shape (batch, frame)
        All False for a clip of silence.
    """
    loudest = x.amax((1, 2))  # (batch, frame)
    return (loudest > loudest.amax(1, keepdim=True) - quiet_db) & ~_silent(x, loudest)


def nonsilent_frames(x: Tensor) -> Tensor:
    """Which frames hold anything but digital silence (all bands at the floor), (batch, frame)."""
    return ~_silent(x, x.amax((1, 2)))


def padded_rows(x: Tensor) -> Tensor:
    """Which clips hold frames of digital silence, shape (batch,)."""
    return _silent(x, x.amax((1, 2))).any(1)


def padded_waves(x: Tensor) -> Tensor:
    """Which waves hold a stretch of digital silence, shape (batch,)."""
    n = x.shape[1] // _BLOCK * _BLOCK
    if not n:
        return torch.zeros(len(x), dtype=torch.bool, device=x.device)
    blocks = x[:, :n].reshape(len(x), -1, _BLOCK)
    return torch.any(blocks.abs().amax(2) < DIGITAL_SILENCE, dim=1)


def silent_rows(x: Tensor) -> Tensor:
    """Which clips are nothing but digital silence, shape (batch,)."""
    return x.amax((1, 2, 3)) - x.amin((1, 2, 3)) <= _SAME_DB


def _silent(x: Tensor, loudest: Tensor) -> Tensor:
    return loudest <= x.amin((1, 2, 3))[:, None] + _SAME_DB


Drawn = dict[str, Tensor]
"""Random numbers of a batch by name, each of shape (batch,) or (batch, n)."""


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
    probability : float
        Share of rows that are changed, 0 to 1.

    Raises
    ------
    OptionError
        When the transform does not know this kind of features, or an option cannot work.

    Examples
    --------
    >>> import torch
    >>> from semisonic.features.augment.noise import Gain
    >>> from semisonic.features.options import MelOptions
    >>> louder = Gain(MelOptions(input="wave"), max_db=6.0)
    >>> louder(torch.zeros(8, 1000)).shape
    torch.Size([8, 1000])
    """

    kinds: tuple[str, ...] = (LOG_MEL,)
    """Kinds of features (``MelOptions.input``) that the transform knows."""

    def __init__(self, mel: MelOptions, probability: float = 1.0) -> None:
        super().__init__()
        if mel.input not in self.kinds:
            other = "spectrograms" if mel.input == WAVE else "waveforms"
            raise OptionError(
                f"{type(self).__name__}: this changes {other}, and the front end is "
                f"'{mel.input}'; leave it out, or take the network of a spectrogram"
            )
        self.mel = mel
        self.probability = check_share(probability, self.named("probability"))

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
        changed = self.change(x, self.draw(x))
        if self.probability == 1.0:
            return changed
        shape = (len(x), *[1] * (x.ndim - 1))
        chosen = torch.rand(shape, device=x.device) < self.probability
        return torch.where(chosen, changed, x)

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

    def named(self, option: str) -> str:
        """What an option of this class is called in an error."""
        return f"{type(self).__name__}, option '{option}'"

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


def require_loudness(mel: MelOptions, name: str) -> None:
    """Refuse a transform that needs the level of a clip, where the front end removes it."""
    for cause, removes in (
        ("reference='max'", mel.reference == "max"),
        ("peak_normalize=true", mel.peak_normalize),
    ):
        if removes:
            raise OptionError(
                f"{name}: the front end has {cause}, which takes the level of every clip "
                "away, so that a change of level changes nothing; set the gain to 0 dB or "
                "keep the level"
            )


def full_precision(x: Tensor) -> AbstractContextManager[object]:
    """A context in which nothing is computed in half precision where ``x`` lives."""
    kind = x.device.type
    has_autocast = torch.amp.is_autocast_available(kind)
    return torch.autocast(kind, enabled=False) if has_autocast else nullcontext()


def uniform(x: Tensor, low: float, high: float, *size: int) -> Tensor:
    """Numbers from ``low`` to ``high``, shape (batch, *size), where ``x`` lives.

    Parameters
    ----------
    x : Tensor
        A batch.
    low, high : float
    *size : int

    Returns
    -------
    Tensor, shape (batch, *size)
    """
    return torch.rand(len(x), *size, device=x.device) * (high - low) + low


def random_integers(x: Tensor, low: int, high: int, *size: int) -> Tensor:
    """Whole numbers from ``low`` to ``high``, both included, shape (batch, *size).

    Parameters
    ----------
    x : Tensor
        A batch.
    low, high : int
    *size : int

    Returns
    -------
    Tensor of int, shape (batch, *size)
    """
    return torch.randint(low, high + 1, (len(x), *size), device=x.device)


def check_at_least(value: float, least: float, name: str, unit: str = "") -> float:
    """The value, or an OptionError unless it is finite and at least ``least``."""
    if not (math.isfinite(value) and value >= least):
        raise OptionError(f"{name}: found {value} {unit}, expected at least {least:g} {unit}")
    return value


def check_share(value: float, name: str) -> float:
    """The value, or an OptionError unless it lies in 0..1."""
    if not 0.0 <= value <= 1.0:
        raise OptionError(f"{name}: found {value}, expected 0 to 1")
    return value


def check_range(low: float, high: float, name: str, unit: str = "") -> tuple[float, float]:
    """Both ends of a range, or an OptionError when they are not finite or not in order."""
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise OptionError(f"{name}: found {low} to {high} {unit}, expected the lower value first")
    return low, high


class OneOf(nn.Module):
    """Some clips go through one module, the others through another; nothing in ``eval()``.

    With few labels, strong changes of every clip leave too few that sound as clips do.

    Parameters
    ----------
    first, second : nn.Module
        (batch, channel, mel, frame) in dB to the same shape.
    probability : float
        Share of clips that go through ``second``, 0 to 1.
    """

    def __init__(self, first: nn.Module, second: nn.Module, probability: float = 0.5) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.probability = check_share(probability, "OneOf, option 'probability'")

    def forward(self, x: Tensor) -> Tensor:
        """Changed features in training, the same ones otherwise."""
        if not self.training:
            return x
        chosen = torch.rand(len(x), device=x.device) < self.probability
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

    def extra_repr(self) -> str:
        """What torch prints of it beside its modules."""
        return f"probability={self.probability:g}"
