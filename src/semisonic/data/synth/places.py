"""The conditions of a recording: room, microphone, distance, level.

They are drawn once for a recording and hold for all its clips. The microphone and the
room become one impulse response, so that a clip costs one convolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from semisonic.data.synth.draw import Generator, Wave, chance, decibel, log_uniform, uniform
from semisonic.data.synth.noise import band, coloured, response

_MICROPHONE_BINS = 1025


@dataclass(frozen=True, eq=False)
class Place:
    """What stays the same throughout a recording.

    Attributes
    ----------
    microphone : ndarray of float32
        Impulse response of microphone and recorder.
    room : ndarray of float32
        Impulse response from the sound to the microphone, without the microphone's own.
    snr_db : float
        Level of the loudest 50 ms of the sound over the background's root mean square.
    level_db : float
        Level of the loudest 50 ms of the clip, dB relative to full scale.
    """

    microphone: Wave
    room: Wave
    snr_db: float
    level_db: float


def draw_place(rng: Generator, rate: int, snr_db: float) -> Place:
    """Choose the conditions of a recording; ``snr_db`` is their middle."""
    return Place(
        microphone=_microphone(rng, rate),
        room=_room(rng, rate),
        snr_db=snr_db + uniform(rng, -8.0, 8.0),
        level_db=uniform(rng, -34.0, -14.0),
    )


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


def spectrum_of(impulse: Wave, n: int) -> NDArray[np.complex64]:
    """What :func:`through` multiplies by, for waves of ``n`` samples."""
    return np.asarray(fft.rfft(impulse[:n], n), dtype=np.complex64)


def through(x: Wave, spectrum: NDArray[np.complex64]) -> Wave:
    """A sound through a room or a microphone, shape as ``x``.

    The convolution is circular: what rings on after the end stands at the beginning, as
    if the recording had begun earlier.
    """
    return np.asarray(fft.irfft(fft.rfft(x) * spectrum, len(x)), dtype=np.float32)
