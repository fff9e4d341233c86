"""Augmentation in time: shift, crop, stretch, speed."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from semisonic.core.errors import DataError, OptionError
from semisonic.core.options import nearest
from semisonic.features.augment.base import (
    QUIET_DB,
    Augmentation,
    Drawn,
    WaveAugmentation,
    at_least,
    ordered,
    padded_rows,
    padded_waves,
    share,
    sounding_frames,
    uniform,
    whole,
)
from semisonic.features.augment.warp import (
    HOP,
    analysed,
    check_outside,
    ends_of,
    interpolate_frames,
    phase_vocoder,
    places,
    resampled,
    row_by_row,
    synthesised,
    take_frames,
)
from semisonic.features.options import MelOptions

# Circular time shift: the clip begins somewhere else, and what leaves comes in again.
#
# Nothing is lost and no edge of silence is made that would tell augmented clips apart. A short
# sound padded with silence moves inside its silence.


def roll_frames(x: Tensor, shift: Tensor) -> Tensor:
    """Move each row (batch, 1, mel, frame) later by ``shift`` frames, (batch,), around the end."""
    frame = torch.arange(x.shape[3], device=x.device)
    return take_frames(x, (frame - shift[:, None]).remainder(x.shape[3]))


class TimeShift(Augmentation):
    """Shift each clip by a random time, around its end.

    Parameters
    ----------
    mel : MelOptions
    max_shift : float
        Largest shift, earlier or later, in seconds; from half of the clip on every shift is
        equally likely. It is rounded to whole frames.
    probability : float
        Share of rows that are changed.
    """

    def __init__(self, mel: MelOptions, max_shift: float, probability: float = 1.0) -> None:
        super().__init__(mel, probability)
        self.max_shift = at_least(max_shift, 0.0, self.named("max_shift"), "s")

    def draw(self, x: Tensor) -> Drawn:
        """``shift``: frames, above 0 for later."""
        most = self.frames(self.max_shift)
        if 2 * most + 1 >= x.shape[3]:
            return {"shift": whole(x, 0, x.shape[3] - 1)}
        return {"shift": whole(x, -most, most)}

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The rolled clips."""
        return roll_frames(x, drawn["shift"])


# Time crop: training on a shorter part of each clip.
#
# Short sounds are padded with silence, and a crop of the padding teaches a class that is not
# there. So a crop is only taken where it holds at least half as much sound as the fullest crop
# of the clip does.


class TimeCrop(Augmentation):
    """Take a random part of each clip; in ``eval()`` the whole clip.

    Parameters
    ----------
    mel : MelOptions
    duration : float
        Length of the part, in seconds; at most that of a clip.
    min_share : float
        A part is taken where it holds at least this share, 0 to 1, of the sounding frames of
        the fullest part. 0 allows silence.
    quiet_db : float
        Frames this far below the loudest cell of the clip count as silence, in dB. Less than
        the default keeps crops away from the noise between sounds as well.

    Notes
    -----
    ``forward`` maps (batch, channel, mel, frame) to fewer frames, the number that a wave of
    ``duration`` gives.
    """

    def __init__(
        self,
        mel: MelOptions,
        duration: float,
        min_share: float = 0.5,
        quiet_db: float = QUIET_DB,
    ) -> None:
        super().__init__(mel)
        n_samples = round(duration * mel.sample_rate)
        if not mel.min_samples <= n_samples <= mel.n_samples:
            raise OptionError(
                f"{self.named('duration')}: found {duration:g} s, expected "
                f"{mel.min_samples / mel.sample_rate:.3g} to {mel.duration:g} s, a clip's length"
            )
        self.duration = duration
        self.n_frames = mel.count_frames(n_samples)
        self.min_share = share(min_share, self.named("min_share"))
        self.quiet_db = at_least(quiet_db, 0.0, self.named("quiet_db"), "dB")

    def draw(self, x: Tensor) -> Drawn:
        """``start``: the first frame of each part, among those that hold enough sound."""
        n_starts = x.shape[3] - self.n_frames + 1
        if n_starts < 1:
            raise DataError(
                f"TimeCrop: found clips of {x.shape[3]} frames, expected at least "
                f"{self.n_frames}, {self.duration:g} s"
            )
        before = torch.nn.functional.pad(sounding_frames(x, self.quiet_db).cumsum(1), (1, 0))
        held = before[:, self.n_frames :] - before[:, :n_starts]  # (batch, start)
        enough = held >= self.min_share * held.amax(1, keepdim=True)
        chance = uniform(x, 0.0, 1.0, n_starts).masked_fill(~enough, -1.0)
        return {"start": chance.argmax(1)}

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The parts, (batch, 1, mel, n_frames)."""
        frame = torch.arange(self.n_frames, device=x.device)
        return take_frames(x, drawn["start"][:, None] + frame)


# Time stretch: the sound goes faster or slower at the same pitch.
#
# In a spectrogram this is another time axis; the level of each frame stays. A clip keeps its
# length: a slower one is cut, round a random time that keeps its place. What a faster clip
# leaves free is filled in the way that is natural for the clip. One that sounds throughout goes
# round, like rain that goes on: an end of silence would tell augmented clips apart. One that is
# padded with silence gets more silence: going round would repeat its sound.


class TimeStretch(Augmentation):
    """Play each clip faster or slower at the same pitch.

    Parameters
    ----------
    mel : MelOptions
    min_factor, max_factor : float
        Range of speeds: 1.25 is a quarter faster, 0.8 a fifth slower. Drawn so that a factor
        is as likely as its inverse. From 0.25 to 4.
    outside : {"natural", "wrap", "silence"}
        What fills the rest of a faster clip: the clip goes round, or silence; "natural" is
        silence for clips that hold digital silence already, else round.
    probability : float
        Share of rows that are changed.
    """

    def __init__(
        self,
        mel: MelOptions,
        min_factor: float,
        max_factor: float,
        outside: str = "natural",
        probability: float = 1.0,
    ) -> None:
        super().__init__(mel, probability)
        self.min_factor, self.max_factor = check_factors(min_factor, max_factor, type(self))
        self.outside = check_outside(outside, self.named("outside"))

    def draw(self, x: Tensor) -> Drawn:
        """``factor``, and ``centre``: the place that stays, as a share of the clip."""
        low, high = math.log(self.min_factor), math.log(self.max_factor)
        return {"factor": uniform(x, low, high).exp(), "centre": uniform(x, 0.0, 1.0)}

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The stretched clips."""
        ends = ends_of(self.outside, padded_rows(x))
        source, beyond = places(x.shape[3], drawn["factor"], drawn["centre"], ends)
        stretched = interpolate_frames(x, source)
        silence = self.levels.silence(x).expand_as(x)
        return self.levels.settle(stretched.lerp_(silence, beyond[:, None, None].to(x.dtype)))


def check_factors(low: float, high: float, where: type) -> tuple[float, float]:
    """A range of speeds, or an OptionError."""
    name = f"{where.__name__}, options 'min_factor', 'max_factor'"
    ordered(low, high, name)
    if not 0.25 <= low <= high <= 4.0:
        raise OptionError(f"{name}: found {low:g} to {high:g}, expected 0.25 to 4")
    return low, high


# Time shift of samples: round the end, or with silence in front.


MODES = ("wrap", "delay")


class WaveTimeShift(WaveAugmentation):
    """Shift each clip by a random time.

    Parameters
    ----------
    sample_rate : int
        Hz.
    max_shift : float
        Largest shift in seconds; with "wrap" half of the clip or more means any.
    mode : {"wrap", "delay"}
        Round the end, earlier or later; or only later, with silence in front and the end cut
        off (Piczak 2015).
    probability : float
        Share of rows that are changed.
    """

    def __init__(
        self, sample_rate: int, max_shift: float, mode: str = "wrap", probability: float = 1.0
    ) -> None:
        super().__init__(sample_rate, probability)
        self.max_shift = at_least(max_shift, 0.0, self.named("max_shift"), "s")
        if mode not in MODES:
            raise OptionError(f"{self.named('mode')}: found {mode!r}; {nearest(mode, MODES)}")
        self.mode = mode

    def draw(self, x: Tensor) -> Drawn:
        """``shift``: samples, above 0 for later."""
        most, n = self.samples(self.max_shift), x.shape[1]
        if self.mode == "delay":
            return {"shift": whole(x, 0, min(most, n - 1))}
        return {"shift": whole(x, 0, n - 1) if 2 * most + 1 >= n else whole(x, -most, most)}

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The shifted clips."""
        return shifted(x, drawn["shift"], self.mode)


def shifted(x: Tensor, shift: Tensor, mode: str) -> Tensor:
    """Each wave (batch, time) later by ``shift`` samples, (batch,)."""
    place = torch.arange(x.shape[1], device=x.device) - shift[:, None]
    moved = x.gather(1, place.remainder(x.shape[1]))
    return moved * (place >= 0) if mode == "delay" else moved


# Crop of samples: training on a shorter part of each clip.


_GRID = 256  # samples between two places where a part may start
_SILENCE = 2e-5  # of full scale, less than one step of 16-bit samples


class WaveCrop(WaveAugmentation):
    """Take a random part of each clip; in ``eval()`` the whole clip.

    Parameters
    ----------
    sample_rate : int
        Hz.
    duration : float
        Length of the part, in seconds. Clips that are no longer stay as they are.
    min_share : float
        A part is taken where it holds at least this share, 0 to 1, of the samples above
        digital silence of the fullest part: short sounds are padded, and a part of the
        padding teaches a class that is not there.
    """

    def __init__(self, sample_rate: int, duration: float, min_share: float = 0.5) -> None:
        super().__init__(sample_rate)
        at_least(duration, 1.0 / sample_rate, self.named("duration"), "s")
        self.duration, self.min_share = duration, share(min_share, self.named("min_share"))

    def draw(self, x: Tensor) -> Drawn:
        """``start``: the first sample of each part, among those that hold enough sound."""
        n = min(self.samples(self.duration), x.shape[1])
        before = torch.nn.functional.pad((x.abs() > _SILENCE).float().cumsum(1), (1, 0))
        starts = torch.arange(0, x.shape[1] - n + 1, _GRID, device=x.device)
        held = before[:, starts + n] - before[:, starts]  # (batch, start)
        enough = held >= self.min_share * held.amax(1, keepdim=True)
        chance = uniform(x, 0.0, 1.0, len(starts)).masked_fill(~enough, -1.0)
        return {"start": starts[chance.argmax(1)]}

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The parts, (batch, fewer samples)."""
        n = min(self.samples(self.duration), x.shape[1])
        return x.gather(1, drawn["start"][:, None] + torch.arange(n, device=x.device))


# Time stretch of samples at the same pitch, by a phase vocoder.


class WaveTimeStretch(WaveAugmentation):
    """Play each clip faster or slower at the same pitch.

    Parameters
    ----------
    sample_rate : int
        Hz.
    min_factor, max_factor : float
        Range of speeds: 1.25 is a quarter faster. Drawn so that a factor is as likely as its
        inverse. From 0.25 to 4.
    outside : {"natural", "wrap", "silence"}
        What fills the rest of a faster clip: the clip goes round, or silence; "natural" is
        silence for clips that hold digital silence already, else round.
    probability : float
        Share of rows that are changed.
    """

    def __init__(
        self,
        sample_rate: int,
        min_factor: float,
        max_factor: float,
        outside: str = "natural",
        probability: float = 1.0,
    ) -> None:
        super().__init__(sample_rate, probability)
        self.min_factor, self.max_factor = check_factors(min_factor, max_factor, type(self))
        self.outside = check_outside(outside, self.named("outside"))

    def draw(self, x: Tensor) -> Drawn:
        """``factor``, and ``centre``: the place that stays, as a share of the clip."""
        low, high = math.log(self.min_factor), math.log(self.max_factor)
        return {"factor": uniform(x, low, high).exp(), "centre": uniform(x, 0.0, 1.0)}

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The stretched clips."""
        ends = ends_of(self.outside, padded_waves(x))
        return row_by_row(_stretched, x, drawn["factor"], drawn["centre"], ends)


def _stretched(x: Tensor, factor: Tensor, centre: Tensor, ends: Tensor) -> Tensor:
    n_frames = 1 + x.shape[1] // HOP
    place, beyond = places(n_frames, factor, centre, ends)
    place = torch.where(ends[:, None], place, place.remainder(x.shape[1] / HOP))
    stretched = phase_vocoder(analysed(x, ends), place)
    return synthesised(stretched * (~beyond)[:, None], x.shape[1])


# Speed change of samples: like a tape that runs faster, pitch and tempo go together.


class WaveSpeed(WaveAugmentation):
    """Play each clip at a random speed.

    Parameters
    ----------
    sample_rate : int
        Hz.
    min_factor, max_factor : float
        Range of speeds: 1.25 is a quarter faster and higher by the same factor. Drawn so that
        a factor is as likely as its inverse. From 0.25 to 4.
    outside : {"natural", "wrap", "silence"}
        What fills the rest of a faster clip: the clip goes round, or silence; "natural" is
        silence for clips that hold digital silence already, else round.
    probability : float
        Share of rows that are changed.
    """

    def __init__(
        self,
        sample_rate: int,
        min_factor: float,
        max_factor: float,
        outside: str = "natural",
        probability: float = 1.0,
    ) -> None:
        super().__init__(sample_rate, probability)
        self.min_factor, self.max_factor = check_factors(min_factor, max_factor, type(self))
        self.outside = check_outside(outside, self.named("outside"))

    def draw(self, x: Tensor) -> Drawn:
        """``factor``, and ``centre``: the place that stays, as a share of the clip."""
        low, high = math.log(self.min_factor), math.log(self.max_factor)
        return {"factor": uniform(x, low, high).exp(), "centre": uniform(x, 0.0, 1.0)}

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The clips at their new speeds."""
        ends = ends_of(self.outside, padded_waves(x))
        return row_by_row(_played, x, drawn["factor"].double(), drawn["centre"], ends)


def _played(x: Tensor, factor: Tensor, centre: Tensor, ends: Tensor) -> Tensor:
    place, beyond = places(x.shape[1], factor, centre, ends)
    return resampled(x, place, factor).masked_fill_(beyond, 0.0)
