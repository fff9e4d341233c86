"""Where a sound stands in a window, and how loud it is over the background there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Wave = NDArray[np.float32]
_FADE = 0.01
"""Seconds of the soft ends of a sound."""


def place_sound(rng: np.random.Generator, n_sound: int, n_window: int) -> tuple[int, int, int]:
    """Draw where in a window a sound is heard.

    A sound that is longer than the window gives a part of it. At least half of what is taken lies
    in the window; at most a quarter of the window's length is lost at its beginning.

    Parameters
    ----------
    rng : numpy.random.Generator
    n_sound, n_window : int
        Samples, at least 1.

    Returns
    -------
    first, end : int
        The part of the sound that is taken.
    at : int
        Sample of the window at which that part begins; negative when its beginning is cut off.
    """
    more = n_sound - n_window
    first = int(rng.integers(more + 1)) if more > 0 else 0
    n = min(n_sound, n_window)
    half = n // 2
    at = int(rng.integers(-min(half, n_window // 4), n_window - half))
    return first, first + n, at


def add_sound(
    wave: Wave, sound: Wave, at: int, snr_db: float, level: float, sample_rate: int
) -> tuple[int, int] | None:
    """Mix a sound into ``wave``, in place, so that what is heard of it has this level.

    Parameters
    ----------
    wave : ndarray of float32, shape (n,)
        The background.
    sound : ndarray of float32, shape (m,)
        Its ends get fades of 10 ms.
    at : int
        Where it begins in ``wave``, sample; what lies outside is cut off.
    snr_db : float
        Root mean square of what is heard of the sound over ``level``, dB.
    level : float
        Root mean square of the background, full scale 1, above 0.
    sample_rate : int
        Hz.

    Returns
    -------
    (int, int) or None
        The samples of ``wave`` that hold the sound; None, and nothing done, when nothing but
        silence of the sound would be heard.
    """
    first, end = max(0, at), min(len(wave), at + len(sound))
    if end <= first:
        return None
    n, fade = len(sound), max(1, round(_FADE * sample_rate))
    ramp = np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1)) / fade
    heard = (sound * np.minimum(1.0, ramp))[first - at : end - at]
    loudness = rms(heard)
    if loudness <= 1e-9:
        return None
    wave[first:end] += (heard * (level * 10 ** (snr_db / 20) / loudness)).astype(np.float32)
    return first, end


def rms(wave: NDArray[np.floating[Any]]) -> float:
    """Root mean square of samples, shape (n,) with n at least 1."""
    return float(np.sqrt(np.square(wave, dtype=np.float64).mean()))
