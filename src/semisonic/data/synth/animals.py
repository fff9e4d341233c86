"""Animals and people: birds, crickets, frogs, dogs, voices."""

from __future__ import annotations

import numpy as np

from semisonic.data.synth.signals import (
    Generator,
    Wave,
    add,
    chance,
    convolve,
    decibel,
    drift,
    glide,
    harmonics,
    log_uniform,
    path,
    pick,
    pulse_shape,
    ring,
    steady_times,
    swelled,
    to_level,
    train,
    uniform,
    white,
)


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


# Crickets, frogs and dogs: bursts of a tone or a voice, each in its own beat.


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


# Sounds of people that stand outside the classes: a murmur of voices, a tune.


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
