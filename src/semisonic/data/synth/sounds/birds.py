"""Birds: songs of gliding whistles, the rooster's call and the crow's caw."""

from __future__ import annotations

import numpy as np

from semisonic.data.synth.draw import (
    Generator,
    Wave,
    chance,
    decibel,
    drift,
    log_uniform,
    pick,
    uniform,
)
from semisonic.data.synth.events import add
from semisonic.data.synth.tones import glide, harmonics, path, pulse_shape


def bird(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Phrases of two to four kinds of syllables, repeated with small changes."""
    centre = log_uniform(place, 2000, 5200)
    kinds = [_syllable(place, centre) for _ in range(2 + pick(place, 3))]
    song = [pick(place, len(kinds)) for _ in range(3 + pick(place, 6))]
    gap, wait = log_uniform(place, 0.03, 0.16), log_uniform(place, 0.3, 1.4)
    second_voice = chance(place, 0.35)
    out = np.zeros(n, np.float32)
    for voice in range(1 + second_voice):
        transpose = 1.0 if voice == 0 else 2 ** uniform(place, -0.4, 0.4)
        time = uniform(take, -0.5, 0.4) if voice == 0 else uniform(take, 0.0, 2.0)
        loud_db = 0.0 if voice == 0 else -10.0
        while time < n / rate:
            skip = pick(take, 2)
            for kind in song[skip:]:
                part = _sing(take, rate, kinds[kind], transpose)
                add(out, rate, time, part, decibel(loud_db + 2.0 * float(take.standard_normal())))
                time += len(part) / rate + gap * uniform(take, 0.8, 1.25)
            time += wait * uniform(take, 0.5, 1.6)
    return out


def _syllable(place: Generator, centre: float) -> dict[str, float]:
    return {
        "hz": centre * 2 ** uniform(place, -0.45, 0.45),
        "length": log_uniform(place, 0.03, 0.22),
        "sweep": uniform(place, -0.6, 0.6),
        "bend": uniform(place, -0.35, 0.35),
        "trill_hz": log_uniform(place, 18, 60),
        "trill": uniform(place, 0.03, 0.16) if chance(place, 0.4) else 0.0,
        "second_db": uniform(place, -34, -14),
    }


def _sing(take: Generator, rate: int, kind: dict[str, float], transpose: float) -> Wave:
    m = int(kind["length"] * uniform(take, 0.9, 1.1) * rate)
    at = np.linspace(-0.5, 0.5, m)
    octaves = kind["sweep"] * at + kind["bend"] * (1 - 4 * at**2)
    if kind["trill"]:
        octaves = octaves + kind["trill"] * np.sin(
            2 * np.pi * kind["trill_hz"] * np.arange(m) / rate
        )
    hz = kind["hz"] * transpose * 2 ** (0.02 * float(take.standard_normal()))
    tone = glide(hz * 2**octaves, rate, [1.0, decibel(kind["second_db"])])
    return tone * pulse_shape(m, 0.3, 0.7)


def rooster(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Four cries, the last one long and falling."""
    hz = log_uniform(place, 420, 900)
    gains = harmonics(14, uniform(place, -6, -2))
    long = uniform(place, 0.6, 1.5)
    out = np.zeros(n, np.float32)
    time = uniform(take, 0.02, 0.4) * n / rate
    while time < n / rate:
        for i, length in enumerate((0.16, 0.2, 0.3, long)):
            m = int(length * uniform(take, 0.9, 1.15) * rate)
            rise = ((0.0, 0.65), (0.25, 1.0), (0.7, 1.02 if i < 3 else 0.96), (1.0, 0.7))
            curve = hz * (0.75, 0.9, 1.0, 1.08)[i] * path(m, rise)
            curve = curve * 2 ** (0.012 * drift(take, m, rate, 30.0))
            cry = glide(curve, rate, gains) * pulse_shape(m, 0.15, 0.5)
            rough = 1 + 0.25 * take.standard_normal(m, dtype=np.float32)
            add(out, rate, time, (cry * rough).astype(np.float32))
            time += m / rate + uniform(take, 0.02, 0.07)
        time += uniform(take, 1.2, 3.0)
    return out


def crow(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Harsh caws in groups."""
    hz, length = log_uniform(place, 300, 600), uniform(place, 0.2, 0.45)
    gains = harmonics(16, uniform(place, -3, 0))
    wait = uniform(place, 0.1, 0.4)
    out = np.zeros(n, np.float32)
    time = uniform(take, 0.05, 1.0)
    while time < n / rate:
        for _ in range(1 + pick(take, 4)):
            m = int(length * uniform(take, 0.85, 1.2) * rate)
            curve = hz * path(m, ((0.0, 0.8), (0.3, 1.05), (1.0, 0.75)))
            curve = curve * 2 ** (0.08 * drift(take, m, rate, 130.0))
            add(out, rate, time, glide(curve, rate, gains) * pulse_shape(m, 0.25, 0.7))
            time += m / rate + wait * uniform(take, 0.7, 1.4)
        time += uniform(take, 0.5, 1.8)
    return out
