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

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.checks import problems
from semisonic.audio.read import AudioReader
from semisonic.audio.remote import stamp_of
from semisonic.audio.resample import check_rate, resample
from semisonic.core.errors import AudioError
from semisonic.core.parallel import LOCAL_ENGINE, Engine, count_workers
from semisonic.data.cache import ArrayCache, CachedRows, Computed, Key, read_whole
from semisonic.data.clips import Clips

SAMPLE_BYTES = 2
WORTH_PROCESSES = 5000
"""Clips from which on processes decode them sooner than threads."""

Stamp = tuple[int, int]
"""A version of a file: size in bytes and time of change in ns."""


def clip_keys(clips: Clips) -> list[Key]:
    """File, start and end of each row, with None for "to the end"."""
    columns = zip(
        clips.file.tolist(), clips.start_time.tolist(), clips.end_time.tolist(), strict=True
    )
    return [(file, start, None if end != end else end) for file, start, end in columns]


def file_stamps(clips: Clips) -> list[Stamp]:
    """Size and time of change of each row's file; -1 where there is none."""
    stamps: dict[str, Stamp] = {}
    for file in dict.fromkeys(clips.file.tolist()):
        try:
            stamps[file] = stamp_of(clips.root / file)
        except OSError:
            stamps[file] = (-1, -1)
    return [stamps[file] for file in clips.file.tolist()]


def full_scale(x: NDArray[np.float32]) -> float:
    """The smallest scale at which no sample is clipped; up to 1 there is nothing to do."""
    return max(float(x.max()) * (32768.0 / 32767.0), -float(x.min()))


def as_stored(x: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """The samples as they come back from the store, without the way through integers."""
    result = _rounded(x, scale)
    result *= np.float32(scale / 32768.0)
    return result


def _rounded(x: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    result = x * np.float32(32768.0 / scale)
    np.rint(result, out=result)
    return result


def decode_clip(root: Path, sample_rate: int, number: int, key: Key) -> Computed | str:
    """Decode, check and resample one clip: its samples, with scale and remarks; or why not."""
    file, start, end = key
    try:
        with AudioReader(root / file) as source:
            x, rate = source.samples(start, end), source.info.sample_rate
    except AudioError as error:
        return error.reason
    notes = problems(x, rate)
    for note in notes:
        if note.startswith("too short"):
            return note
    x = resample(x, rate, sample_rate)
    scale = max(1.0, full_scale(x))
    return _rounded(x, scale).astype("<i2"), (scale, notes)


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
        :func:`semisonic.audio.checks.problems`).
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
    stamps : list of (int, int)
        Size (bytes) and time of change (ns) of each clip's file when it was decoded.
    report : StoreReport
    """

    def __init__(
        self,
        path: Path,
        clips: Clips,
        sample_rate: int,
        found: list[CachedRows],
        stamps: list[Stamp],
        report: StoreReport,
        rows: NDArray[np.int64],
    ) -> None:
        self.path, self.clips, self.sample_rate = path, clips, sample_rate
        self.rows, self.stamps, self.report = rows, stamps, report
        self.n_samples = np.array([one.n for one in found], np.int64)
        self.scale = np.array([one.about[0] for one in found], np.float64)
        self._offset = np.array([one.first for one in found], np.int64)
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
            What to decode. Each clip is decoded as a whole: cut long recordings into windows first.
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
        rate = int(sample_rate)
        with ArrayCache.open(folder, "samples", {"sample_rate": rate}, "<i2") as cache:
            started = time.perf_counter()
            cache.close_gaps()
            stamps, ids = file_stamps(clips), clips.ids
            make: Callable[[], Any] = partial(partial, decode_clip, clips.root, rate)
            found, n_missing = cache.fill(
                clip_keys(clips),
                stamps,
                make,
                "decode",
                engine=engine,
                worth_processes=WORTH_PROCESSES,
                workers=workers,
            )
            rows = [row for row, one in enumerate(found) if not isinstance(one, str)]
            kept = [one for one in found if not isinstance(one, str)]
            failures = [(ids[row], one) for row, one in enumerate(found) if isinstance(one, str)]
            report = StoreReport(
                n_missing - len(failures),
                len(found) - n_missing,
                tuple(failures),
                tuple(
                    (ids[i], text)
                    for i, one in zip(rows, kept, strict=True)
                    for text in one.about[1]
                ),
                time.perf_counter() - started,
            )
            index = np.array(rows, np.int64)
            own = clips if len(rows) == len(clips) else clips[index]
            of_rows = [stamps[row] for row in rows]
            return cls(cache.data_path, own, rate, kept, of_rows, report, index)

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
