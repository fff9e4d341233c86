"""Mel scales and mel filters."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semisonic.core.errors import OptionError
from semisonic.features.options import MelOptions

_HZ_PER_MEL = 200.0 / 3.0  # below the corner
_CORNER_HZ = 1000.0
_CORNER_MEL = _CORNER_HZ / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0  # above it: 27 mel from 1 to 6.4 kHz


def hz_to_mel(hz: ArrayLike) -> NDArray[np.float64]:
    """Frequencies in Hz on Slaney's mel scale.

    Parameters
    ----------
    hz : array_like

    Returns
    -------
    ndarray of float64

    Examples
    --------
    >>> round(float(hz_to_mel(1000.0)), 6)
    15.0
    """
    f = np.asarray(hz, np.float64)
    above = _CORNER_MEL + np.log(np.maximum(f, _CORNER_HZ) / _CORNER_HZ) / _LOG_STEP
    return np.where(f < _CORNER_HZ, f / _HZ_PER_MEL, above)


def mel_to_hz(mel: ArrayLike) -> NDArray[np.float64]:
    """The inverse of :func:`hz_to_mel`.

    Parameters
    ----------
    mel : array_like

    Returns
    -------
    ndarray of float64
    """
    m = np.asarray(mel, np.float64)
    above = _CORNER_HZ * np.exp((np.maximum(m, _CORNER_MEL) - _CORNER_MEL) * _LOG_STEP)
    return np.where(m < _CORNER_MEL, m * _HZ_PER_MEL, above)


def hz_to_htk(hz: ArrayLike) -> NDArray[np.float64]:
    """Frequencies in Hz on HTK's mel scale (O'Shaughnessy 1987): 2595 log10(1 + f / 700)."""
    return np.asarray(2595.0 * np.log10(1.0 + np.asarray(hz, np.float64) / 700.0))


def htk_to_hz(mel: ArrayLike) -> NDArray[np.float64]:
    """The inverse of :func:`hz_to_htk`."""
    return np.asarray(700.0 * (10.0 ** (np.asarray(mel, np.float64) / 2595.0) - 1.0))


_SCALES = {
    "slaney": (hz_to_mel, mel_to_hz),
    "htk": (hz_to_htk, htk_to_hz),
    "kaldi": (hz_to_htk, htk_to_hz),
}


def band_edges_hz(options: MelOptions) -> NDArray[np.float64]:
    """Where the triangles of the bands begin, peak and end, in Hz, shape (n_mels + 2,)."""
    to_mel, to_hz = _SCALES[options.mel_scale]
    top = options.sample_rate / 2 if options.fmax_hz is None else options.fmax_hz
    return to_hz(np.linspace(to_mel(options.fmin_hz), to_mel(top), options.n_mels + 2))


def filters_of(options: MelOptions) -> NDArray[np.float64]:
    """Weights that turn a spectrum into the mel bands that the options ask for.

    Parameters
    ----------
    options : MelOptions

    Returns
    -------
    ndarray of float64, shape (n_mels, n_fft // 2 + 1)
        For the scale "slaney" in units of 1/Hz: each triangle has the area one. For the others
        each has the height one, over Hz for "htk" and over mel for "kaldi".

    Raises
    ------
    OptionError
        When a band holds no frequency bin: it would be silent for every sound.
    """
    n_fft, edges = options.n_fft, band_edges_hz(options)
    bins = np.arange(n_fft // 2 + 1, dtype=np.float64) * (options.sample_rate / n_fft)
    if options.mel_scale == "kaldi":
        filters = _triangles(hz_to_htk(edges), hz_to_htk(bins))
    else:
        filters = _triangles(edges, bins)
    if options.has_unit_areas:
        filters *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    empty = np.flatnonzero(filters.max(axis=1) == 0)
    if len(empty):
        raise OptionError(
            f"options 'n_mels', 'n_fft': with n_fft={n_fft}, {len(empty)} of {options.n_mels} mel "
            f"bands (first: band {empty[0]}) hold no frequency bin; take fewer mel bands, a larger "
            "n_fft or a higher fmin_hz"
        )
    return filters


def _triangles(edges: NDArray[np.float64], bins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Height of each band's triangle at each bin, shape (band, bin)."""
    rising = (bins[None] - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins[None]) / np.diff(edges)[1:, None]
    return np.maximum(0.0, np.minimum(rising, falling))
