"""What is always there behind the sound: the noise of a room, a street, a machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from semisonic.data.synth.draw import Generator, Wave, chance, drift, log_uniform, pick, uniform
from semisonic.data.synth.noise import band, coloured, swelled, to_level
from semisonic.data.synth.tones import glide, harmonics

Background: TypeAlias = Callable[[Generator, Generator, int, int], Wave]


def hiss(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """The noise of a recorder: flat or tilted, never changing."""
    tilt = uniform(place, -4, 2)
    return coloured(take, n, rate, ((100.0, 0.0), (6400.0, 6 * tilt)))


def hum(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Mains hum with its harmonics over a little noise."""
    hz = (50.0, 60.0)[pick(place, 2)]
    lines = glide(np.full(n, hz), rate, harmonics(16, uniform(place, -9, -4)), float(take.random()))
    return to_level(lines) + to_level(hiss(place, take, n, rate), uniform(place, -12, 0))


def street(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Far traffic: a dark rumble with cars that come and go."""
    out = coloured(take, n, rate, band(40, log_uniform(place, 120, 400), 6))
    cars = coloured(take, n, rate, band(200, log_uniform(place, 800, 2500), 6))
    return out + swelled(to_level(cars, -8), 5.0 * drift(take, n, rate, 0.4))


def air(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """A breeze in leaves: bright noise that comes and goes."""
    bright = coloured(take, n, rate, band(log_uniform(place, 800, 2500), 8000, 6))
    dark = coloured(take, n, rate, band(40, 200, 6))
    gust = drift(take, n, rate, uniform(place, 0.4, 1.5))
    return swelled(bright, 3.0 * gust) + swelled(to_level(dark, uniform(place, -6, 8)), 4.0 * gust)


def murmur(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Many people too far away to be understood."""
    out = np.zeros(n, np.float32)
    for centre in (400.0, 900.0, 2000.0):
        part = coloured(take, n, rate, band(0.8 * centre, 1.25 * centre, 12))
        level = uniform(place, -4, 2) - 5.0 * np.log2(centre / 400.0)
        out += swelled(to_level(part, level), 4.0 * drift(take, n, rate, 4.0))
    return out


def machine(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """A fan or a fridge: a few steady lines in noise."""
    hz = log_uniform(place, 60, 300)
    lines = glide(np.full(n, hz), rate, harmonics(8, uniform(place, -9, -3)), float(take.random()))
    beat = uniform(place, 0.2, 1.0) * drift(take, n, rate, 1.0)
    rush = coloured(take, n, rate, band(100, log_uniform(place, 400, 2000), 5))
    return swelled(to_level(lines, uniform(place, -8, 3)), beat) + rush


KINDS: tuple[Background, ...] = (hiss, hum, street, air, murmur, machine)


def background(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """One or two of the kinds, chosen by the recording; unit power, shape (n,)."""
    out = to_level(KINDS[pick(place, len(KINDS))](place, take, n, rate))
    if chance(place, 0.4):
        other = KINDS[pick(place, len(KINDS))](place, take, n, rate)
        out = out + to_level(other, uniform(place, -10, 0))
    return to_level(out)
