"""Networks that look at patches of a fixed length and never at a whole clip."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from semisonic.models.plan import PatchStep


def patches_of(x: Tensor, step: PatchStep, silence: float) -> Tensor:
    """Patches of clips, one behind the other.

    Parameters
    ----------
    x : Tensor, shape (batch, channel, mel, frame)
    step : PatchStep
    silence : float
        What fills up a clip behind its end, so that its last frames are in a patch, too.

    Returns
    -------
    Tensor, shape (batch * patch, channel, mel, step.length)
    """
    n = step.count(x.shape[3])
    missing = step.length + (n - 1) * step.hop - x.shape[3]
    x = F.pad(x, (0, missing), value=silence)
    cut = x.unfold(3, step.length, step.hop)  # (batch, channel, mel, patch, length)
    return cut.permute(0, 3, 1, 2, 4).flatten(0, 1)


def side_by_side(code: Tensor, n_patches: int) -> Tensor:
    """Maps of patches (batch * patch, channel, mel, frame) as (batch, channel, mel, all frames)."""
    of_clip = code.reshape(-1, n_patches, *code.shape[1:])  # (batch, patch, channel, mel, frame)
    return torch.movedim(of_clip, 1, 3).flatten(3)
