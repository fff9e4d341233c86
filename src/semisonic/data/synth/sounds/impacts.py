"""Things that knock: clocks, steps, doors, keys. The spectra overlap, the rhythm differs."""

from __future__ import annotations

import numpy as np

from semisonic.data.synth.draw import (
    Generator,
    Wave,
    chance,
    decibel,
    log_uniform,
    pick,
    uniform,
)
from semisonic.data.synth.events import add, random_times, steady_times, together
from semisonic.data.synth.tones import burst, ring


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
