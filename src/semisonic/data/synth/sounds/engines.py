"""Machines that fire or beat many times per second: engine, chainsaw, helicopter, vacuum."""

from __future__ import annotations

import numpy as np

from semisonic.data.synth.draw import (
    Curve,
    Generator,
    Wave,
    chance,
    decibel,
    drift,
    log_uniform,
    pick,
    uniform,
)
from semisonic.data.synth.events import convolve, pulse_times, train
from semisonic.data.synth.noise import Points, band, coloured, swelled, to_level
from semisonic.data.synth.tones import glide, harmonics, ring


def engine(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Firing strokes through an exhaust pipe, idling, cruising or revving."""
    style = pick(place, 3)
    idle = log_uniform(place, 16, 45) if style == 0 else log_uniform(place, 25, 75)
    frequency = _revolutions(take, n, rate, idle, 0.0 if style == 0 else uniform(place, 0.2, 0.9))
    if style == 1:  # cruising: slow changes only
        frequency = idle * 1.6 * 2 ** (0.06 * drift(take, n, rate, 0.5))
    cylinders = (1, 2, 3, 4, 6)[pick(place, 5)]
    uneven_db = 4.0 * place.standard_normal(6)[:cylinders]
    pipe = _pipe(place, rate, 80, 2000, 8, 0.0015, 0.007)
    strokes = _strokes(take, frequency, rate, uneven_db, uniform(place, 0.003, 0.02))
    out = to_level(convolve(strokes, pipe))
    rough = _gated(take, strokes, rate, 0.006, band(200, 2500, 6))
    out = out + to_level(rough, uniform(place, -14, -2))
    out = out + to_level(coloured(take, n, rate, band(500, 5000, 6)), uniform(place, -26, -14))
    return swelled(out, 6.0 * np.log2(frequency / idle) + 0.7 * drift(take, n, rate, 0.8))


def chainsaw(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """A two-stroke motor: higher, rasping, with bursts of full throttle."""
    idle = log_uniform(place, 45, 90)
    frequency = _revolutions(take, n, rate, idle, uniform(place, 0.6, 1.3))
    pipe = _pipe(place, rate, 200, 3500, 7, 0.001, 0.006)
    strokes = _strokes(take, frequency, rate, 2.0 * place.standard_normal(1), 0.02)
    out = to_level(convolve(strokes, pipe))
    rasp = _gated(take, strokes, rate, 0.002, band(800, 6000, 5))
    out = out + to_level(rasp, uniform(place, -10, 0))
    return swelled(out, 5.0 * np.log2(frequency / idle))


def helicopter(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Blades that thump and chop the air, a whining turbine, and a slow coming and going."""
    blade = log_uniform(place, 9, 28)
    frequency = blade * 2 ** (0.01 * drift(take, n, rate, 0.4))
    strokes = _strokes(take, frequency, rate, 1.5 * place.standard_normal(2), 0.004)
    thump = _pipe(place, rate, 40, 300, 4, 0.006, 0.025)
    out = to_level(convolve(strokes, thump))
    chop_s = log_uniform(place, 0.006, 0.02)
    chop = _gated(take, strokes, rate, chop_s, band(150, log_uniform(place, 600, 3000), 6))
    out = out + to_level(chop, uniform(place, -8, 3))
    rush = coloured(take, n, rate, band(100, log_uniform(place, 500, 2000), 5))
    out = out + to_level(rush, uniform(place, -14, -4))
    if chance(place, 0.6):
        hz = log_uniform(place, 300, 2500) * 2 ** (0.004 * drift(take, n, rate, 0.5))
        out = out + to_level(glide(hz, rate, [1.0, 0.4, 0.2]), uniform(place, -26, -14))
    return swelled(out, uniform(place, 0.5, 4.0) * drift(take, n, rate, 0.25))


def vacuum(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """A vacuum cleaner or fan: steady rush with the lines of its motor."""
    hz = log_uniform(place, 90, 350) * 2 ** (0.01 * drift(take, n, rate, 0.6))
    out = coloured(take, n, rate, band(250, log_uniform(place, 1500, 6000), 5))
    motor = glide(hz, rate, harmonics(12, uniform(place, -7, -3)))
    out = out + to_level(motor, uniform(place, -10, 3))
    nozzle = uniform(place, 0.3, 3.0) * drift(take, n, rate, uniform(place, 0.5, 1.5))
    return swelled(out, nozzle)


def _revolutions(rng: Generator, n: int, rate: int, idle: float, lift: float) -> Curve:
    """Firing frequency (Hz): an idle that hunts a little, and revs of ``lift`` octaves."""
    octaves = 0.015 * drift(rng, n, rate, 4.0)
    if lift > 0:
        octaves = octaves + lift * (1 + np.tanh(2.0 * drift(rng, n, rate, 0.9)))
    return np.asarray(idle * 2**octaves)


def _strokes(rng: Generator, frequency: Curve, rate: int, uneven_db: Curve, jitter: float) -> Wave:
    """One impulse a stroke; the cylinders differ and no stroke equals the next."""
    times = pulse_times(np.cumsum(frequency) / rate + float(rng.random()), rate)
    gains_db = np.resize(uneven_db, len(times)) + 1.0 * rng.standard_normal(len(times))
    times = times + jitter * rng.standard_normal(len(times)) / float(np.mean(frequency))
    return train(len(frequency), rate, times, 10 ** (gains_db / 20))


def _pipe(
    rng: Generator, rate: int, low: float, high: float, n: int, short: float, long: float
) -> Wave:
    """A pipe or a housing: ``n`` resonances between two frequencies."""
    frequencies = sorted(log_uniform(rng, low, high) for _ in range(n))
    decays = [log_uniform(rng, short, long) for _ in range(n)]
    gains = [decibel(uniform(rng, -10, 0)) * (low / f) ** 0.3 for f in frequencies]
    return ring(rate, frequencies, decays, gains, attack=0.0006)


def _gated(rng: Generator, strokes: Wave, rate: int, decay: float, points: Points) -> Wave:
    """Noise that is let through after each stroke."""
    n = len(strokes)
    t = np.arange(int(6 * decay * rate)) / rate
    shape = (t / decay * np.exp(1 - t / decay)).astype(np.float32)
    gate = convolve(strokes, shape)
    return np.asarray(coloured(rng, n, rate, points) * gate, dtype=np.float32)
