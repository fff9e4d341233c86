"""Sounds cut out of clips, backgrounds, and sounds put into backgrounds at a level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.find import find_audio
from semisonic.audio.read import probe, read
from semisonic.audio.resample import fit_length
from semisonic.core.errors import AudioError, DataError, OptionError
from semisonic.core.progress import track
from semisonic.core.seeds import generator
from semisonic.data.clips import Clips
from semisonic.data.events import Events
from semisonic.data.options import MixOptions
from semisonic.data.synth.render import background

Wave = NDArray[np.float32]
_FADE = 0.01
"""Seconds of the soft ends of a sound."""


def place_sound(rng: np.random.Generator, n_sound: int, n_window: int) -> tuple[int, int, int]:
    """Draw where in a window a sound is heard.

    A sound that is longer than the window gives a part of it. At least half of what is taken lies
    in the window; at most a quarter of the window's length is lost at its beginning.

    Parameters
    ----------
    rng : numpy.random.Generator
    n_sound, n_window : int
        Samples, at least 1.

    Returns
    -------
    first, end : int
        The part of the sound that is taken.
    at : int
        Sample of the window at which that part begins; negative when its beginning is cut off.
    """
    more = n_sound - n_window
    first = int(rng.integers(more + 1)) if more > 0 else 0
    n = min(n_sound, n_window)
    half = n // 2
    at = int(rng.integers(-min(half, n_window // 4), n_window - half))
    return first, first + n, at


def add_sound(
    wave: Wave, sound: Wave, at: int, snr_db: float, level: float, sample_rate: int
) -> tuple[int, int] | None:
    """Mix a sound into ``wave``, in place, so that what is heard of it has this level.

    Parameters
    ----------
    wave : ndarray of float32, shape (n,)
        The background.
    sound : ndarray of float32, shape (m,)
        Its ends get fades of 10 ms.
    at : int
        Where it begins in ``wave``, sample; what lies outside is cut off.
    snr_db : float
        Root mean square of what is heard of the sound over ``level``, dB.
    level : float
        Root mean square of the background, full scale 1, above 0.
    sample_rate : int
        Hz.

    Returns
    -------
    (int, int) or None
        The samples of ``wave`` that hold the sound; None, and nothing done, when nothing but
        silence of the sound would be heard.
    """
    first, end = max(0, at), min(len(wave), at + len(sound))
    if end <= first:
        return None
    n, fade = len(sound), max(1, round(_FADE * sample_rate))
    ramp = np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1)) / fade
    part = (sound * np.minimum(1.0, ramp))[first - at : end - at]
    loudness = rms(part)
    if loudness <= 1e-9:
        return None
    wave[first:end] += (part * (level * 10 ** (snr_db / 20) / loudness)).astype(np.float32)
    return first, end


def rms(wave: NDArray[np.floating[Any]]) -> float:
    """Root mean square of samples, shape (n,) with n at least 1."""
    return float(np.sqrt(np.square(wave, dtype=np.float64).mean()))


# Sounds out of clips: the longest stretch that is not much quieter than the loudest moment.


@dataclass(frozen=True, eq=False)
class CutSound:
    """One sound of a clip: samples of shape (n,), labels, the clip's row, group and fold."""

    wave: Wave
    labels: tuple[str, ...]
    row: int
    group: str
    fold: int


def find_event(wave: Wave, sample_rate: int, rules: MixOptions) -> tuple[int, int] | None:
    """The longest stretch of sound, as its first sample and the one behind its last.

    The level is taken every 10 ms. None for digital silence.
    """
    frame = max(1, round(sample_rate / 100))
    n = len(wave) // frame
    level = np.square(wave[: n * frame].reshape(n, frame), dtype=np.float64).mean(axis=1)
    if not n or not level.any():
        return None
    loud = np.flatnonzero(level >= level.max() * 10 ** (-rules.depth_db / 10))
    breaks = np.flatnonzero(np.diff(loud) > rules.gap * sample_rate / frame)
    starts = loud[np.r_[0, breaks + 1]]
    ends = loud[np.r_[breaks, len(loud) - 1]] + 1
    best = int(np.argmax(ends - starts))
    return int(starts[best]) * frame, int(ends[best]) * frame


def cut_sound(wave: Wave, sample_rate: int, rules: MixOptions) -> Wave | str:
    """What of a clip is mixed, or why nothing is."""
    if not rules.cut:
        return wave if wave.any() else "digital silence"
    found = find_event(wave, sample_rate, rules)
    if found is None:
        return "digital silence"
    first, end = found
    length = (end - first) / sample_rate
    if rules.shortest <= length <= rules.longest:
        return wave[first:end]
    return (
        f"its longest stretch of sound has {length:.2f} s, "
        f"expected {rules.shortest:g} to {rules.longest:g} s"
    )


def read_sound(clips: Clips, row: int, sample_rate: int, rules: MixOptions) -> Wave | str:
    """Decode a clip and cut its sound out.

    Raises
    ------
    AudioError
        When the clip cannot be decoded.
    """
    end = float(clips.end_time[row])
    wave, _ = read(
        clips.paths[row],
        sample_rate=sample_rate,
        start_time=float(clips.start_time[row]),
        end_time=None if np.isnan(end) else end,
    )
    return cut_sound(wave, sample_rate, rules)


def cut_sounds(
    clips: Clips, sample_rate: int, rules: MixOptions | None = None
) -> tuple[list[CutSound], list[tuple[str, str]]]:
    """The sounds of labelled clips, all in memory; for a folder of windows take :func:`mix`.

    Returns
    -------
    sounds : list of Cut
        In the order of ``clips``.
    passed_over : list of (clip, reason)
        Labelled clips without a suitable sound, or that cannot be decoded.
    """
    rules = rules or MixOptions()
    sounds, passed_over = list[CutSound](), list[tuple[str, str]]()
    for row in track(np.flatnonzero(clips.is_labelled).tolist(), "cut", "clip"):
        try:
            found = read_sound(clips, row, sample_rate, rules)
        except AudioError as error:
            found = error.reason
        if isinstance(found, str):
            passed_over.append((clips.ids[row], found))
            continue
        sounds.append(
            CutSound(found, clips.labels[row], row, str(clips.group[row]), int(clips.fold[row]))
        )
    return sounds, passed_over


# What windows are mixed into: a user's own quiet recordings, or synthetic ones.


LEVEL = 0.01
"""Root mean square of synthetic backgrounds, full scale 1: -40 dB."""

PLACES, PLACE_SECONDS = 8, 60.0
"""How many synthetic backgrounds there are, and how long they are."""

BLOCK = 10.0
"""Seconds of background whose windows count as one recording."""

_MINUTE = 60
_TRIES = 20
_TO_SPARE = 0.01  # seconds read more than wanted, for what resampling takes


@dataclass(frozen=True)
class BackgroundSource:
    """A background recording: its name, its length in seconds, and how a part of it is read."""

    name: str
    duration: float
    read: Callable[[float, float], Wave]


@dataclass(frozen=True, eq=False)
class BackgroundPart:
    """A piece of background: samples of shape (n,), where it is from, and its group."""

    wave: Wave
    name: str
    start: float
    group: str


@dataclass
class Backgrounds:
    """Background recordings, to draw stretches of one length from.

    With several parts, each recording is divided into as many pieces of equal length, one for
    each part, so that what one fold hears no other does.

    Attributes
    ----------
    sources : sequence of Source
    seconds : float
        Length of a stretch.
    sample_rate : int
        Hz.
    n_parts : int
    failures : list of (file, reason)
        Recordings that could not be used, wholly or in parts.
    """

    sources: Sequence[BackgroundSource]
    seconds: float
    sample_rate: int
    n_parts: int = 1
    failures: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        needed = (self.seconds + _TO_SPARE) * self.n_parts
        self._usable = [source for source in self.sources if source.duration >= needed]
        if not self._usable:
            longest = max((source.duration for source in self.sources), default=0.0)
            raise DataError(
                f"background: found {len(self.sources)} recordings, the longest of {longest:g} s; "
                f"expected at least {needed:g} s for windows of {self.seconds:g} s"
                + (f" in {self.n_parts} parts, one per fold" if self.n_parts > 1 else "")
            )
        lengths = np.array([source.duration for source in self._usable])
        self._reach = np.cumsum(lengths) / lengths.sum()

    def draw(self, rng: np.random.Generator, part: int = 0) -> BackgroundPart:
        """A stretch that is not silent, shape (n,), from anywhere in a part.

        Raises
        ------
        DataError
            When many draws gave nothing that could be read, or digital silence.
        """
        reason = ""
        for _ in range(_TRIES):
            row = int(np.searchsorted(self._reach, rng.random(), side="right"))
            source = self._usable[min(row, len(self._usable) - 1)]
            start, group = self._place(source, rng, part)
            try:
                wave = source.read(start, start + self.seconds + _TO_SPARE)
            except AudioError as error:
                reason = error.reason
                self._failed(source.name, reason)
                continue
            if wave.any():
                n = round(self.seconds * self.sample_rate)
                return BackgroundPart(fit_length(wave, n).copy(), source.name, start, group)
            reason = "digital silence, in which no sound has a level over the background"
        raise DataError(
            f"background: found nothing to use in {_TRIES} draws (last: {source.name}: {reason}); "
            "expected recordings of the place as it is when nothing else is to be heard"
        )

    def _place(
        self, source: BackgroundSource, rng: np.random.Generator, part: int
    ) -> tuple[float, str]:
        """The start of a stretch and its block; no stretch lies in two blocks."""
        length = source.duration / self.n_parts
        needed = self.seconds + _TO_SPARE
        n_blocks = max(1, int(length // max(BLOCK, 2 * needed)))
        block = int(rng.integers(n_blocks))
        size = length / n_blocks
        begin = part * length + block * size
        start = begin + float(rng.random()) * (size - needed)
        return start, f"{source.name}@{begin:.3f}-{begin + size:.3f}"

    def _failed(self, name: str, reason: str) -> None:
        if name not in dict(self.failures):
            self.failures.append((name, reason))


def own_recordings(
    folder: Path, sample_rate: int
) -> tuple[list[BackgroundSource], list[tuple[str, str]]]:
    """The recordings below a folder, and those whose headers cannot be read, with the reason.

    Raises
    ------
    DataError
        When there is none.
    """
    sources, failures = list[BackgroundSource](), list[tuple[str, str]]()
    files = find_audio(folder)
    for file in track(files, "read headers", "file"):
        name = file.relative_to(folder).as_posix()
        try:
            info = probe(file)
        except AudioError as error:
            failures.append((str(file), error.reason))
            continue
        if info.damage:
            failures.append((str(file), info.damage))
            continue
        sources.append(
            BackgroundSource(name, info.duration, partial(_read_part, file, sample_rate))
        )
    if not sources:
        raise DataError(
            f"{folder}: found {len(files)} recordings, none of which can be read; expected "
            "recordings of the place in which nothing is to be heard"
        )
    return sources, failures


def synthetic_places(seed: int, sample_rate: int) -> list[BackgroundSource]:
    """Quiet backgrounds of several places that do not exist."""
    sources = []
    for i in track(range(PLACES), "make backgrounds", "place"):
        wave = synthetic_backgrounds(seed, PLACE_SECONDS, sample_rate, place=f"place {i}")
        take = partial(_part_of, wave, sample_rate)
        sources.append(BackgroundSource(f"synthetic place {i}", PLACE_SECONDS, take))
    return sources


def synthetic_backgrounds(
    seed: int, seconds: float, sample_rate: int, *, place: str = "place", take: int = 0
) -> Wave:
    """Quiet background of a place that does not exist, shape (n,), at ``LEVEL``.

    Parameters
    ----------
    seed : int
    seconds : float
    sample_rate : int
        Hz.
    place : str
        Another name is another place.
    take : int
        Another number is another time at the same place.
    """
    n, minute = round(seconds * sample_rate), _MINUTE * sample_rate
    parts = [
        background(
            generator(seed, "mixing", place),
            generator(seed, "mixing", place, take, i),
            minute,
            sample_rate,
        )
        for i in range(max(1, -(-n // minute)))
    ]
    return (LEVEL * np.concatenate(parts)[:n]).astype(np.float32)


def _read_part(file: Path, sample_rate: int, start: float, end: float) -> Wave:
    return read(file, sample_rate=sample_rate, start_time=start, end_time=end)[0]


def _part_of(wave: Wave, sample_rate: int, start: float, end: float) -> Wave:
    return wave[round(start * sample_rate) : round(end * sample_rate)]


# A long recording with known sounds in it, to measure a detector by.


_MARGIN = 0.5
"""Seconds without a sound at both ends."""


@dataclass(frozen=True, eq=False)
class Composed:
    """A recording, samples of shape (n,), and what is heard in it when."""

    wave: Wave
    events: Events


def compose(
    sounds: Sequence[CutSound],
    background: Wave,
    sample_rate: int,
    *,
    file: str,
    snr_db: tuple[float, float],
    rng: np.random.Generator,
) -> Composed:
    """Put sounds into a background, in random order with random pauses; none overlap.

    Parameters
    ----------
    sounds : sequence of Cut
        One of several labels gives an event for each.
    background : ndarray of float32, shape (n,)
        As long as the recording is to be; it is not changed.
    sample_rate : int
        Hz, of all of them.
    file : str
        What the recording is called in the events.
    snr_db : (float, float)
        Lowest and highest level of a sound over that of the whole background, dB.
    rng : numpy.random.Generator

    Raises
    ------
    OptionError
        When the sounds are longer than the recording.
    """
    wave, level = background.astype(np.float32), rms(background)
    margin = round(_MARGIN * sample_rate)
    free = len(wave) - 2 * margin - sum(len(sound.wave) for sound in sounds)
    if free < 0 or level <= 0:
        raise OptionError(
            f"background: found {len(wave) / sample_rate:g} s at a level of {level:g}, expected "
            f"sound, and {-free / sample_rate:.1f} s more for {len(sounds)} sounds"
        )
    pauses = np.sort(rng.integers(0, free + 1, len(sounds)))
    rows, n_placed = [], 0
    for pause, i in zip(pauses.tolist(), rng.permutation(len(sounds)).tolist(), strict=True):
        sound = sounds[i]
        at = margin + pause + n_placed
        n_placed += len(sound.wave)
        snr = float(rng.uniform(*snr_db))
        if add_sound(wave, sound.wave, at, snr, level, sample_rate) is None:
            continue  # silence is no event
        times = {"start_time": at / sample_rate, "end_time": (at + len(sound.wave)) / sample_rate}
        rows += [{"file": file, "label": label, **times} for label in sound.labels]
    return Composed(wave, Events.from_rows(rows))
