"""Levels of a recording, and its problems in plain words.

Levels are gathered block by block, so memory does not grow with the recording.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

FULL_SCALE = 0.98
"""Amplitude above which equal samples may be clipped."""

FLAT_RUN = 3
"""Number of equal samples at full scale that make a flat top."""


class LevelMeter:
    """Extremes, mean, power and flat tops of the samples added so far.

    Attributes
    ----------
    n, n_bad : int
        Number of samples, and of those that are NaN or infinite, which count as 0 elsewhere.
    low, high : float
        The extremes; 0 before samples were added.
    """

    def __init__(self) -> None:
        self.n = self.n_bad = self._n_flat = 0
        self.low = self.high = self._sum = self._power = 0.0
        self._last = np.zeros(0, np.float32)

    def add(self, x: NDArray[np.float32]) -> None:
        """Add the next samples, shape (n,)."""
        if not len(x):
            return
        total = float(x.sum())  # numpy adds in pairs: exact enough, and twice as fast
        if not math.isfinite(total):
            finite = np.isfinite(x)
            self.n_bad += int(len(x) - np.count_nonzero(finite))
            x = np.where(finite, x, np.float32(0.0))
            total = float(x.sum(dtype=np.float64))
        low, high = float(x.min()), float(x.max())
        self.low = min(self.low, low) if self.n else low
        self.high = max(self.high, high) if self.n else high
        self.n += len(x)
        self._sum += total
        self._power += float(np.dot(x, x))
        if max(high, -low) >= FULL_SCALE:  # a flat top may have begun in the block before
            longer = np.concatenate((self._last, x))
            self._n_flat += _count_flat(longer) - _count_flat(self._last)
        self._last = np.concatenate((self._last, x[-FLAT_RUN:]))[-FLAT_RUN:]

    @property
    def mean(self) -> float:
        """The mean (offset)."""
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
        """Share of the samples, 0 to 1, in flat tops at full scale."""
        return self._n_flat / self.n if self.n else 0.0


def _count_flat(x: NDArray[np.float32]) -> int:
    """Number of samples in runs of at least three equal samples at full scale."""
    middle = (x[:-2] == x[1:-1]) & (x[1:-1] == x[2:]) & (np.abs(x[1:-1]) >= FULL_SCALE)
    flat = np.zeros(len(x), bool)
    for shift in range(FLAT_RUN):
        flat[shift : shift + len(middle)] |= middle
    return int(np.count_nonzero(flat))


def decibel(amplitude: float) -> float:
    """20 log10 of an amplitude; minus infinity for zero."""
    return 20.0 * math.log10(amplitude) if amplitude > 0.0 else -math.inf


MIN_DURATION = 0.01
"""Seconds below which a recording is too short to contain a sound (one period at 100 Hz)."""

SILENCE_DB = -80.0
"""Peak, in dB of full scale, below which a recording is silent: three steps of 16 bit."""

CLIPPED_SHARE = 0.001
"""Share of samples in flat tops from which a recording counts as clipped."""

LOUD_DB = 12.0
"""Peak, in dB of full scale, above which samples cannot have the range ±1."""


def problems(x: NDArray[np.float32], sample_rate: int) -> list[str]:
    """Problems of the samples of a recording; an empty list if there are none.

    Check the samples as decoded: resampling rounds the flat tops of clipping. The reasons, each
    beginning with its keyword:

    ``empty``
        there is no sample (no other reason is given then).
    ``non-finite``
        some samples are NaN or infinite (no other reason is given then).
    ``too short``
        shorter than 10 ms.
    ``silent``
        the peak around the mean is below -80 dB of full scale.
    ``constant``
        as silent, but with an offset: a broken microphone rather than a quiet night.
    ``clipped``
        at least 0.1 % of the samples lie in flat tops: three or more equal samples at full
        scale (0.98 or above).
    ``over full scale``
        the peak is above +12 dB: samples that are not within ±1, as integers stored as
        floats are. Up to there a decoder may overshoot, and nothing is lost.

    Parameters
    ----------
    x : ndarray of float32, shape (n,)
        One channel, full scale ±1.
    sample_rate : int
        Hz.

    Returns
    -------
    list of str

    Examples
    --------
    >>> problems(np.zeros(22050, np.float32), 22050)
    ['silent: peak -inf dBFS']
    """
    levels = LevelMeter()
    levels.add(x)
    return problems_of(levels, sample_rate)


def problems_of(levels: LevelMeter, sample_rate: int) -> list[str]:
    """As :func:`problems`, for a recording of which only the levels are known.

    Parameters
    ----------
    levels : LevelMeter
    sample_rate : int
        Hz.

    Returns
    -------
    list of str
    """
    if not levels.n:
        return ["empty: no samples"]
    if levels.n_bad:
        return [f"non-finite: {levels.n_bad} of {levels.n} samples are NaN or infinite"]
    reasons = []
    if levels.n < MIN_DURATION * sample_rate:
        reasons.append(too_short(levels.n, sample_rate))
    if decibel(levels.swing) < SILENCE_DB:
        if decibel(abs(levels.mean)) < SILENCE_DB:
            reasons.append(f"silent: peak {decibel(levels.peak):.1f} dBFS")
        else:
            reasons.append(f"constant: only an offset of {levels.mean:.3g}")
        return reasons
    if decibel(levels.peak) > LOUD_DB:
        reasons.append(f"over full scale: peak +{decibel(levels.peak):.1f} dBFS")
    share = levels.clipped_share
    if share >= CLIPPED_SHARE:
        reasons.append(f"clipped: {100 * share:.1f} % of the samples are in flat tops")
    return reasons


def too_short(n_samples: int, sample_rate: int) -> str:
    """The reason "too short", with the recorded length."""
    return f"too short: {1000 * n_samples / sample_rate:.3g} ms (samples: {n_samples})"


def is_silent(x: NDArray[np.float32]) -> bool:
    """Whether samples are silent: the peak around the mean is below -80 dB of full scale.

    True for no samples at all.

    Parameters
    ----------
    x : ndarray of float32, shape (n,)

    Returns
    -------
    bool

    Examples
    --------
    >>> is_silent(np.full(100, 0.5, np.float32))
    True
    """
    levels = LevelMeter()
    levels.add(x)
    return decibel(levels.swing) < SILENCE_DB
