"""Components of synthetic sounds: random draws, noise, tones, and events in time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Wave: TypeAlias = NDArray[np.float32]
Curve: TypeAlias = NDArray[np.floating[Any]]
Generator: TypeAlias = np.random.Generator

CONTROL_STEP = 64  # samples between two points of a slow curve


def uniform(rng: Generator, low: float, high: float) -> float:
    """A number between two bounds."""
    return low + (high - low) * float(rng.random())


def log_uniform(rng: Generator, low: float, high: float) -> float:
    """A number between two positive bounds, spread evenly over octaves."""
    return math.exp(uniform(rng, math.log(low), math.log(high)))


def chance(rng: Generator, share: float) -> bool:
    """True with this probability."""
    return float(rng.random()) < share


def pick(rng: Generator, n: int) -> int:
    """One of the numbers 0 … n-1."""
    return min(int(rng.random() * n), n - 1)


def decibel(db: float) -> float:
    """The amplitude ratio of a level in dB."""
    return float(10.0 ** (db / 20.0))


def loud(rng: Generator, spread_db: float, db: float = 0.0) -> float:
    """An amplitude ratio whose level lies around ``db`` as a Gaussian of ``spread_db``."""
    return decibel(db + spread_db * float(rng.standard_normal()))


def drift(rng: Generator, n: int, rate: int, speed_hz: float) -> Wave:
    """A smooth random curve around zero with standard deviation near one, shape (n,).

    Random heights, ``speed_hz`` of them a second, joined by half cosines. The curve
    begins at a random place between two heights.
    """
    span = n / rate * speed_hz
    begin = float(rng.random())
    heights = rng.standard_normal(int(span) + 3) * 1.25
    n_control = n // CONTROL_STEP + 2
    at = begin + np.arange(n_control) * (CONTROL_STEP / rate * speed_hz)
    left = np.minimum(at.astype(np.int64), len(heights) - 2)
    weight = 0.5 - 0.5 * np.cos(np.pi * np.clip(at - left, 0.0, 1.0))
    return refine(heights[left] * (1 - weight) + heights[left + 1] * weight, n)


def refine(control: Curve, n: int) -> Wave:
    """Stretch a curve with one point every ``CONTROL_STEP`` samples to ``n`` samples."""
    height = np.asarray(control, dtype=np.float32)
    part = np.arange(CONTROL_STEP, dtype=np.float32) / np.float32(CONTROL_STEP)
    fine = height[:-1, None] + np.diff(height)[:, None] * part[None, :]
    return fine.reshape(-1)[:n]


def control_times(n: int, rate: int) -> Curve:
    """The times (s) of the control points of a curve of ``n`` samples."""
    return np.arange(n // CONTROL_STEP + 2) * (CONTROL_STEP / rate)


# Noise with a given spectrum, and levels.


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


# Tones that glide, and things that ring.


_TOP = 0.45  # highest partial as a share of the sample rate


def glide(frequency: Curve, rate: int, gains: Sequence[float], start: float = 0.0) -> Wave:
    """A tone with harmonics along a curve of frequencies, shape as ``frequency``.

    Parameters
    ----------
    frequency : ndarray, shape (n,)
        Hz at every sample.
    gains : sequence of float
        Amplitude of the fundamental, of the second harmonic and so on. A harmonic above
        0.45 of the sample rate is left out where it would alias.
    start : float
        Phase at the beginning, in turns.
    """
    turns = start + np.cumsum(frequency, dtype=np.float64) / rate
    angle = ((turns - np.floor(turns)) * (2 * np.pi)).astype(np.float32)
    highest, lowest = float(np.max(frequency)), float(np.min(frequency))
    out = np.zeros(len(frequency), np.float32)
    for k, gain in enumerate(gains, start=1):
        if k * lowest > _TOP * rate:
            break
        partial = np.float32(gain) * np.sin(np.float32(k) * angle)
        if k * highest > _TOP * rate:
            partial *= k * frequency < _TOP * rate
        out += partial
    return out


def harmonics(n: int, slope_db: float, even_db: float = 0.0) -> list[float]:
    """Gains of ``n`` harmonics that fall by ``slope_db`` an octave."""
    return [
        float(10.0 ** ((slope_db * np.log2(k) + (even_db if k % 2 == 0 else 0.0)) / 20.0))
        for k in range(1, n + 1)
    ]


def path(n: int, shape: Sequence[tuple[float, float]]) -> Curve:
    """A curve through (position from 0 to 1, height), smooth at the points, shape (n,)."""
    at = np.linspace(0.0, 1.0, n)
    x = np.array([p for p, _ in shape])
    y = np.array([h for _, h in shape])
    i = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    t = np.clip((at - x[i]) / (x[i + 1] - x[i]), 0.0, 1.0)
    weight = t * t * (3 - 2 * t)
    return np.asarray(y[i] + (y[i + 1] - y[i]) * weight)


def pulse_shape(n: int, rise: float = 0.2, power: float = 1.0) -> Wave:
    """An envelope that rises over the share ``rise`` of ``n`` samples and falls after it."""
    return np.asarray(path(n, ((0.0, 0.0), (rise, 1.0), (1.0, 0.0))) ** power, dtype=np.float32)


def ring(
    rate: int,
    frequencies: Sequence[float],
    decays: Sequence[float],
    gains: Sequence[float],
    duration: float | None = None,
    attack: float = 0.0002,
) -> Wave:
    """What a struck body sounds like: decaying sines.

    Parameters
    ----------
    frequencies : sequence of float
        Hz; those above 0.45 of the sample rate are left out.
    decays : sequence of float
        Seconds to fall to 1/e (8.7 dB).
    gains : sequence of float
        Amplitudes.
    duration : float, optional
        Seconds; until the longest has fallen by 50 dB by default.
    attack : float
        Seconds of rise.
    """
    if duration is None:
        duration = 5.8 * max(decays)
    t = np.arange(max(int(duration * rate), 8)) / rate
    out = np.zeros(len(t), np.float32)
    for f, decay, gain in zip(frequencies, decays, gains, strict=True):
        if f < _TOP * rate:
            out += (gain * np.exp(-t / decay) * np.sin(2 * np.pi * f * t)).astype(np.float32)
    return np.asarray(out * -np.expm1(-t / attack), dtype=np.float32)


def burst(
    rng: Generator, rate: int, decay: float, duration: float | None = None, attack: float = 0.0002
) -> Wave:
    """White noise that is struck and dies away; ``decay`` is the time (s) to 1/e."""
    n = max(int((duration or 5.8 * decay) * rate), 8)
    t = np.arange(n) / rate
    shape = np.exp(-t / decay) * -np.expm1(-t / attack)
    return np.asarray(rng.standard_normal(n, dtype=np.float32) * shape, dtype=np.float32)


# When things happen, and putting them there.


def random_times(rng: Generator, duration: float, per_second: float) -> Curve:
    """Times (s) of independent events, in order."""
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
