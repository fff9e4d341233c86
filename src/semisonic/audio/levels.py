"""Levels of one channel, gathered block by block: memory does not grow with the recording."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

FULL_SCALE = 0.98
"""Amplitude from which on an extreme may be that of clipping."""

FLAT_RUN = 3
"""Equal samples at an extreme that make a flat top."""


class Levels:
    """Extremes, mean, power and flat tops of what was added so far.

    Attributes
    ----------
    n, n_bad : int
        Samples, and those of them that are NaN or infinite; these count as 0 elsewhere.
    low, high : float
        The extremes; 0 before anything was added.
    """

    def __init__(self) -> None:
        self.n = self.n_bad = 0
        self.low = self.high = 0.0
        self._sum = self._power = 0.0
        self._tops = _FlatTops(1.0), _FlatTops(-1.0)

    def add(self, x: NDArray[np.float32]) -> None:
        """Take in the next samples, shape (n,)."""
        if not len(x):
            return
        total = float(x.sum())  # numpy adds in pairs: exact enough, and twice as fast
        if not math.isfinite(total):
            finite = np.isfinite(x)
            self.n_bad += int(len(x) - np.count_nonzero(finite))
            x = np.where(finite, x, np.float32(0.0))
            total = float(x.sum(dtype=np.float64))
        low, high = float(x.min()), float(x.max())
        self.low, self.high = (
            (low, high) if not self.n else (min(self.low, low), max(self.high, high))
        )
        self.n += len(x)
        self._sum += total
        self._power += float(np.dot(x, x))
        for top, extreme in zip(self._tops, (high, low), strict=True):
            top.add(x, extreme)

    @property
    def mean(self) -> float:
        """The offset."""
        return self._sum / self.n if self.n else 0.0

    @property
    def power(self) -> float:
        """Mean square, the offset included."""
        return self._power / self.n if self.n else 0.0

    @property
    def peak(self) -> float:
        """The largest amplitude."""
        return max(self.high, -self.low, 0.0)

    @property
    def swing(self) -> float:
        """The largest distance from the mean."""
        return max(self.high - self.mean, self.mean - self.low, 0.0)

    @property
    def clipped_share(self) -> float:
        """Share of the samples, 0 to 1, that lie in flat tops at full scale."""
        tops = {top.value: top.n for top in self._tops}  # one, where all samples are equal
        n_flat = sum(n for value, n in tops.items() if abs(value) >= FULL_SCALE)
        return n_flat / self.n if self.n else 0.0


class _FlatTops:
    """Runs of equal samples at the highest (sign 1) or lowest (sign -1) value so far."""

    def __init__(self, sign: float) -> None:
        self._sign = sign
        self.value = -math.inf * sign
        self.n = 0
        self._open = 0  # length of the run that reaches the end of the last block

    def add(self, x: NDArray[np.float32], extreme: float) -> None:
        """Take in a block whose extreme on this side is given."""
        if self._sign * extreme > self._sign * self.value:
            self.value, self.n, self._open = extreme, 0, 0
        if extreme != self.value or abs(extreme) < FULL_SCALE:
            self._open = 0
            return
        at = np.flatnonzero(x == np.float32(extreme))
        edges = np.flatnonzero(np.diff(at) != 1) + 1
        bounds = np.concatenate(([0], edges, [len(at)]))
        runs = np.diff(bounds)
        if at[0] == 0:  # goes on with a run of the block before
            self.n -= self._open if self._open >= FLAT_RUN else 0
            runs[0] += self._open
        self.n += int(runs[runs >= FLAT_RUN].sum())
        self._open = int(runs[-1]) if at[-1] == len(x) - 1 else 0


def decibel(amplitude: float) -> float:
    """20 log10 of an amplitude; minus infinity for zero."""
    return 20.0 * math.log10(amplitude) if amplitude > 0.0 else -math.inf
