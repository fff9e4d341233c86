"""Where a clip of another speed takes its moments from."""

from __future__ import annotations

import torch
from torch import Tensor

from semisonic.base.errors import OptionError
from semisonic.base.options import nearest

OUTSIDE = ("natural", "wrap", "silence")
"""What fills the rest of a faster clip: the clip goes round, or silence. "natural" is silence
for clips that hold digital silence already, else round."""


def check_outside(outside: str, name: str) -> str:
    """One of :data:`OUTSIDE`, or an OptionError that suggests the nearest."""
    if outside not in OUTSIDE:
        raise OptionError(f"{name}: found {outside!r}; {nearest(outside, OUTSIDE)}")
    return outside


def places(n: int, factor: Tensor, centre: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """Places in the original for ``n`` moments of a clip at another speed.

    Parameters
    ----------
    n : int
        Frames or samples.
    factor : Tensor, shape (batch,)
        Speed; 2 is twice as fast.
    centre : Tensor, shape (batch,)
        The place that stays, as a share of the clip.
    ends : Tensor of bool, shape (batch,)
        Whether a clip ends at its ends; else it goes round.

    Returns
    -------
    place : Tensor, shape (batch, n)
        Within 0..n - 1 for clips that end; any number for others. Of the type of ``factor``.
    beyond : Tensor of bool, shape (batch, n)
        Where a clip that ends has nothing.
    """
    moment = torch.arange(n, device=factor.device, dtype=factor.dtype)
    middle = (centre.to(factor.dtype) * (n - 1))[:, None]
    place = middle + (moment - middle) * factor[:, None]
    inside = place.clamp(0, n - 1)
    beyond = ((place - inside).abs() > 0.5) & ends[:, None]
    return torch.where(ends[:, None], inside, place), beyond


def ends_of(outside: str, padded: Tensor) -> Tensor:
    """Which clips end at their ends, (batch,), given which ones hold digital silence."""
    if outside == "natural":
        return padded
    return torch.full_like(padded, outside == "silence")
