"""When things happen, and putting them there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from semisonic.data.synth.draw import Curve, Generator, Wave


def random_times(rng: Generator, duration: float, per_second: float) -> Curve:
    """Times (s) of events that know nothing of each other, in order."""
    n = int(rng.poisson(duration * per_second))
    return np.sort(rng.random(n)) * duration


def steady_times(rng: Generator, duration: float, period: float, jitter: float = 0.0) -> Curve:
    """Times (s) of a beat that started before the clip; ``jitter`` is a share of the period.

    At least one time lies inside the clip, whatever the period.
    """
    first = float(rng.random()) * min(period, 0.8 * duration)
    times = first + np.arange(int(duration / period) + 2) * period
    times = times + jitter * period * rng.standard_normal(len(times))
    times[0] = np.clip(times[0], 0.0, 0.95 * duration)
    return np.sort(times[(times >= 0) & (times < duration)])


def pulse_times(turns: Curve, rate: int) -> Curve:
    """Times (s) at which a growing count of turns passes a whole number."""
    whole = np.floor(turns)
    at = np.flatnonzero(np.diff(whole) > 0)
    part = (whole[at + 1] - turns[at]) / (turns[at + 1] - turns[at])
    return np.asarray((at + part) / rate)


def train(n: int, rate: int, times: Curve, gains: Curve) -> Wave:
    """Impulses at ``times`` (s), each spread over two samples to keep its exact time."""
    at = np.asarray(times) * rate
    left = at.astype(np.int64)
    keep = (left >= 0) & (left < n - 1)
    at, left, gains = at[keep], left[keep], np.asarray(gains)[keep]
    part = at - left
    out = np.bincount(left, gains * (1 - part), n) + np.bincount(left + 1, gains * part, n)
    return out[:n].astype(np.float32)


def convolve(x: Wave, kernel: Wave) -> Wave:
    """The convolution of ``x`` with a shorter wave, cut to the length of ``x``."""
    n = fft.next_fast_len(len(x) + len(kernel) - 1, real=True)
    return np.asarray(fft.irfft(fft.rfft(x, n) * fft.rfft(kernel, n), n)[: len(x)])


def strike(n: int, rate: int, times: Curve, gains: Curve, sound: Wave) -> Wave:
    """The same short sound at many times, shape (n,)."""
    if len(times) == 0:
        return np.zeros(n, np.float32)
    impulses = train(n, rate, times, gains)
    return convolve(impulses, sound)


def add(out: Wave, rate: int, time: float, sound: Wave, gain: float = 1.0) -> None:
    """Add a sound to ``out`` at ``time`` (s); what lies outside is cut off."""
    begin = round(time * rate)
    left, right = max(begin, 0), min(begin + len(sound), len(out))
    if left < right:
        out[left:right] += np.float32(gain) * sound[left - begin : right - begin]


def together(*sounds: Wave) -> Wave:
    """The sum of sounds that begin at the same time, as long as the longest."""
    out = np.zeros(max(map(len, sounds)), np.float32)
    for sound in sounds:
        out[: len(sound)] += sound
    return out


def uneven(rng: Generator, n: int, spread_db: float) -> NDArray[np.float64]:
    """Gains of ``n`` events whose levels differ by a Gaussian of ``spread_db``."""
    return np.asarray(10.0 ** (spread_db * rng.standard_normal(n) / 20.0))
