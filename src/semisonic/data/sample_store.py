"""The sample store: a clip table's samples, decoded and resampled once, on disk.

One file of 16-bit integers holds all clips one after another, in the order in which they
were finished. A clip is known by its file (relative to the table's root), its times, and the
file's size and time of change: only clips of which one of these is new are decoded. Clips that
were changed leave dead space; when that is more than half of the file, the next build closes the
gaps. Clips that were only taken out of the table stay, because another table may still use them;
delete the folder to drop them.

The integers are fractions of 32768, as in a WAV file, unless the clip goes beyond full
scale, as decoded MP3 and float recordings do. Then the whole clip is divided by a *scale*
that is written down beside it, and nothing is clipped.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.checks import SILENCE_DB, decibel, problems
from semisonic.audio.read import AudioReader, read_blocks
from semisonic.audio.remote import stamp_of
from semisonic.audio.resample import check_rate, resample
from semisonic.core.errors import AudioError
from semisonic.core.parallel import (
    LOCAL_ENGINE,
    Calls,
    Engine,
    count_workers,
    engine_for,
    in_any_order,
)
from semisonic.core.progress import TimeEstimate, bar
from semisonic.data.cache import ArrayCache, CachedRows, read_whole
from semisonic.data.clips import Clips

LONG_DURATION = 60.0
"""Seconds from which on a clip is decoded block by block, in constant memory."""

BLOCK_DURATION = 10.0
SAMPLE_BYTES = 2


@dataclass(frozen=True, slots=True)
class StoredClip:
    """Where a clip lies in the file, in samples, and what is to be known about it."""

    offset: int
    n_samples: int
    scale: float
    notes: tuple[str, ...] = ()


class SampleBuffer:
    """In place of a :class:`RowWriter` where its file is not at hand."""

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
Found = list[tuple[int, StoredClip | str]]
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


def _stored(root: Path, key: Key, sample_rate: int, writer: Writer) -> StoredClip | str:
    file, start, end = key
    try:
        return store_clip(root / file, start, end, sample_rate, writer)
    except AudioError as error:
        return error.reason


def store_clip(
    path: Path, start_time: float, end_time: float | None, sample_rate: int, writer: Writer
) -> StoredClip:
    """Decode, check, resample and write one clip.

    Raises
    ------
    AudioError
        If it cannot be read, or is too short to hold a sound.
    """
    with AudioReader(path) as source:
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
    return StoredClip(offset, len(x), scale, tuple(notes))


def _store_long(
    path: Path,
    start_time: float,
    end_time: float | None,
    sample_rate: int,
    duration: float,
    writer: Writer,
) -> StoredClip:
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
    return StoredClip(offset, n, scale, notes)


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


Stamp = tuple[int, int]
"""A version of a file: size in bytes and time of change in ns."""


def clip_keys(clips: Clips) -> list[Key]:
    """File, start and end of each row, with None for "to the end"."""
    columns = zip(
        clips.file.tolist(), clips.start_time.tolist(), clips.end_time.tolist(), strict=True
    )
    return [(file, start, None if end != end else end) for file, start, end in columns]


def file_stamps(clips: Clips) -> NDArray[np.int64]:
    """Size and time of change of each row's file, shape (n, 2); -1 where there is none."""
    stamps: dict[str, Stamp] = {}
    for file in dict.fromkeys(clips.file.tolist()):
        try:
            stamps[file] = stamp_of(clips.root / file)
        except OSError:
            stamps[file] = (-1, -1)
    return np.array([stamps[file] for file in clips.file.tolist()], np.int64).reshape(-1, 2)


CHUNK, CHUNK_ELSEWHERE = 8, 32
"""Clips that a thread takes at once, and a call in another process."""

WORTH_PROCESSES = 5000
"""Clips from which on processes decode them sooner than threads."""


@dataclass(frozen=True)
class StoreReport:
    """What a build did.

    Attributes
    ----------
    n_decoded, n_reused : int
        Clips that were computed now, and that were there already.
    failures : tuple of (str, str)
        Id and reason of each clip that could not be read. They are tried again next time.
    notes : tuple of (str, str)
        Id and reason of each clip that is in the store, but silent, clipped and so on (see
        :func:`semisonic.audio.checks.problems`; clips of more than a minute: silent only).
    seconds : float
        Duration of the build.
    """

    n_decoded: int
    n_reused: int
    failures: tuple[tuple[str, str], ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0


class SampleStore:
    """Samples of the clips that could be read; made by :meth:`build`.

    Attributes
    ----------
    clips : Clips
        The rows of the store.
    path : Path
        The file of samples.
    sample_rate : int
        Hz.
    n_samples : ndarray of int64, shape (n,)
        Length of each clip.
    rows : ndarray of int64, shape (n,)
        The row of the table given to :meth:`build` that each is.
    scale : ndarray of float64, shape (n,)
        What the integers of a clip must be multiplied with, over 32768: 1 except for clips
        that go beyond full scale.
    stamps : ndarray of int64, shape (n, 2)
        Size (bytes) and time of change (ns) of each clip's file when it was decoded.
    report : StoreReport
    """

    def __init__(
        self,
        path: Path,
        clips: Clips,
        sample_rate: int,
        places: list[StoredClip],
        stamps: NDArray[np.int64],
        report: StoreReport,
        rows: NDArray[np.int64],
    ) -> None:
        self.rows = rows
        self.clips, self.sample_rate, self.report, self.stamps = clips, sample_rate, report, stamps
        self.n_samples = np.array([place.n_samples for place in places], np.int64)
        self.scale = np.array([place.scale for place in places], np.float64)
        self._offset = np.array([place.offset for place in places], np.int64)
        self.path = path
        self._open()

    @classmethod
    def build(
        cls,
        clips: Clips,
        folder: str | os.PathLike[str],
        *,
        sample_rate: int,
        workers: int | None = None,
        engine: Engine = LOCAL_ENGINE,
    ) -> SampleStore:
        """Bring a folder up to date with a clip table, and open it.

        It may be killed at any time; the next build goes on where it was. Two processes may
        build in one folder: the second waits, and finds the work done.

        Parameters
        ----------
        clips : Clips
            What to decode.
        folder : path
            The store's own folder; made if missing.
        sample_rate : int
            Hz. A folder holds one rate; another one is an error.
        workers : int, optional
            Threads, or calls at once; by default as many as there are processors.
        engine : Engine
            Where clips are decoded. On a cluster the recordings lie at the same path on every
            node; the store is written by this process alone.

        Raises
        ------
        DataError
            If the folder holds something else, or the disk is full.
        """
        check_rate(sample_rate)
        count_workers(workers)  # refuses what is no number of workers
        options = {"sample_rate": int(sample_rate)}
        with ArrayCache.open(folder, "samples", options, row_bytes=SAMPLE_BYTES) as cache:
            started = time.perf_counter()
            build = _SampleBuild(clips, int(sample_rate), workers, engine)
            build.run(cache)
            rows = np.array(sorted(build.places), np.int64)
            report = build.report(time.perf_counter() - started)
            places = [build.places[row] for row in rows.tolist()]
            kept = clips if len(rows) == len(clips) else clips[rows]
            return cls(
                cache.data_path,
                kept,
                sample_rate,
                places,
                build.stamps[rows],
                report,
                rows,
            )

    def __len__(self) -> int:
        return len(self.n_samples)

    def __getitem__(self, row: int) -> NDArray[np.int16]:
        """All samples of a clip, as a view of the file, shape (n_samples,)."""
        offset = self._offset[row]
        return self._data[offset : offset + self.n_samples[row]]

    def wave(self, row: int) -> NDArray[np.float32]:
        """All samples of a clip with full scale ±1, shape (n_samples,)."""
        n, offset = int(self.n_samples[row]), int(self._offset[row])
        data = read_whole(self._file.fileno(), self.path, n * SAMPLE_BYTES, offset * SAMPLE_BYTES)
        return np.frombuffer(data, np.int16) * np.float32(self.scale[row] / 32768.0)

    def __repr__(self) -> str:
        hours = self.n_samples.sum() / self.sample_rate / 3600
        return f"SampleStore({len(self)} clips, {hours:.2f} h at {self.sample_rate} Hz)"

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the samples, which another process maps itself."""
        return {k: v for k, v in self.__dict__.items() if k not in ("_data", "_file")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def _open(self) -> None:
        self._file = open(self.path, "rb")  # noqa: SIM115
        empty = os.fstat(self._file.fileno()).st_size == 0
        mapped = np.empty(0, np.int16) if empty else np.memmap(self._file, np.int16, "r")
        self._data: NDArray[np.int16] = np.asarray(mapped)


class _SampleBuild:
    """One build: what is there, what is to do, and what came of it."""

    def __init__(self, clips: Clips, sample_rate: int, workers: int | None, engine: Engine) -> None:
        self.clips, self.sample_rate = clips, sample_rate
        self.workers, self.engine = workers, engine
        self.keys = clip_keys(clips)
        self.stamps = file_stamps(clips)
        self.places: dict[int, StoredClip] = {}
        self.failures: dict[int, str] = {}
        self.n_reused = 0

    def run(self, cache: ArrayCache) -> None:
        """Find what is there, close gaps, decode the rest."""
        if 2 * cache.n_used < cache.end:
            cache.close_gaps()
        for row, key in enumerate(self.keys):
            rows = cache.find(key, self._stamp(row))
            if rows is not None:
                scale, notes = rows.about
                self.places[row] = StoredClip(rows.first, rows.n, scale, tuple(notes))
        self.n_reused = len(self.places)
        rest = [row for row in range(len(self.clips)) if row not in self.places]
        engine = engine_for(self.engine, len(rest), WORTH_PROCESSES, self.workers)
        self._decode(rest, engine, cache)

    def _stamp(self, row: int) -> Stamp:
        size, changed = self.stamps[row].tolist()
        return size, changed

    def report(self, seconds: float) -> StoreReport:
        ids = self.clips.ids
        notes = [
            (ids[row], note) for row, place in sorted(self.places.items()) for note in place.notes
        ]
        failures = [(ids[row], reason) for row, reason in sorted(self.failures.items())]
        n_decoded = len(self.places) - self.n_reused
        return StoreReport(n_decoded, self.n_reused, tuple(failures), tuple(notes), seconds)

    def _decode(self, rest: list[int], engine: Engine, cache: ArrayCache) -> None:
        writer = cache.writer(shared=engine.is_local and not engine.in_threads)
        cache.release()
        root, n = self.clips.root, len(self.clips)
        work: Callable[[list[Job]], tuple[Found, NDArray[np.int16] | None]]
        work = partial(decode_clips, root, self.sample_rate)
        if engine.is_local:
            work = partial(store_clips, root, self.sample_rate, writer)
        with (
            bar(n, "decode", "clip", initial=self.n_reused) as shown,
            engine.calls(partial(partial, work), workers=self.workers) as calls,
        ):
            forecast = TimeEstimate("decode", len(rest))
            size = chunk_size(len(rest), calls, engine)
            chunks = (
                [(row, self.keys[row]) for row in rest[i : i + size]]
                for i in range(0, len(rest), size)
            )
            for results, samples in in_any_order(calls, chunks):
                offset = append(writer, samples)
                for row, result in results:
                    if isinstance(result, str):
                        self.failures[row] = result
                        continue
                    place = replace(result, offset=result.offset + offset)
                    self.places[row] = place
                    rows = CachedRows(place.offset, place.n_samples, (place.scale, place.notes))
                    cache.add((self.keys[row], self._stamp(row), rows))
                shown.update(len(results))
                forecast.done(len(results))


def chunk_size(n: int, calls: Calls[Any, Any], engine: Engine) -> int:
    """Clips for one call, so that every worker has several calls to make."""
    return max(1, min(CHUNK if engine.in_threads else CHUNK_ELSEWHERE, n // (2 * calls.capacity)))
