"""Where in a clip something sounds: short sounds are padded with silence to full length."""

from __future__ import annotations

from torch import Tensor

QUIET_DB = 60.0
"""A frame whose loudest band is this far below the clip's loudest cell counts as quiet."""

_SAME_DB = 0.01


def sounding_frames(x: Tensor, quiet_db: float = QUIET_DB) -> Tensor:
    """Which frames of each clip are heard beside its loudest.

    Parameters
    ----------
    x : Tensor, shape (batch, 1, mel, frame)
        Levels in dB.
    quiet_db : float
        How far below the clip's loudest cell a whole frame is no longer heard.

    Returns
    -------
    Tensor of bool, shape (batch, frame)
        All False for a clip of silence.
    """
    loudest = x.amax((1, 2))  # (batch, frame)
    return (loudest > loudest.amax(1, keepdim=True) - quiet_db) & ~_silent(x, loudest)


def filled_frames(x: Tensor) -> Tensor:
    """Which frames hold anything but digital silence (all bands at the floor), (batch, frame)."""
    return ~_silent(x, x.amax((1, 2)))


def padded_rows(x: Tensor) -> Tensor:
    """Which clips hold frames of digital silence, shape (batch,)."""
    return _silent(x, x.amax((1, 2))).any(1)


def silent_rows(x: Tensor) -> Tensor:
    """Which clips are nothing but digital silence, shape (batch,)."""
    return x.amax((1, 2, 3)) - x.amin((1, 2, 3)) <= _SAME_DB


def _silent(x: Tensor, loudest: Tensor) -> Tensor:
    return loudest <= x.amin((1, 2, 3))[:, None] + _SAME_DB
