"""What a listener would complain about, in plain words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.levels import Levels, decibel

MIN_DURATION = 0.01
"""Seconds below which a recording is too short to hold a sound (one period at 100 Hz)."""

SILENCE_DB = -80.0
"""Peak, in dB of full scale, below which there is nothing to hear: three steps of 16 bit."""

CLIPPED_SHARE = 0.001
"""Share of samples in flat tops from which on a recording counts as clipped."""

LOUD_DB = 12.0
"""Peak, in dB of full scale, from which on samples cannot be meant as ±1."""


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
    levels = Levels()
    levels.add(x)
    return problems_of(levels, sample_rate)


def problems_of(levels: Levels, sample_rate: int) -> list[str]:
    """As :func:`problems`, for a recording of which only the levels were kept."""
    if not levels.n:
        return ["empty: no samples"]
    if levels.n_bad:
        return [f"non-finite: {levels.n_bad} of {levels.n} samples are NaN or infinite"]
    found = []
    if levels.n < MIN_DURATION * sample_rate:
        found.append(too_short(levels.n, sample_rate))
    if decibel(levels.swing) < SILENCE_DB:
        if decibel(abs(levels.mean)) < SILENCE_DB:
            found.append(f"silent: peak {decibel(levels.peak):.1f} dBFS")
        else:
            found.append(f"constant: nothing but an offset of {levels.mean:.3g}")
        return found
    if decibel(levels.peak) > LOUD_DB:
        found.append(f"over full scale: peak +{decibel(levels.peak):.1f} dBFS")
    share = levels.clipped_share
    if share >= CLIPPED_SHARE:
        found.append(f"clipped: {100 * share:.1f} % of the samples are in flat tops")
    return found


def too_short(n_samples: int, sample_rate: int) -> str:
    """The reason that a recording is too short, of its length as it was recorded."""
    return f"too short: {1000 * n_samples / sample_rate:.3g} ms (samples: {n_samples})"


def is_silent(x: NDArray[np.float32]) -> bool:
    """Whether there is nothing to hear: the peak around the mean is below -80 dB of full scale.

    True for no samples at all.
    """
    levels = Levels()
    levels.add(x)
    return decibel(levels.swing) < SILENCE_DB
