"""The rows of one clip while its windows are coming: one per window, or their mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semisonic.inference.pipeline import Windows
from semisonic.inference.scoring import counting
from semisonic.labeling.embedder import Vectors
from semisonic.labeling.rows import Scores, pack


class Collected:
    """What is known of a clip so far.

    Parameters
    ----------
    is_mean : bool
        Whether the clip has one row, the mean of its windows.
    """

    def __init__(self, is_mean: bool) -> None:
        self.is_mean = is_mean
        self.n_windows = 0
        self._times: list[NDArray[np.float64]] = []
        self._scores: list[Scores] = []
        self._silent: list[NDArray[np.bool_]] = []
        self._vectors: list[NDArray[np.float64]] = []  # sums: of silent windows, of the others

    def add(self, item: Windows, vectors: Vectors, scores: Scores) -> None:
        """Add windows: vectors (n, dim), scores (n, class)."""
        self._times.append(item.times)
        self._scores.append(scores)
        self._silent.append(item.is_silent)
        if self.is_mean:
            sums = [
                vectors[rows].sum(axis=0, dtype=np.float64)
                for rows in (item.is_silent, ~item.is_silent)
            ]
            before = self._vectors or [np.zeros(vectors.shape[1])] * 2
            self._vectors = [old + new for old, new in zip(before, sums, strict=True)]
        self.n_windows += len(item.times)

    @property
    def mean(self) -> Vectors:
        """The mean of the vectors that count, shape (1, dim): see :func:`counting`."""
        silent = np.concatenate(self._silent)
        total = self._vectors[0 if silent.all() else 1]
        return np.asarray(total / counting(silent).sum(), np.float32)[None]

    @property
    def n_rows(self) -> int:
        """Rows of the clip."""
        return 1 if self.is_mean and self.n_windows else self.n_windows

    def packed(self) -> str:
        """What is known of the rows, as :class:`semisonic.labeling.rows.Entry` keeps it."""
        if not self.n_windows:
            return ""
        times, scores = np.concatenate(self._times), np.concatenate(self._scores)
        silent = np.concatenate(self._silent)
        if self.is_mean:
            times = np.array([[times[0, 0], times[:, 1].max()]])
            scores = scores[counting(silent)].mean(axis=0, keepdims=True)
            silent = np.array([silent.all()])
        return pack(times, scores, silent)
