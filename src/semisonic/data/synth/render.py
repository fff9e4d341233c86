"""The samples of a clip: the sound, its background, the conditions of the recording."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from semisonic.core.seeds import generator
from semisonic.data.options import SynthOptions
from semisonic.data.synth.signals import (
    Generator,
    Wave,
    band,
    chance,
    coloured,
    decibel,
    drift,
    glide,
    harmonics,
    log_uniform,
    pick,
    response,
    swelled,
    to_level,
    uniform,
)
from semisonic.data.synth.sounds import SOUNDS, SoundFunction

# What is always there behind the sound: the noise of a room, a street, a machine.


def hiss(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """The noise of a recorder: flat or tilted, never changing."""
    tilt = uniform(place, -4, 2)
    return coloured(take, n, rate, ((100.0, 0.0), (6400.0, 6 * tilt)))


def hum(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Mains hum with its harmonics over a little noise."""
    hz = (50.0, 60.0)[pick(place, 2)]
    lines = glide(np.full(n, hz), rate, harmonics(16, uniform(place, -9, -4)), float(take.random()))
    return to_level(lines) + to_level(hiss(place, take, n, rate), uniform(place, -12, 0))


def street(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Far traffic: a dark rumble with cars that come and go."""
    out = coloured(take, n, rate, band(40, log_uniform(place, 120, 400), 6))
    cars = coloured(take, n, rate, band(200, log_uniform(place, 800, 2500), 6))
    return out + swelled(to_level(cars, -8), 5.0 * drift(take, n, rate, 0.4))


def air(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """A breeze in leaves: bright noise that comes and goes."""
    bright = coloured(take, n, rate, band(log_uniform(place, 800, 2500), 8000, 6))
    dark = coloured(take, n, rate, band(40, 200, 6))
    gust = drift(take, n, rate, uniform(place, 0.4, 1.5))
    return swelled(bright, 3.0 * gust) + swelled(to_level(dark, uniform(place, -6, 8)), 4.0 * gust)


def murmur(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """Many people too far away to be understood."""
    out = np.zeros(n, np.float32)
    for centre in (400.0, 900.0, 2000.0):
        part = coloured(take, n, rate, band(0.8 * centre, 1.25 * centre, 12))
        level = uniform(place, -4, 2) - 5.0 * np.log2(centre / 400.0)
        out += swelled(to_level(part, level), 4.0 * drift(take, n, rate, 4.0))
    return out


def machine(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """A fan or a fridge: a few steady lines in noise."""
    hz = log_uniform(place, 60, 300)
    lines = glide(np.full(n, hz), rate, harmonics(8, uniform(place, -9, -3)), float(take.random()))
    beat = uniform(place, 0.2, 1.0) * drift(take, n, rate, 1.0)
    rush = coloured(take, n, rate, band(100, log_uniform(place, 400, 2000), 5))
    return swelled(to_level(lines, uniform(place, -8, 3)), beat) + rush


BACKGROUNDS: tuple[SoundFunction, ...] = (hiss, hum, street, air, murmur, machine)


def background(place: Generator, take: Generator, n: int, rate: int) -> Wave:
    """One or two of the kinds, chosen by the recording; unit power, shape (n,)."""
    out = to_level(BACKGROUNDS[pick(place, len(BACKGROUNDS))](place, take, n, rate))
    if chance(place, 0.4):
        other = BACKGROUNDS[pick(place, len(BACKGROUNDS))](place, take, n, rate)
        out = out + to_level(other, uniform(place, -10, 0))
    return to_level(out)


# The conditions of a recording: room, microphone, distance, level.
#
# They are drawn once for a recording and hold for all its clips. The microphone and the
# room become one impulse response, so that a clip costs one convolution.


_MICROPHONE_BINS = 1025


class RecordingConditions(NamedTuple):
    """The conditions of a recording.

    Attributes
    ----------
    microphone : ndarray of complex64
        Spectrum of the microphone and the recorder, by which sounds are multiplied.
    near : ndarray of complex64
        The same with the path from the sound to the microphone.
    snr_db : float
        Level of the loudest 50 ms of the sound over the background's root mean square.
    level_db : float
        Level of the loudest 50 ms of the clip, dB relative to full scale.
    """

    microphone: NDArray[np.complex64]
    near: NDArray[np.complex64]
    snr_db: float
    level_db: float


@lru_cache(maxsize=8)
def conditions(seed: int, recording: str, n: int, rate: int, snr_db: float) -> RecordingConditions:
    """Choose the conditions of a recording with clips of ``n`` samples."""
    rng = generator(seed, "synth place", recording)
    microphone, room = (
        np.asarray(fft.rfft(impulse[:n], n), dtype=np.complex64)
        for impulse in (_microphone(rng, rate), _room(rng, rate))
    )
    snr_db += uniform(rng, -8.0, 8.0)
    return RecordingConditions(microphone, room * microphone, snr_db, uniform(rng, -34.0, -14.0))


def _microphone(rng: Generator, rate: int) -> Wave:
    """A tilt, some bumps, and corners below and above which little is recorded."""
    tilt = uniform(rng, -2.5, 1.8)
    low, high = log_uniform(rng, 25, 200), log_uniform(rng, 4200, 12000)
    if chance(rng, 0.06):  # a telephone
        low, high = uniform(rng, 200, 350), uniform(rng, 3200, 3800)
    frequencies = 62.5 * 2.0 ** np.arange(9)
    bumps = 2.2 * rng.standard_normal(len(frequencies)) + tilt * (np.arange(9) - 4)
    magnitude = response(_MICROPHONE_BINS, rate, list(zip(frequencies, bumps, strict=True)))
    magnitude *= response(_MICROPHONE_BINS, rate, band(low, high, uniform(rng, 9, 24)))
    return minimum_phase(magnitude)


def minimum_phase(magnitude: Wave) -> Wave:
    """The impulse response with this magnitude whose energy comes as early as possible.

    Parameters
    ----------
    magnitude : ndarray, shape (n_bins,)
        At equally spaced frequencies from 0 to half the sample rate.

    Returns
    -------
    ndarray of float32, shape (n_bins - 1,)
        By folding the real cepstrum (Oppenheim and Schafer, Discrete-Time Signal
        Processing, chapter on homomorphic processing).
    """
    log_magnitude = np.log(np.maximum(magnitude.astype(np.float64), 1e-4 * magnitude.max()))
    cepstrum = fft.irfft(log_magnitude)
    half = len(cepstrum) // 2
    cepstrum[1:half] *= 2.0
    cepstrum[half + 1 :] = 0.0
    impulse = fft.irfft(np.exp(fft.rfft(cepstrum)))
    fade: NDArray[np.float64] = np.ones(half)
    fade[-64:] = np.linspace(1.0, 0.0, 64)
    return np.asarray(impulse[:half] * fade, dtype=np.float32)


def _room(rng: Generator, rate: int) -> Wave:
    """The direct sound and a tail of noise that darkens as it dies away."""
    outdoors = chance(rng, 0.4)
    rt60 = log_uniform(rng, 0.15, 0.5) if outdoors else log_uniform(rng, 0.2, 1.8)
    wet_db = uniform(rng, -28, -16) if outdoors else uniform(rng, -18, -3)
    n = int(rt60 * rate)
    t = np.arange(n) / rate
    tail = np.zeros(n, np.float32)
    for points, share in ((band(100, 1000, 6), 1.0), (band(1000, 8000, 6), uniform(rng, 0.3, 0.8))):
        tail += coloured(rng, n, rate, points) * np.exp(-6.9 * t / (rt60 * share)).astype(
            np.float32
        )
    late = uniform(rng, 0.002, 0.03)
    tail *= np.float32(decibel(wet_db) / max(float(np.sqrt(np.sum(tail.astype(float) ** 2))), 1e-9))
    out = np.zeros(n + int(late * rate) + 1, np.float32)
    out[int(late * rate) : int(late * rate) + n] += tail
    out[0] += 1.0
    return out


def through(x: Wave, spectrum: NDArray[np.complex64]) -> Wave:
    """A sound through a room or a microphone, shape as ``x``.

    The convolution is circular: ringing after the end is at the beginning, as if the recording had
    begun earlier.
    """
    return np.asarray(fft.irfft(fft.rfft(x) * spectrum, len(x)), dtype=np.float32)


_PEAK = 0.97
_BYSTANDERS = tuple(SOUNDS)


def render(options: SynthOptions, recording: str, number: int, sounds: Sequence[str]) -> Wave:
    """Make the samples of a clip, shape (n_samples,), within ±0.97.

    Parameters
    ----------
    options : SynthOptions
        Options, of which ``seed``, ``duration``, ``sample_rate`` and ``snr_db`` are used.
    recording : str
        Its name, the seed of its conditions.
    number : int
        Which clip of the recording.
    sounds : sequence of str
        The sounds in it, the first the loudest or nearly so; none for background only.
    """
    seed, rate = options.seed, options.sample_rate
    wanted = round(options.duration * rate)
    n = fft.next_fast_len(wanted, real=True)
    here = conditions(seed, recording, n, rate, options.snr_db)

    def recorded(name: str, level_db: float) -> Wave:
        own = generator(seed, "synth sound", recording, name)
        details = generator(seed, "synth details", recording, name, number)
        x = np.asarray(SOUNDS[name](own, details, n, rate), dtype=np.float32)
        return levelled(through(x, here.near), rate, level_db)

    details = generator(seed, "synth take", recording, number)
    out = np.zeros(n, np.float32)
    for i, name in enumerate(sounds):
        out += recorded(name, 0.0 if i == 0 else uniform(details, -7.0, 0.0))
    own = generator(seed, "synth background", recording)
    around = to_level(through(background(own, details, n, rate), here.microphone), -here.snr_db)
    if chance(own, 0.2):  # some other sound far away
        name = _BYSTANDERS[pick(own, len(_BYSTANDERS))]
        far_db = min(uniform(own, -4.0, 4.0) - here.snr_db, -12.0)
        if name not in sounds:
            around = around + recorded(name, far_db)
    gain_db = here.level_db + uniform(details, -2.0, 2.0)
    return within_scale(levelled((out + around)[:wanted], rate, gain_db))


def levelled(x: Wave, rate: int, level_db: float = 0.0) -> Wave:
    """A sound whose loudest 0.1 s has this level, in dB relative to full scale."""
    return x * np.float32(decibel(level_db) / loudest(x, rate))


def within_scale(x: Wave) -> Wave:
    """A sound made quieter where a sample lies beyond ±0.97."""
    peak = float(np.abs(x).max())
    return x * np.float32(_PEAK / peak) if peak > _PEAK else x


def loudest(x: Wave, rate: int, window: float = 0.1) -> float:
    """The root mean square of the loudest part of ``window`` seconds, at least 1e-6."""
    width = min(max(int(window * rate), 1), len(x))
    power = np.square(x[: len(x) // width * width]).reshape(-1, width).mean(1)
    return max(float(np.sqrt(power.max())), 1e-6)
