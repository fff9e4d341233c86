"""What a listener would complain about, in plain words."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

MIN_DURATION = 0.01
"""Seconds below which a recording is too short to hold a sound (one period at 100 Hz)."""

SILENCE_DB = -80.0
"""Peak, in dB of full scale, below which there is nothing to hear: three steps of 16 bit."""

CLIPPED_SHARE = 0.001
"""Share of samples in flat tops from which on a recording counts as clipped."""

LOUD_DB = 12.0
"""Peak, in dB of full scale, from which on samples cannot be meant as ±1."""

_FULL_SCALE = 0.98
_FLAT_RUN = 3


def problems(x: NDArray[np.float32], sample_rate: int) -> list[str]:
    """What is wrong with the samples of a recording; an empty list if nothing is.

    Judge the samples as they were decoded: resampling rounds the flat tops of clipping.
    The reasons, each beginning with its keyword:

    ``empty``
        there is no sample (nothing else is said then).
    ``non-finite``
        some samples are NaN or infinite (nothing else is said then).
    ``too short``
        shorter than 10 ms.
    ``silent``
        the peak around the mean is below -80 dB of full scale.
    ``constant``
        as silent, but with an offset: a broken microphone rather than a quiet night.
    ``clipped``
        at least 0.1 % of the samples lie in flat tops: three or more equal samples at
        the clip's highest or lowest value, itself at full scale (0.98 or above).
    ``over full scale``
        the peak is above +12 dB: samples that are not within ±1, as integers stored as
        floats are. Up to there a decoder may overshoot, and nothing is lost.

    Parameters
    ----------
    x : ndarray of float32, shape (n,)
        One channel, full scale ±1.
    sample_rate : int
        Hz.
    """
    if not len(x):
        return ["empty: no samples"]
    n_bad = int(len(x) - np.count_nonzero(np.isfinite(x)))
    if n_bad:
        return [f"non-finite: {n_bad} of {len(x)} samples are NaN or infinite"]
    found = []
    if len(x) < MIN_DURATION * sample_rate:
        milliseconds = 1000 * len(x) / sample_rate
        found.append(f"too short: {milliseconds:.3g} ms (samples: {len(x)})")
    low, high = float(x.min()), float(x.max())
    mean = float(x.mean(dtype=np.float64))
    if _is_flat(low, high, mean):
        if decibel(abs(mean)) < SILENCE_DB:
            found.append(f"silent: peak {decibel(max(high, -low)):.1f} dBFS")
        else:
            found.append(f"constant: nothing but an offset of {mean:.3g}")
        return found
    if decibel(max(high, -low)) > LOUD_DB:
        found.append(f"over full scale: peak +{decibel(max(high, -low)):.1f} dBFS")
    share = clipped_share(x, low, high)
    if share >= CLIPPED_SHARE:
        found.append(f"clipped: {100 * share:.1f} % of the samples are in flat tops")
    return found


def is_silent(x: NDArray[np.float32]) -> bool:
    """Whether there is nothing to hear: the peak around the mean is below -80 dB of full scale.

    True for no samples at all.
    """
    if not len(x):
        return True
    return _is_flat(float(x.min()), float(x.max()), float(x.mean(dtype=np.float64)))


def _is_flat(low: float, high: float, mean: float) -> bool:
    return decibel(max(high - mean, mean - low)) < SILENCE_DB


def clipped_share(x: NDArray[np.float32], low: float, high: float) -> float:
    """Share of samples in flat tops of a clip whose extremes are ``low`` and ``high``."""
    n_flat = 0
    for extreme in (low, high):
        if abs(extreme) < _FULL_SCALE:
            continue
        at = np.flatnonzero(x == np.float32(extreme))
        if len(at) < _FLAT_RUN:
            continue
        edges = np.flatnonzero(np.diff(at) != 1) + 1
        runs = np.diff(np.concatenate(([0], edges, [len(at)])))
        n_flat += int(runs[runs >= _FLAT_RUN].sum())
    return n_flat / len(x)


def decibel(amplitude: float) -> float:
    """20 log10 of an amplitude; minus infinity for zero."""
    return 20.0 * math.log10(amplitude) if amplitude > 0.0 else -math.inf
