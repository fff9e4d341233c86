"""From a clip's plan to its samples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from semisonic.base.seeds import generator
from semisonic.data.synth.backgrounds import background
from semisonic.data.synth.draw import Generator, Wave, chance, decibel, pick, uniform
from semisonic.data.synth.noise import to_level
from semisonic.data.synth.places import Place, draw_place, spectrum_of, through
from semisonic.data.synth.plan import Take
from semisonic.data.synth.sounds import SOUNDS

_PEAK = 0.97
_BYSTANDERS = tuple(SOUNDS)


def render(take: Take) -> Wave:
    """Make the samples of a clip, shape (n_samples,), within ±0.97."""
    rate, wanted = take.sample_rate, take.n_samples
    n = fft.next_fast_len(wanted, real=True)
    here = _conditions(take.seed, take.recording, n, rate, take.snr_db)
    details = generator(take.seed, "synth take", take.recording, take.number)
    out = np.zeros(n, np.float32)
    for i, name in enumerate(take.sounds):
        down_db = 0.0 if i == 0 else uniform(details, -7.0, 0.0)
        part = _heard(take, name, n, here)
        out += part * np.float32(decibel(down_db) / loudest(part, rate))
    out += _surroundings(take, details, n, here)
    out = out[:wanted]
    gain_db = here.place.level_db + uniform(details, -2.0, 2.0)
    out *= np.float32(decibel(gain_db) / loudest(out, rate))
    peak = float(np.abs(out).max())
    return out * np.float32(_PEAK / peak) if peak > _PEAK else out


def loudest(x: Wave, rate: int, window: float = 0.1) -> float:
    """The root mean square of the loudest stretch of ``window`` seconds, at least 1e-6."""
    width = min(max(int(window * rate), 1), len(x))
    power = np.square(x[: len(x) // width * width]).reshape(-1, width).mean(1)
    return max(float(np.sqrt(power.max())), 1e-6)


@dataclass(frozen=True, eq=False)
class _Conditions:
    place: Place
    near: NDArray[np.complex64]  # room and microphone
    microphone: NDArray[np.complex64]


@lru_cache(maxsize=8)
def _conditions(seed: int, recording: str, n: int, rate: int, snr_db: float) -> _Conditions:
    place = draw_place(generator(seed, "synth place", recording), rate, snr_db)
    microphone = spectrum_of(place.microphone, n)
    return _Conditions(place, spectrum_of(place.room, n) * microphone, microphone)


def _heard(take: Take, name: str, n: int, here: _Conditions) -> Wave:
    """A sound as it is recorded at that place."""
    own = generator(take.seed, "synth sound", take.recording, name)
    details = generator(take.seed, "synth details", take.recording, name, take.number)
    x = SOUNDS[name](own, details, n, take.sample_rate)
    return through(np.asarray(x, dtype=np.float32), here.near)


def _surroundings(take: Take, details: Generator, n: int, here: _Conditions) -> Wave:
    """The background and, at one place in five, some other sound far away."""
    own = generator(take.seed, "synth background", take.recording)
    snr_db, rate = here.place.snr_db, take.sample_rate
    out = through(background(own, details, n, rate), here.microphone)
    out = to_level(out, -snr_db)
    if chance(own, 0.2):
        name = _BYSTANDERS[pick(own, len(_BYSTANDERS))]
        far_db = min(uniform(own, -4.0, 4.0) - snr_db, -12.0)
        if name not in take.sounds:
            far = _heard(take, name, n, here)
            out = out + far * np.float32(decibel(far_db) / loudest(far, rate))
    return out
