"""Samples and features of clips, computed once and kept on disk.

Samples are 16-bit integers, fractions of 32768 as in a WAV file. If a clip exceeds full scale, as
decoded MP3 and float recordings may, it is divided by a *scale* that is stored with it, so nothing
is clipped. Features are float16. A clip is identified by its file (relative to the table's root),
its times, and the file's size and times: it is computed only if one of these is new.
Clips that were removed from the table stay in the folder, because another table may use them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.checks import problems
from semisonic.audio.read import AudioReader
from semisonic.audio.resample import check_rate, fit_length, resample
from semisonic.core.errors import AudioError, DataError, OptionError
from semisonic.core.parallel import LOCAL_ENGINE, Engine, count_workers, one_torch_thread
from semisonic.data.cache import (
    ArrayCache,
    CachedRows,
    Computed,
    Key,
    Stamp,
    clip_keys,
    file_stamps,
    read_whole,
)
from semisonic.data.clips import Clips

SAMPLE_BYTES = 2
WORTH_PROCESSES, FEATURES_WORTH_PROCESSES = 5000, 20_000
"""Number of clips from which processes decode them, or compute features, faster than threads."""

Shape = tuple[int, int, int]
Extractor = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def as_stored(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The samples rounded as in the store, but as floats."""
    scale = _scale_of(x)
    return _rounded(x, scale) * np.float32(scale / 32768.0)


def _scale_of(x: NDArray[np.float32]) -> float:
    """The smallest scale at which no sample is clipped, at least 1."""
    return max(1.0, float(x.max()) * (32768.0 / 32767.0), -float(x.min()))


def _rounded(x: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    result = x * np.float32(32768.0 / scale)
    np.rint(result, out=result)
    return result


def decode_clip(root: Path, sample_rate: int, number: int, key: Key) -> Computed | str:
    """Decode, check and resample one clip: samples, scale and remarks, or the failure."""
    file, start, end = key
    try:
        with AudioReader(root / file) as source:
            x, rate = source.samples(start, end), source.info.sample_rate
            damage = source.info.damage_of(end)
    except AudioError as error:
        return error.reason
    notes: list[str] = [*problems(x, rate), *([damage] if damage else ())]
    for note in notes:
        if note.startswith("too short"):
            return note
    x = resample(x, rate, sample_rate)
    scale = _scale_of(x)
    return _rounded(x, scale).astype("<i2"), (scale, notes)


class _FirstUse:
    """Checks rows of a cache against their checksums when they are used for the first time."""

    def __init__(self, rows: list[CachedRows], path: Path) -> None:
        self._rows, self._path = rows, path
        self._checked: set[int] = set()

    def check(self, row: int, data: Any) -> None:
        """Raise DataError when the bytes of a row are not those that were written."""
        if row not in self._checked:
            self._rows[row].check(data, self._path)
            self._checked.add(row)

    def unchecked(self, rows: Any) -> list[int]:
        """Those of the chosen rows that have not been checked yet."""
        chosen = np.arange(len(self._rows))[rows].reshape(-1).tolist()
        return [row for row in chosen if row not in self._checked]


class SampleStore:
    """Samples of the clips that could be read; created by :meth:`build`.

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
        Row of each clip in the table given to :meth:`build`.
    scale : ndarray of float64, shape (n,)
        Factor for the integers of a clip, over 32768: 1 except for clips that exceed full scale.
    stamps : list of (int, int, int)
        The version of each clip's file when it was decoded: see
        :func:`semisonic.audio.remote.stamp_of`.
    n_decoded : int
        Number of clips decoded now.
    failures : tuple of (str, str)
        Id and reason of each clip that could not be read. They are tried again next time.
    notes : tuple of (str, str)
        Id and reason of each stored clip that is silent, clipped (see
        :func:`semisonic.audio.checks.problems`) or truncated.
    """

    def __init__(
        self,
        path: Path,
        clips: Clips,
        sample_rate: int,
        found: list[CachedRows | str],
        stamps: list[Stamp],
        n_missing: int,
    ) -> None:
        ids = clips.ids
        kept = [(row, one) for row, one in enumerate(found) if isinstance(one, CachedRows)]
        self.path, self.sample_rate = path, sample_rate
        self.rows = np.array([row for row, _ in kept], np.int64)
        self.clips = clips if len(kept) == len(clips) else clips[self.rows]
        self.stamps = [stamps[row] for row, _ in kept]
        self.n_samples = np.array([one.n for _, one in kept], np.int64)
        self.scale = np.array([one.about[0] for _, one in kept], np.float64)
        self._kept = _FirstUse([one for _, one in kept], path)
        self._offset = np.array([one.first for _, one in kept], np.int64)
        self.failures = tuple((ids[i], one) for i, one in enumerate(found) if isinstance(one, str))
        self.notes = tuple((ids[row], text) for row, one in kept for text in one.about[1])
        self.n_decoded = n_missing - len(self.failures)

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
        """Update a folder for a clip table, and open it.

        After a kill, the next build continues where it stopped. Two processes may build in one
        folder: the second waits, and then finds the work done.

        Parameters
        ----------
        clips : Clips
            The clips to decode. Each is decoded as a whole: cut long recordings into windows
            first.
        folder : path
            The folder of the store, created if missing.
        sample_rate : int
            Hz. A folder has one rate; another one is an error.
        workers : int, optional
            Number of threads or parallel calls; by default the number of processors.
        engine : Engine
            Where clips are decoded. On a cluster, the recordings must have the same path on every
            node; only this process writes the store.

        Raises
        ------
        DataError
            If the folder contains something else, or the disk is full.
        """
        check_rate(sample_rate)
        count_workers(workers)  # refuses what is no number of workers
        rate = int(sample_rate)
        with ArrayCache.open(folder, "samples", {"sample_rate": rate}, "<i2") as cache:
            stamps = file_stamps(clips)
            found, n_missing = cache.fill(
                clip_keys(clips),
                stamps,
                partial(partial, decode_clip, clips.root, rate),
                "decode",
                engine=engine,
                worth_processes=WORTH_PROCESSES,
                workers=workers,
            )
            return cls(cache.data_path, clips, rate, found, stamps, n_missing)

    def __len__(self) -> int:
        return len(self.n_samples)

    def __getitem__(self, row: int) -> NDArray[np.int16]:
        """All samples of a clip, as a view of the file, shape (n_samples,)."""
        offset = self._offset[row]
        samples = self._data[offset : offset + self.n_samples[row]]
        self._kept.check(row, samples)
        return samples

    def wave(self, row: int) -> NDArray[np.float32]:
        """All samples of a clip with full scale ±1, shape (n_samples,)."""
        n, offset = int(self.n_samples[row]), int(self._offset[row])
        file = self._file  # held, as threads that begin together each open one, and keep the last
        data = read_whole(file.fileno(), self.path, n * SAMPLE_BYTES, offset * SAMPLE_BYTES)
        self._kept.check(row, data)
        return np.frombuffer(data, np.int16) * np.float32(self.scale[row] / 32768.0)

    def __repr__(self) -> str:
        hours = self.n_samples.sum() / self.sample_rate / 3600
        return f"SampleStore({len(self)} clips, {hours:.2f} h at {self.sample_rate} Hz)"

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the samples, which another process maps itself."""
        return {k: v for k, v in self.__dict__.items() if k not in ("_data", "_file")}

    @cached_property
    def _file(self) -> IO[bytes]:
        return open(self.path, "rb")

    @cached_property
    def _data(self) -> NDArray[np.int16]:
        n = int((self._offset + self.n_samples).max(initial=0))
        return (
            np.asarray(np.memmap(self._file, np.int16, "r", shape=n))
            if n
            else np.empty(0, np.int16)
        )


class FeatureStore:
    """Features of all clips of a sample store; created by :meth:`build`.

    Read like an array of float32, shape (n, channel, mel, frame): ``len``, ``shape`` and rows by
    index.

    Attributes
    ----------
    clips : Clips
        Those of the sample store, row by row.
    array : ndarray of float16, shape (m, channel, mel, frame)
        The content of the file.
    place : ndarray of int64, shape (n,)
        Position of the features of each clip in ``array``.
    n_computed : int
        Number of clips computed now.
    """

    def __init__(
        self, path: Path, clips: Clips, shape: Shape, rows: list[CachedRows], n_computed: int
    ) -> None:
        self.clips, self.n_computed = clips, n_computed
        self.place = np.array([one.first for one in rows], np.int64)
        self.shape = (len(rows), *shape)
        self._path, self._rows = path, _FirstUse(rows, path)

    @classmethod
    def build(
        cls,
        samples: SampleStore,
        folder: str | os.PathLike[str],
        *,
        extractor: Callable[[], Extractor],
        key: str,
        shape: Shape,
        n_samples: int,
        workers: int | None = None,
        engine: Engine = LOCAL_ENGINE,
    ) -> FeatureStore:
        """Update a folder for a sample store, and open it.

        Parameters
        ----------
        samples : SampleStore
            The clips.
        folder : path
            The folder of the store, created if missing.
        extractor : callable
            Called once in each thread or process; returns a function from samples, float32 of
            shape (n_samples,) with full scale ±1, to features, float32 of shape ``shape``. The
            function may keep buffers and return the same one each time.
        key : str
            Identifies the front end and all its parameters. Another key in the same folder is an
            error.
        shape : (channel, mel, frame)
            Of one clip.
        n_samples : int
            Clips are cut to this length, or followed by silence.
        workers : int, optional
            Number of threads or parallel calls; by default the number of processors.
        engine : Engine
            Where features are computed. On a cluster, the sample store must have the same path on
            every node; only this process writes features.

        Raises
        ------
        DataError
            If features have another shape, are NaN, or exceed float16 (±65504), if the folder
            contains something else, or if the disk is full.
        """
        if n_samples < 1 or len(shape) != 3 or min(shape) < 1:
            raise OptionError(f"features of shape {shape} from {n_samples} samples: expected > 0")
        count_workers(workers)  # refuses what is no number of workers
        options = {
            "key": key,
            "shape": list(map(int, shape)),
            "n_samples": int(n_samples),
            "sample_rate": samples.sample_rate,
        }
        dtype = np.dtype(("<f2", shape))
        with ArrayCache.open(folder, "features", options, dtype) as cache, one_torch_thread():
            found, n_missing = cache.fill(
                clip_keys(samples.clips),
                samples.stamps,
                partial(_extraction, samples, shape, int(n_samples), extractor),
                "features",
                engine=engine,
                worth_processes=FEATURES_WORTH_PROCESSES,
                workers=workers,
            )
            rows = [one for one in found if isinstance(one, CachedRows)]
            return cls(cache.data_path, samples.clips, shape, rows, n_missing)

    def __len__(self) -> int:
        return len(self.place)

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        """Features of the chosen rows, as float32, shape (rows, channel, mel, frame)."""
        self.check(rows)
        return np.asarray(self.array[self.place[rows]], np.float32)

    def check(self, rows: Any) -> None:
        """Raise DataError if features that are used for the first time are damaged."""
        for row in self._rows.unchecked(rows):
            self._rows.check(row, self.array[self.place[row]])

    def __repr__(self) -> str:
        return f"FeatureStore({len(self)} clips of {self.shape[1:]})"

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the features, which another process maps itself."""
        return {name: value for name, value in self.__dict__.items() if name != "array"}

    @cached_property
    def array(self) -> NDArray[np.float16]:
        """The file, mapped read-only."""
        shape = (int(self.place.max(initial=-1)) + 1, *self.shape[1:])
        mapped = (
            np.memmap(self._path, np.float16, "r", shape=shape) if len(self) else np.empty(shape)
        )
        return np.asarray(mapped, np.float16)


def _extraction(
    samples: SampleStore, shape: Shape, n_samples: int, extractor: Callable[[], Extractor]
) -> Callable[[int, Key], Computed]:
    """The function that computes features in a thread or process."""
    extract = extractor()

    def features(row: int, _: Key) -> Computed:
        found = np.asarray(extract(fit_length(samples.wave(row), n_samples)))
        with np.errstate(over="ignore"):
            result: NDArray[np.float16] = found.astype(np.float16)
        if found.shape != shape or not np.isfinite(result).all():
            raise DataError(
                f"features of '{samples.clips[row].ids[0]}': found shape {found.shape}, "
                f"{found.min():.6g} to {found.max():.6g}; expected shape {shape} and "
                "finite numbers within ±65504 (float16). Use decibels, or a smaller scale"
            )
        return result, None

    return features
