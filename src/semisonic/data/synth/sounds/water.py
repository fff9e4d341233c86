"""Waves on a shore and drops that fall into water."""

from __future__ import annotations

import numpy as np

from semisonic.data.synth.draw import (
    Curve,
    Generator,
    Wave,
    chance,
    control_times,
    decibel,
    drift,
    log_uniform,
    refine,
    uniform,
)
from semisonic.data.synth.events import add, random_times
from semisonic.data.synth.noise import band, coloured, swelled, to_level
from semisonic.data.synth.tones import glide


def sea_waves(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Each wave swells, breaks from dark to bright and runs out in a long fizz."""
    period = log_uniform(place, 1.6, 8.0)
    rise, fall = period * uniform(place, 0.12, 0.3), period * uniform(place, 0.2, 0.45)
    surf_db, fizz_db = uniform(place, -16, -5), uniform(place, -10, 2)
    split_hz = log_uniform(place, 300, 1000)
    crests = _crests(take, n / rate, period)
    heights = np.exp(0.3 * take.standard_normal(len(crests)))
    t = control_times(n, rate)
    dark = _swell(t, crests - 0.35 * rise, heights, rise, 0.6 * fall)
    mid = _swell(t, crests, heights, 0.7 * rise, fall)
    fizz = _swell(t, crests + 0.25 * fall, heights**1.4, 0.5 * rise, 1.5 * fall)
    wobble = 1.5 * drift(take, n, rate, 5.0)
    out = coloured(take, n, rate, band(60, split_hz, 6)) * refine(dark, n)
    out += coloured(take, n, rate, band(split_hz, 4 * split_hz, 6)) * refine(mid, n)
    bright = coloured(take, n, rate, band(4 * split_hz, 9000, 6))
    out += decibel(fizz_db) * bright * refine(fizz, n)
    surf = coloured(take, n, rate, band(80, 3 * split_hz, 5))
    return swelled(out.astype(np.float32), wobble) + np.float32(decibel(surf_db)) * surf


def _crests(rng: Generator, duration: float, period: float) -> Curve:
    """Times of the crests, from one before the clip to one after it."""
    gaps = period * (1 + 0.2 * np.clip(rng.standard_normal(int(duration / period) + 4), -2, 2))
    return np.asarray(np.cumsum(gaps) - gaps[0] - uniform(rng, 0.3, 1.3) * period)


def _swell(t: Curve, crests: Curve, heights: Curve, rise: float, fall: float) -> Curve:
    """Sum of rounded two-sided exponentials, one a wave."""
    late = t[None, :] - crests[:, None]
    shape = 1.0 / (np.exp(-np.clip(late / rise, -40, 40)) + np.exp(np.clip(late / fall, -40, 40)))
    return np.asarray((heights[:, None] * shape).sum(0) * 2.0)


def water_drops(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Drips: a click and a bubble whose tone rises, now and then or in a steady drip."""
    regular, per_second = chance(place, 0.6), log_uniform(place, 0.8, 6.0)
    pitch, spread = log_uniform(place, 500, 2200), uniform(place, 0.05, 0.35)
    length, climb = log_uniform(place, 0.02, 0.09), uniform(place, 0.05, 0.6)
    if regular:
        gaps = (1 + 0.06 * take.standard_normal(int(n / rate * per_second) + 1)) / per_second
        times = np.cumsum(gaps) - gaps[0] * take.random()
    else:
        times = random_times(take, n / rate - 0.3, per_second)
        times = np.append(times, uniform(take, 0.1, 0.6) * n / rate)
    out = np.zeros(n, np.float32)
    for time in times:
        gain = decibel(4.0 * float(take.standard_normal()))
        hz = pitch * 2 ** (spread * float(take.standard_normal()))
        add(out, rate, float(time), _bubble(rate, hz, length, climb), gain)
        if chance(take, 0.4):
            late = float(time) + uniform(take, 0.03, 0.12)
            add(out, rate, late, _bubble(rate, 1.5 * hz, length / 2, climb), 0.4 * gain)
    return out


def _bubble(rate: int, hz: float, length: float, climb: float) -> Wave:
    t = np.arange(int(6 * length * rate)) / rate
    tone = glide(hz * 2 ** (climb * np.minimum(t / (3 * length), 1.5)), rate, [1.0, 0.08])
    return np.asarray(tone * np.exp(-t / length) * -np.expm1(-t / 0.0008), dtype=np.float32)


def shower(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Water from a tap or a brook: many small bubbles over a hiss."""
    per_second = log_uniform(place, 30, 120)
    pitch, spread = log_uniform(place, 500, 1600), uniform(place, 0.3, 0.7)
    length = log_uniform(place, 0.006, 0.03)
    out = coloured(take, n, rate, band(300, 3000, 7)) * np.float32(decibel(uniform(place, -14, -4)))
    bubbles = np.zeros(n, np.float32)
    times = random_times(take, n / rate, per_second)
    pitches = pitch * 2 ** (spread * take.standard_normal(len(times)))
    gains = 10 ** (5 * take.standard_normal(len(times)) / 20)
    for time, hz, gain in zip(times, pitches, gains, strict=True):
        add(bubbles, rate, float(time), _bubble(rate, float(hz), length, 0.3), float(gain))
    return out + to_level(bubbles)
