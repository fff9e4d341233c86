"""Every sound of the synthetic set.

``place`` is the random stream of a recording (pitch, tempo, kind, ground), the same for each of
its clips. ``take`` is the stream of a clip: when events happen, and their details. ``n`` is the
number of samples, ``rate`` the sample rate in Hz. The level of the result has no meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import TypeAlias

import numpy as np

from semisonic.data.synth.signals import (
    Curve,
    Generator,
    Points,
    Wave,
    add,
    band,
    burst,
    chance,
    coloured,
    control_times,
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
    refine,
    response,
    ring,
    steady_times,
    strike,
    swelled,
    to_level,
    together,
    train,
    uneven,
    uniform,
    white,
)

SoundFunction: TypeAlias = Callable[[Generator, Generator, int, int], Wave]
Event: TypeAlias = tuple[float, Wave, float]
"""When a part of a sound begins (s), its samples and its gain."""


def placed(events: Callable[[Generator, Generator, int, int], Iterator[Event]]) -> SoundFunction:
    """A sound that is the sum of parts at their times."""

    @wraps(events)
    def sound(place: Generator, take: Generator, n: int, rate: int) -> Wave:
        out = np.zeros(n, np.float32)
        for time, wave, gain in events(place, take, n, rate):
            add(out, rate, float(time), wave, gain)
        return out

    return sound


# Weather, water and fire: noise that differs by how it moves.


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


@placed
def water_drops(place: Generator, take: Generator, n: int, rate: int) -> Iterator[Event]:
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
    for time in times:
        gain = loud(take, 4.0)
        hz = pitch * 2 ** (spread * float(take.standard_normal()))
        yield time, _bubble(rate, hz, length, climb), gain
        if chance(take, 0.4):
            late = float(time) + uniform(take, 0.03, 0.12)
            yield late, _bubble(rate, 1.5 * hz, length / 2, climb), 0.4 * gain


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


# Machines: engines, and things that rush.


def engine(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Firing strokes through an exhaust pipe, idling, cruising or revving."""
    style = pick(place, 3)
    idle = log_uniform(place, 16, 45) if style == 0 else log_uniform(place, 25, 75)
    frequency = _revolutions(take, n, rate, idle, 0.0 if style == 0 else uniform(place, 0.2, 0.9))
    if style == 1:  # cruising: slow changes only
        frequency = idle * 1.6 * 2 ** (0.06 * drift(take, n, rate, 0.5))
    cylinders = (1, 2, 3, 4, 6)[pick(place, 5)]
    uneven_db = 4.0 * place.standard_normal(6)[:cylinders]
    pipe = _pipe(place, rate, 80, 2000, 8, 0.0015, 0.007)
    strokes = _strokes(take, frequency, rate, uneven_db, uniform(place, 0.003, 0.02))
    out = to_level(convolve(strokes, pipe))
    rough = _gated(take, strokes, rate, 0.006, band(200, 2500, 6))
    out = out + to_level(rough, uniform(place, -14, -2))
    out = out + to_level(coloured(take, n, rate, band(500, 5000, 6)), uniform(place, -26, -14))
    return swelled(out, 6.0 * np.log2(frequency / idle) + 0.7 * drift(take, n, rate, 0.8))


def chainsaw(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """A two-stroke motor: higher, rasping, with bursts of full throttle."""
    idle = log_uniform(place, 45, 90)
    frequency = _revolutions(take, n, rate, idle, uniform(place, 0.6, 1.3))
    pipe = _pipe(place, rate, 200, 3500, 7, 0.001, 0.006)
    strokes = _strokes(take, frequency, rate, 2.0 * place.standard_normal(1), 0.02)
    out = to_level(convolve(strokes, pipe))
    rasp = _gated(take, strokes, rate, 0.002, band(800, 6000, 5))
    out = out + to_level(rasp, uniform(place, -10, 0))
    return swelled(out, 5.0 * np.log2(frequency / idle))


def helicopter(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Blades that thump and chop the air, a whining turbine, and a slow coming and going."""
    blade = log_uniform(place, 9, 28)
    frequency = blade * 2 ** (0.01 * drift(take, n, rate, 0.4))
    strokes = _strokes(take, frequency, rate, 1.5 * place.standard_normal(2), 0.004)
    thump = _pipe(place, rate, 40, 300, 4, 0.006, 0.025)
    out = to_level(convolve(strokes, thump))
    chop_s = log_uniform(place, 0.006, 0.02)
    chop = _gated(take, strokes, rate, chop_s, band(150, log_uniform(place, 600, 3000), 6))
    out = out + to_level(chop, uniform(place, -8, 3))
    rush = coloured(take, n, rate, band(100, log_uniform(place, 500, 2000), 5))
    out = out + to_level(rush, uniform(place, -14, -4))
    if chance(place, 0.6):
        hz = log_uniform(place, 300, 2500) * 2 ** (0.004 * drift(take, n, rate, 0.5))
        out = out + to_level(glide(hz, rate, [1.0, 0.4, 0.2]), uniform(place, -26, -14))
    return swelled(out, uniform(place, 0.5, 4.0) * drift(take, n, rate, 0.25))


def vacuum(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """A vacuum cleaner or fan: steady rush with the lines of its motor."""
    hz = log_uniform(place, 90, 350) * 2 ** (0.01 * drift(take, n, rate, 0.6))
    out = coloured(take, n, rate, band(250, log_uniform(place, 1500, 6000), 5))
    motor = glide(hz, rate, harmonics(12, uniform(place, -7, -3)))
    out = out + to_level(motor, uniform(place, -10, 3))
    nozzle = uniform(place, 0.3, 3.0) * drift(take, n, rate, uniform(place, 0.5, 1.5))
    return swelled(out, nozzle)


def _revolutions(rng: Generator, n: int, rate: int, idle: float, lift: float) -> Curve:
    """Firing frequency (Hz): an idle that hunts a little, and revs of ``lift`` octaves."""
    octaves = 0.015 * drift(rng, n, rate, 4.0)
    if lift > 0:
        octaves = octaves + lift * (1 + np.tanh(2.0 * drift(rng, n, rate, 0.9)))
    return np.asarray(idle * 2**octaves)


def _strokes(rng: Generator, frequency: Curve, rate: int, uneven_db: Curve, jitter: float) -> Wave:
    """One impulse a stroke; the cylinders differ and no stroke equals the next."""
    times = pulse_times(np.cumsum(frequency) / rate + float(rng.random()), rate)
    gains_db = np.resize(uneven_db, len(times)) + 1.0 * rng.standard_normal(len(times))
    times = times + jitter * rng.standard_normal(len(times)) / float(np.mean(frequency))
    return train(len(frequency), rate, times, 10 ** (gains_db / 20))


def _pipe(
    rng: Generator, rate: int, low: float, high: float, n: int, short: float, long: float
) -> Wave:
    """A pipe or a housing: ``n`` resonances between two frequencies."""
    frequencies = sorted(log_uniform(rng, low, high) for _ in range(n))
    decays = [log_uniform(rng, short, long) for _ in range(n)]
    gains = [decibel(uniform(rng, -10, 0)) * (low / f) ** 0.3 for f in frequencies]
    return ring(rate, frequencies, decays, gains, attack=0.0006)


def _gated(rng: Generator, strokes: Wave, rate: int, decay: float, points: Points) -> Wave:
    """Noise that is let through after each stroke."""
    n = len(strokes)
    t = np.arange(int(6 * decay * rate)) / rate
    shape = (t / decay * np.exp(1 - t / decay)).astype(np.float32)
    gate = convolve(strokes, shape)
    return np.asarray(coloured(rng, n, rate, points) * gate, dtype=np.float32)


# Things that knock: clocks, steps, doors, keys. The spectra overlap, the rhythm differs.


def _click(place: Generator, rate: int, low: float, high: float, decay: float) -> Wave:
    """A small hard body: five resonances and a bit of noise."""
    frequencies = [log_uniform(place, low, high) for _ in range(5)]
    decays = [decay * log_uniform(place, 0.4, 1.8) for _ in range(5)]
    gains = [decibel(uniform(place, -9, 0)) for _ in range(5)]
    body = ring(rate, frequencies, decays, gains, 8 * decay, attack=0.0001)
    return together(body, np.float32(uniform(place, 0.1, 0.6)) * burst(place, rate, decay / 4))


@placed
def clock_tick(place: Generator, take: Generator, n: int, rate: int) -> Iterator[Event]:
    """Tick, tock: two clicks in turn, as even as clockwork."""
    period = (1.0, 1.0, 0.5, 0.4, 0.333, 0.25, 0.2)[pick(place, 7)]
    period *= uniform(place, 0.97, 1.03)
    decay = log_uniform(place, 0.002, 0.012)
    low = log_uniform(place, 500, 2200)
    pair = [_click(place, rate, low, 4 * low, decay) for _ in range(2)]
    limp, second_db = uniform(place, -0.08, 0.08), uniform(place, -10, 0)
    after, after_db = uniform(place, 0.015, 0.08), uniform(place, -22, -6)
    turn = pick(take, 2)
    for i, time in enumerate(steady_times(take, n / rate, period, 0.002)):
        second = (i + turn) % 2
        gain = decibel(second * second_db + 0.5 * float(take.standard_normal()))
        time = time + second * limp * period
        yield time, pair[second], gain
        yield time + after, pair[1 - second], gain * decibel(after_db)


@placed
def footsteps(place: Generator, take: Generator, n: int, rate: int) -> Iterator[Event]:
    """Heel and toe, left and right, on boards, stone or gravel; nobody walks like a clock."""
    ground = pick(place, 3)
    period, sway = log_uniform(place, 0.3, 0.8), uniform(place, 0.03, 0.09)
    roll, toe_db = uniform(place, 0.05, 0.14), uniform(place, -12, -2)
    heel = _step(place, rate, ground)
    loose = log_uniform(place, 0.02, 0.07)
    for i, time in enumerate(steady_times(take, n / rate, period, sway)):
        gain = decibel((i % 2) * -1.5 + 2.5 * float(take.standard_normal()))
        late = float(time) + roll * uniform(take, 0.8, 1.2)
        if ground == 2:
            yield time, _crunch(take, rate, loose), gain
            yield late, _crunch(take, rate, 1.3 * loose), gain * decibel(toe_db + 4)
            continue
        yield time, heel, gain
        yield late, heel[:: 1 + pick(take, 2)], gain * decibel(toe_db)
        scrape = burst(take, rate, roll / 3, attack=0.01)
        yield time + 0.02, scrape, 0.1 * gain


def _step(place: Generator, rate: int, ground: int) -> Wave:
    if ground == 0:
        boards = _click(place, rate, 70, 500, log_uniform(place, 0.012, 0.04))
        tap = _click(place, rate, 600, 2500, 0.003)
        return together(boards, tap * np.float32(uniform(place, 0.1, 0.6)))
    return _click(place, rate, log_uniform(place, 200, 700), 3000, log_uniform(place, 0.003, 0.01))


def _crunch(rng: Generator, rate: int, decay: float) -> Wave:
    """A foot on gravel: a spray of tiny clicks."""
    noise = burst(rng, rate, decay, attack=decay / 3)
    grains = (rng.random(len(noise)) < 0.03) * rng.standard_normal(len(noise)) * 3
    return np.asarray(noise * (0.25 + np.abs(grains)), dtype=np.float32)


@placed
def door_knock(place: Generator, take: Generator, n: int, rate: int) -> Iterator[Event]:
    """Two to six knocks in a quick row, then a wait."""
    wood = _click(place, rate, 90, 900, log_uniform(place, 0.008, 0.03))
    gap, wait = log_uniform(place, 0.11, 0.26), uniform(place, 0.8, 2.0)
    time = uniform(take, 0.05, 0.3) * n / rate
    while time < n / rate:
        for _ in range(2 + pick(take, 5)):
            yield time, wood, loud(take, 1.5)
            time += gap * (1 + 0.06 * float(take.standard_normal()))
        time += wait * uniform(take, 0.7, 1.4)


@placed
def keyboard(place: Generator, take: Generator, n: int, rate: int) -> Iterator[Event]:
    """Typing: hurried, uneven clicks, each with the softer sound of the key's return."""
    keys = [
        _click(place, rate, log_uniform(place, 300, 1500), 6000, log_uniform(place, 0.002, 0.008))
        for _ in range(4)
    ]
    pace, back = log_uniform(place, 4, 9), uniform(place, 0.06, 0.11)
    back_db = uniform(place, -14, -4)
    time = uniform(take, 0.0, 0.3)
    while time < n / rate:
        key, gain = keys[pick(take, 4)], loud(take, 3.0)
        yield time, key, gain
        yield time + back * uniform(take, 0.8, 1.2), key, gain * decibel(back_db)
        time += uniform(take, 0.5, 1.6) / pace
        if chance(take, 0.07):
            time += uniform(take, 0.3, 0.9)


@placed
def clatter(place: Generator, take: Generator, n: int, rate: int) -> Iterator[Event]:
    """Dishes, coins, things put down: rings and clicks without any rhythm."""
    low = log_uniform(place, 500, 2500)
    things = [_click(place, rate, low, 3 * low, log_uniform(place, 0.01, 0.08)) for _ in range(4)]
    times = random_times(take, n / rate, log_uniform(place, 2, 8))
    for time in np.append(times, uniform(take, 0.0, 0.9) * n / rate):
        yield time, things[pick(take, 4)], loud(take, 6)


# Things made to be heard: sirens and bells.


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


@placed
def bell(place: Generator, take: Generator, n: int, rate: int) -> Iterator[Event]:
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
    for time in steady_times(take, n / rate + 1.2, period, jitter) - 1.2:
        gain = loud(take, 2.5)
        if time < 0:
            yield 0.0, stroke[int(-time * rate) :], gain
            continue
        yield time, stroke, gain
        yield time, burst(take, rate, 0.004), hardness * gain * len(ratios)


# Animals: birds.


@placed
def bird(place: Generator, take: Generator, n: int, rate: int) -> Iterator[Event]:
    """Phrases of two to four kinds of syllables, repeated with small changes."""
    centre = log_uniform(place, 2000, 5200)
    kinds = [_syllable(place, centre) for _ in range(2 + pick(place, 3))]
    song = [pick(place, len(kinds)) for _ in range(3 + pick(place, 6))]
    gap, wait = log_uniform(place, 0.03, 0.16), log_uniform(place, 0.3, 1.4)
    second_voice = chance(place, 0.35)
    for voice in range(1 + second_voice):
        transpose = 1.0 if voice == 0 else 2 ** uniform(place, -0.4, 0.4)
        time = uniform(take, -0.5, 0.4) if voice == 0 else uniform(take, 0.0, 2.0)
        loud_db = 0.0 if voice == 0 else -10.0
        while time < n / rate:
            skip = pick(take, 2)
            for kind in song[skip:]:
                part = _sing(take, rate, kinds[kind], transpose)
                yield time, part, loud(take, 2.0, loud_db)
                time += len(part) / rate + gap * uniform(take, 0.8, 1.25)
            time += wait * uniform(take, 0.5, 1.6)


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


@placed
def rooster(place: Generator, take: Generator, n: int, rate: int) -> Iterator[Event]:
    """Four cries, the last one long and falling."""
    hz = log_uniform(place, 420, 900)
    gains = harmonics(14, uniform(place, -6, -2))
    long = uniform(place, 0.6, 1.5)
    time = uniform(take, 0.02, 0.4) * n / rate
    while time < n / rate:
        for i, length in enumerate((0.16, 0.2, 0.3, long)):
            m = int(length * uniform(take, 0.9, 1.15) * rate)
            rise = ((0.0, 0.65), (0.25, 1.0), (0.7, 1.02 if i < 3 else 0.96), (1.0, 0.7))
            curve = hz * (0.75, 0.9, 1.0, 1.08)[i] * path(m, rise)
            curve = curve * 2 ** (0.012 * drift(take, m, rate, 30.0))
            cry = glide(curve, rate, gains) * pulse_shape(m, 0.15, 0.5)
            rough = 1 + 0.25 * take.standard_normal(m, dtype=np.float32)
            yield time, (cry * rough).astype(np.float32), 1.0
            time += m / rate + uniform(take, 0.02, 0.07)
        time += uniform(take, 1.2, 3.0)


@placed
def crow(place: Generator, take: Generator, n: int, rate: int) -> Iterator[Event]:
    """Harsh caws in groups."""
    hz, length = log_uniform(place, 300, 600), uniform(place, 0.2, 0.45)
    gains = harmonics(16, uniform(place, -3, 0))
    wait = uniform(place, 0.1, 0.4)
    time = uniform(take, 0.05, 1.0)
    while time < n / rate:
        for _ in range(1 + pick(take, 4)):
            m = int(length * uniform(take, 0.85, 1.2) * rate)
            curve = hz * path(m, ((0.0, 0.8), (0.3, 1.05), (1.0, 0.75)))
            curve = curve * 2 ** (0.08 * drift(take, m, rate, 130.0))
            yield time, glide(curve, rate, gains) * pulse_shape(m, 0.25, 0.7), 1.0
            time += m / rate + wait * uniform(take, 0.7, 1.4)
        time += uniform(take, 0.5, 1.8)


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


@placed
def frog(place: Generator, take: Generator, n: int, rate: int) -> Iterator[Event]:
    """Croaks, quick pulses in a throat, or short rising peeps."""
    peeping = chance(place, 0.4)
    hz = log_uniform(place, 1500, 3400) if peeping else log_uniform(place, 350, 1800)
    length = log_uniform(place, 0.06, 0.18) if peeping else log_uniform(place, 0.12, 0.5)
    pulse_hz, climb = log_uniform(place, 25, 110), uniform(place, 0.05, 0.35)
    period, sway = max(log_uniform(place, 0.3, 1.5), 1.4 * length), uniform(place, 0.04, 0.2)
    throat = ring(rate, [hz, 0.5 * hz, 1.8 * hz], [0.006, 0.009, 0.003], [1.0, 0.4, 0.4])
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
            yield time, call, loud(take, 1.5, loud_db)


@placed
def dog_bark(place: Generator, take: Generator, n: int, rate: int) -> Iterator[Event]:
    """Barks alone or in rows: a voice that jumps up and falls, with a rough breath."""
    hz, length = log_uniform(place, 220, 800), log_uniform(place, 0.09, 0.26)
    throat = ring(
        rate,
        [log_uniform(place, *limits) for limits in ((500, 1100), (1200, 2400), (2600, 4200))],
        [0.004, 0.003, 0.002],
        [1.0, uniform(place, 0.3, 0.9), uniform(place, 0.1, 0.5)],
    )
    gains = harmonics(18, uniform(place, -5, -2))
    breath, gap = uniform(place, 0.1, 0.5), log_uniform(place, 0.12, 0.4)
    time = uniform(take, 0.0, 0.35) * n / rate
    while time < n / rate:
        for _ in range(1 + pick(take, 4)):
            m = int(length * uniform(take, 0.85, 1.2) * rate)
            curve = hz * uniform(take, 0.93, 1.07) * path(m, ((0.0, 0.7), (0.3, 1.25), (1.0, 0.6)))
            voice = glide(curve * 2 ** (0.03 * drift(take, m, rate, 90.0)), rate, gains)
            voice = voice + np.float32(breath) * white(take, m)
            voice = voice * pulse_shape(m, 0.2, 0.8)
            bark = to_level(convolve(voice, throat))
            yield time, bark, loud(take, 2.0)
            time += m / rate + gap * uniform(take, 0.6, 1.5)
        time += uniform(take, 0.4, 1.6)


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


@placed
def melody(place: Generator, take: Generator, n: int, rate: int) -> Iterator[Event]:
    """Notes of a scale, plucked or blown."""
    base, beat = log_uniform(place, 200, 700), uniform(place, 0.12, 0.45)
    decay = log_uniform(place, 0.08, 0.8)
    gains = harmonics(8, uniform(place, -12, -4))
    time = -uniform(take, 0.0, beat)
    while time < n / rate:
        semitones = (0, 2, 4, 5, 7, 9, 11, 12)[pick(take, 8)]
        hz = base * 2 ** (semitones / 12)
        decays = [decay / k**0.5 for k in range(1, 9)]
        note = ring(rate, [hz * k for k in range(1, 9)], decays, gains, 4 * decay, attack=0.005)
        yield time, note, uniform(take, 0.6, 1.0)
        time += beat * (1, 1, 1, 2)[pick(take, 4)]


SOUNDS: dict[str, SoundFunction] = {
    sound.__name__: sound
    for sound in (
        *(rain, wind, thunder, sea_waves, water_drops, shower, crackling_fire),
        *(engine, chainsaw, helicopter, vacuum, siren, bell),
        *(clock_tick, footsteps, door_knock, keyboard, clatter),
        *(bird, rooster, crow, cricket, frog, dog_bark, babble, melody),
    )
}
"""Every sound by its name."""
