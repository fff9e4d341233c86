"""A fire: flames that flutter, and crackles that come in bunches."""

from __future__ import annotations

import numpy as np

from semisonic.data.synth.draw import Curve, Generator, Wave, drift, log_uniform, uniform
from semisonic.data.synth.events import random_times, strike, together, uneven
from semisonic.data.synth.noise import band, coloured, swelled, to_level
from semisonic.data.synth.tones import burst, ring


def crackling_fire(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Flames and embers as noise; snaps alone and in bunches; a pop now and then."""
    duration = n / rate
    roar_hz, hiss_db = log_uniform(place, 120, 600), uniform(place, -14, 2)
    crackle_db = uniform(place, -6, 8)
    bunches, alone = log_uniform(place, 0.6, 4.0), log_uniform(place, 2.0, 40.0)
    flutter = uniform(place, 1.5, 4.0) * drift(take, n, rate, uniform(place, 4, 11))
    out = swelled(coloured(take, n, rate, band(50, roar_hz, 8)), flutter)
    hiss = coloured(take, n, rate, band(800, log_uniform(place, 3000, 8000), 5))
    out = out + to_level(hiss, hiss_db)
    snaps = np.zeros(n, np.float32)
    for share in (0.5, 0.3, 0.2):
        snap = together(
            burst(place, rate, log_uniform(place, 0.0004, 0.004)),
            ring(rate, [log_uniform(place, 1200, 5000)], [0.001], [2.0]),
        )
        times = _bunched(take, duration, bunches * share, alone * share)
        snaps += strike(n, rate, times, uneven(take, len(times), 8.0), snap)
    pop = ring(rate, [log_uniform(place, 150, 500)], [0.012], [1.0]) * np.float32(2.0)
    times = random_times(take, duration, 0.6)
    snaps += strike(n, rate, times, uneven(take, len(times), 5.0), pop)
    return out + to_level(snaps, crackle_db)


def _bunched(rng: Generator, duration: float, bunches: float, alone: float) -> Curve:
    """Times of single snaps and of bunches of 3 to 20 within a third of a second."""
    times = [random_times(rng, duration, alone)]
    for begin in random_times(rng, duration, bunches):
        count = 3 + int(rng.random() * 18)
        times.append(begin + uniform(rng, 0.05, 0.35) * rng.random(count) ** 1.5)
    return np.sort(np.concatenate(times))
