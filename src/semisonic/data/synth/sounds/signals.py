"""Things made to be heard: sirens and bells."""

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
    pick,
    refine,
    uniform,
)
from semisonic.data.synth.events import add, steady_times
from semisonic.data.synth.noise import band, coloured, swelled
from semisonic.data.synth.tones import burst, glide, harmonics, ring


def siren(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """A wail, a yelp or two notes in turn, on a vehicle that comes or goes."""
    style = pick(place, 3)
    low = log_uniform(place, 380, 850)
    span = uniform(place, 0.7, 1.3) if style < 2 else uniform(place, 0.25, 0.5)
    speed = (log_uniform(place, 0.12, 0.5), log_uniform(place, 1.8, 4.5), uniform(place, 0.5, 1.2))
    gains = harmonics(8, uniform(place, -9, -4), even_db=uniform(place, -12, 0))
    position = _sweep(control_times(n, rate) * speed[style] + float(take.random()), style)
    passing = uniform(take, -1.0, 1.0)
    middle = uniform(take, 0.2, 0.8) * n / rate
    doppler = 0.04 * passing * np.tanh((control_times(n, rate) - middle) / 0.8)
    frequency = refine(low * 2 ** (span * position - doppler), n)
    out = glide(frequency, rate, gains, float(take.random()))
    out += np.float32(0.05) * coloured(take, n, rate, band(150, 1200, 5))
    return swelled(out, uniform(place, 1.0, 4.0) * drift(take, n, rate, 0.5))


def _sweep(turns: Curve, style: int) -> Curve:
    """Pitch between 0 and 1 along the turns of a siren."""
    part = turns % 1.0
    if style == 0:
        return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * part))
    if style == 1:
        return np.where(part < 0.6, part / 0.6, (1 - part) / 0.4)
    return np.asarray(0.5 + 0.5 * np.tanh(40 * np.sin(2 * np.pi * part)))


_CHURCH = (0.5, 1.0, 1.19, 1.5, 2.0, 2.51, 2.66, 3.01, 4.1, 5.4)
_HAND = (1.0, 2.0, 2.76, 4.07, 5.4, 6.8)


def bell(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Strokes on a bell: a church bell that tolls or a small one that is shaken."""
    large = chance(place, 0.6)
    pitch = log_uniform(place, 250, 900) if large else log_uniform(place, 900, 2400)
    decay = log_uniform(place, 0.6, 2.0) if large else log_uniform(place, 0.08, 0.5)
    ratios = np.array(_CHURCH if large else _HAND)
    ratios = ratios * 2 ** (0.02 * place.standard_normal(len(ratios)))
    gains = 10 ** (4.0 * place.standard_normal(len(ratios)) / 20) / ratios**0.4
    decays = decay / ratios**0.8
    period = log_uniform(place, 0.8, 2.2) if large else log_uniform(place, 0.16, 0.9)
    hardness = uniform(place, 0.03, 0.25)
    jitter = uniform(place, 0.01, 0.08)
    stroke = ring(rate, list(pitch * ratios), list(decays), list(gains), min(4 * decay, n / rate))
    out = np.zeros(n, np.float32)
    for time in steady_times(take, n / rate + 1.2, period, jitter) - 1.2:
        gain = decibel(2.5 * float(take.standard_normal()))
        if time < 0:
            part = stroke[int(-time * rate) :]
            out[: len(part)] += np.float32(gain) * part[:n]
            continue
        add(out, rate, float(time), stroke, gain)
        add(out, rate, float(time), burst(take, rate, 0.004), hardness * gain * len(ratios))
    return out
