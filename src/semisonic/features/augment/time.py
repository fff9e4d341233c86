"""Augmentation in time: shift, crop, stretch, speed."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from semisonic.core.errors import DataError, OptionError
from semisonic.core.options import nearest
from semisonic.features.augment.base import (
    DIGITAL_SILENCE,
    QUIET_DB,
    Augmentation,
    Drawn,
    check_at_least,
    check_range,
    check_share,
    padded_rows,
    padded_waves,
    random_integers,
    sounding_frames,
    uniform,
)
from semisonic.features.augment.warp import (
    HOP,
    check_outside,
    clip_ends,
    interpolate_frames,
    istft,
    phase_vocoder,
    read_between_samples,
    row_by_row,
    source_positions,
    stft,
    take_frames,
)
from semisonic.features.options import LOG_MEL, WAVE, MelOptions

MODES = ("wrap", "delay")

_GRID = 256  # samples between two places where a part of a waveform may start


class TimeShift(Augmentation):
    """Shift each clip by a random time, around its end or with silence in front.

    Around the end nothing is lost, and no edge of silence is made that would tell augmented clips
    apart. A short sound padded with silence moves inside its silence.

    Parameters
    ----------
    mel : MelOptions
    max_shift : float
        Largest shift in seconds; with "wrap", from half of the clip on every shift is equally
        likely. Of levels it is rounded to whole frames.
    mode : {"wrap", "delay"}
        Around the end, earlier or later; or only later, with silence in front and the end cut
        off (Piczak 2015), for waveforms.
    probability : float
        Share of rows that are changed.
    """

    kinds = (LOG_MEL, WAVE)

    def __init__(
        self, mel: MelOptions, max_shift: float, mode: str = "wrap", probability: float = 1.0
    ) -> None:
        super().__init__(mel, probability)
        self.max_shift = check_at_least(max_shift, 0.0, self.named("max_shift"), "s")
        modes = MODES if self.is_wave else MODES[:1]
        if mode not in modes:
            raise OptionError(f"{self.named('mode')}: found {mode!r}; {nearest(mode, modes)}")
        self.mode = mode

    def draw(self, x: Tensor) -> Drawn:
        """``shift``: frames or samples, above 0 for later."""
        most, n = self.frames(self.max_shift), x.shape[-1]
        if self.mode == "delay":
            return {"shift": random_integers(x, 0, min(most, n - 1))}
        return {
            "shift": random_integers(x, 0, n - 1)
            if 2 * most + 1 >= n
            else random_integers(x, -most, most)
        }

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The rolled clips."""
        return take_frames(x, _places_before(x, drawn["shift"]).remainder(x.shape[3]))

    def change_wave(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The shifted clips."""
        return shift_wave(x, drawn["shift"], self.mode)


def shift_wave(x: Tensor, shift: Tensor, mode: str) -> Tensor:
    """Each wave (batch, time) later by ``shift`` samples, (batch,).

    Parameters
    ----------
    x : Tensor, shape (batch, time)
    shift : Tensor of int, shape (batch,)
    mode : {"wrap", "delay"}

    Returns
    -------
    Tensor, same shape
    """
    place = _places_before(x, shift)
    moved = x.gather(1, place.remainder(x.shape[1]))
    return moved * (place >= 0) if mode == "delay" else moved


def _places_before(x: Tensor, shift: Tensor) -> Tensor:
    return torch.arange(x.shape[-1], device=x.device) - shift[:, None]


class TimeCrop(Augmentation):
    """Take a random part of each clip; in ``eval()`` the whole clip.

    Short sounds are padded with silence, and a crop of the padding teaches a class that is not
    there. So a crop is only taken where it holds at least a share of the sound of the fullest
    crop of the clip.

    Parameters
    ----------
    mel : MelOptions
    duration : float
        Length of the part, in seconds; of levels at most that of a clip. Waveforms that are no
        longer stay as they are.
    min_share : float
        A part is taken where it holds at least this share, 0 to 1, of the sounding frames or
        samples of the fullest part. 0 allows silence.
    quiet_db : float
        Frames this far below the loudest cell of the clip count as silence, in dB. Less than
        the default keeps crops away from the noise between sounds as well. Of waveforms only
        digital silence counts.

    Notes
    -----
    Levels get the number of frames that a wave of ``duration`` gives.
    """

    kinds = (LOG_MEL, WAVE)

    def __init__(
        self,
        mel: MelOptions,
        duration: float,
        min_share: float = 0.5,
        quiet_db: float = QUIET_DB,
    ) -> None:
        super().__init__(mel)
        n_samples = round(duration * mel.sample_rate)
        if self.is_wave:
            check_at_least(duration, 1.0 / mel.sample_rate, self.named("duration"), "s")
        elif not mel.min_samples <= n_samples <= mel.n_samples:
            raise OptionError(
                f"{self.named('duration')}: found {duration:g} s, expected "
                f"{mel.min_samples / mel.sample_rate:.3g} to {mel.duration:g} s, a clip's length"
            )
        self.duration = duration
        self.n_frames = mel.count_frames(n_samples)
        self.min_share = check_share(min_share, self.named("min_share"))
        self.quiet_db = check_at_least(quiet_db, 0.0, self.named("quiet_db"), "dB")

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
            sounding, step = sounding_frames(x, self.quiet_db), 1
        before = torch.nn.functional.pad(sounding.cumsum(1), (1, 0))
        starts = torch.arange(0, x.shape[-1] - n + 1, step, device=x.device)
        n_sounding = before[:, starts + n] - before[:, starts]  # (batch, start)
        enough = n_sounding >= self.min_share * n_sounding.amax(1, keepdim=True)
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


class _ChangedSpeed(Augmentation):
    """What changes of speed share: a range of factors, and what fills the rest of a faster clip."""

    def __init__(
        self,
        mel: MelOptions,
        min_factor: float,
        max_factor: float,
        outside: str = "natural",
        probability: float = 1.0,
    ) -> None:
        super().__init__(mel, probability)
        name = f"{type(self).__name__}, options 'min_factor', 'max_factor'"
        self.min_factor, self.max_factor = check_range(min_factor, max_factor, name)
        if not 0.25 <= min_factor <= max_factor <= 4.0:
            raise OptionError(f"{name}: found {min_factor:g} to {max_factor:g}, expected 0.25 to 4")
        self.outside = check_outside(outside, self.named("outside"))

    def draw(self, x: Tensor) -> Drawn:
        """``factor``, and ``centre``: the place that stays, as a share of the clip."""
        low, high = math.log(self.min_factor), math.log(self.max_factor)
        return {"factor": uniform(x, low, high).exp(), "centre": uniform(x, 0.0, 1.0)}


class TimeStretch(_ChangedSpeed):
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
    outside : {"natural", "wrap", "silence"}
        What fills the rest of a faster clip: the clip goes round, or silence; "natural" is
        silence for clips that hold digital silence already, else round.
    probability : float
        Share of rows that are changed.
    """

    kinds = (LOG_MEL, WAVE)

    def change_levels(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The stretched clips."""
        ends = clip_ends(self.outside, padded_rows(x))
        source, beyond = source_positions(x.shape[3], drawn["factor"], drawn["centre"], ends)
        stretched = interpolate_frames(x, source)
        silence = self.levels.silence(x).expand_as(x)
        return self.levels.restore_range(
            stretched.lerp_(silence, beyond[:, None, None].to(x.dtype))
        )

    def change_wave(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The stretched clips."""
        ends = clip_ends(self.outside, padded_waves(x))
        return row_by_row(_stretched, x, drawn["factor"], drawn["centre"], ends)


def _stretched(x: Tensor, factor: Tensor, centre: Tensor, ends: Tensor) -> Tensor:
    n_frames = 1 + x.shape[1] // HOP
    place, beyond = source_positions(n_frames, factor, centre, ends)
    place = torch.where(ends[:, None], place, place.remainder(x.shape[1] / HOP))
    stretched = phase_vocoder(stft(x, ends), place)
    return istft(stretched * (~beyond)[:, None], x.shape[1])


class Speed(_ChangedSpeed):
    """Play each waveform at a random speed: like a tape, pitch and tempo go together.

    Parameters
    ----------
    mel : MelOptions
        Of waveforms.
    min_factor, max_factor : float
        Range of speeds: 1.25 is a quarter faster and higher by the same factor. Drawn so that
        a factor is as likely as its inverse. From 0.25 to 4.
    outside : {"natural", "wrap", "silence"}
        As for :class:`TimeStretch`.
    probability : float
        Share of rows that are changed.
    """

    kinds = (WAVE,)

    def change_wave(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The clips at their new speeds."""
        ends = clip_ends(self.outside, padded_waves(x))
        return row_by_row(_played, x, drawn["factor"].double(), drawn["centre"], ends)


def _played(x: Tensor, factor: Tensor, centre: Tensor, ends: Tensor) -> Tensor:
    place, beyond = source_positions(x.shape[1], factor, centre, ends)
    return read_between_samples(x, place, factor).masked_fill_(beyond, 0.0)
