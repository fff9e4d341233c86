"""Augmentation of spectrograms and of samples: shift, gain, crop, stretch, speed."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from semisonic.core.errors import DataError, OptionError
from semisonic.features.augment.base import (
    Augmentation,
    Drawn,
    random_integers,
    silent_frames,
    uniform,
)
from semisonic.features.augment.waves import (
    HOP,
    istft,
    phase_vocoder,
    read_between_samples,
    row_by_row,
    stft,
)
from semisonic.features.options import LOG_MEL, WAVE, MelOptions

QUIET_DB = 60.0
"""A frame whose loudest band is this far below the clip's loudest cell counts as quiet."""
LEAST_SOUND = 0.5
"""Share of the sound of the fullest part of a clip that a crop holds at least."""
DIGITAL_SILENCE = 2e-5
"""Of full scale; less than one step of 16-bit samples."""

_GRID = 256  # samples between two places where a part of a waveform may start
_BLOCK = 1024  # samples that are looked at together for silence


class TimeShift(Augmentation):
    """Shift each clip by a random time; what leaves at one end comes in at the other.

    Nothing is lost, and no edge of silence is made that would tell augmented clips apart. A short
    sound padded with silence moves inside its silence.

    Parameters
    ----------
    mel : MelOptions
    max_shift : float
        Largest shift in seconds; from half of the clip on every shift is equally likely. Of levels
        it is rounded to whole frames.
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

    Samples may leave -1 to 1: nothing is clipped.

    Parameters
    ----------
    mel : MelOptions
        With ``reference="max"`` or ``peak_normalize`` a level change cannot be seen, which is
        an error.
    max_db : float
        Largest change, up or down, in dB.

    Raises
    ------
    OptionError
        When the front end takes the level away.
    """

    kinds = (LOG_MEL, WAVE)

    def __init__(self, mel: MelOptions, max_db: float) -> None:
        super().__init__(mel)
        self.require(0 <= max_db < math.inf, "max_db", f"{max_db} dB", "at least 0 dB")
        self.max_db = max_db
        if not has_levels(mel):
            cause = "reference='max'" if mel.reference == "max" else "peak_normalize=true"
            raise OptionError(
                f"Gain: the front end has {cause}, which takes the level of every clip away, so "
                "that a change of level changes nothing; leave the gain out, or keep the level"
            )

    def draw(self, x: Tensor) -> Drawn:
        """``gain_db``: one number for each row."""
        return {"gain_db": uniform(x, -self.max_db, self.max_db)}

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The clips at their new levels."""
        return self.levels.amplify(x, drawn["gain_db"][:, None, None, None])

    def change_wave(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The clips at their new levels."""
        return x * 10 ** (drawn["gain_db"][:, None] / 20)


def has_levels(mel: MelOptions) -> bool:
    """Whether features say how loud a clip is."""
    return mel.reference != "max" and not mel.peak_normalize


class TimeCrop(Augmentation):
    """Take a random part of each clip; in ``eval()`` the whole clip.

    Short sounds are padded with silence, and a crop of the padding teaches a class that is not
    there. So a crop is only taken where it holds at least half of the sound of the fullest
    crop of the clip: of levels all frames within 60 dB of the loudest cell, of waveforms all but
    digital silence.

    Parameters
    ----------
    mel : MelOptions
    duration : float
        Length of the part, in seconds; of levels at most that of a clip. Waveforms that are no
        longer stay as they are.

    Notes
    -----
    Levels get the number of frames that a wave of ``duration`` gives.
    """

    kinds = (LOG_MEL, WAVE)

    def __init__(self, mel: MelOptions, duration: float) -> None:
        super().__init__(mel)
        n_samples, least = round(duration * mel.sample_rate), mel.min_samples
        most = math.inf if self.is_wave else mel.n_samples
        expected = f"{least / mel.sample_rate:.3g} to {mel.duration:g} s, a clip's length"
        self.require(least <= n_samples <= most, "duration", f"{duration:g} s", expected)
        self.duration, self.n_frames = duration, mel.count_frames(n_samples)

    def draw(self, x: Tensor) -> Drawn:
        """``start``: the first frame of each part, among those that hold enough sound."""
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

    In a spectrogram this is another time axis; the level of each frame stays. Samples go through
    a phase vocoder. A clip keeps its length: a slower one is cut, round a random time that keeps
    its place. What a faster clip leaves free is filled in the way that is natural for the clip.
    One that sounds throughout goes round, like rain that goes on: an end of silence would tell
    augmented clips apart. One that is padded with silence gets more silence: going round would
    repeat its sound.

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
        """``factor``, and ``centre``: the place that stays, as a share of the clip."""
        low, high = math.log(self.min_factor), math.log(self.max_factor)
        return {"factor": uniform(x, low, high).exp(), "centre": uniform(x, 0.0, 1.0)}

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The stretched clips."""
        ends = silent_frames(x).any(1)
        source, beyond = _source_positions(x.shape[3], drawn["factor"], drawn["centre"], ends)
        stretched = interpolate_frames(x, source)
        silence = self.levels.silence(x).expand_as(x)
        return self.levels.restore_range(
            stretched.lerp_(silence, beyond[:, None, None].to(x.dtype))
        )

    def change_wave(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The stretched clips."""
        return row_by_row(_stretched, x, drawn["factor"], drawn["centre"], _padded(x))


class Speed(TimeStretch):
    """Play each waveform at a random speed: like a tape, pitch and tempo go together.

    What a faster clip leaves free is filled as by :class:`TimeStretch`.

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
    """Which waves hold digital silence of some length, shape (batch,)."""
    n = x.shape[1] // _BLOCK * _BLOCK
    if not n:
        return torch.zeros(len(x), dtype=torch.bool, device=x.device)
    blocks = x[:, :n].reshape(len(x), -1, _BLOCK)
    return torch.any(blocks.abs().amax(2) < DIGITAL_SILENCE, dim=1)


def _source_positions(
    n: int, factor: Tensor, centre: Tensor, ends: Tensor
) -> tuple[Tensor, Tensor]:
    """Places in the original for ``n`` moments of a clip at another speed.

    Parameters
    ----------
    n : int
        Frames or samples.
    factor : Tensor, shape (batch,)
        Speed; 2 is twice as fast.
    centre : Tensor, shape (batch,)
        The place that stays, as a share of the clip.
    ends : Tensor of bool, shape (batch,)
        Whether a clip ends at its ends; else it goes round.

    Returns
    -------
    place : Tensor, shape (batch, n)
        Within 0..n - 1 for clips that end; any number for others. Of the type of ``factor``.
    beyond : Tensor of bool, shape (batch, n)
        Where a clip that ends has nothing.
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
        Where to look, in frames. Beyond the ends the clip begins anew.

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
    """Frames by their numbers (batch, n): levels (batch, 1, mel, n)."""
    return x.gather(3, index[:, None, None].expand(-1, 1, x.shape[2], -1))
