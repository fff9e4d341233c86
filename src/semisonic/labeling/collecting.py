"""The rows of one clip while its windows are coming: one a window, or their mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
        self._vector: NDArray[np.float64] = np.zeros(0)

    def add(self, times: NDArray[np.float64], vectors: Vectors, scores: Scores) -> None:
        """Add windows: times (n, 2), vectors (n, dim), scores (n, class)."""
        self._times.append(times)
        self._scores.append(scores)
        if self.is_mean:
            more = vectors.sum(axis=0, dtype=np.float64)
            self._vector = self._vector + more if self.n_windows else more
        self.n_windows += len(times)

    @property
    def mean(self) -> Vectors:
        """The mean of the vectors, shape (1, dim)."""
        return np.asarray(self._vector / self.n_windows, np.float32)[None]

    @property
    def n_rows(self) -> int:
        """Rows of the clip."""
        return 1 if self.is_mean and self.n_windows else self.n_windows

    def packed(self) -> str:
        """What is known of the rows, as :class:`semisonic.labeling.rows.Entry` keeps it."""
        if not self.n_windows:
            return ""
        times, scores = np.concatenate(self._times), np.concatenate(self._scores)
        if self.is_mean:
            times = np.array([[times[0, 0], times[:, 1].max()]])
            scores = scores.mean(axis=0, keepdims=True)
        return pack(times, scores)
