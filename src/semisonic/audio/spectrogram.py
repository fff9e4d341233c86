"""Pictures of sound: a spectrogram and the wave along time.

Levels are relative to full scale, so separately computed pieces of one recording fit together.
Models use the front end of the subpackage ``features``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

N_BANDS = 112
LOWEST_DB, HIGHEST_DB = -110.0, 0.0
"""The levels of 0 and 255."""
COLOURS = ("#0c1826", "#123a56", "#1d6a86", "#4aa19f", "#a9d1ab", "#fbf3cf")
"""Colours of spectrograms, from quiet to loud, in even steps."""

LOWEST_HZ = 40.0
_LONGEST_HOP = 0.02
_AT_ONCE = 2048
Wave = NDArray[np.float32]
ReadPart = Callable[[float, float], Wave]


@dataclass(frozen=True)
class SpectrogramImage:
    """Columns of a picture.

    Attributes
    ----------
    levels : ndarray of uint8, shape (n_columns, N_BANDS)
        Low frequencies first; 0 is -110 dB or less, 255 full scale.
    low, high : ndarray of int8, shape (n_columns,)
        Smallest and largest sample of each column, full scale 127.
    """

    levels: NDArray[np.uint8]
    low: NDArray[np.int8]
    high: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.levels)

    def content(self) -> bytes:
        """Levels column by column, then low, then high."""
        return self.levels.tobytes() + self.low.tobytes() + self.high.tobytes()

    def wider(self, times: int) -> SpectrogramImage:
        """Merge this many columns into one by their maximum; the last may have fewer."""
        starts = np.arange(0, len(self), times)
        return SpectrogramImage(
            np.maximum.reduceat(self.levels, starts, axis=0),
            np.minimum.reduceat(self.low, starts),
            np.maximum.reduceat(self.high, starts),
        )

    def __getitem__(self, columns: slice) -> SpectrogramImage:
        return SpectrogramImage(self.levels[columns], self.low[columns], self.high[columns])


def draw_spectrogram(
    read: ReadPart,
    sample_rate: int,
    start: float,
    width: float,
    n: int,
    band_hz: tuple[float, float] | None = None,
) -> SpectrogramImage:
    """Draw ``n`` columns of ``width`` seconds from ``start`` on.

    Parameters
    ----------
    read : callable
        Returns the samples between two times in seconds, shape (n_samples,), full scale ±1; fewer
        or none at the end of the recording.
    sample_rate : int
        Hz.
    band_hz : (float, float), optional
        Lowest and highest frequency, Hz; by default all from ``LOWEST_HZ``.
    """
    per_column = max(1, round(width / _LONGEST_HOP))
    hop = width / per_column
    n_fft = _window_length(hop, sample_rate)
    edge = n_fft / 2 / sample_rate
    first = max(0.0, start - edge)
    wave = read(first, start + n * width + edge)
    offset = round((start - first) * sample_rate)
    starts = offset + np.arange(n * per_column) * hop * sample_rate
    middles = (starts + hop / 2 * sample_rate).astype(np.int64)
    is_there = starts < len(wave)
    padded = np.pad(wave, (n_fft // 2, n_fft))
    levels = np.zeros((n * per_column, N_BANDS), np.uint8)
    if is_there.any():
        levels[is_there] = _levels(padded, middles[is_there], n_fft, sample_rate, band_hz)
    low, high = _extremes(wave[offset:], width * sample_rate, n)
    shape = (n, per_column, N_BANDS)
    return SpectrogramImage(levels.reshape(shape).max(axis=1), low, high)


def _band_edges(low_hz: float, high_hz: float) -> NDArray[np.float64]:
    """Limits of the bands, shape (N_BANDS + 1,), Hz; even steps in mel."""
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (low_hz, high_hz))
    edges: NDArray[np.float64] = 700 * (10 ** (np.linspace(low, high, N_BANDS + 1) / 2595) - 1)
    return edges


def _window_length(hop: float, sample_rate: int) -> int:
    """A power of two of about two hops, between 6 and 46 ms."""
    seconds = min(max(2 * hop, 0.006), 0.046)
    return 1 << max(5, round(math.log2(seconds * sample_rate)))


@functools.lru_cache(maxsize=16)
def _weights(
    n_fft: int, sample_rate: int, band_hz: tuple[float, float] | None
) -> NDArray[np.float32]:
    """Shape (n_fft // 2 + 1, N_BANDS): mean power within a band; a narrow one is interpolated."""
    low_hz, high_hz = band_hz or (LOWEST_HZ, sample_rate / 2)
    edges = _band_edges(low_hz, high_hz) / sample_rate * n_fft
    middles, half = (edges[1:] + edges[:-1]) / 2, np.maximum((edges[1:] - edges[:-1]) / 2, 1.0)
    bins = np.arange(n_fft // 2 + 1)[:, None]
    weights = np.maximum(0.0, 1.0 - np.abs(bins - middles) / half)
    weights[:, weights.sum(axis=0) == 0] = 1e-9
    return np.asarray(weights / weights.sum(axis=0), np.float32)


def _levels(
    padded: Wave,
    middles: NDArray[np.int64],
    n_fft: int,
    sample_rate: int,
    band_hz: tuple[float, float] | None,
) -> NDArray[np.uint8]:
    window = np.hanning(n_fft).astype(np.float32)
    scale = np.float32((2 / window.sum()) ** 2)  # a sine of full scale has 0 dB
    weights = _weights(n_fft, sample_rate, band_hz)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)
    parts = []
    for start in range(0, len(middles), _AT_ONCE):
        spectra = fft.rfft(frames[middles[start : start + _AT_ONCE]] * window, axis=1)
        power = (spectra.real**2 + spectra.imag**2) @ weights
        level = 10 * np.log10(power * scale + np.float32(1e-12))
        share = (level - LOWEST_DB) / (HIGHEST_DB - LOWEST_DB)
        parts.append(np.clip(np.rint(255 * share), 0, 255).astype(np.uint8))
    return np.concatenate(parts)


def _extremes(wave: Wave, per_column: float, n: int) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    low, high = np.zeros(n, np.int8), np.zeros(n, np.int8)
    starts = (np.arange(n) * per_column).astype(np.int64)
    starts = starts[starts < len(wave)]
    if len(starts):
        inside = wave[: int(n * per_column)]
        for result, reduce in ((low, np.minimum), (high, np.maximum)):
            values = np.clip(np.rint(127 * reduce.reduceat(inside, starts)), -127, 127)
            result[: len(starts)] = values.astype(np.int8)
    return low, high
