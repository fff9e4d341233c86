"""The mean of the scores of the last windows."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from semisonic.inference.live.scorer import WindowScores

_TINY = 1e-6


class RecentMean:
    """Mean scores over the windows of the last seconds.

    A mean and no exponential: it forgets a window wholly after a known time, so the delay it
    causes is half of ``seconds`` and can be taken off the times of events.

    Windows that are silent count as zeros: nothing is heard in them, whatever a network that
    must choose a class would say.

    Parameters
    ----------
    seconds : float
        Windows count that end less than this before the newest; the newest always does.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._recent: deque[tuple[float, float, NDArray[np.float64]]] = deque()

    def push(self, window: WindowScores) -> tuple[float, NDArray[np.float64]]:
        """Take a window.

        Returns
        -------
        centre : float
            The moment the mean speaks of: the mean of the windows' centres, stream seconds.
        scores : ndarray of float64, shape (n_classes,)
        """
        scores = np.zeros_like(window.scores) if window.is_silent else window.scores
        centre = (window.start_time + window.end_time) / 2
        self._recent.append((window.end_time, centre, scores))
        while self._recent[0][0] <= window.end_time - max(self._seconds, _TINY) + _TINY / 2:
            self._recent.popleft()
        mean: NDArray[np.float64] = np.mean([one[2] for one in self._recent], axis=0)
        return float(np.mean([one[1] for one in self._recent])), mean

    def clear(self) -> None:
        """Forget all windows."""
        self._recent.clear()
