"""Clips as rows of numbers: statistics of MFCC or of log-mel levels."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import dct, rfft

from semisonic.core.errors import DataError
from semisonic.features.logmel import filters_of
from semisonic.features.options import AMIN, MelOptions

N_FFT = 2048
HOP_LENGTH = 512
N_MELS = 128
TOP_DB = 80.0


def mfcc(x: ArrayLike, sample_rate: float, n_mfcc: int = 13) -> NDArray[np.float64]:
    """Mel-frequency cepstral coefficients.

    Parameters
    ----------
    x : array of float, shape (time,)
        Samples within -1 to 1. A clip shorter than half a window is padded with zeros.
    sample_rate : float
        Hz.

    Returns
    -------
    ndarray, shape (n_mfcc, frame)
        From the zeroth coefficient; dB.
    """
    wave = _wave(x)
    padded = np.pad(wave, N_FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP_LENGTH]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)
    spectrum = rfft(frames * window, axis=-1)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    mel: NDArray[np.float64] = power @ _filters(float(sample_rate)).T
    level = 10 * np.log10(np.maximum(mel, AMIN))
    level = np.maximum(level, level.max() - TOP_DB)
    cepstrum = np.asarray(dct(level, type=2, norm="ortho", axis=-1), np.float64)
    return cepstrum[:, :n_mfcc].T


def zero_crossing_rate(x: ArrayLike) -> NDArray[np.float64]:
    """Share of neighbouring samples with different signs, one value per 512 samples."""
    wave = _wave(x)
    frames = np.lib.stride_tricks.sliding_window_view(wave, HOP_LENGTH)[::HOP_LENGTH]
    negative = frames < 0
    changes = (negative[:, 1:] != negative[:, :-1]).astype(np.float64)
    return np.asarray(changes.mean(axis=1))


def mfcc_statistics(x: ArrayLike, sample_rate: float) -> NDArray[np.float32]:
    """The 26 values of the ESC baselines.

    Twelve mel-frequency cepstral coefficients (without the zeroth) and the zero-crossing rate;
    of each the mean and the standard deviation over frames. The cepstra are those of librosa's
    defaults with mirrored ends: 2048-sample windows every 512 samples (11.6 ms at 44.1 kHz),
    128 Slaney mel bands, 80 dB range below the loudest cell, orthonormal DCT. The zero-crossing
    rate is counted in the same 512-sample steps.

    Parameters
    ----------
    x : array of float, shape (time,)
        Samples within -1 to 1.
    sample_rate : float
        Hz; the baselines used 44 100.

    Returns
    -------
    ndarray of float32, shape (26,)
        Means of coefficients 1 to 12 and of the zero-crossing rate, then the standard
        deviations of the same 13. Finite for any clip, silence included.
    """
    cepstrum = mfcc(x, sample_rate)[1:]
    crossings = zero_crossing_rate(x)
    means = [*cepstrum.mean(axis=1), crossings.mean()]
    deviations = [*cepstrum.std(axis=1), crossings.std()]
    return np.array(means + deviations, np.float32)


def _wave(x: ArrayLike) -> NDArray[np.float64]:
    wave = np.asarray(x, np.float64)
    if wave.ndim != 1 or not len(wave):
        raise DataError(f"MFCC: found samples of shape {wave.shape}, expected (time,), not empty")
    if not np.isfinite(wave).all():
        raise DataError("MFCC: found samples that are not finite")
    shortest = N_FFT // 2 + 1
    return np.pad(wave, (0, max(0, shortest - len(wave))))


@lru_cache(maxsize=8)
def _filters(sample_rate: float) -> NDArray[np.float64]:
    return filters_of(MelOptions(round(sample_rate), n_fft=N_FFT, n_mels=N_MELS))


RANGE_DB = 80.0
"""Range in dB: cells further below the loudest cell of a clip are raised to this."""

PERCENTILES = (10, 50, 90)
N_CEPSTRA = 20
_CHUNK = 64  # clips at once: percentiles need a copy


def mel_statistics(features: Any) -> NDArray[np.float32]:
    """Statistics of log-mel spectrograms.

    They extend the ESC baselines (Piczak 2015, mean and deviation of MFCC over frames): for each
    mel band the mean, the deviation, three percentiles and the deviation of its changes; for the
    first cepstral coefficients the mean, the deviation and the deviation of changes. A linear
    model or a forest on these learns in seconds, and with 320 labels is nearly as good as a small
    network.

    Parameters
    ----------
    features : array of float, or what reads like one, shape (n, channel, mel, frame)
        In dB; only the first channel, the spectrogram itself, is used.

    Returns
    -------
    ndarray of float32, shape (n, 6 * mel + 3 * n_cepstra)
        ``n_cepstra`` is 20, or the number of mel bands when that is smaller. Finite for any
        clip, silence and clips of a single frame included.
    """
    shape = features.shape
    if len(shape) != 4 or not shape[2] or not shape[3]:
        raise DataError(
            f"statistics: found features of shape {shape}, expected "
            "(n, channel, mel, frame) with at least one band and frame"
        )
    width = 6 * shape[2] + 3 * min(N_CEPSTRA, shape[2])
    out = np.zeros((len(features), width), np.float32)
    for start in range(0, len(features), _CHUNK):
        levels = features[start : start + _CHUNK][:, 0]
        out[start : start + _CHUNK] = _of_chunk(np.asarray(levels, np.float32))
    return out


def _of_chunk(level: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same for (n, mel, frame)."""
    level = np.maximum(level, level.max(axis=(1, 2), keepdims=True) - RANGE_DB)
    cepstra = dct(level, axis=1, norm="ortho")[:, :N_CEPSTRA]
    bands = np.percentile(level, PERCENTILES, axis=2)  # (3, n, mel)
    parts = [*_moments(level), *bands, *_moments(cepstra)]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _moments(values: NDArray[np.floating]) -> list[NDArray[np.floating]]:
    """Mean, deviation and deviation of changes over frames, each (n, band)."""
    repeats_first = np.diff(values, axis=2, prepend=values[:, :, :1])
    changes = repeats_first[:, :, 1:] if values.shape[2] > 1 else repeats_first
    return [values.mean(axis=2), values.std(axis=2), changes.std(axis=2)]
