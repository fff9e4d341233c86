"""Fingerprints of sounds that survive re-encoding, and the search for copies by them.

The sound is brought to 8 kHz and cut into frames. Each frame has 16 signs: does the level of a
band, compared with the next band, rise or fall? Only changes over time and frequency are kept, so
a constant filter or gain leaves the signs as they were. The idea of signs of band-energy
differences is that of J. Haitsma and T. Kalker, "A Highly Robust Audio Fingerprinting System",
ISMIR 2002; bands, rates and the search are our own, chosen for short clips of noise
and single events: longer windows that tolerate a shift between the frame grids, differences over
two frames, and silent frames that say nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

from semisonic.core.progress import bar

SAMPLE_RATE = 8000
WINDOW = 2048  # samples, 256 ms
HOP = 512  # samples, 64 ms
STEP = 2  # frames between which a change is looked at
N_BANDS = 16
FMIN_HZ, FMAX_HZ = 200.0, 3700.0
ACTIVE_RANGE_DB = 60.0  # frames this far below the loudest one are silence
SILENCE_DB = -80.0  # nothing below this level (full-scale sine = 0 dB) is a sound

HOP_TIME = HOP / SAMPLE_RATE  # seconds
_BLOCK = 256  # frames transformed at a time


def fingerprint(x: NDArray[np.float32]) -> NDArray[np.int8]:
    """The fingerprint of a sound.

    Parameters
    ----------
    x : ndarray of float32, shape (n,)
        Samples at 8 kHz.

    Returns
    -------
    ndarray of int8, shape (frame, 16)
        +1 or -1; whole frames are 0 where nothing is heard. No frames for an empty sound.
    """
    if not len(x):
        return np.zeros((0, N_BANDS), np.int8)
    power = _band_power(np.pad(x, WINDOW // 2 + HOP))
    total = power.sum(axis=1)
    loudest = float(total.max())
    # A full-scale sine under a Hann window has the power (WINDOW / 4)² in its bands, about.
    silence = (WINDOW / 4) ** 2 * 10 ** (SILENCE_DB / 10)
    if not np.isfinite(loudest) or loudest <= silence or len(total) <= STEP:
        return np.zeros((max(0, len(total) - STEP), N_BANDS), np.int8)
    active = total > max(loudest * 10 ** (-ACTIVE_RANGE_DB / 10), silence)
    level = np.log(power + loudest * 1e-8)
    tilt = np.diff(level, axis=1)
    change = tilt[STEP:] - tilt[:-STEP]
    heard = active[STEP:] | active[:-STEP]
    # A change of exactly nothing counts as a fall, so that a heard frame has no zeros.
    signs = np.where(change > 0, np.int8(1), np.int8(-1)).astype(np.int8)
    signs[~heard] = 0
    return signs


def _band_power(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Power in N_BANDS + 1 bands of every frame, shape (frame, band)."""
    frames = np.lib.stride_tricks.sliding_window_view(x, WINDOW)[::HOP]
    window, bands = _tables()
    parts = []
    for begin in range(0, len(frames), _BLOCK):
        spectrum = np.fft.rfft(frames[begin : begin + _BLOCK] * window, axis=1)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        parts.append(power @ bands)
    return np.concatenate(parts)


@cache
def _tables() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The window, shape (WINDOW,), and the bands, shape (bin, N_BANDS + 1)."""
    frequency = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE)
    edges = np.geomspace(FMIN_HZ, FMAX_HZ, N_BANDS + 2)
    inside = (frequency[:, None] >= edges[:-1]) & (frequency[:, None] < edges[1:])
    return np.hanning(WINDOW).astype(np.float32), inside.astype(np.float32)


# Which sounds are copies of each other: a fast search over fingerprints, then a close look.
#
# 1. :func:`candidates` slides all fingerprints over all others, as matrix products in blocks. What
#    agrees more than chance allows goes on; most of that is not a copy yet.
# 2. :func:`compare` correlates the two waveforms themselves. Copies stay near 1 through re-encoding
#    and resampling; different recordings of the same thing stay under 0.25 (measured on ESC-10).


MIN_AGREEMENT = 0.25  # mean product of signs; 0 for unrelated sounds, 1 for a copy
MIN_SIGNIFICANCE = 5.0  # agreement in standard deviations of independent signs
MIN_OVERLAP = 0.4  # share of the shorter sound that must take part
_MIN_FRAMES = 2
_MATCH_BLOCK = 512
_FMIN_HZ, _FMAX_HZ = 100.0, 3600.0
_WHITENING_HZ = 40.0
_FINE = 8  # steps of a sample in which the best offset is refined
_STRETCH = SAMPLE_RATE // 4  # samples
_SHARED_CORRELATION = 0.7

Pairs = NDArray[np.int64]


class SoundMatch(NamedTuple):
    """How alike two sounds are.

    Attributes
    ----------
    score : float
        Correlation of the waveforms where they overlap, 0 to 1; level and polarity do not matter.
    offset_time : float
        Seconds by which the second sound lies later in the first (negative: earlier).
    shared_time : float
        Seconds, in steps of 0.25 s, in which the two agree closely.
    """

    score: float
    offset_time: float
    shared_time: float


def candidates(
    prints: Sequence[NDArray[np.int8]],
    others: Sequence[NDArray[np.int8]] | None = None,
    *,
    max_offset: float,
) -> Pairs:
    """Pairs of fingerprints that agree more than chance allows.

    Parameters
    ----------
    prints, others : sequences of int8 arrays, each of shape (frame, 16)
        With ``others``, pairs of one from each; without, pairs within ``prints``.
    max_offset : float
        Seconds by which one sound may begin later than the other.

    Returns
    -------
    ndarray of int64, shape (n, 2)
        Positions in ``prints`` and in ``others`` (or ``prints``), sorted.
    """
    max_lag = int(np.ceil(max_offset / HOP_TIME))
    left = _blocks(prints)
    right = left if others is None else _blocks(others)
    found = []
    total = sum(len(a) * len(b) for a in left for b in right)
    with bar(total, "compare fingerprints", "pair") as shown:
        for i, a in enumerate(left):
            # Within one set, each pair of blocks is looked at once.
            for j, b in enumerate(right):
                if others is not None or j >= i:
                    found.append(_compare_blocks(prints, others or prints, a, b, max_lag))
                shown.update(len(a) * len(b))
    pairs = np.concatenate(found) if found else np.empty((0, 2), np.int64)
    if others is None:
        pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    return np.unique(pairs, axis=0)


def compare(x: NDArray[np.float32], y: NDArray[np.float32], *, max_offset: float) -> SoundMatch:
    """Correlate two sounds at the best offset.

    Both are limited to 100-3600 Hz and half whitened first, so that mains hum or rumble, which
    unrelated recordings may share, counts for little.

    Parameters
    ----------
    x, y : ndarray of float32, shape (n,)
        Samples at 8 kHz.
    max_offset : float
        Seconds.
    """
    if min(len(x), len(y)) < 2:
        return SoundMatch(0.0, 0.0, 0.0)
    n = next_fast_len(len(x) + len(y), real=True)
    a, b = _whitened(x, n), _whitened(y, n)
    lag = _best_lag(a * np.conj(b), n, len(x), len(y), max_offset)
    # Shift the second sound by the fractional lag, so that equal samples lie on each other.
    u, v = irfft(a, n), irfft(b * _turn(-lag / n, len(b)), n)
    begin, end = max(0, int(np.ceil(lag))), min(len(x), int(len(y) + lag))
    if end - begin < 2:
        return SoundMatch(0.0, lag / SAMPLE_RATE, 0.0)
    u, v = u[begin:end], v[begin:end]
    return SoundMatch(_correlation(u, v), lag / SAMPLE_RATE, _shared_time(u, v))


def _blocks(prints: Sequence[NDArray[np.int8]]) -> list[Pairs]:
    """Positions of fingerprints that hold anything, similar lengths together."""
    order = sorted(range(len(prints)), key=lambda i: len(prints[i]))
    heard = np.array([i for i in order if prints[i].any()], np.int64)
    return [heard[i : i + _MATCH_BLOCK] for i in range(0, len(heard), _MATCH_BLOCK)]


def _compare_blocks(
    prints: Sequence[NDArray[np.int8]],
    others: Sequence[NDArray[np.int8]],
    rows: Pairs,
    columns: Pairs,
    max_lag: int,
) -> Pairs:
    a, a_heard = _stack(prints, rows)
    b, b_heard = _stack(others, columns)
    shorter = np.minimum(a_heard.sum(axis=1)[:, None], b_heard.sum(axis=1)[None])
    needed = np.maximum(MIN_OVERLAP * shorter, _MIN_FRAMES)
    hit = np.zeros((len(rows), len(columns)), np.bool_)
    n_a, n_b = a_heard.shape[1], b_heard.shape[1]
    for lag in range(max(-max_lag, 1 - n_b), min(max_lag, n_a - 1) + 1):
        i, j = max(0, lag), max(0, -lag)
        length = min(n_a - i, n_b - j)
        frames = a_heard[:, i : i + length] @ b_heard[:, j : j + length].T
        signs = slice(i * N_BANDS, (i + length) * N_BANDS)
        against = slice(j * N_BANDS, (j + length) * N_BANDS)
        product = a[:, signs] @ b[:, against].T
        count = frames * N_BANDS
        enough = np.maximum(MIN_AGREEMENT * count, MIN_SIGNIFICANCE * np.sqrt(count))
        hit |= (product >= enough) & (frames >= needed)
    i_hit, j_hit = np.nonzero(hit)
    return np.stack([rows[i_hit], columns[j_hit]], axis=1)


def _stack(
    prints: Sequence[NDArray[np.int8]], chosen: Pairs
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Signs, shape (n, frame · band), and which frames are heard, shape (n, frame)."""
    longest = max(len(prints[i]) for i in chosen)
    signs = np.zeros((len(chosen), longest, N_BANDS), np.float32)
    for k, i in enumerate(chosen):
        signs[k, : len(prints[i])] = prints[i]
    heard = (signs[:, :, 0] != 0).astype(np.float32)
    return signs.reshape(len(chosen), -1), heard


def _whitened(x: NDArray[np.float32], n: int) -> NDArray[np.complex64]:
    """The band-limited spectrum, divided by the square root of its own smooth amplitude."""
    spectrum = rfft(x - x.mean(), n)
    frequency = rfftfreq(n, 1 / SAMPLE_RATE)
    spectrum[(frequency < _FMIN_HZ) | (frequency > _FMAX_HZ)] = 0.0
    width = max(1, int(_WHITENING_HZ / frequency[1]))
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float64)
    sums = np.cumsum(np.concatenate([np.zeros(width + 1), power, np.zeros(width)]))
    smooth = (sums[2 * width + 1 :] - sums[: -2 * width - 1]) / (2 * width + 1)
    floor = max(float(smooth.max()) * 1e-5, float(np.finfo(np.float32).tiny))
    weight = 1 / np.sqrt(np.sqrt(np.maximum(smooth, floor)))
    result: NDArray[np.complex64] = spectrum * weight.astype(np.float32)
    return result


def _best_lag(cross: NDArray[np.complex64], n: int, n_x: int, n_y: int, max_offset: float) -> float:
    """The lag, in samples and parts of one, at which the second sound fits the first."""
    correlation = np.abs(irfft(cross, n))
    most = int(max_offset * SAMPLE_RATE)
    # Over a short overlap two cries of one animal may agree by chance.
    least = max(1, int(MIN_OVERLAP * min(n_x, n_y)))
    lags = np.arange(max(-most, least - n_y), min(most, n_x - least) + 1)
    coarse = int(lags[correlation[lags % n].argmax()])
    fine = coarse + np.arange(-_FINE, _FINE + 1) / _FINE
    turned, step = cross * _turn(float(fine[0]) / n, len(cross)), _turn(1 / _FINE / n, len(cross))
    peak = np.zeros(len(fine))
    for k in range(len(fine)):
        peak[k] = abs(float(turned.real.sum(dtype=np.float64)))
        turned *= step
    return float(fine[int(peak.argmax())])


def _turn(turns_per_bin: float, n_bins: int) -> NDArray[np.complex64]:
    """The phases that move a sound by ``turns_per_bin`` times its length."""
    angle = 2 * np.pi * ((turns_per_bin * np.arange(n_bins)) % 1.0)
    result: NDArray[np.complex64] = np.exp(1j * angle.astype(np.float32))
    return result


def _correlation(u: NDArray[np.float32], v: NDArray[np.float32]) -> float:
    norm = float(np.sqrt((u @ u) * (v @ v)))
    return min(1.0, abs(float(u @ v)) / norm) if norm > 0 else 0.0


def _shared_time(u: NDArray[np.float32], v: NDArray[np.float32]) -> float:
    """Seconds in which the aligned sounds agree closely and anything is heard."""
    n = max(1, len(u) // _STRETCH)
    parts = list(zip(np.array_split(u, n), np.array_split(v, n), strict=True))
    loudest = max(float(part @ part) for part, _ in parts)
    n_shared = sum(
        float(part @ part) > 1e-5 * loudest and _correlation(part, other) > _SHARED_CORRELATION
        for part, other in parts
    )
    return n_shared * len(u) / n / SAMPLE_RATE
