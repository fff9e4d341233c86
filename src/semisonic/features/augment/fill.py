"""What stands in masked places."""

from __future__ import annotations

import torch
from torch import Tensor

from semisonic.base.errors import OptionError
from semisonic.base.options import nearest
from semisonic.features.augment.levels import Levels

FILLS = ("mean", "silence")


def check_fill(fill: str, name: str) -> str:
    """The name of a fill, or an OptionError that suggests the nearest."""
    if fill not in FILLS:
        raise OptionError(f"{name}: found {fill!r}; {nearest(fill, FILLS)}")
    return fill


def covered(x: Tensor, mask: Tensor, filled: Tensor, fill: str, levels: Levels) -> Tensor:
    """Replace what a mask covers.

    Parameters
    ----------
    x : Tensor, shape (batch, 1, mel, frame)
        Levels in dB.
    mask : Tensor of bool
        Broadcasts to ``x``.
    filled : Tensor of bool, shape (batch, frame)
        Only these frames are covered: there is nothing to hide in silence, and a covered
        piece of it would look like a sound.
    fill : {"mean", "silence"}
        The clip's mean level (over the filled frames), or silence.
    """
    if fill == "silence":
        value = levels.silence(x)
    else:
        of_frame = x.mean((1, 2))  # (batch, frame)
        weight = filled.to(x.dtype)
        mean = (of_frame * weight).sum(1) / weight.sum(1).clamp(min=1.0)
        value = mean[:, None, None, None]
    here = mask.to(x.dtype) * filled[:, None, None].to(x.dtype)
    return torch.lerp(x, value.expand_as(x), here)
