"""Deltas: the slope of each mel band over time.

The least-squares slope over nine frames (a Savitzky-Golay filter of order one), as
``librosa.feature.delta`` gives; the first and last four frames take the slope of the
nearest full window.
"""

from __future__ import annotations

import torch
from torch import Tensor

from semisonic.base.errors import DataError
from semisonic.features.options import DELTA_WIDTH


def delta(level: Tensor, width: int = DELTA_WIDTH) -> Tensor:
    """Change per frame along the last dimension.

    Parameters
    ----------
    level : Tensor, shape (..., frame)
        Levels in dB.
    width : int
        Odd number of frames to look at, at least 3.

    Returns
    -------
    Tensor, same shape
        dB per frame.

    Raises
    ------
    DataError
        With fewer frames than ``width``.
    """
    if width < 3 or width % 2 == 0:
        raise DataError(f"deltas: found a width of {width} frames, expected odd and at least 3")
    n_frames = level.shape[-1]
    if n_frames < width:
        raise DataError(f"deltas: found {n_frames} frames, expected at least {width}")
    half = width // 2
    n_full = n_frames - 2 * half
    slope = torch.zeros_like(level[..., :n_full])
    for k in range(1, half + 1):
        later = level[..., half + k : half + k + n_full]
        earlier = level[..., half - k : half - k + n_full]
        slope = slope + k * (later - earlier)
    slope = slope / (2 * sum(k * k for k in range(1, half + 1)))
    head = slope[..., :1].expand(*slope.shape[:-1], half)
    tail = slope[..., -1:].expand(*slope.shape[:-1], half)
    return torch.cat((head, slope, tail), dim=-1)
