"""The residual block with norm and ReLU before each convolution.

He et al. (2016b), "Identity mappings in deep residual networks", figure 4e: nothing stands
in the way of the shortcut. Where we differ: as in :mod:`.residual`.
"""

from __future__ import annotations

from torch import nn

from semisonic.models.architecture import Size
from semisonic.models.blocks.base import Block, convolution


class PreactivationBlock(Block):
    """Shortcut plus branch: norm, ReLU, convolution, norm, ReLU, convolution."""

    def make_branch(self, in_channels: int, out_channels: int, kernel: Size) -> nn.Module:
        """Two convolutions."""
        return nn.Sequential(
            nn.BatchNorm2d(in_channels),
            nn.ReLU(),
            convolution(in_channels, out_channels, kernel),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            convolution(out_channels, out_channels, kernel),
        )
