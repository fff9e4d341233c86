"""Mel power to decibels, with silence that is finite and never the loudest."""

from __future__ import annotations

from torch import Tensor

from semisonic.features.options import AMIN, MelOptions


def to_decibel(mel: Tensor, options: MelOptions, *, in_place: bool = False) -> Tensor:
    """Level of each cell in dB.

    Parameters
    ----------
    mel : Tensor, shape (..., mel, frame) or (..., frame, mel)
        Sums of ``magnitude ** options.power``. The last two dimensions are one clip's.
    in_place : bool
        Whether ``mel`` may be written over, which saves fresh memory.

    Returns
    -------
    Tensor, same shape
        With reference "one" at least ``options.quietest_db``. With reference "max" at most
        0 dB, and ``options.floor_db`` everywhere for a clip without any sound: the usual formula
        would make such a clip 0 dB, the same as the loudest cell of any other.
    """
    level = mel if in_place else mel.clone()
    if options.log_offset:
        level.add_(options.log_offset)
    else:
        level.clamp_(min=AMIN ** (options.power / 2))
    level.log10_().mul_(20.0 / options.power)
    if options.reference == "max":
        loudest = level.amax((-2, -1), keepdim=True)
        silent = loudest <= options.quietest_db + 1e-4
        level = (level - loudest).masked_fill(silent, options.floor_db)
    if options.top_db is not None:
        level = level.maximum(level.amax((-2, -1), keepdim=True) - options.top_db)
    return level
