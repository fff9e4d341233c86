"""A fingerprint of a sound that survives another level, encoding or sampling rate.

The sound is brought to 8 kHz and cut into frames. Each frame has 16 signs: does the level of a
band, compared with the next band, rise or fall? Only changes over time and frequency are kept, so
a constant filter or gain leaves the signs as they were. The idea of signs of band-energy
differences is that of J. Haitsma and T. Kalker, "A Highly Robust Audio Fingerprinting System",
ISMIR 2002; bands, rates and the search (``match.py``) are our own, chosen for short clips of noise
and single events: longer windows that tolerate a shift between the frame grids, differences over
two frames, and silent frames that say nothing.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 8000
WINDOW = 2048  # samples, 256 ms
HOP = 512  # samples, 64 ms
STEP = 2  # frames between which a change is looked at
N_BANDS = 16
FMIN_HZ, FMAX_HZ = 200.0, 3700.0
ACTIVE_RANGE_DB = 60.0  # frames this far below the loudest one are silence
SILENCE_DB = -80.0  # nothing below this level (full-scale sine = 0 dB) is a sound

HOP_TIME = HOP / SAMPLE_RATE  # seconds
_BLOCK = 256  # frames transformed at a time


def fingerprint(x: NDArray[np.float32]) -> NDArray[np.int8]:
    """The fingerprint of a sound.

    Parameters
    ----------
    x : ndarray of float32, shape (n,)
        Samples at 8 kHz.

    Returns
    -------
    ndarray of int8, shape (frame, 16)
        +1 or -1; whole frames are 0 where nothing is heard. No frames for an empty sound.
    """
    if not len(x):
        return np.zeros((0, N_BANDS), np.int8)
    power = _band_power(np.pad(x, WINDOW // 2 + HOP))
    total = power.sum(axis=1)
    loudest = float(total.max())
    # A full-scale sine under a Hann window has the power (WINDOW / 4)² in its bands, about.
    silence = (WINDOW / 4) ** 2 * 10 ** (SILENCE_DB / 10)
    if not np.isfinite(loudest) or loudest <= silence or len(total) <= STEP:
        return np.zeros((max(0, len(total) - STEP), N_BANDS), np.int8)
    active = total > max(loudest * 10 ** (-ACTIVE_RANGE_DB / 10), silence)
    level = np.log(power + loudest * 1e-8)
    tilt = np.diff(level, axis=1)
    change = tilt[STEP:] - tilt[:-STEP]
    heard = active[STEP:] | active[:-STEP]
    # A change of exactly nothing counts as a fall, so that a heard frame has no zeros.
    signs = np.where(change > 0, np.int8(1), np.int8(-1)).astype(np.int8)
    signs[~heard] = 0
    return signs


def _band_power(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Power in N_BANDS + 1 bands of every frame, shape (frame, band)."""
    frames = np.lib.stride_tricks.sliding_window_view(x, WINDOW)[::HOP]
    window, bands = _tables()
    parts = []
    for begin in range(0, len(frames), _BLOCK):
        spectrum = np.fft.rfft(frames[begin : begin + _BLOCK] * window, axis=1)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        parts.append(power @ bands)
    return np.concatenate(parts)


@cache
def _tables() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The window, shape (WINDOW,), and the bands, shape (bin, N_BANDS + 1)."""
    frequency = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE)
    edges = np.geomspace(FMIN_HZ, FMAX_HZ, N_BANDS + 2)
    inside = (frequency[:, None] >= edges[:-1]) & (frequency[:, None] < edges[1:])
    return np.hanning(WINDOW).astype(np.float32), inside.astype(np.float32)
