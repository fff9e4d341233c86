"""Rain, wind and thunder: noise, told apart by how it moves."""

from __future__ import annotations

import numpy as np

from semisonic.data.synth.draw import (
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
from semisonic.data.synth.events import add, random_times, strike, together, uneven
from semisonic.data.synth.noise import band, coloured, response, swelled, to_level
from semisonic.data.synth.tones import burst, ring


def rain(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """A steady hiss of far drops under the taps of near ones, which fall at random."""
    low, high = log_uniform(place, 200, 1500), log_uniform(place, 2500, 9000)
    per_second = log_uniform(place, 40, 2500)
    taps_db = uniform(place, -9, 5)
    out = coloured(take, n, rate, band(low, high, uniform(place, 3, 9)))
    out = swelled(out, uniform(place, 0.3, 1.5) * drift(take, n, rate, 0.5))
    taps = np.zeros(n, np.float32)
    for _ in range(3):  # three kinds of ground under the drops
        f, decay = log_uniform(place, 700, 5000), log_uniform(place, 0.0004, 0.0025)
        tap = together(
            ring(rate, [f, f * uniform(place, 1.5, 2.7)], [decay, decay / 2], [1.0, 0.6]),
            burst(place, rate, decay / 2) * np.float32(0.4),
        )
        times = random_times(take, n / rate, per_second / 3)
        taps += strike(n, rate, times, uneven(take, len(times), 7.0), tap)
    return out + to_level(taps, taps_db)


def wind(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Gusts: the stronger they blow, the louder and the brighter; some whistle or rustle."""
    speed, depth_db = log_uniform(place, 0.3, 1.5), uniform(place, 3.5, 7.0)
    gust = drift(take, n, rate, speed) + 0.35 * drift(take, n, rate, 4 * speed)
    low_hz, high_hz = log_uniform(place, 120, 500), log_uniform(place, 900, 4000)
    out = swelled(coloured(take, n, rate, band(40, low_hz, 9)), depth_db * gust)
    bright = coloured(take, n, rate, band(low_hz, high_hz, uniform(place, 5, 10)))
    out = out + decibel(uniform(place, -12, 2)) * swelled(bright, 1.7 * depth_db * gust)
    if chance(place, 0.5):
        hz, width = log_uniform(place, 350, 1300), uniform(place, 12, 50)
        loud_db = uniform(place, -14, -2)
        whistle = _whistle(take, rate, hz * 2 ** (0.22 * gust), width)
        out = out + decibel(loud_db) * swelled(whistle, 2.0 * depth_db * gust)
    return to_level(out)


def _whistle(rng: Generator, rate: int, frequency: np.ndarray, width_hz: float) -> Wave:
    """A band of noise ``width_hz`` wide around a moving frequency."""
    n = len(frequency)
    angle = 2 * np.pi * (np.cumsum(frequency) / rate % 1.0)
    return to_level(
        (
            drift(rng, n, rate, width_hz) * np.cos(angle)
            + drift(rng, n, rate, width_hz) * np.sin(angle)
        ).astype(np.float32)
    )


def thunder(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """A crack or a roll, then a rumble that dies away in lumps."""
    distance = uniform(place, 0.0, 1.0)
    out = coloured(take, n, rate, band(30, 120, 6)) * np.float32(0.02)
    t = control_times(n, rate)
    start = uniform(take, 0.02, 0.4) * n / rate
    fall = uniform(take, 0.7, 2.0)
    after = np.maximum(t - start, 0.0)
    envelope = np.where(t < start, 0.0, -np.expm1(-after / (0.02 + 0.3 * distance)))
    envelope = refine(envelope * np.exp(-after / fall), n)
    lumps = 6.0 * drift(take, n, rate, uniform(take, 3, 8))
    rumble = coloured(take, n, rate, band(25, log_uniform(place, 90, 250), 9))
    out = out + swelled(rumble * envelope.astype(np.float32), lumps)
    crack_db = uniform(place, -3, 6) - 18 * distance
    for i in range(1 + int(take.random() * 4)):
        crack = _crack(take, rate, uniform(take, 0.06, 0.3), 600 + 4000 * (1 - distance))
        late = start + (i > 0) * uniform(take, 0.02, 0.7)
        add(out, rate, late, crack, decibel(crack_db + uniform(take, -8, 0)))
    return out


def _crack(rng: Generator, rate: int, decay: float, high_hz: float) -> Wave:
    x = burst(rng, rate, decay, attack=0.002)
    spectrum = np.fft.rfft(x)
    shaped = np.fft.irfft(spectrum * response(len(spectrum), rate, band(80, high_hz, 6)), len(x))
    return to_level(np.asarray(shaped, dtype=np.float32)) * np.float32(2.0)
