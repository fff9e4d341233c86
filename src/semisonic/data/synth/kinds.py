"""Many kinds of sounds with varying clips, on which the encoder of the package was trained.

There are two sources. Versions: a sound or background of the embedded set, with numbers (pitch,
tempo, ground) that are drawn once for the kind and not for each recording. Drawn sounds: up to
three layers, each an excitation (noise, a tone with harmonics, pulses through a resonance,
inharmonic tones), a course in time (steady, swelling, modulated, regular or random events) and
resonances. Every clip of a kind is a separate recording: another room, microphone, distance and
background, and up to a quarter faster or slower.

Paper: Ishikawa et al. 2024, "Pre-training with synthetic patterns for audio", after Kataoka et al.
2020, "Pre-training without natural images", who drew categories from a formula.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from scipy import fft

from semisonic.core.seeds import generator
from semisonic.data.options import SynthOptions
from semisonic.data.synth.render import (
    BACKGROUNDS,
    background,
    conditions,
    levelled,
    through,
    within_scale,
)
from semisonic.data.synth.signals import (
    Curve,
    Generator,
    Wave,
    add,
    band,
    chance,
    coloured,
    convolve,
    decibel,
    drift,
    glide,
    harmonics,
    log_uniform,
    loud,
    path,
    pick,
    pulse_shape,
    pulse_times,
    random_times,
    ring,
    steady_times,
    swelled,
    to_level,
    train,
    uneven,
    uniform,
)
from semisonic.data.synth.sounds import SOUNDS, SoundFunction

NAMED: dict[str, SoundFunction] = {**SOUNDS, **{one.__name__: one for one in BACKGROUNDS}}
"""Sounds that a kind can be a version of."""
DRAWN = "drawn"
FAMILIES = (*NAMED, DRAWN)
"""What kinds are versions of; all drawn ones are one family."""
Source: TypeAlias = Callable[[Generator, int, Curve], Wave]
"""Samples of unit power: the generator of a clip, how many, and a course of pitch in octaves."""
_MOST_EVENTS = 200


class Kind(NamedTuple):
    """One kind: a version of a named sound, or a drawn sound, by its number."""

    family: str
    number: int


def list_kinds(versions: int, drawn: int) -> list[Kind]:
    """So many versions of each named sound, then so many drawn sounds."""
    named = [Kind(name, i) for name in NAMED for i in range(versions)]
    return [*named, *(Kind(DRAWN, i) for i in range(drawn))]


def render_kind(options: SynthOptions, kind: Kind, clip: int) -> Wave:
    """The samples of a clip of a kind, shape (n_samples,), within ±0.97.

    Parameters
    ----------
    options : SynthOptions
        Of which ``seed``, ``duration``, ``sample_rate`` and ``snr_db`` are used.
    kind : Kind
    clip : int
        Which clip of the kind; each is a recording of its own.
    """
    seed, rate = options.seed, options.sample_rate
    wanted = round(options.duration * rate)
    n = fft.next_fast_len(wanted, real=True)
    recording = f"{kind.family}-{kind.number}-{clip}"
    here = conditions(seed, recording, n, rate, options.snr_db)
    fixed = generator(seed, "synth kind", kind.family, kind.number)
    take = generator(seed, "synth take", recording)
    sound = NAMED.get(kind.family, drawn_sound)
    # Made for another rate and played at this one, a sound is faster or slower, higher or lower.
    played = int(rate * 2.0 ** np.clip(0.12 * take.standard_normal(), -0.3, 0.3))
    out = through(np.asarray(sound(fixed, take, n, played), np.float32), here.near)
    around = through(background(take, take, n, rate), here.microphone)
    around = to_level(around, -here.snr_db)
    far_db = uniform(take, -20.0, -8.0)
    if chance(take, 0.2):  # some other sound far away
        other = tuple(SOUNDS.values())[pick(take, len(SOUNDS))](take, take, n, rate)
        around = around + levelled(through(other, here.near), rate, far_db)
    out = (levelled(out, rate) + around)[:wanted]
    return within_scale(levelled(out, rate, here.level_db))


def drawn_sound(kind: Generator, take: Generator, n: int, rate: int) -> Wave:
    """One to three layers; all that makes the kind comes from ``kind``, the rest from ``take``."""
    n_layers = 1 + pick(kind, 3)
    out = _layer(kind, take, n, rate)
    for _ in range(n_layers - 1):
        below = np.float32(decibel(uniform(kind, -12.0, 0.0)))
        out = out + below * _layer(kind, take, n, rate)
    return out


def _layer(kind: Generator, take: Generator, n: int, rate: int) -> Wave:
    """An excitation that follows a course in time, through resonances; unit power."""
    source = (_noise, _tone, _pulses, _partials)[pick(kind, 4)](kind, rate)
    course = pick(kind, 5)
    events = (_steady, _swelling, _modulated)[course] if course < 3 else _events
    return to_level(_resonances(kind, events(kind, take, n, rate, source), rate))


def _nearly(take: Generator, octaves: float) -> float:
    """A factor near one, by which clips of a kind differ."""
    return float(2.0 ** (octaves * take.standard_normal()))


# Excitations. Each draws what belongs to the kind, and gives a function that makes samples.


def _noise(kind: Generator, rate: int) -> Source:
    centre, half = log_uniform(kind, 80, 6000), 2.0 ** (log_uniform(kind, 0.1, 4.0) / 2)
    slope_db = uniform(kind, 4, 18)

    def source(take: Generator, n: int, octaves: Curve) -> Wave:
        hz = centre * _nearly(take, 0.05)
        return coloured(take, n, rate, band(hz / half, hz * half, slope_db))

    return source


def _tone(kind: Generator, rate: int) -> Source:
    pitch = log_uniform(kind, 80, 3000)
    gains = harmonics(1 + pick(kind, 16), uniform(kind, -12, -1), uniform(kind, -12, 3))

    def source(take: Generator, n: int, octaves: Curve) -> Wave:
        hz = np.clip(pitch * _nearly(take, 0.05) * 2.0**octaves, 20, 0.45 * rate)
        return to_level(glide(hz, rate, gains, float(take.random())))

    return source


def _pulses(kind: Generator, rate: int) -> Source:
    pitch, spread_db, n_tones = log_uniform(kind, 12, 300), uniform(kind, 0, 6), 2 + pick(kind, 5)
    tones = [log_uniform(kind, 100, 6000) for _ in range(n_tones)]
    decays = [log_uniform(kind, 0.0007, 0.02) for _ in range(n_tones)]
    body = ring(rate, tones, decays, [uniform(kind, 0.2, 1.0) for _ in range(n_tones)])

    def source(take: Generator, n: int, octaves: Curve) -> Wave:
        hz = np.clip(pitch * _nearly(take, 0.05) * 2.0**octaves, 8, 1000)
        times = pulse_times(np.cumsum(hz) / rate, rate)
        return to_level(convolve(train(n, rate, times, uneven(take, len(times), spread_db)), body))

    return source


def _partials(kind: Generator, rate: int) -> Source:
    centre, n_tones = log_uniform(kind, 80, 6000), 2 + pick(kind, 5)
    tones = [
        (centre * 2.0 ** uniform(kind, -1.5, 1.5), uniform(kind, 0.2, 1.0)) for _ in range(n_tones)
    ]

    def source(take: Generator, n: int, octaves: Curve) -> Wave:
        factor, out = _nearly(take, 0.05) * 2.0**octaves, np.zeros(n, np.float32)
        for hz, gain in tones:
            out += glide(np.clip(hz * factor, 20, 0.45 * rate), rate, [gain], float(take.random()))
        return to_level(out)

    return source


# Courses in time.


def _steady(kind: Generator, take: Generator, n: int, rate: int, source: Source) -> Wave:
    """From the beginning to the end, with a pitch that wanders, and may waver."""
    octaves = uniform(kind, 0, 0.15) * drift(take, n, rate, log_uniform(kind, 0.3, 6))
    depth, hz = uniform(kind, 0, 0.4), log_uniform(kind, 1, 12) * _nearly(take, 0.07)
    if chance(kind, 0.3):
        turns = hz * np.arange(n) / rate + take.random()
        octaves = octaves + depth * np.sin(2 * np.pi * turns)
    return source(take, n, octaves)


def _swelling(kind: Generator, take: Generator, n: int, rate: int, source: Source) -> Wave:
    depth_db, speed_hz = uniform(kind, 3, 10), log_uniform(kind, 0.3, 8)
    out = _steady(kind, take, n, rate, source)
    return swelled(out, depth_db * drift(take, n, rate, speed_hz))


def _modulated(kind: Generator, take: Generator, n: int, rate: int, source: Source) -> Wave:
    hz, depth = log_uniform(kind, 1, 60) * _nearly(take, 0.07), uniform(kind, 0.4, 1.0)
    power = log_uniform(kind, 0.3, 4)
    wave = (0.5 + 0.5 * np.sin(2 * np.pi * (hz * np.arange(n) / rate + take.random()))) ** power
    out = _steady(kind, take, n, rate, source)
    return np.asarray(out * (1 - depth + depth * wave), np.float32)


def _events(kind: Generator, take: Generator, n: int, rate: int, source: Source) -> Wave:
    """Sounds with a beginning and an end, of one shape: in a beat, or when they like, in groups."""
    duration, length = n / rate, log_uniform(kind, 0.01, 1.2)
    rise, power = log_uniform(kind, 0.02, 0.7), log_uniform(kind, 0.5, 3)
    bend = [uniform(kind, -0.7, 0.7) * chance(kind, 0.6) for _ in range(3)]
    per_second = log_uniform(kind, 0.4, min(12.0, max(1.5 / length, 1.0)))
    regular, jitter, spread_db = chance(kind, 0.5), uniform(kind, 0, 0.2), uniform(kind, 0, 6)
    gap, group = log_uniform(kind, 0.05, 0.3), 2 + pick(kind, 3)
    group = group if chance(kind, 0.25) else 1
    m = max(int(length * _nearly(take, 0.1) * rate), 64)
    course = path(m, ((0, bend[0]), (0.5, bend[1]), (1, bend[2])))
    shape = pulse_shape(m, rise, power)
    waves = [source(take, m, course + 0.05 * take.standard_normal()) * shape for _ in range(3)]
    if regular:
        times = steady_times(take, duration, 1 / per_second, jitter)
    else:
        once = [uniform(take, 0, max(duration - length, 0.1))]
        times = np.append(once, random_times(take, duration, per_second))
    out = np.zeros(n, np.float32)
    for time in times[:_MOST_EVENTS].tolist():
        for i in range(group):
            begin = time + i * (1.1 * length + gap)
            add(out, rate, begin, waves[pick(take, 3)], loud(take, spread_db))
    return out


def _resonances(kind: Generator, x: Wave, rate: int) -> Wave:
    """Up to three bumps or dips of the spectrum."""
    spectrum = fft.rfft(x)
    octave = np.log2(np.maximum(np.arange(len(spectrum)) * (rate / len(x)), 5.0))
    gain_db = np.zeros(len(spectrum))
    for _ in range(pick(kind, 4)):
        centre, width = log_uniform(kind, 150, 7000), log_uniform(kind, 0.1, 1.0)
        bump = np.exp(-0.5 * ((octave - np.log2(centre)) / width) ** 2)
        gain_db += uniform(kind, -15, 15) * bump
    return np.asarray(fft.irfft(spectrum * 10 ** (gain_db / 20), len(x)), np.float32)
