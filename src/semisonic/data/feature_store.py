"""The feature store: one array of float16 features, a row for each clip of a sample store.

When the table has changed, the rows that are still good are copied to a new file, so that a
training that has the old one mapped does not notice. A folder is meant for one table: rows of
clips that are no longer in it are dropped.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.resample import fit_length
from semisonic.core.errors import DataError, OptionError
from semisonic.core.parallel import LOCAL_ENGINE, Engine, count_workers
from semisonic.data.cache import ArrayCache, Computed, Key, need_disk_space
from semisonic.data.clips import Clips
from semisonic.data.sample_store import SampleStore, StoreReport, clip_keys

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
        dtype = np.dtype(("<f2", shape))
        with ArrayCache.open(folder, "features", options, dtype) as cache, one_torch_thread():
            started = time.perf_counter()
            n, keys = len(samples), clip_keys(samples.clips)
            row_of = {pair: row for row, pair in enumerate(zip(keys, samples.stamps, strict=True))}
            items = cache.items()
            good = [item for item in items if item[:2] in row_of]
            rows = [row_of[item[0], item[1]] for item in good]
            if len(good) < len(items) or rows != [item[2].first for item in good]:
                cache.move(good, rows)
            cache.resize(n)
            n_bytes = (n - len(good)) * dtype.itemsize
            need_disk_space(cache.path, n_bytes, f"features of {n - len(good):,} clips")
            _, n_missing = cache.fill(
                keys,
                samples.stamps,
                _Extraction(samples, shape, int(n_samples), extractor),
                "features",
                engine=engine,
                worth_processes=WORTH_PROCESSES,
                workers=workers,
                in_place=True,
            )
            seconds = time.perf_counter() - started
            report = StoreReport(n_missing, n - n_missing, seconds=seconds)
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
        self.array: NDArray[np.float16] = np.empty(shape, np.float16)
        if len(self.clips):
            self.array = np.memmap(self._path, np.float16, "r", shape=shape)


@dataclass(frozen=True)
class _Extraction:
    """Makes the function that computes features of a clip; it can be sent to another process."""

    samples: SampleStore
    shape: Shape
    n_samples: int
    extractor: Callable[[], Extractor]

    def __call__(self) -> Callable[[int, Key], Computed]:
        extract = self.extractor()
        return lambda row, _: (self._features(row, extract), None)

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
