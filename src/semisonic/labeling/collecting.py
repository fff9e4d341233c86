"""The rows of one clip while its windows are coming: one a window, or their mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semisonic.labeling.embedder import Vectors

Told = tuple[float, float, int, float]
"""Start, end, number of the best class, its score: see :data:`semisonic.labeling.rows.ROW`."""


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
        self._told: list[Told] = []
        self._vector: NDArray[np.float64] = np.zeros(0)
        self._scores: NDArray[np.float64] = np.zeros(0)

    def add(
        self, times: NDArray[np.float64], vectors: Vectors, scores: NDArray[np.float32]
    ) -> None:
        """Add windows: times (n, 2), vectors (n, dim), scores (n, class)."""
        if not self.is_mean:
            self._told += [
                (float(start), float(end), *_best(row))
                for (start, end), row in zip(times, scores, strict=True)
            ]
        else:
            start = self._told[0][0] if self._told else float(times[0, 0])
            self._told = [(start, float(times[:, 1].max()), -1, np.nan)]
            self._vector = _added(self._vector, vectors)
            self._scores = _added(self._scores, scores)
        self.n_windows += len(times)

    @property
    def mean(self) -> Vectors:
        """The mean of the vectors, shape (1, dim)."""
        return np.asarray(self._vector / self.n_windows, np.float32)[None]

    def told(self) -> list[Told]:
        """What is known of each row."""
        if not self.is_mean:
            return self._told
        start, end = self._told[0][:2]
        return [(start, end, *_best(self._scores / self.n_windows))]


def _added(total: NDArray[np.float64], rows: NDArray[np.float32]) -> NDArray[np.float64]:
    more: NDArray[np.float64] = rows.sum(axis=0, dtype=np.float64)
    return more if not len(total) else total + more


def _best(scores: NDArray[np.floating]) -> tuple[int, float]:
    if not len(scores):
        return -1, np.nan
    best = int(scores.argmax())
    return best, float(scores[best])
