"""Tones that glide, and things that ring."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from semisonic.data.synth.draw import Curve, Generator, Wave

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
