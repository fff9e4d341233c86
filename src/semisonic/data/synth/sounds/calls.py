"""Crickets, frogs and dogs: bursts of a tone or a voice, each in its own beat."""

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
from semisonic.data.synth.events import add, convolve, steady_times, train
from semisonic.data.synth.noise import to_level, white
from semisonic.data.synth.tones import glide, harmonics, path, pulse_shape, ring


def cricket(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Wing strokes on one note: in chirps of a few strokes or as an endless trill."""
    out = np.zeros(n, np.float32)
    trilling = chance(place, 0.25)
    for voice in range(1 + pick(place, 3)):
        hz = log_uniform(place, 2300, 5600)
        stroke_hz = log_uniform(place, 18, 70)
        strokes = 2 + pick(place, 6)
        period = max(log_uniform(place, 0.25, 1.2), 1.3 * strokes / stroke_hz)
        loud_db = 0.0 if voice == 0 else uniform(place, -16, -3)
        m = int(0.75 / stroke_hz * rate)
        stroke = glide(hz * path(m, ((0.0, 1.02), (1.0, 0.98))), rate, [1.0, 0.06])
        stroke = stroke * pulse_shape(m, 0.35, 0.8)
        if trilling:
            times = steady_times(take, n / rate, 1 / stroke_hz, 0.01)
        else:
            chirps = steady_times(take, n / rate, period, 0.03)
            times = (chirps[:, None] + np.arange(strokes)[None, :] / stroke_hz).ravel()
        gains_db = loud_db + 0.6 * take.standard_normal(len(times))
        impulses = train(n, rate, times, 10 ** (gains_db / 20))
        out += convolve(impulses, stroke)
    return out


def frog(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Croaks, quick pulses in a throat, or short rising peeps."""
    peeping = chance(place, 0.4)
    hz = log_uniform(place, 1500, 3400) if peeping else log_uniform(place, 350, 1800)
    length = log_uniform(place, 0.06, 0.18) if peeping else log_uniform(place, 0.12, 0.5)
    pulse_hz, climb = log_uniform(place, 25, 110), uniform(place, 0.05, 0.35)
    period, sway = max(log_uniform(place, 0.3, 1.5), 1.4 * length), uniform(place, 0.04, 0.2)
    throat = ring(rate, [hz, 0.5 * hz, 1.8 * hz], [0.006, 0.009, 0.003], [1.0, 0.4, 0.4])
    out = np.zeros(n, np.float32)
    for voice in range(1 + pick(place, 3)):
        transpose = 2 ** (0.0 if voice == 0 else uniform(place, -0.3, 0.3))
        loud_db = 0.0 if voice == 0 else uniform(place, -16, -4)
        for time in steady_times(take, n / rate, period * transpose, sway):
            m = int(length * uniform(take, 0.85, 1.15) * rate)
            if peeping:
                call = glide(hz * transpose * 2 ** (climb * np.linspace(0, 1, m)), rate, [1.0, 0.1])
            else:
                pulses = steady_times(take, m / rate, 1 / (pulse_hz * transpose), 0.04)
                impulses = train(m, rate, pulses, np.ones(len(pulses)))
                call = to_level(convolve(impulses, throat))
            call = call * pulse_shape(m, 0.4, 0.8)
            add(
                out, rate, float(time), call, decibel(loud_db + 1.5 * float(take.standard_normal()))
            )
    return out


def dog_bark(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Barks alone or in rows: a voice that jumps up and falls, with a rough breath."""
    hz, length = log_uniform(place, 220, 800), log_uniform(place, 0.09, 0.26)
    throat = ring(
        rate,
        [
            log_uniform(place, 500, 1100),
            log_uniform(place, 1200, 2400),
            log_uniform(place, 2600, 4200),
        ],
        [0.004, 0.003, 0.002],
        [1.0, uniform(place, 0.3, 0.9), uniform(place, 0.1, 0.5)],
    )
    gains = harmonics(18, uniform(place, -5, -2))
    breath, gap = uniform(place, 0.1, 0.5), log_uniform(place, 0.12, 0.4)
    out = np.zeros(n, np.float32)
    time = uniform(take, 0.0, 0.35) * n / rate
    while time < n / rate:
        for _ in range(1 + pick(take, 4)):
            m = int(length * uniform(take, 0.85, 1.2) * rate)
            curve = hz * uniform(take, 0.93, 1.07) * path(m, ((0.0, 0.7), (0.3, 1.25), (1.0, 0.6)))
            voice = glide(curve * 2 ** (0.03 * drift(take, m, rate, 90.0)), rate, gains)
            voice = voice + np.float32(breath) * white(take, m)
            voice = voice * pulse_shape(m, 0.2, 0.8)
            bark = to_level(convolve(voice, throat))
            add(out, rate, time, bark, decibel(2.0 * float(take.standard_normal())))
            time += m / rate + gap * uniform(take, 0.6, 1.5)
        time += uniform(take, 0.4, 1.6)
    return out
