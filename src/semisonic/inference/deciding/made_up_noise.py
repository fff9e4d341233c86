"""Silence and noise made up for the purpose: sounds that nobody wants a name for.

Digital silence, the last bit of a converter, white, pink and brown noise, and mains hum of 50 and
60 Hz with its harmonics, each at levels from hardly audible to loud.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semisonic.base.seeds import generator
from semisonic.data.synth.noise import coloured, to_level, white

Wave = NDArray[np.float32]
KINDS = ("silence", "white", "pink", "brown", "hum")
LEVELS_DB = (-80.0, -6.0)
"""Lowest and highest root mean square, relative to full scale."""
BEYOND_DB = 8.0
"""How much farther levels go to both sides where a rule is fitted: it is asked inside."""
SLOPES_DB = {"pink": -3.0, "brown": -6.0}
"""Level of coloured noise, an octave."""


def make_noise(
    kind: str, n: int, n_samples: int, sample_rate: int, seed: int, *, beyond_db: float = 0.0
) -> list[Wave]:
    """Some stretches of one kind of noise within -1 to 1, each shape (n_samples,).

    Their levels are spread evenly. Every other stretch of silence has its last bit set at random,
    as a converter has without input.
    """
    rng = generator(seed, "made-up noise", kind)
    low, high = LEVELS_DB[0] - beyond_db, LEVELS_DB[1] + beyond_db
    levels = low + (high - low) * (np.arange(n) + rng.random(n)) / n
    return [
        _stretch(kind, number, float(level), n_samples, sample_rate, rng)
        for number, level in enumerate(levels)
    ]


def _stretch(
    kind: str, number: int, level: float, n_samples: int, sample_rate: int,
    rng: np.random.Generator,
) -> Wave:  # fmt: skip
    if kind == "silence":
        steps = rng.integers(-1, 2, n_samples) if number % 2 else np.zeros(n_samples)
        return (steps / 32768.0).astype(np.float32)
    if kind == "white":
        wave = white(rng, n_samples)
    elif kind in SLOPES_DB:
        points = ((20.0, 0.0), (20.0 * 2**10, 10 * SLOPES_DB[kind]))
        wave = coloured(rng, n_samples, sample_rate, points)
    else:
        wave = _hum(rng, n_samples, sample_rate)
    return np.clip(to_level(wave, level), -1.0, 1.0)


def _hum(rng: np.random.Generator, n_samples: int, sample_rate: int) -> Wave:
    """Mains hum: harmonics that fall by 3 to 12 dB an octave, and a little noise."""
    base, slope = rng.choice([50.0, 60.0]), rng.uniform(3.0, 12.0)
    time = np.arange(n_samples) / sample_rate
    wave = 10 ** (rng.uniform(-60.0, -30.0) / 20) * white(rng, n_samples).astype(np.float64)
    for harmonic in range(1, int(min(1000.0, 0.45 * sample_rate) / base) + 1):
        gain = 10 ** (-slope * np.log2(harmonic) / 20) * rng.uniform(0.3, 1.0)
        wave += gain * np.sin(2 * np.pi * (base * harmonic * time + rng.random()))
    return wave.astype(np.float32)
