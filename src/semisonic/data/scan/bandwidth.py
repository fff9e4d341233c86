"""Up to which frequency a recording holds anything.

Sounds that went through MP3, a telephone, or a lower sampling rate have nothing above a limit,
whatever their header says. Mean spectra of a few moments show it: what is empty lies at the
rounding noise of 16-bit samples, or below.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft

N_FFT = 2048
N_BANDS = 64
"""Bands of equal width between 0 Hz and half the sampling rate: the resolution."""

N_MOMENTS = 32
"""Moments of a recording that are looked at, spread evenly."""

_ROUNDING = 2.0**-30 / 12  # variance of the rounding error of 16-bit samples
_ABOVE = 10.0  # times the rounding noise: what dithering never reaches


class Bandwidth:
    """Gathers moments of a recording of about ``n_samples`` samples, block by block."""

    def __init__(self, sample_rate: int, n_samples: int, n_block: int) -> None:
        n_blocks = max(1, -(-n_samples // n_block))
        self._rate = sample_rate
        self._every = max(1, n_blocks // N_MOMENTS)
        self._in_block = -(-N_MOMENTS // n_blocks)
        self._window = _hann(N_FFT)
        self._power = np.zeros(N_FFT // 2 + 1)
        self._n = self._at = 0

    def add(self, x: NDArray[np.float32]) -> None:
        """Take in the next samples of one channel, shape (n,)."""
        chosen = self._at % self._every == 0
        self._at += 1
        if not chosen or len(x) < 2:
            return
        size = min(N_FFT, len(x))
        starts = np.linspace(0, len(x) - size, self._in_block if len(x) > size else 1)
        moments = x[starts.astype(np.int64)[:, None] + np.arange(size)]
        moments = moments - moments.mean(axis=1, keepdims=True)
        window = self._window if size == N_FFT else _hann(size)
        spectrum = rfft(moments * window, N_FFT, axis=1)
        power = (spectrum.real**2 + spectrum.imag**2).sum(axis=0, dtype=np.float64)
        self._power += power / float(np.dot(window, window))
        self._n += len(starts)

    def value(self) -> float:
        """The upper limit in Hz, in steps of a 64th of half the rate; 0 if there is nothing."""
        if not self._n:
            return 0.0
        bands = (self._power[1:] / self._n).reshape(N_BANDS, -1).mean(axis=1)
        above = np.flatnonzero(bands > _ABOVE * _ROUNDING)
        return float((above[-1] + 1) / N_BANDS * self._rate / 2) if len(above) else 0.0


def _hann(size: int) -> NDArray[np.float32]:
    """A Hann window whose ends are above 0."""
    return np.hanning(size + 2)[1:-1].astype(np.float32)
