"""Noise with a given spectrum, and levels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import fft

from semisonic.data.synth.draw import Curve, Generator, Wave

Points = Sequence[tuple[float, float]]


def response(n_bins: int, rate: int, points: Points) -> Wave:
    """A magnitude response on ``n_bins`` equally spaced frequencies from 0 to rate/2.

    Parameters
    ----------
    points : sequence of (frequency in Hz, level in dB)
        Rising frequencies. Between them the level is a straight line over octaves; outside
        it goes on with the slope of the first or last pair.
    """
    octaves = [math.log2(f) for f, _ in points]
    at = _octaves(n_bins, rate)
    edges = [0, *np.searchsorted(at, octaves[1:-1]).tolist(), n_bins]
    db = np.empty(n_bins, np.float32)
    for i, (begin, end) in enumerate(itertools.pairwise(edges)):
        level = points[i][1]
        slope = (points[i + 1][1] - level) / (octaves[i + 1] - octaves[i])
        db[begin:end] = level + slope * (at[begin:end] - octaves[i])
    gain: Wave = np.exp2(np.clip(db, -120.0, 60.0) * np.float32(math.log2(10) / 20))
    return gain


@lru_cache(maxsize=8)
def _octaves(n_bins: int, rate: int) -> Wave:
    """Base-two logarithm of the frequencies, at least that of 5 Hz."""
    frequencies = np.arange(n_bins) * (rate / 2 / max(n_bins - 1, 1))
    return np.asarray(np.log2(np.maximum(frequencies, 5.0)), dtype=np.float32)


def white(rng: Generator, n: int) -> Wave:
    """White Gaussian noise with unit power, shape (n,)."""
    return rng.standard_normal(n, dtype=np.float32)


def coloured(rng: Generator, n: int, rate: int, points: Points) -> Wave:
    """Noise with unit power and the spectrum of ``points``, shape (n,).

    Every frequency gets a random phase, which over thousands of them is as good as
    Gaussian noise and half the work.
    """
    n_fast = fft.next_fast_len(n, real=True)
    n_bins = n_fast // 2 + 1
    phase = rng.random(n_bins, dtype=np.float32) * np.float32(2 * np.pi)
    spectrum = np.empty(n_bins, np.complex64)
    spectrum.real, spectrum.imag = np.cos(phase), np.sin(phase)
    spectrum *= response(n_bins, rate, points)
    return to_level(fft.irfft(spectrum, n_fast)[:n])


def band(low_hz: float, high_hz: float, slope_db: float = 12.0) -> Points:
    """Points of a band with a flat top and ``slope_db`` an octave on both sides."""
    return (
        (low_hz / 2, -slope_db),
        (low_hz, 0.0),
        (max(high_hz, low_hz * 1.01), 0.0),
        (max(high_hz, low_hz * 1.01) * 2, -slope_db),
    )


def to_level(x: Wave, db: float = 0.0) -> Wave:
    """Scale to a root mean square of ``db`` relative to one; silence stays silence."""
    power = float(np.sum(np.square(x), dtype=np.float64)) / len(x)
    if power <= 1e-20:
        return np.asarray(x, dtype=np.float32)
    return np.asarray(x * np.float32(10.0 ** (db / 20.0) / np.sqrt(power)), dtype=np.float32)


def swelled(x: Wave, curve_db: Curve) -> Wave:
    """Change the level of a wave along a curve in dB."""
    gain = np.exp2(np.asarray(curve_db, dtype=np.float32) * np.float32(math.log2(10) / 20))
    return np.asarray(x * gain, dtype=np.float32)
