"""Weather, water and fire: noise, told apart by how it moves."""

from __future__ import annotations

import numpy as np

from semisonic.data.synth.signals import (
    Curve,
    Generator,
    Wave,
    add,
    band,
    burst,
    chance,
    coloured,
    control_times,
    decibel,
    drift,
    glide,
    log_uniform,
    random_times,
    refine,
    response,
    ring,
    strike,
    swelled,
    to_level,
    together,
    uneven,
    uniform,
)


def rain(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """A steady hiss of far drops under the taps of near ones, which fall at random."""
    low, high = log_uniform(place, 200, 1500), log_uniform(place, 2500, 9000)
    per_second = log_uniform(place, 40, 2500)
    taps_db = uniform(place, -9, 5)
    out = coloured(take, n, rate, band(low, high, uniform(place, 3, 9)))
    out = swelled(out, uniform(place, 0.3, 1.5) * drift(take, n, rate, 0.5))
    taps = np.zeros(n, np.float32)
    for _ in range(3):  # three kinds of ground under the drops
        f, decay = log_uniform(place, 700, 5000), log_uniform(place, 0.0004, 0.0025)
        tap = together(
            ring(rate, [f, f * uniform(place, 1.5, 2.7)], [decay, decay / 2], [1.0, 0.6]),
            burst(place, rate, decay / 2) * np.float32(0.4),
        )
        times = random_times(take, n / rate, per_second / 3)
        taps += strike(n, rate, times, uneven(take, len(times), 7.0), tap)
    return out + to_level(taps, taps_db)


def wind(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Gusts: the stronger they blow, the louder and the brighter; some whistle or rustle."""
    speed, depth_db = log_uniform(place, 0.3, 1.5), uniform(place, 3.5, 7.0)
    gust = drift(take, n, rate, speed) + 0.35 * drift(take, n, rate, 4 * speed)
    low_hz, high_hz = log_uniform(place, 120, 500), log_uniform(place, 900, 4000)
    out = swelled(coloured(take, n, rate, band(40, low_hz, 9)), depth_db * gust)
    bright = coloured(take, n, rate, band(low_hz, high_hz, uniform(place, 5, 10)))
    out = out + decibel(uniform(place, -12, 2)) * swelled(bright, 1.7 * depth_db * gust)
    if chance(place, 0.5):
        hz, width = log_uniform(place, 350, 1300), uniform(place, 12, 50)
        loud_db = uniform(place, -14, -2)
        whistle = _whistle(take, rate, hz * 2 ** (0.22 * gust), width)
        out = out + decibel(loud_db) * swelled(whistle, 2.0 * depth_db * gust)
    return to_level(out)


def _whistle(rng: Generator, rate: int, frequency: np.ndarray, width_hz: float) -> Wave:
    """A band of noise ``width_hz`` wide around a moving frequency."""
    n = len(frequency)
    angle = 2 * np.pi * (np.cumsum(frequency) / rate % 1.0)
    return to_level(
        (
            drift(rng, n, rate, width_hz) * np.cos(angle)
            + drift(rng, n, rate, width_hz) * np.sin(angle)
        ).astype(np.float32)
    )


def thunder(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """A crack or a roll, then a rumble that dies away in lumps."""
    distance = uniform(place, 0.0, 1.0)
    out = coloured(take, n, rate, band(30, 120, 6)) * np.float32(0.02)
    t = control_times(n, rate)
    start = uniform(take, 0.02, 0.4) * n / rate
    fall = uniform(take, 0.7, 2.0)
    after = np.maximum(t - start, 0.0)
    envelope = np.where(t < start, 0.0, -np.expm1(-after / (0.02 + 0.3 * distance)))
    envelope = refine(envelope * np.exp(-after / fall), n)
    lumps = 6.0 * drift(take, n, rate, uniform(take, 3, 8))
    rumble = coloured(take, n, rate, band(25, log_uniform(place, 90, 250), 9))
    out = out + swelled(rumble * envelope.astype(np.float32), lumps)
    crack_db = uniform(place, -3, 6) - 18 * distance
    for i in range(1 + int(take.random() * 4)):
        crack = _crack(take, rate, uniform(take, 0.06, 0.3), 600 + 4000 * (1 - distance))
        late = start + (i > 0) * uniform(take, 0.02, 0.7)
        add(out, rate, late, crack, decibel(crack_db + uniform(take, -8, 0)))
    return out


def _crack(rng: Generator, rate: int, decay: float, high_hz: float) -> Wave:
    x = burst(rng, rate, decay, attack=0.002)
    spectrum = np.fft.rfft(x)
    shaped = np.fft.irfft(spectrum * response(len(spectrum), rate, band(80, high_hz, 6)), len(x))
    return to_level(np.asarray(shaped, dtype=np.float32)) * np.float32(2.0)


# Waves on a shore and drops that fall into water.


def sea_waves(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Each wave swells, breaks from dark to bright and runs out in a long fizz."""
    period = log_uniform(place, 1.6, 8.0)
    rise, fall = period * uniform(place, 0.12, 0.3), period * uniform(place, 0.2, 0.45)
    surf_db, fizz_db = uniform(place, -16, -5), uniform(place, -10, 2)
    split_hz = log_uniform(place, 300, 1000)
    crests = _crests(take, n / rate, period)
    heights = np.exp(0.3 * take.standard_normal(len(crests)))
    t = control_times(n, rate)
    dark = _swell(t, crests - 0.35 * rise, heights, rise, 0.6 * fall)
    mid = _swell(t, crests, heights, 0.7 * rise, fall)
    fizz = _swell(t, crests + 0.25 * fall, heights**1.4, 0.5 * rise, 1.5 * fall)
    wobble = 1.5 * drift(take, n, rate, 5.0)
    out = coloured(take, n, rate, band(60, split_hz, 6)) * refine(dark, n)
    out += coloured(take, n, rate, band(split_hz, 4 * split_hz, 6)) * refine(mid, n)
    bright = coloured(take, n, rate, band(4 * split_hz, 9000, 6))
    out += decibel(fizz_db) * bright * refine(fizz, n)
    surf = coloured(take, n, rate, band(80, 3 * split_hz, 5))
    return swelled(out.astype(np.float32), wobble) + np.float32(decibel(surf_db)) * surf


def _crests(rng: Generator, duration: float, period: float) -> Curve:
    """Times of the crests, from one before the clip to one after it."""
    gaps = period * (1 + 0.2 * np.clip(rng.standard_normal(int(duration / period) + 4), -2, 2))
    return np.asarray(np.cumsum(gaps) - gaps[0] - uniform(rng, 0.3, 1.3) * period)


def _swell(t: Curve, crests: Curve, heights: Curve, rise: float, fall: float) -> Curve:
    """Sum of rounded two-sided exponentials, one a wave."""
    late = t[None, :] - crests[:, None]
    shape = 1.0 / (np.exp(-np.clip(late / rise, -40, 40)) + np.exp(np.clip(late / fall, -40, 40)))
    return np.asarray((heights[:, None] * shape).sum(0) * 2.0)


def water_drops(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Drips: a click and a bubble whose tone rises, now and then or in a steady drip."""
    regular, per_second = chance(place, 0.6), log_uniform(place, 0.8, 6.0)
    pitch, spread = log_uniform(place, 500, 2200), uniform(place, 0.05, 0.35)
    length, climb = log_uniform(place, 0.02, 0.09), uniform(place, 0.05, 0.6)
    if regular:
        gaps = (1 + 0.06 * take.standard_normal(int(n / rate * per_second) + 1)) / per_second
        times = np.cumsum(gaps) - gaps[0] * take.random()
    else:
        times = random_times(take, n / rate - 0.3, per_second)
        times = np.append(times, uniform(take, 0.1, 0.6) * n / rate)
    out = np.zeros(n, np.float32)
    for time in times:
        gain = decibel(4.0 * float(take.standard_normal()))
        hz = pitch * 2 ** (spread * float(take.standard_normal()))
        add(out, rate, float(time), _bubble(rate, hz, length, climb), gain)
        if chance(take, 0.4):
            late = float(time) + uniform(take, 0.03, 0.12)
            add(out, rate, late, _bubble(rate, 1.5 * hz, length / 2, climb), 0.4 * gain)
    return out


def _bubble(rate: int, hz: float, length: float, climb: float) -> Wave:
    t = np.arange(int(6 * length * rate)) / rate
    tone = glide(hz * 2 ** (climb * np.minimum(t / (3 * length), 1.5)), rate, [1.0, 0.08])
    return np.asarray(tone * np.exp(-t / length) * -np.expm1(-t / 0.0008), dtype=np.float32)


def shower(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Water from a tap or a brook: many small bubbles over a hiss."""
    per_second = log_uniform(place, 30, 120)
    pitch, spread = log_uniform(place, 500, 1600), uniform(place, 0.3, 0.7)
    length = log_uniform(place, 0.006, 0.03)
    out = coloured(take, n, rate, band(300, 3000, 7)) * np.float32(decibel(uniform(place, -14, -4)))
    bubbles = np.zeros(n, np.float32)
    times = random_times(take, n / rate, per_second)
    pitches = pitch * 2 ** (spread * take.standard_normal(len(times)))
    gains = 10 ** (5 * take.standard_normal(len(times)) / 20)
    for time, hz, gain in zip(times, pitches, gains, strict=True):
        add(bubbles, rate, float(time), _bubble(rate, float(hz), length, 0.3), float(gain))
    return out + to_level(bubbles)


# A fire: flames that flutter, and crackles that come in bunches.


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
