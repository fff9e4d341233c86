"""The residual block.

He et al. (2016), "Deep residual learning for image recognition", figure 2 left. Where we
differ: sizes are halved by an average pool between the blocks, not by a step inside, so that
the shortcut drops nothing.
"""

from __future__ import annotations

from torch import nn

from semisonic.models.architecture import Size
from semisonic.models.blocks.base import Block, convolution


class ResidualBlock(Block):
    """ReLU of shortcut plus branch: convolution, norm, ReLU, convolution, norm."""

    ends_in_relu = True

    def make_branch(self, in_channels: int, out_channels: int, kernel: Size) -> nn.Module:
        """Two convolutions."""
        return nn.Sequential(
            convolution(in_channels, out_channels, kernel),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            convolution(out_channels, out_channels, kernel),
            nn.BatchNorm2d(out_channels),
        )
