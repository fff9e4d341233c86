"""Augmentation: random changes of training clips, drawn again each time.

This file has the base class, then augmentations of spectrograms, those of spectrograms and
samples, and the named sets. For samples only, see :mod:`semisonic.features.wave_augmentation`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import torch
from torch import Tensor, nn

from semisonic.core.errors import DataError, OptionError
from semisonic.core.options import nearest
from semisonic.features.logmel import band_edges_hz, delta
from semisonic.features.options import AUGMENTATIONS, LOG_MEL, OWN_AUGMENTATIONS, WAVE, MelOptions
from semisonic.features.vocoder import (
    HOP,
    istft,
    phase_vocoder,
    read_between_samples,
    row_by_row,
    stft,
)

_TO_POWER = math.log(10.0) / 10.0
_LEAST_RELATIVE = 1e-20  # -200 dB, where levels are below the clip's own maximum
_SAME_DB = 0.01

Drawn = dict[str, Tensor]
"""Random numbers of a batch by name, each of shape (batch,) or (batch, n)."""


def silent_frames(x: Tensor) -> Tensor:
    """Which frames of levels are digital silence (all bands at the clip's floor), (batch, frame).

    Short sounds are padded with it to full length.
    """
    return x.amax((1, 2)) <= x.amin((1, 2, 3))[:, None] + _SAME_DB


class Augmentation(nn.Module):
    """A random change of features, drawn for each row; no change in ``eval()``.

    A class may change log-mel levels and waveforms, if the transform makes sense for both; the
    front end decides which. ``forward`` takes levels in dB, (batch, channel, mel, frame), or
    waveforms, (batch, time) or (batch, 1, 1, time). It keeps the shape (crops make it shorter) and
    never changes its input. Deltas are recomputed from the changed levels. Under autocast it still
    computes in float32. Random numbers come from torch's global generator of the tensor's device.

    A subclass has :meth:`draw`, which returns the random numbers, and :meth:`change_levels`,
    :meth:`change_wave` or both, which apply them. So the same change can be applied to other
    features.

    Parameters
    ----------
    mel : MelOptions
        The front end of the features.

    Raises
    ------
    OptionError
        When the transform does not support this kind of features.

    Examples
    --------
    >>> import torch
    >>> from semisonic.features.augmentation import Gain
    >>> from semisonic.features.options import MelOptions
    >>> louder = Gain(MelOptions(input="wave"), max_db=6.0)
    >>> louder(torch.zeros(8, 1000)).shape
    torch.Size([8, 1000])
    """

    kinds: tuple[str, ...] = (LOG_MEL,)
    """Kinds of features (``MelOptions.input``) that the transform supports."""

    def __init__(self, mel: MelOptions) -> None:
        super().__init__()
        if mel.input not in self.kinds:
            other = "spectrograms" if mel.input == WAVE else "waveforms"
            raise OptionError(
                f"{type(self).__name__}: it changes {other}, but the front end is '{mel.input}'; "
                f"leave it out, or choose a network that reads {other}"
            )
        self.mel = mel

    @property
    def is_wave(self) -> bool:
        """Whether the features are waveforms."""
        return self.mel.input == WAVE

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
        """Apply the random numbers to levels or waveforms."""
        return self.change_wave(x, drawn) if self.is_wave else self.change_levels(x, drawn)

    def draw(self, x: Tensor) -> Drawn:
        """Random numbers for the rows of a batch of levels or waveforms."""
        raise NotImplementedError

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """Apply the random numbers to levels (batch, 1, mel, frame)."""
        raise NotImplementedError

    def change_wave(self, x: Tensor, drawn: Drawn) -> Tensor:
        """Apply the random numbers to waveforms (batch, time)."""
        raise NotImplementedError

    # Arithmetic on levels in dB, (batch, 1, mel, frame). A cell is ``20 / power * log10(mel)`` dB.
    # Energies of sounds that have nothing to do with each other add, and ``10 ** (dB / 10)`` is
    # such an energy: exactly for ``power=2``, where the bands sum energies. For other powers the
    # bands sum magnitudes, and the sum of two sounds comes out up to about 1 dB too high where both
    # are equally loud.

    @property
    def is_relative(self) -> bool:
        """Whether levels are relative to a clip's maximum."""
        return self.mel.reference == "max"

    def power(self, x: Tensor) -> Tensor:
        """Levels as energies."""
        return torch.exp_(x * _TO_POWER)

    def from_power(self, power: Tensor) -> Tensor:
        """Energies as levels, in place; energies below silence become silence."""
        least = _LEAST_RELATIVE if self.is_relative else 10 ** (self.mel.quietest_db / 10)
        return self.restore_range(power.clamp_(min=least).log10_().mul_(10.0))

    def silence(self, x: Tensor) -> Tensor:
        """The level of silence, shape (batch or 1, 1, 1, 1).

        If levels are relative to a clip's maximum, it is the clip's lowest level.
        """
        if self.is_relative:
            return x.amin((1, 2, 3), keepdim=True)
        return x.new_full((1, 1, 1, 1), self.mel.quietest_db)

    def amplify(self, x: Tensor, gain_db: Tensor) -> Tensor:
        """Add a gain to everything but silence.

        Within the lowest decibel above silence the gain fades in. ``gain_db`` broadcasts
        to ``x``.
        """
        sounds = (x - self.silence(x)).clamp_(0.0, 1.0)
        return self.restore_range(sounds.mul_(gain_db).add_(x))

    def restore_range(self, x: Tensor) -> Tensor:
        """Restore the floor, maximum and range that the front end gives.

        Works in place, as new memory would cost more than these small sums.
        """
        if self.is_relative:
            loudest = x.amax((1, 2, 3), keepdim=True)
            silent = loudest - x.amin((1, 2, 3), keepdim=True) < 1e-3
            x.sub_(loudest.masked_fill(silent, 0.0))
        else:
            x.clamp_(min=self.mel.quietest_db)
        if self.mel.top_db is not None:
            x.clamp_(min=x.amax((1, 2, 3), keepdim=True) - self.mel.top_db)
        return x

    def frames(self, seconds: float) -> int:
        """The nearest number of frames (of waveforms: samples) in a time."""
        return round(seconds * self.mel.sample_rate / self.mel.hop_length)

    def require(self, holds: bool, option: str, found: object, expected: str) -> None:
        """Raise OptionError unless an option of this class is valid."""
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
    """Augmentations in sequence; deltas are computed once, at the end.

    Parameters
    ----------
    mel : MelOptions
    steps : sequence of Augmentation
        All for the same front end.
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
    """Each clip goes through one of two modules; no change in ``eval()``.

    With few labels, strong changes of every clip would leave too few realistic clips.

    Parameters
    ----------
    first, second : nn.Module
        (batch, channel, mel, frame) in dB to the same shape; one is drawn for each clip.
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
    """An augmentation of the user; no change in ``eval()``, no parameters.

    Parameters
    ----------
    name : str
        Its registered name: see :func:`semisonic.register_augmentation`.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        change = OWN_AUGMENTATIONS[name]
        self.name = name
        self.change = copy.deepcopy(change) if isinstance(change, nn.Module) else change
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Changed features in training, the same ones otherwise.

        Raises
        ------
        DataError
            When the result is not features of the same shape.
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


# Of spectrograms: gain over frequency, masks, crops of bands, other clips.


LARGEST_TIME_MASK = 0.2
"""Largest share of the frames without padding that one mask hides."""


class BandGain(Augmentation):
    """Apply a random smooth equaliser curve to each clip, like another microphone, room or
    distance.

    Parameters
    ----------
    mel : MelOptions
    max_db : float
        Largest gain of a control point, up or down, in dB.
    n_points : int
        Number of control points over all bands, at least 2; more make a rougher curve.
    """

    weights: Tensor

    def __init__(self, mel: MelOptions, max_db: float, n_points: int = 5) -> None:
        super().__init__(mel)
        self.require(0 <= max_db < float("inf"), "max_db", f"{max_db} dB", "at least 0 dB")
        expected = f"2 to {mel.n_mels}, the number of bands"
        self.require(2 <= n_points <= mel.n_mels, "n_points", n_points, expected)
        self.max_db, self.n_points = max_db, n_points
        self.register_buffer("weights", smooth_weights(n_points, mel.n_mels), persistent=False)

    def draw(self, x: Tensor) -> Drawn:
        """``point_db``: the gain of each control point, (batch, n_points)."""
        return {"point_db": uniform(x, -self.max_db, self.max_db, self.n_points)}

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The equalised clips; silence stays silence."""
        curve = (drawn["point_db"][:, :, None] * self.weights).sum(1)  # (batch, mel)
        return self.amplify(x, curve[:, None, :, None])


def smooth_weights(n_points: int, n_bands: int) -> Tensor:
    """The weight of each control point in each band, shape (n_points, n_bands).

    Points are equally spaced over the bands, with one at each end. Between two points the
    weights follow a raised cosine and sum to one, so a curve never leaves the range of its
    points.
    """
    position = torch.linspace(0, n_points - 1, n_bands, dtype=torch.float64)
    distance = (position[None] - torch.arange(n_points)[:, None]).abs().clamp(max=1.0)
    return (0.5 + 0.5 * torch.cos(torch.pi * distance)).float()


class BandCrop(Augmentation):
    """Cut a random window of neighbouring bands from each clip and stretch it over all bands.

    Paper: Niizumi et al. 2021, "BYOL for audio" (random resize crop).

    Where we differ: frequency only, the window never reaches beyond the clip, and interpolation is
    linear. Views are cropped in time by :class:`~semisonic.features.augmentation.TimeCrop`.

    Parameters
    ----------
    mel : MelOptions
    max_cut : int
        Largest number of mel bands that are cut away, low and high ends together.
    """

    def __init__(self, mel: MelOptions, max_cut: int) -> None:
        super().__init__(mel)
        expected = f"0 to {mel.n_mels - 1}, as there are {mel.n_mels} bands"
        self.require(0 <= max_cut < mel.n_mels, "max_cut", max_cut, expected)
        self.max_cut = max_cut

    def draw(self, x: Tensor) -> Drawn:
        """``cut``: bands; ``low``: the share of them that is cut off the low end."""
        return {"cut": uniform(x, 0.0, float(self.max_cut)), "low": uniform(x, 0.0, 1.0)}

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The resized windows, linear in dB between neighbouring bands."""
        n, cut = x.shape[2], drawn["cut"]
        scale = (n - cut) / n
        place = (torch.arange(n, device=x.device) + 0.5) * scale[:, None] - 0.5
        position = (place + (cut * drawn["low"])[:, None]).clamp(0, n - 1)  # (batch, mel)
        below = position.floor()
        first = below.long()
        row = torch.arange(len(x), device=x.device)[:, None]
        left = x[row, 0, first]  # (batch, mel, frame)
        right = x[row, 0, (first + 1).clamp(max=n - 1)]
        return left.lerp_(right, (position - below)[:, :, None].to(x.dtype))[:, None]


class BandMask(Augmentation):
    """Hide random ranges of neighbouring mel bands.

    Paper: Park et al. 2019, "SpecAugment: a simple data augmentation method for automatic speech
    recognition".

    Where we differ: a mask gets the clip's mean level, as our features are not standardised, and
    silence around a short sound stays silence.

    Parameters
    ----------
    mel : MelOptions
    n_masks : int
        Number of masks per clip, at least 1; they may overlap.
    max_bands : int
        Widest mask, in mel bands; widths are drawn from 0 up to it.
    """

    def __init__(self, mel: MelOptions, n_masks: int, max_bands: int) -> None:
        super().__init__(mel)
        self.require(n_masks >= 1, "n_masks", n_masks, "at least 1")
        expected = f"1 to {mel.n_mels - 1}, as there are {mel.n_mels} bands"
        self.require(1 <= max_bands < mel.n_mels, "max_bands", max_bands, expected)
        self.n_masks, self.max_bands = n_masks, max_bands

    def draw(self, x: Tensor) -> Drawn:
        """``width`` in bands, ``start`` as a share of what is possible, (batch, n_masks)."""
        return {
            "width": random_integers(x, 0, self.max_bands, self.n_masks),
            "start": uniform(x, 0.0, 1.0, self.n_masks),
        }

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The masked clips."""
        n_bands, width = x.shape[2], drawn["width"]
        start = (drawn["start"] * (n_bands - width + 1)).floor()
        band = torch.arange(n_bands, device=x.device)
        mask = _covered(band, start, width)  # (batch, mel)
        return _fill_mask(x, mask[:, None, :, None], ~silent_frames(x))


class TimeMask(Augmentation):
    """Hide random segments of time.

    Paper: Park et al. 2019, "SpecAugment: a simple data augmentation method for automatic speech
    recognition".

    Where we differ: environmental clips are often short sounds padded with silence. Masks are
    placed on the frames without padding only, and no mask hides more than a fifth of these;
    otherwise some masks would hide nothing and some the whole sound. A mask gets the clip's mean
    level, as our features are not standardised and zero has no meaning.

    Parameters
    ----------
    mel : MelOptions
    n_masks : int
        Number of masks per clip, at least 1; they may overlap.
    max_width : float
        Longest mask, in seconds; widths are drawn from 0 up to it.
    """

    def __init__(self, mel: MelOptions, n_masks: int, max_width: float) -> None:
        super().__init__(mel)
        self.require(n_masks >= 1, "n_masks", n_masks, "at least 1")
        expected = f"at least one frame, {mel.hop_length / mel.sample_rate:.3g} s"
        self.require(self.frames(max_width) >= 1, "max_width", f"{max_width:g} s", expected)
        self.n_masks, self.max_width = n_masks, max_width

    def draw(self, x: Tensor) -> Drawn:
        """``width`` and ``start`` as shares of what is possible, (batch, n_masks)."""
        return {
            "width": uniform(x, 0.0, 1.0, self.n_masks),
            "start": uniform(x, 0.0, 1.0, self.n_masks),
        }

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The masked clips."""
        filled = ~silent_frames(x)
        n_filled = filled.sum(1, keepdim=True)  # (batch, 1)
        most = self.frames(self.max_width)
        longest = (n_filled * LARGEST_TIME_MASK).floor().clamp(max=most)
        width = (drawn["width"] * (longest + 1)).floor().minimum(longest)  # (batch, n_masks)
        start = (drawn["start"] * (n_filled - width + 1)).floor()
        mask = _covered(filled.cumsum(1)[:, None] - 1, start, width)  # (batch, frame)
        return _fill_mask(x, mask[:, None, None], filled)


def _covered(place: Tensor, start: Tensor, width: Tensor) -> Tensor:
    """Whether any of the ranges (batch, n) covers a position, (batch, position)."""
    inside = (place >= start[:, :, None]) & (place < (start + width)[:, :, None])
    return torch.any(inside, dim=1)


def _fill_mask(x: Tensor, mask: Tensor, filled: Tensor) -> Tensor:
    """Set masked frames to the mean level of the ``filled`` frames (batch, frame).

    Silence is not masked, as a mask there would look like a sound.
    """
    weight = filled.to(x.dtype)
    mean = (x.mean((1, 2)) * weight).sum(1) / weight.sum(1).clamp(min=1.0)
    here = mask.to(x.dtype) * weight[:, None, None]
    return torch.lerp(x, mean[:, None, None, None].expand_as(x), here)


class Background(Augmentation):
    """Add another clip of the batch as background to some clips.

    Paper: Salamon and Bello 2017, "Deep convolutional neural networks and data augmentation for
    environmental sound classification", who mixed in recordings of streets.

    Where we differ: the background is another clip of the batch, at a ratio in dB over the clip;
    it starts at a random place and wraps around. The label is kept, so ratios much below 10 dB
    teach wrong labels if the background contains classes; for shares of labels see ``Mixup``.

    Powers are means over the whole clip, padding included, of all frequencies that the bands
    reach, which is what the samples' mean squares would give. The phases of two unrelated sounds
    cancel on average, so energies add.

    Parameters
    ----------
    mel : MelOptions
    min_snr_db, max_snr_db : float
        Range of the ratio of the clip's power to the background's, in dB. A clip is not changed if
        it or the background is silent, or if it is alone in its batch.
    share : float
        Share of rows that get a background, 0 to 1.
    """

    widths: Tensor

    def __init__(
        self, mel: MelOptions, min_snr_db: float, max_snr_db: float, share: float = 1.0
    ) -> None:
        super().__init__(mel)
        found = f"{min_snr_db} to {max_snr_db} dB"
        self.require(min_snr_db <= max_snr_db, "max_snr_db", found, "the lower value first")
        self.require(0 <= share <= 1, "share", share, "0 to 1")
        self.min_snr_db, self.max_snr_db, self.share = min_snr_db, max_snr_db, share
        self.register_buffer("widths", band_widths(mel), persistent=False)

    def draw(self, x: Tensor) -> Drawn:
        """``snr_db``; ``other``: a clip; ``start``: a share of it; ``added``: whether to add it."""
        step = random_integers(x, 1, max(1, len(x) - 1))
        return {
            "snr_db": uniform(x, self.min_snr_db, self.max_snr_db),
            "other": (torch.arange(len(x), device=x.device) + step).remainder(len(x)),
            "start": uniform(x, 0.0, 1.0),
            "added": uniform(x, 0.0, 1.0) < self.share,
        }

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The clips with their backgrounds."""
        if len(x) == 1:
            return x
        n_frames, row = x.shape[3], drawn["other"][:, None]
        start = (drawn["start"] * n_frames).long()[:, None]
        index = (start + torch.arange(n_frames, device=x.device)).remainder(n_frames)
        level = x[row, 0, :, index].transpose(1, 2)[:, None]  # (batch, 1, mel, frame)
        energy, other = self.power(x), self.power(level)
        ratio = self._mean_power(energy) / self._mean_power(other) * 10 ** (drawn["snr_db"] / -10)
        possible = drawn["added"] & ~_is_silent(x) & ~_is_silent(level)
        mixed = self.from_power(energy.addcmul_(other, ratio[:, None, None, None]))
        return torch.where(possible[:, None, None, None], mixed, x)

    def _mean_power(self, energy: Tensor) -> Tensor:
        """Mean power of each clip, shape (batch,), of energies (batch, 1, mel, frame)."""
        return torch.matmul(self.widths, energy[:, 0]).mean(1).clamp(min=1e-30)


def _is_silent(x: Tensor) -> Tensor:
    """Which clips are digital silence only, shape (batch,)."""
    return silent_frames(x).all(1)


def band_widths(mel: MelOptions) -> Tensor:
    """Weights that convert band values to power, in Hz or without a unit, shape (n_mels,).

    A band is a mean of the power density under a triangle, so the sum over bands of value
    times half the triangle's base is the power between the first and the last centre. The first
    and the last band also represent the range beyond their centres. If a band is a sum under a
    triangle of height one, its weight is one.
    """
    edges = band_edges_hz(mel)
    widths = (edges[2:] - edges[:-2]) / 2
    widths[0] += (edges[1] - edges[0]) / 2
    widths[-1] += (edges[-1] - edges[-2]) / 2
    if not mel.has_unit_areas:
        widths /= (edges[2:] - edges[:-2]) / 2
    return torch.from_numpy(widths).float()


class Mixup(nn.Module):
    """Mix each clip, and its target, with another of the batch; no change in ``eval()``.

    Paper: Zhang et al. 2018, "mixup: beyond empirical risk minimization". Mixing in the log
    domain, as in most sound classifiers, gives spectrograms that no sound has, but works.

    Where we differ: each row draws its own share from Beta(alpha, alpha), where the paper's code
    draws one for the batch; and a row always is the larger part of its mixture, as MixMatch
    (Berthelot et al. 2019) requires for labelled rows.

    Parameters
    ----------
    alpha : float
        Above 0. Small: mostly one clip with a little of another; 1: any share.
    """

    def __init__(self, alpha: float) -> None:
        super().__init__()
        if not 0.0 < alpha < float("inf"):
            raise OptionError(
                f"Mixup, option 'alpha': found {alpha}, expected above 0; to turn mixup off, "
                "leave it out"
            )
        self.alpha = alpha

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Mixed features and targets.

        Parameters
        ----------
        x : Tensor, shape (batch, channel, mel, frame)
            Features: levels in dB, or waveforms.
        y : Tensor of float, shape (batch, class)
            Shares of classes, or 0 and 1 for several labels.

        Returns
        -------
        x, y : Tensor
            Of the same shapes.

        Raises
        ------
        DataError
            For class numbers instead of shares.
        """
        if y.ndim != 2 or len(y) != len(x) or not y.is_floating_point():
            raise DataError(
                f"Mixup: found targets of shape {tuple(y.shape)} and type {y.dtype}, expected "
                f"floats ({len(x)}, class); turn class numbers into shares with "
                "torch.nn.functional.one_hot(y, n_classes).float()"
            )
        if not self.training:
            return x, y
        order = torch.randperm(len(x), device=x.device)
        other = torch.empty_like(order)
        other[order] = order.roll(1)  # another row for each, each used once
        share = self.draw_share(x)
        with full_precision(x):
            part = share.view(-1, *[1] * (x.ndim - 1))
            mixed = torch.lerp(x[other].float(), x.float(), part).to(x.dtype)
        return mixed, torch.lerp(y[other], y, share[:, None].to(y.dtype))

    def draw_share(self, x: Tensor) -> Tensor:
        """Random shares, (batch,), of the row itself."""
        alpha = torch.full((len(x),), float(self.alpha), device=x.device)
        share: Tensor = torch.distributions.Beta(alpha, alpha, validate_args=False).sample()
        return share.maximum(1 - share)


# Of spectrograms and of samples: shift, gain, crop, stretch, speed.


QUIET_DB = 60.0
"""A frame whose loudest band is this many dB below the clip's loudest cell counts as quiet."""
LEAST_SOUND = 0.5
"""Least share of sound in a crop, relative to the crop of the clip with the most sound."""
DIGITAL_SILENCE = 2e-5
"""Level of silence, relative to full scale; less than one step of 16-bit samples."""

_GRID = 256  # samples between two places where a part of a waveform may start
_BLOCK = 1024  # samples that are looked at together for silence


class TimeShift(Augmentation):
    """Shift each clip by a random time; the part cut off at one end is added at the other.

    Nothing is lost, and no edge of silence gives augmented clips away. A short sound padded with
    silence moves inside its silence.

    Parameters
    ----------
    mel : MelOptions
    max_shift : float
        Largest shift in seconds; from half of the clip on, every shift is equally likely. For
        levels it is rounded to whole frames.
    """

    kinds = (LOG_MEL, WAVE)

    def __init__(self, mel: MelOptions, max_shift: float) -> None:
        super().__init__(mel)
        self.require(0 <= max_shift < math.inf, "max_shift", f"{max_shift} s", "at least 0 s")
        self.max_shift = max_shift

    def draw(self, x: Tensor) -> Drawn:
        """``shift``: frames or samples, above 0 for later."""
        most, n = self.frames(self.max_shift), x.shape[-1]
        low, high = (0, n - 1) if 2 * most + 1 >= n else (-most, most)
        return {"shift": random_integers(x, low, high)}

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The rolled clips."""
        frame = torch.arange(x.shape[3], device=x.device) - drawn["shift"][:, None]
        return take_frames(x, frame.remainder(x.shape[3]))

    def change_wave(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The rolled clips."""
        place = torch.arange(x.shape[1], device=x.device) - drawn["shift"][:, None]
        return x.gather(1, place.remainder(x.shape[1]))


class Gain(Augmentation):
    """Make each clip louder or quieter by a random gain; silence stays silence.

    Samples may exceed ±1: nothing is clipped.

    Parameters
    ----------
    mel : MelOptions
        ``reference="max"`` and ``peak_normalize`` remove the level, which is an error.
    max_db : float
        Largest change, up or down, in dB.

    Raises
    ------
    OptionError
        When the front end removes the level.
    """

    kinds = (LOG_MEL, WAVE)

    def __init__(self, mel: MelOptions, max_db: float) -> None:
        super().__init__(mel)
        self.require(0 <= max_db < math.inf, "max_db", f"{max_db} dB", "at least 0 dB")
        self.max_db = max_db
        if not has_levels(mel):
            cause = "reference='max'" if mel.reference == "max" else "peak_normalize=true"
            raise OptionError(
                f"Gain: the front end has {cause}, which removes the level of every clip, so a "
                "gain has no effect; leave the gain out, or keep the level"
            )

    def draw(self, x: Tensor) -> Drawn:
        """``gain_db``: one number for each row."""
        return {"gain_db": uniform(x, -self.max_db, self.max_db)}

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The clips at their new levels."""
        return self.amplify(x, drawn["gain_db"][:, None, None, None])

    def change_wave(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The clips at their new levels."""
        return x * 10 ** (drawn["gain_db"][:, None] / 20)


def has_levels(mel: MelOptions) -> bool:
    """Whether features keep the level of a clip."""
    return mel.reference != "max" and not mel.peak_normalize


class TimeCrop(Augmentation):
    """Cut a random part from each clip; in ``eval()`` keep the whole clip.

    Short sounds are padded with silence, and a crop of the padding would teach a class that is not
    there. So a crop contains at least half as much sound as the crop of the clip with the most.
    Sound is, for levels, all frames within 60 dB of the loudest cell; for waveforms, all but
    digital silence.

    Parameters
    ----------
    mel : MelOptions
    duration : float
        Length of the part, in seconds; for levels at most that of a clip. Waveforms that are not
        longer are not changed.

    Notes
    -----
    Levels get the number of frames of a wave of ``duration``.
    """

    kinds = (LOG_MEL, WAVE)

    def __init__(self, mel: MelOptions, duration: float) -> None:
        super().__init__(mel)
        n_samples, least = round(duration * mel.sample_rate), mel.min_samples
        most = math.inf if self.is_wave else mel.n_samples
        expected = f"{least / mel.sample_rate:.3g} to {mel.duration:g} s, the length of a clip"
        self.require(least <= n_samples <= most, "duration", f"{duration:g} s", expected)
        self.duration, self.n_frames = duration, mel.count_frames(n_samples)

    def draw(self, x: Tensor) -> Drawn:
        """``start``: the first frame of each part, among those with enough sound."""
        n = self._length(x)
        if n > x.shape[-1]:
            raise DataError(
                f"TimeCrop: found clips of {x.shape[-1]} frames, expected at least "
                f"{self.n_frames}, {self.duration:g} s"
            )
        if self.is_wave:
            sounding, step = (x.abs() > DIGITAL_SILENCE).float(), _GRID
        else:
            loudest = x.amax((1, 2))
            loud = loudest > loudest.amax(1, keepdim=True) - QUIET_DB
            sounding, step = loud & ~silent_frames(x), 1
        before = torch.nn.functional.pad(sounding.cumsum(1), (1, 0))
        starts = torch.arange(0, x.shape[-1] - n + 1, step, device=x.device)
        n_sounding = before[:, starts + n] - before[:, starts]  # (batch, start)
        enough = n_sounding >= LEAST_SOUND * n_sounding.amax(1, keepdim=True)
        chance = uniform(x, 0.0, 1.0, len(starts)).masked_fill(~enough, -1.0)
        return {"start": starts[chance.argmax(1)]}

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The parts, (batch, 1, mel, n_frames)."""
        return take_frames(x, self._frames_from(x, drawn["start"]))

    def change_wave(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The parts, (batch, fewer samples)."""
        return x.gather(1, self._frames_from(x, drawn["start"]))

    def _length(self, x: Tensor) -> int:
        return min(self.n_frames, x.shape[-1]) if self.is_wave else self.n_frames

    def _frames_from(self, x: Tensor, start: Tensor) -> Tensor:
        return start[:, None] + torch.arange(self._length(x), device=x.device)


class TimeStretch(Augmentation):
    """Play each clip faster or slower at the same pitch.

    In a spectrogram the time axis changes and the level of each frame stays; for samples a phase
    vocoder is used. A clip keeps its length: a slower one is cut around a random time that keeps
    its place, and a faster one is filled depending on the clip. A clip with continuous sound, such
    as rain, wraps around, as silence at its end would give augmented clips away. A clip that is
    padded with silence gets more silence, as wrapping would repeat its sound.

    Parameters
    ----------
    mel : MelOptions
    min_factor, max_factor : float
        Range of speeds: 1.25 is a quarter faster, 0.8 a fifth slower. Drawn so that a factor
        is as likely as its inverse. From 0.25 to 4.
    """

    kinds: tuple[str, ...] = (LOG_MEL, WAVE)

    def __init__(self, mel: MelOptions, min_factor: float, max_factor: float) -> None:
        super().__init__(mel)
        works = 0.25 <= min_factor <= max_factor <= 4.0
        found = f"{min_factor:g} to {max_factor:g}"
        self.require(works, "max_factor", found, "0.25 to 4, the lower value first")
        self.min_factor, self.max_factor = min_factor, max_factor

    def draw(self, x: Tensor) -> Drawn:
        """``factor``, and ``centre``: the time that keeps its place, as a share of the clip."""
        low, high = math.log(self.min_factor), math.log(self.max_factor)
        return {"factor": uniform(x, low, high).exp(), "centre": uniform(x, 0.0, 1.0)}

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The stretched clips."""
        ends = silent_frames(x).any(1)
        source, beyond = _source_positions(x.shape[3], drawn["factor"], drawn["centre"], ends)
        stretched = interpolate_frames(x, source)
        silence = self.silence(x).expand_as(x)
        return self.restore_range(stretched.lerp_(silence, beyond[:, None, None].to(x.dtype)))

    def change_wave(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The stretched clips."""
        return row_by_row(_stretched, x, drawn["factor"], drawn["centre"], _padded(x))


class Speed(TimeStretch):
    """Play each waveform at a random speed; pitch and tempo change together, as on tape.

    A faster clip is filled as by :class:`TimeStretch`.

    Parameters
    ----------
    mel : MelOptions
        Of waveforms.
    min_factor, max_factor : float
        Range of speeds: 1.25 is a quarter faster and higher by the same factor. Drawn so that
        a factor is as likely as its inverse. From 0.25 to 4.
    """

    kinds = (WAVE,)

    def change_wave(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The clips at their new speeds."""
        return row_by_row(_played, x, drawn["factor"].double(), drawn["centre"], _padded(x))


def _stretched(x: Tensor, factor: Tensor, centre: Tensor, ends: Tensor) -> Tensor:
    n_frames = 1 + x.shape[1] // HOP
    place, beyond = _source_positions(n_frames, factor, centre, ends)
    place = torch.where(ends[:, None], place, place.remainder(x.shape[1] / HOP))
    stretched = phase_vocoder(stft(x, ends), place)
    return istft(stretched * (~beyond)[:, None], x.shape[1])


def _played(x: Tensor, factor: Tensor, centre: Tensor, ends: Tensor) -> Tensor:
    place, beyond = _source_positions(x.shape[1], factor, centre, ends)
    return read_between_samples(x, place, factor).masked_fill_(beyond, 0.0)


def _padded(x: Tensor) -> Tensor:
    """Which waves contain digital silence of some length, shape (batch,)."""
    n = x.shape[1] // _BLOCK * _BLOCK
    if not n:
        return torch.zeros(len(x), dtype=torch.bool, device=x.device)
    blocks = x[:, :n].reshape(len(x), -1, _BLOCK)
    return torch.any(blocks.abs().amax(2) < DIGITAL_SILENCE, dim=1)


def _source_positions(
    n: int, factor: Tensor, centre: Tensor, ends: Tensor
) -> tuple[Tensor, Tensor]:
    """Positions in the original for ``n`` times of a clip at another speed.

    Parameters
    ----------
    n : int
        Frames or samples.
    factor : Tensor, shape (batch,)
        Speed; 2 is twice as fast.
    centre : Tensor, shape (batch,)
        The time that keeps its place, as a share of the clip.
    ends : Tensor of bool, shape (batch,)
        Whether a clip ends at its ends; otherwise it wraps around.

    Returns
    -------
    place : Tensor, shape (batch, n)
        Within 0..n - 1 for clips that end, any number for others; of the type of ``factor``.
    beyond : Tensor of bool, shape (batch, n)
        Positions beyond the ends of clips that end.
    """
    moment = torch.arange(n, device=factor.device, dtype=factor.dtype)
    middle = (centre.to(factor.dtype) * (n - 1))[:, None]
    place = middle + (moment - middle) * factor[:, None]
    inside = place.clamp(0, n - 1)
    beyond = ((place - inside).abs() > 0.5) & ends[:, None]
    return torch.where(ends[:, None], inside, place), beyond


def interpolate_frames(x: Tensor, position: Tensor) -> Tensor:
    """Levels (batch, 1, mel, n) at other times, linear in dB between neighbouring frames.

    Parameters
    ----------
    x : Tensor, shape (batch, 1, mel, frame)
        Levels in dB.
    position : Tensor of float, shape (batch, n)
        Positions in frames; beyond the ends the clip wraps around.

    Returns
    -------
    Tensor
    """
    n_frames = x.shape[3]
    below = position.floor()
    first = below.long().remainder(n_frames)
    left = take_frames(x, first)
    right = take_frames(x, (first + 1).remainder(n_frames))
    return left.lerp_(right, (position - below)[:, None, None].to(x.dtype))


def take_frames(x: Tensor, index: Tensor) -> Tensor:
    """Levels (batch, 1, mel, n) of the frames with these numbers (batch, n)."""
    return x.gather(3, index[:, None, None].expand(-1, 1, x.shape[2], -1))


# The named sets that training uses.


ANY_SHIFT = 3600.0
"""Seconds; at least half of any clip, so that every shift is equally likely."""
SPEED = (0.8, 1.25)
WEAK_GAIN_DB, STRONG_GAIN_DB = 3.0, 6.0
BACKGROUND_SNR_DB = (0.0, 20.0)
TAKEN, KEPT = 2.0, 1.5
"""Seconds cut from a waveform, and seconds left of them after the speed was changed."""


def augmenter(
    name: str,
    mel: MelOptions,
    *,
    max_shift: float = ANY_SHIFT,
    max_cut: int = 0,
    background: float = 0.0,
) -> nn.Module:
    """The module of a named set, without the parts that do not apply to the front end.

    ``weak`` changes time and level. ``strong`` adds stretch, gain over frequency and masks to
    spectrograms. For waveforms (Huang and Leanos 2018, "AclNet") it takes a part of 1.5 s, up to a
    quarter faster or slower, at another level; shorter clips stay whole. ``mixed`` draws one of
    the two for each clip. The order is the physical one: first the sound itself (speed, time),
    then the path to the microphone (filter, level), then other sounds there, and masks at the end.

    Parameters
    ----------
    name : {"none", "weak", "strong", "mixed"} or str
        Or a name of :func:`semisonic.register_augmentation`.
    mel : MelOptions
        If it removes the level of a clip there is no gain; a band mask covers at most an eighth of
        the bands.
    max_shift : float
        Seconds.
    max_cut : int
        Largest number of mel bands that are cut away; the rest is stretched over all.
    background : float
        Share of clips that get another clip of the batch as background.

    Returns
    -------
    nn.Module
        Takes features (batch, channel, mel, frame) and keeps their shape; waveforms may get
        shorter. :class:`torch.nn.Identity` for ``none``.

    Raises
    ------
    OptionError
        For an unknown name.

    Examples
    --------
    >>> len(augmenter("weak", MelOptions()).steps)
    2
    """
    if name == "mixed" and mel.input != WAVE:
        return OneOf(augmenter("weak", mel), augmenter("strong", mel))
    known = AUGMENTATIONS if mel.input != WAVE else AUGMENTATIONS[:-1]
    if name not in known and name not in OWN_AUGMENTATIONS:
        raise OptionError(
            f"augmentation: found {name!r}; {nearest(name, [*known, *OWN_AUGMENTATIONS])}"
        )
    weak, strong, is_wave = name == "weak", name == "strong", mel.input == WAVE
    gain = []
    if (weak or strong) and has_levels(mel):
        gain = [Gain(mel, WEAK_GAIN_DB if weak and not is_wave else STRONG_GAIN_DB)]
    if strong and is_wave:
        parts = TimeCrop(mel, TAKEN), TimeCrop(mel, KEPT)
        return Chain(mel, [parts[0], Speed(mel, *SPEED), parts[1], *gain])
    steps: list[Augmentation] = []
    if strong:
        steps.append(TimeStretch(mel, *SPEED))
    if max_cut:
        steps.append(BandCrop(mel, max_cut))
    if weak or strong:
        steps.append(TimeShift(mel, max_shift))
    if strong and mel.n_mels > 1:
        steps.append(BandGain(mel, 6.0, min(5, mel.n_mels)))
    steps += gain
    if background:
        steps.append(Background(mel, *BACKGROUND_SNR_DB, background))
    if strong:
        steps.append(TimeMask(mel, 2, max(0.4, mel.hop_length / mel.sample_rate)))
    if strong and mel.n_mels > 1:
        steps.append(BandMask(mel, 2, min(8, max(1, mel.n_mels // 8))))
    chain = Chain(mel, steps) if steps else nn.Identity()
    if name in OWN_AUGMENTATIONS:
        own = RegisteredAugmentation(name)
        return nn.Sequential(own, chain) if steps else own
    return chain
