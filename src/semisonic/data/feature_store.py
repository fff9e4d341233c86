"""The feature store: one array of float16 features, a row for each clip of a sample store.

It is made as the sample store is: in threads, each row written straight to its place. When the
table has changed, the rows that are still good are copied to a new file, so that a training that
has the old one mapped does not notice. A folder is meant for one table: rows of clips that are no
longer in it are dropped.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.resample import fit_length
from semisonic.core.errors import DataError, OptionError
from semisonic.core.parallel import LOCAL_ENGINE, Engine, count_workers, engine_for, in_any_order
from semisonic.core.progress import TimeEstimate, bar
from semisonic.data.cache import ArrayCache, CachedRows, DataFile, Key, need_disk_space
from semisonic.data.clips import Clips
from semisonic.data.sample_store import SampleStore, Stamp, StoreReport, chunk_size, clip_keys

Shape = tuple[int, int, int]
Extractor = Callable[[NDArray[np.float32]], NDArray[np.float32]]

WORTH_PROCESSES = 20_000
"""Clips from which on processes compute features sooner than threads."""


class FeatureStore:
    """Features of all clips of a sample store; made by :meth:`build`.

    Attributes
    ----------
    clips : Clips
        Those of the sample store, row by row.
    array : ndarray of float16, shape (n, channel, mel, frame)
        The file, mapped; read only.
    report : StoreReport
    """

    def __init__(self, path: Path, clips: Clips, shape: Shape, report: StoreReport) -> None:
        self.clips, self.report = clips, report
        self._path, self._shape = path, shape
        self._open()

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
        """Bring a folder up to date with a sample store, and open it.

        Parameters
        ----------
        samples : SampleStore
            The clips.
        folder : path
            The store's own folder; made if missing.
        extractor : callable
            Called once in each thread or process; gives a function from samples, float32 of shape
            (n_samples,) with full scale ±1, to features, float32 of shape ``shape``. It
            may keep buffers, and may return the same buffer each time.
        key : str
            Names the front end and all its parameters. Another key in one folder is an
            error.
        shape : (channel, mel, frame)
            Of one clip.
        n_samples : int
            Clips are cut to this length, or followed by silence.
        workers : int, optional
            Threads, or calls at once; by default as many as there are processors.
        engine : Engine
            Where features are computed. On a cluster the sample store lies at the same path on
            every node; features are written by this process alone.

        Raises
        ------
        DataError
            If features have another shape, are NaN, or do not fit into float16 (±65504);
            if the folder holds something else; if the disk is full.
        """
        if n_samples < 1 or len(shape) != 3 or min(shape) < 1:
            raise OptionError(f"features of shape {shape} from {n_samples} samples: expected > 0")
        count_workers(workers)  # refuses what is no number of workers
        shape = (int(shape[0]), int(shape[1]), int(shape[2]))
        options = {
            "key": key,
            "shape": list(shape),
            "n_samples": int(n_samples),
            "sample_rate": samples.sample_rate,
        }
        work = _FeatureWork(samples, shape, int(n_samples), extractor)
        with ArrayCache.open(folder, "features", options, row_bytes=work.row_bytes) as cache:
            started = time.perf_counter()
            n_reused = _FeatureBuild(work, workers, engine).run(cache)
            n = len(samples)
            report = StoreReport(n - n_reused, n_reused, seconds=time.perf_counter() - started)
            return cls(cache.data_path, samples.clips, shape, report)

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        """Features of the rows chosen, as float32, shape (rows, channel, mel, frame)."""
        return np.asarray(self.array[rows], np.float32)

    def __repr__(self) -> str:
        size = self.array.nbytes / 1e6
        return f"FeatureStore({len(self)} clips of {self._shape}, {size:.0f} MB)"

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the features, which another process maps itself."""
        return {name: value for name, value in self.__dict__.items() if name != "array"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def _open(self) -> None:
        shape = (len(self.clips), *self._shape)
        self.array: NDArray[np.float16]
        if len(self.clips):
            self.array = np.memmap(self._path, np.float16, "r", shape=shape)
        else:
            self.array = np.empty(shape, np.float16)


@dataclass(frozen=True)
class _FeatureWork:
    """How features of rows are computed; it can be sent to another process."""

    samples: SampleStore
    shape: Shape
    n_samples: int
    extractor: Callable[[], Extractor]

    def into(self, data: DataFile) -> Callable[[list[int]], tuple[list[int], None]]:
        """A function that writes the features of some rows to their places."""
        extract, row_bytes = self.extractor(), self.row_bytes

        def work(rows: list[int]) -> tuple[list[int], None]:
            for row in rows:
                data.write(self._features(row, extract), row * row_bytes)
            return rows, None

        return work

    def alone(self) -> Callable[[list[int]], tuple[list[int], NDArray[np.float16]]]:
        """A function that gives the features of some rows back."""
        extract = self.extractor()
        return lambda rows: (rows, np.stack([self._features(row, extract) for row in rows]))

    @property
    def row_bytes(self) -> int:
        """Bytes of the features of one clip."""
        return 2 * int(np.prod(self.shape))

    def _features(self, row: int, extract: Extractor) -> NDArray[np.float16]:
        features = np.asarray(extract(fit_length(self.samples.wave(row), self.n_samples)))
        if features.shape != self.shape:
            clip = self.samples.clips[row].ids[0]
            raise DataError(f"features of '{clip}': shape {features.shape}, expected {self.shape}")
        with np.errstate(over="ignore"):
            result: NDArray[np.float16] = features.astype(np.float16)
        if not np.isfinite(result).all():
            clip = self.samples.clips[row].ids[0]
            raise DataError(
                f"features of '{clip}': from {features.min():.6g} to {features.max():.6g}, "
                "expected finite numbers within ±65504 (float16). Use decibels, or a smaller scale"
            )
        return result


class _FeatureBuild:
    """One build of a feature store."""

    def __init__(self, work: _FeatureWork, workers: int | None, engine: Engine) -> None:
        self.work, self.workers, self.engine = work, workers, engine
        self.keys: list[Key] = clip_keys(work.samples.clips)
        self.stamps: list[Stamp] = [(a, b) for a, b in work.samples.stamps.tolist()]

    def run(self, cache: ArrayCache) -> int:
        """Compute what is missing; the number of rows that were there already."""
        there = self._rows_there(cache)
        cache.resize(len(there))
        self._compute_rest(cache, np.flatnonzero(~there))
        return int(there.sum())

    def _rows_there(self, cache: ArrayCache) -> NDArray[np.bool_]:
        """Which rows are there, (n,), after each was moved to its place in the table of now."""
        row_of = {key: row for row, key in enumerate(self.keys)}
        items = cache.items()
        good = [item for item in items if self._is_good(item[0], item[1], row_of)]
        rows = [row_of[key] for key, _, _ in good]
        in_place = all(r.first == row for (_, _, r), row in zip(good, rows, strict=True))
        if len(good) < len(items) or not in_place:
            cache.move(good, rows)
        there = np.zeros(len(self.keys), np.bool_)
        there[rows] = True
        cache.release()
        return there

    def _is_good(self, key: Key, stamp: tuple[Any, ...], row_of: Mapping[Key, int]) -> bool:
        return key in row_of and self.stamps[row_of[key]] == stamp

    def _compute_rest(self, cache: ArrayCache, rest: NDArray[np.int64]) -> None:
        engine = engine_for(self.engine, len(rest), WORTH_PROCESSES, self.workers)
        make = partial(self.work.into, cache.data) if engine.is_local else self.work.alone
        n = len(self.keys)
        need_disk_space(cache.path, len(rest) * cache.row_bytes, f"features of {len(rest):,} clips")
        forecast = TimeEstimate("features", len(rest))
        with (
            one_torch_thread(),
            bar(n, "features", "clip", initial=n - len(rest)) as shown,
            engine.calls(make, workers=self.workers) as calls,
        ):
            size = chunk_size(len(rest), calls, engine)
            chunks = (rest[i : i + size].tolist() for i in range(0, len(rest), size))
            for rows, features in in_any_order(calls, chunks):
                for i, row in enumerate(rows):
                    if features is not None:
                        cache.write(features[i], row)
                    cache.add((self.keys[row], self.stamps[row], CachedRows(row, 1)))
                shown.update(len(rows))
                forecast.done(len(rows))


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Keep torch, if anybody uses it, from starting threads inside our threads."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
