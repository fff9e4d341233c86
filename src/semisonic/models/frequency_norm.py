"""Residual normalisation over frequency: softens what is the same in all of a clip.

Kim et al. (2021), "Domain generalization on efficient acoustic scene classification using
residual normalization". Each mel row of a clip is freed from its mean and deviation (over
maps and frames), which carry the microphone and the room; a share of the map as it was is
added, because they also carry the sound. As published (the share is 0.1), without parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SHARE = 0.1
EPSILON = 1e-5


class FrequencyNorm(nn.Module):
    """Rows of mean 0 and deviation 1, plus a tenth of the map as it was."""

    def forward(self, x: Tensor) -> Tensor:
        """The map, same shape (batch, channel, mel, frame)."""
        y = x.float()
        variance, mean = torch.var_mean(y, dim=(1, 3), correction=0, keepdim=True)
        return (SHARE * y + (y - mean) * torch.rsqrt(variance + EPSILON)).to(x.dtype)
