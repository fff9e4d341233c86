"""One clip: from its recording to 16-bit integers in the sample store's file.

The integers are fractions of 32768, as in a WAV file, unless the clip goes beyond full
scale, as decoded MP3 and float recordings do. Then the whole clip is divided by a *scale*
that is written down beside it, and nothing is clipped.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from semisonic.audio import problems, read_blocks, resample
from semisonic.audio.checks import SILENCE_DB
from semisonic.audio.levels import decibel
from semisonic.audio.source import Source
from semisonic.base.errors import AudioError
from semisonic.data.store_folder import DataFile

LONG_DURATION = 60.0
"""Seconds from which on a clip is decoded block by block, in constant memory."""

BLOCK_DURATION = 10.0
SAMPLE_BYTES = 2


@dataclass(frozen=True, slots=True)
class Place:
    """Where a clip lies in the file, in samples, and what is to be known about it."""

    offset: int
    n_samples: int
    scale: float
    notes: tuple[str, ...] = ()


class SampleWriter:
    """Gives out places at the end of the data file; several threads may ask."""

    def __init__(self, data: DataFile, end: int) -> None:
        self._data, self._end = data, end
        self._lock = threading.Lock()

    def reserve(self, n_samples: int) -> int:
        """The offset of a new place, in samples."""
        with self._lock:
            offset = self._end
            self._end += n_samples
        return offset

    def write(self, values: NDArray[np.int16], offset: int) -> None:
        """Write samples to a place."""
        self._data.write(values, offset * SAMPLE_BYTES)


class SharedWriter:
    """The same for several processes: what was given out is what the file has grown by."""

    def __init__(self, data: DataFile) -> None:
        self._data = data

    def reserve(self, n_samples: int) -> int:
        """The offset of a new place, in samples."""
        return self._data.grow(n_samples * SAMPLE_BYTES) // SAMPLE_BYTES

    def write(self, values: NDArray[np.int16], offset: int) -> None:
        """Write samples to a place."""
        self._data.write(values, offset * SAMPLE_BYTES)


class SampleBuffer:
    """In place of a :class:`SampleWriter` where its file is not at hand."""

    def __init__(self) -> None:
        self._pieces: list[tuple[int, NDArray[np.int16]]] = []
        self._end = 0

    def reserve(self, n_samples: int) -> int:
        """The offset of a new place, in samples."""
        self._end += n_samples
        return self._end - n_samples

    def write(self, values: NDArray[np.int16], offset: int) -> None:
        """Keep samples for a place."""
        self._pieces.append((offset, values))

    def samples(self) -> NDArray[np.int16]:
        """All of it; what was not written is 0."""
        result = np.zeros(self._end, np.int16)
        for offset, values in self._pieces:
            result[offset : offset + len(values)] = values
        return result


class Writer(Protocol):
    """What a decoded clip is written to."""

    def reserve(self, n_samples: int) -> int:
        """The offset of a new place, in samples."""

    def write(self, values: NDArray[np.int16], offset: int) -> None:
        """Write samples to a place."""


def append(writer: Writer, values: NDArray[np.int16] | None) -> int:
    """Write samples that were decoded elsewhere; their offset, 0 where there are none."""
    if values is None:
        return 0
    offset = writer.reserve(len(values))
    writer.write(values, offset)
    return offset


Key = tuple[str, float, float | None]
"""A clip: file, start and end; None for the end of the file."""
Job = tuple[int, Key]
Found = list[tuple[int, Place | str]]
"""Where each clip lies, by its row, or why it could not be read."""


def store_clips(
    root: Path, sample_rate: int, writer: Writer, jobs: Sequence[Job]
) -> tuple[Found, None]:
    """Decode some clips and write them to where others go."""
    return [(row, _stored(root, key, sample_rate, writer)) for row, key in jobs], None


def decode_clips(
    root: Path, sample_rate: int, jobs: Sequence[Job]
) -> tuple[Found, NDArray[np.int16]]:
    """Decode some clips; where each lies in the samples that are given back."""
    buffer = SampleBuffer()
    found, _ = store_clips(root, sample_rate, buffer, jobs)
    return found, buffer.samples()


def _stored(root: Path, key: Key, sample_rate: int, writer: Writer) -> Place | str:
    file, start, end = key
    try:
        return store_clip(root / file, start, end, sample_rate, writer)
    except AudioError as error:
        return error.reason


def store_clip(
    path: Path, start_time: float, end_time: float | None, sample_rate: int, writer: Writer
) -> Place:
    """Decode, check, resample and write one clip.

    Raises
    ------
    AudioError
        If it cannot be read, or is too short to hold a sound.
    """
    with Source(path, span=None if end_time is None else end_time - start_time) as source:
        rate = source.info.sample_rate
        duration = (source.info.duration if end_time is None else end_time) - start_time
        if duration <= LONG_DURATION:
            x = source.samples(start_time, end_time)
    if duration > LONG_DURATION:
        return _store_long(path, start_time, end_time, sample_rate, duration, writer)
    notes = problems(x, rate)
    for note in notes:
        if note.startswith("too short"):
            raise AudioError(path, note)
    x = resample(x, rate, sample_rate)
    scale = max(1.0, full_scale(x))
    offset = writer.reserve(len(x))
    writer.write(quantise(x, scale), offset)
    return Place(offset, len(x), scale, tuple(notes))


def _store_long(
    path: Path,
    start_time: float,
    end_time: float | None,
    sample_rate: int,
    duration: float,
    writer: Writer,
) -> Place:
    """The same in blocks, and once more if a block turns out to go beyond full scale."""
    n_reserved = math.ceil((duration + 0.1) * sample_rate)
    offset = writer.reserve(n_reserved)
    scale = 1.0
    while True:
        n, peak = 0, 0.0
        for block in read_blocks(
            path,
            block_time=BLOCK_DURATION,
            sample_rate=sample_rate,
            start_time=start_time,
            end_time=end_time,
        ):
            if n + len(block) > n_reserved:
                raise AudioError(path, "longer than its header says")
            peak = max(peak, full_scale(block))
            if peak <= scale:
                writer.write(quantise(block, scale), offset + n)
            n += len(block)
        if peak <= scale:
            break
        scale = peak
    silent = decibel(peak) < SILENCE_DB
    notes = (f"silent: peak {decibel(peak):.1f} dBFS",) if silent else ()
    return Place(offset, n, scale, notes)


def full_scale(x: NDArray[np.float32]) -> float:
    """The smallest scale at which no sample is clipped; up to 1 there is nothing to do."""
    return max(float(x.max()) * (32768.0 / 32767.0), -float(x.min()))


def quantise(x: NDArray[np.float32], scale: float) -> NDArray[np.int16]:
    """The nearest integers to ``x · 32768 / scale``."""
    return _rounded(x, scale).astype(np.int16)


def as_stored(x: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """The samples as they come back from the store, without the way through integers."""
    result = _rounded(x, scale)
    result *= np.float32(scale / 32768.0)
    return result


def _rounded(x: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    result = x * np.float32(32768.0 / scale)
    np.rint(result, out=result)
    return result
