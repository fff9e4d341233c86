"""The mel filter bank of Slaney's Auditory Toolbox (1998), computed in float64.

Band edges are equally spaced on a scale that is linear below 1 kHz and logarithmic above;
each band is a triangle of unit area, so that white noise gives equal power in every band.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semisonic.base.errors import OptionError

_HZ_PER_MEL = 200.0 / 3.0  # below the corner
_CORNER_HZ = 1000.0
_CORNER_MEL = _CORNER_HZ / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0  # above it: 27 mel from 1 to 6.4 kHz


def hz_to_mel(hz: ArrayLike) -> NDArray[np.float64]:
    """Frequencies in Hz on Slaney's mel scale."""
    f = np.asarray(hz, np.float64)
    above = _CORNER_MEL + np.log(np.maximum(f, _CORNER_HZ) / _CORNER_HZ) / _LOG_STEP
    return np.where(f < _CORNER_HZ, f / _HZ_PER_MEL, above)


def mel_to_hz(mel: ArrayLike) -> NDArray[np.float64]:
    """The inverse of :func:`hz_to_mel`."""
    m = np.asarray(mel, np.float64)
    above = _CORNER_HZ * np.exp((np.maximum(m, _CORNER_MEL) - _CORNER_MEL) * _LOG_STEP)
    return np.where(m < _CORNER_MEL, m * _HZ_PER_MEL, above)


def mel_filters(
    sample_rate: float,
    n_fft: int,
    n_mels: int,
    fmin_hz: float = 0.0,
    fmax_hz: float | None = None,
) -> NDArray[np.float64]:
    """Weights that turn a spectrum into mel bands.

    Returns
    -------
    ndarray of float64, shape (n_mels, n_fft // 2 + 1)
        In units of 1/Hz: each triangle has the area one.
    """
    top = sample_rate / 2 if fmax_hz is None else fmax_hz
    low, high = hz_to_mel(fmin_hz), hz_to_mel(top)
    edges = mel_to_hz(np.linspace(low, high, n_mels + 2))
    bins = np.arange(n_fft // 2 + 1) * (sample_rate / n_fft)
    rising = (bins[None] - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins[None]) / np.diff(edges)[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]


def require_no_empty_band(filters: NDArray[np.float64], n_fft: int) -> None:
    """Refuse a filter bank with a band that no frequency bin falls into.

    Such a band would be silent for every sound.
    """
    empty = np.flatnonzero(filters.max(axis=1) == 0)
    if len(empty):
        n_mels = len(filters)
        raise OptionError(
            f"options 'n_mels', 'n_fft': with n_fft={n_fft}, {len(empty)} of {n_mels} mel bands "
            f"(first: band {empty[0]}) hold no frequency bin; take fewer mel bands, a larger "
            "n_fft or a higher fmin_hz"
        )
