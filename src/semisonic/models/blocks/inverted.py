"""The inverted bottleneck: widen, filter each map alone, narrow.

Sandler et al. (2018), "MobileNetV2". Few multiply-adds, but many numbers touched for each:
on a processor with matrix units it trains more slowly than whole convolutions of the same
size, on a small device it does not. Where we differ: ReLU instead of ReLU6, and a shortcut
in every block (new maps begin at zero).
"""

from __future__ import annotations

from torch import nn

from semisonic.models.architecture import Size
from semisonic.models.blocks.base import Block, convolution

EXPANSION = 3


class InvertedBlock(Block):
    """Shortcut plus branch: 1 x 1 to three times the maps, one filter a map, 1 x 1 back."""

    def make_branch(self, in_channels: int, out_channels: int, kernel: Size) -> nn.Module:
        """Three convolutions."""
        inner = EXPANSION * in_channels
        return nn.Sequential(
            convolution(in_channels, inner, (1, 1)),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            convolution(inner, inner, kernel, groups=inner),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            convolution(inner, out_channels, (1, 1)),
            nn.BatchNorm2d(out_channels),
        )
