"""Stochastic depth: the branch of a block is left out at random in training.

Huang et al. (2016), "Deep networks with stochastic depth". Where we differ: each clip draws
for itself, as has become usual, and branches that stay are divided by their probability, so
that nothing is scaled in evaluation.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semisonic.base.errors import ModelError


class StochasticDepth(nn.Module):
    """Zero for a share of the clips in training, the branch itself in evaluation.

    Parameters
    ----------
    probability : float
        Of leaving a clip's branch out, 0 to less than 1.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        if not 0 <= probability < 1:
            raise ModelError(f"drop_path: found {probability}, expected 0 to less than 1")
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """The branch, same shape (batch, channel, mel, frame)."""
        if not self.training or not self.probability:
            return x
        keep = 1.0 - self.probability
        stays = torch.rand(len(x), 1, 1, 1, device=x.device) < keep
        return x * (stays / keep).to(x.dtype)

    def extra_repr(self) -> str:
        """The probability."""
        return f"probability={self.probability:g}"
