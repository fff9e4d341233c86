"""The sample store: a clip table's samples, decoded and resampled once, on disk.

One file of 16-bit integers holds all clips one after another, in the order in which they
were finished, and a journal says where each lies. A clip is known by its file (relative to
the table's root), its times, and the file's size and time of change: only clips of which
one of these is new are decoded. Clips that were changed leave dead space; when that is
more than half of the file, the next build closes the gaps. Clips that were only taken out
of the table stay, because another table may still use them; delete the folder to drop them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.resample import check_rate
from semisonic.base.forecast import Forecast
from semisonic.base.progress import bar
from semisonic.data.clips import Clips
from semisonic.data.journal import Journal
from semisonic.data.store_decode import (
    SAMPLE_BYTES,
    Found,
    Job,
    Place,
    SampleWriter,
    SharedWriter,
    append,
    decode_clips,
    store_clips,
)
from semisonic.data.store_folder import StoreFolder, opened, read_whole
from semisonic.data.store_index import (
    clip_keys,
    compact,
    data_end,
    file_stamps,
    read_places,
    to_record,
)
from semisonic.data.workers import count_workers
from semisonic.engines import LOCAL_ENGINE, Calls, Engine, in_any_order, spread

CHUNK, CHUNK_AFAR = 8, 32
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
        :func:`semisonic.audio.problems`; clips of more than a minute: silent only).
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
        places: list[Place],
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
        with opened(folder, "samples", {"sample_rate": int(sample_rate)}) as store:
            started = time.perf_counter()
            build = _Build(clips, int(sample_rate), workers, engine)
            build.run(store)
            rows = np.array(sorted(build.places), np.int64)
            report = build.report(time.perf_counter() - started)
            places = [build.places[row] for row in rows.tolist()]
            kept = clips if len(rows) == len(clips) else clips[rows]
            return cls(
                store.data_path,
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
        self._file = open(self.path, "rb")  # noqa: SIM115  (lives as long as the store)
        empty = os.fstat(self._file.fileno()).st_size == 0
        mapped = np.empty(0, np.int16) if empty else np.memmap(self._file, np.int16, "r")
        self._data: NDArray[np.int16] = np.asarray(mapped)


class _Build:
    """One build: what is there, what is to do, and what came of it."""

    def __init__(self, clips: Clips, sample_rate: int, workers: int | None, engine: Engine) -> None:
        self.clips, self.sample_rate = clips, sample_rate
        self.workers, self.engine = workers, engine
        self.keys = clip_keys(clips)
        self.stamps = file_stamps(clips)
        self.places: dict[int, Place] = {}
        self.failures: dict[int, str] = {}
        self.n_reused = 0

    def run(self, store: StoreFolder) -> None:
        """Find what is there, close gaps, decode the rest."""
        with store.writing() as (data, journal):
            known = read_places(journal, data.size())
            end = data_end(known)
        if 2 * sum(place.n_samples for _, place in known.values()) < end:
            known = compact(store, known)
            end = data_end(known)
        for row, key in enumerate(self.keys):
            stamp, place = known.get(key, (None, None))
            if place is not None and stamp == tuple(self.stamps[row].tolist()):
                self.places[row] = place
        self.n_reused = len(self.places)
        del known
        with store.writing() as (data, journal):
            data.resize(end * SAMPLE_BYTES)
            rest = [row for row in range(len(self.clips)) if row not in self.places]
            engine = spread(self.engine, len(rest), WORTH_PROCESSES, self.workers)
            shared = not engine.in_threads and engine.is_local
            writer = SharedWriter(data) if shared else SampleWriter(data, end)
            self._decode(rest, engine, journal, writer)

    def report(self, seconds: float) -> StoreReport:
        ids = self.clips.ids
        notes = [
            (ids[row], note) for row, place in sorted(self.places.items()) for note in place.notes
        ]
        failures = [(ids[row], reason) for row, reason in sorted(self.failures.items())]
        n_decoded = len(self.places) - self.n_reused
        return StoreReport(n_decoded, self.n_reused, tuple(failures), tuple(notes), seconds)

    def _decode(
        self, rest: list[int], engine: Engine, journal: Journal, writer: SampleWriter | SharedWriter
    ) -> None:
        root, n = self.clips.root, len(self.clips)
        work: Callable[[list[Job]], tuple[Found, NDArray[np.int16] | None]]
        work = partial(decode_clips, root, self.sample_rate)
        if engine.is_local:
            work = partial(store_clips, root, self.sample_rate, writer)
        with (
            bar(n, "decode", "clip", initial=self.n_reused) as shown,
            engine.calls(partial(partial, work), workers=self.workers) as calls,
        ):
            forecast = Forecast("decode", len(rest))
            size = chunk_size(len(rest), calls, engine)
            chunks = (
                [(row, self.keys[row]) for row in rest[i : i + size]]
                for i in range(0, len(rest), size)
            )
            for found, samples in in_any_order(calls, chunks):
                offset = append(writer, samples)
                for row, result in found:
                    if isinstance(result, str):
                        self.failures[row] = result
                        continue
                    place = replace(result, offset=result.offset + offset)
                    self.places[row] = place
                    journal.append(to_record(self.keys[row], self.stamps[row].tolist(), place))
                shown.update(len(found))
                forecast.done(len(found))


def chunk_size(n: int, calls: Calls[Any, Any], engine: Engine) -> int:
    """Clips for one call, so that every worker has several calls to make."""
    return max(1, min(CHUNK if engine.in_threads else CHUNK_AFAR, n // (2 * calls.room)))
