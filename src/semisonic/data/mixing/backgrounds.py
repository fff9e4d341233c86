"""What windows are mixed into: a user's own quiet recordings, or made-up ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semisonic.audio import find_audio, fit_length, probe, read
from semisonic.base.errors import AudioError, DataError
from semisonic.base.progress import track
from semisonic.base.seeds import generator
from semisonic.data.synth.backgrounds import background

Wave = NDArray[np.float32]

LEVEL = 0.01
"""Root mean square of made-up backgrounds, full scale 1: -40 dB."""

PLACES, PLACE_SECONDS = 8, 60.0
"""How many made-up backgrounds there are, and how long they are."""

BLOCK = 10.0
"""Seconds of background whose windows count as one recording."""

_MINUTE = 60
_TRIES = 20
_TO_SPARE = 0.01  # seconds read more than wanted, for what resampling takes


@dataclass(frozen=True)
class Source:
    """A background recording: its name, its length in seconds, and how a part of it is read."""

    name: str
    duration: float
    read: Callable[[float, float], Wave]


@dataclass(frozen=True, eq=False)
class Stretch:
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

    sources: Sequence[Source]
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

    def draw(self, rng: np.random.Generator, part: int = 0) -> Stretch:
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
                return Stretch(fit_length(wave, n).copy(), source.name, start, group)
            reason = "digital silence, in which no sound has a level over the background"
        raise DataError(
            f"background: found nothing to use in {_TRIES} draws (last: {source.name}: {reason}); "
            "expected recordings of the place as it is when nothing else is to be heard"
        )

    def _place(self, source: Source, rng: np.random.Generator, part: int) -> tuple[float, str]:
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


def own_recordings(folder: Path, sample_rate: int) -> tuple[list[Source], list[tuple[str, str]]]:
    """The recordings below a folder, and those whose headers cannot be read, with the reason.

    Raises
    ------
    DataError
        When there is none.
    """
    sources, failures = list[Source](), list[tuple[str, str]]()
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
        sources.append(Source(name, info.duration, partial(_read_part, file, sample_rate)))
    if not sources:
        raise DataError(
            f"{folder}: found {len(files)} recordings, none of which can be read; expected "
            "recordings of the place in which nothing is to be heard"
        )
    return sources, failures


def made_up_places(seed: int, sample_rate: int) -> list[Source]:
    """Quiet backgrounds of several places that do not exist."""
    sources = []
    for i in track(range(PLACES), "make backgrounds", "place"):
        wave = made_up(seed, PLACE_SECONDS, sample_rate, place=f"place {i}")
        take = partial(_part_of, wave, sample_rate)
        sources.append(Source(f"made-up place {i}", PLACE_SECONDS, take))
    return sources


def made_up(
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
            generator(seed, "mixing", place), generator(seed, "mixing", place, take, i),
            minute, sample_rate,
        )
        for i in range(max(1, -(-n // minute)))
    ]  # fmt: skip
    return (LEVEL * np.concatenate(parts)[:n]).astype(np.float32)


def _read_part(file: Path, sample_rate: int, start: float, end: float) -> Wave:
    return read(file, sample_rate=sample_rate, start_time=start, end_time=end)[0]


def _part_of(wave: Wave, sample_rate: int, start: float, end: float) -> Wave:
    return wave[round(start * sample_rate) : round(end * sample_rate)]
