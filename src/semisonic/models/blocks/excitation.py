"""Squeeze-excitation: each map is weighed by what the whole clip holds.

Hu et al. (2018), "Squeeze-and-excitation networks". Cheap here: the means over a map are
few numbers. As published, with a reduction of 8 (the paper's 16 would leave 2 numbers).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

REDUCTION = 8


class Excitation(nn.Module):
    """Maps times weights of 0 to 1 found from the mean of each map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(channels // REDUCTION, 4)
        self.squeeze = nn.Linear(channels, inner)
        self.relu = nn.ReLU()
        self.excite = nn.Linear(inner, channels)

    def forward(self, x: Tensor) -> Tensor:
        """The weighed map, same shape (batch, channel, mel, frame)."""
        means = x.mean(dim=(2, 3))
        weights = torch.sigmoid(self.excite(self.relu(self.squeeze(means))))
        return x * weights[:, :, None, None].to(x.dtype)
