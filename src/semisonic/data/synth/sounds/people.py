"""Sounds of people that stand outside the classes: a murmur of voices, a tune."""

from __future__ import annotations

import numpy as np

from semisonic.data.synth.draw import Generator, Wave, drift, log_uniform, pick, uniform
from semisonic.data.synth.events import add, convolve
from semisonic.data.synth.noise import swelled, to_level
from semisonic.data.synth.tones import glide, harmonics, ring


def babble(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Several voices at once: gliding harmonics in syllables through changing vowels."""
    out = np.zeros(n, np.float32)
    for _ in range(2 + pick(place, 3)):
        pitch, pace = log_uniform(place, 90, 260), uniform(place, 3, 6)
        curve = pitch * 2 ** (0.25 * drift(take, n, rate, 2.5))
        voice = glide(curve, rate, harmonics(12, -3.0))
        formants = [uniform(place, 350, 800), uniform(place, 900, 2200), uniform(place, 2300, 3200)]
        throat = ring(rate, formants, [0.008, 0.005, 0.003], [1.0, 0.6, 0.3])
        voice = convolve(voice, throat)
        syllables = 9.0 * np.minimum(drift(take, n, rate, pace), 0.6)
        out += swelled(to_level(voice), syllables)
    return out


def melody(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Notes of a scale, plucked or blown."""
    base, beat = log_uniform(place, 200, 700), uniform(place, 0.12, 0.45)
    decay = log_uniform(place, 0.08, 0.8)
    gains = harmonics(8, uniform(place, -12, -4))
    out = np.zeros(n, np.float32)
    time = -uniform(take, 0.0, beat)
    while time < n / rate:
        semitones = (0, 2, 4, 5, 7, 9, 11, 12)[pick(take, 8)]
        hz = base * 2 ** (semitones / 12)
        decays = [decay / k**0.5 for k in range(1, 9)]
        note = ring(rate, [hz * k for k in range(1, 9)], decays, gains, 4 * decay, attack=0.005)
        add(out, rate, time, note, uniform(take, 0.6, 1.0))
        time += beat * (1, 1, 1, 2)[pick(take, 4)]
    return out
