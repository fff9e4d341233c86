"""Statistics of log-mel spectrograms: a clip as a few hundred numbers, for simple classifiers.

The idea is that of the ESC baselines (Piczak 2015, mean and deviation of MFCC over frames),
with more of it: of each mel band the mean, the deviation, three percentiles and the deviation
of its changes; of the first cepstral coefficients mean, deviation and deviation of changes. A
linear model or a forest of trees on these learns in seconds, and with 320 labels comes near a
small network.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import dct

from semisonic.base.errors import DataError

RANGE_DB = 80.0
"""Below the loudest cell of a clip by more than this, a cell counts as this much below it."""

PERCENTILES = (10, 50, 90)
N_CEPSTRA = 20
_CHUNK = 64  # clips at once: percentiles need a copy


def mel_statistics(features: ArrayLike) -> NDArray[np.float32]:
    """Log-mel spectrograms to fixed numbers.

    Parameters
    ----------
    features : array of float, shape (n, channel, mel, frame)
        In dB; of several channels the first is used, which is the spectrogram itself.

    Returns
    -------
    ndarray of float32, shape (n, 6 * mel + 3 * n_cepstra)
        ``n_cepstra`` is 20, or the number of mel bands when that is smaller. Finite for any
        clip, silence and clips of a single frame included.
    """
    clips: NDArray[np.floating] = (
        features if isinstance(features, np.ndarray) else np.asarray(features)
    )
    if clips.ndim != 4 or not clips.shape[2] or not clips.shape[3]:
        raise DataError(
            f"statistics: found features of shape {clips.shape}, expected "
            "(n, channel, mel, frame) with at least one band and frame"
        )
    width = 6 * clips.shape[2] + 3 * min(N_CEPSTRA, clips.shape[2])
    out = np.zeros((len(clips), width), np.float32)
    for start in range(0, len(clips), _CHUNK):
        out[start : start + _CHUNK] = _of_chunk(
            np.asarray(clips[start : start + _CHUNK, 0], np.float32)
        )
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
