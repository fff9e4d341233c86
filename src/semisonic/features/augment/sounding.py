"""Where in a clip something sounds: short sounds are padded with silence to full length."""

from __future__ import annotations

from torch import Tensor

QUIET_DB = 60.0
"""A frame whose loudest band is this far below the clip's loudest cell counts as quiet."""

_SAME_DB = 0.01


def sounding_frames(x: Tensor, quiet_db: float = QUIET_DB) -> Tensor:
    """Which frames of each clip sound.

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
    silent = loudest <= x.amin((1, 2, 3))[:, None] + _SAME_DB
    return (loudest > loudest.amax(1, keepdim=True) - quiet_db) & ~silent


def silent_rows(x: Tensor) -> Tensor:
    """Which clips are nothing but silence (all cells at the floor), shape (batch,)."""
    return x.amax((1, 2, 3)) - x.amin((1, 2, 3)) <= _SAME_DB


def padded_rows(x: Tensor) -> Tensor:
    """Which clips hold frames of digital silence (all bands at the floor), shape (batch,)."""
    return (x.amax((1, 2)) <= x.amin((1, 2, 3))[:, None] + _SAME_DB).any(1)
