"""Machines and things that knock or signal: engines, clocks, steps, doors, sirens, bells."""

from __future__ import annotations

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
    pick,
    pulse_times,
    random_times,
    refine,
    ring,
    steady_times,
    swelled,
    to_level,
    together,
    train,
    uniform,
)


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


def clock_tick(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Tick, tock: two clicks in turn, as even as clockwork."""
    period = (1.0, 1.0, 0.5, 0.4, 0.333, 0.25, 0.2)[pick(place, 7)]
    period *= uniform(place, 0.97, 1.03)
    decay = log_uniform(place, 0.002, 0.012)
    low = log_uniform(place, 500, 2200)
    pair = [_click(place, rate, low, 4 * low, decay) for _ in range(2)]
    limp, second_db = uniform(place, -0.08, 0.08), uniform(place, -10, 0)
    after, after_db = uniform(place, 0.015, 0.08), uniform(place, -22, -6)
    out = np.zeros(n, np.float32)
    turn = pick(take, 2)
    for i, time in enumerate(steady_times(take, n / rate, period, 0.002)):
        second = (i + turn) % 2
        gain = decibel(second * second_db + 0.5 * float(take.standard_normal()))
        time = float(time) + second * limp * period
        add(out, rate, time, pair[second], gain)
        add(out, rate, time + after, pair[1 - second], gain * decibel(after_db))
    return out


def footsteps(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Heel and toe, left and right, on boards, stone or gravel; nobody walks like a clock."""
    ground = pick(place, 3)
    period, sway = log_uniform(place, 0.3, 0.8), uniform(place, 0.03, 0.09)
    roll, toe_db = uniform(place, 0.05, 0.14), uniform(place, -12, -2)
    heel = _step(place, rate, ground)
    loose = log_uniform(place, 0.02, 0.07)
    out = np.zeros(n, np.float32)
    for i, time in enumerate(steady_times(take, n / rate, period, sway)):
        gain = decibel((i % 2) * -1.5 + 2.5 * float(take.standard_normal()))
        late = float(time) + roll * uniform(take, 0.8, 1.2)
        if ground == 2:
            add(out, rate, float(time), _crunch(take, rate, loose), gain)
            add(out, rate, late, _crunch(take, rate, 1.3 * loose), gain * decibel(toe_db + 4))
            continue
        add(out, rate, float(time), heel, gain)
        add(out, rate, late, heel[:: 1 + pick(take, 2)], gain * decibel(toe_db))
        scrape = burst(take, rate, roll / 3, attack=0.01)
        add(out, rate, float(time) + 0.02, scrape, 0.1 * gain)
    return out


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


def door_knock(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Two to six knocks in a quick row, then a wait."""
    wood = _click(place, rate, 90, 900, log_uniform(place, 0.008, 0.03))
    gap, wait = log_uniform(place, 0.11, 0.26), uniform(place, 0.8, 2.0)
    out = np.zeros(n, np.float32)
    time = uniform(take, 0.05, 0.3) * n / rate
    while time < n / rate:
        for _ in range(2 + pick(take, 5)):
            add(out, rate, time, wood, decibel(1.5 * float(take.standard_normal())))
            time += gap * (1 + 0.06 * float(take.standard_normal()))
        time += wait * uniform(take, 0.7, 1.4)
    return out


def keyboard(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Typing: hurried, uneven clicks, each with the softer sound of the key's return."""
    keys = [
        _click(place, rate, log_uniform(place, 300, 1500), 6000, log_uniform(place, 0.002, 0.008))
        for _ in range(4)
    ]
    pace, back, back_db = (
        log_uniform(place, 4, 9),
        uniform(place, 0.06, 0.11),
        uniform(place, -14, -4),
    )
    out = np.zeros(n, np.float32)
    time = uniform(take, 0.0, 0.3)
    while time < n / rate:
        key, gain = keys[pick(take, 4)], decibel(3.0 * float(take.standard_normal()))
        add(out, rate, time, key, gain)
        add(out, rate, time + back * uniform(take, 0.8, 1.2), key, gain * decibel(back_db))
        time += uniform(take, 0.5, 1.6) / pace
        if chance(take, 0.07):
            time += uniform(take, 0.3, 0.9)
    return out


def clatter(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Dishes, coins, things put down: rings and clicks without any rhythm."""
    low = log_uniform(place, 500, 2500)
    things = [_click(place, rate, low, 3 * low, log_uniform(place, 0.01, 0.08)) for _ in range(4)]
    out = np.zeros(n, np.float32)
    times = random_times(take, n / rate, log_uniform(place, 2, 8))
    for time in np.append(times, uniform(take, 0.0, 0.9) * n / rate):
        add(
            out,
            rate,
            float(time),
            things[pick(take, 4)],
            decibel(6 * float(take.standard_normal())),
        )
    return out


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
