"""Broadcasted residuals: look along mel on the map, along time on its mean over mel.

Kim et al. (2021), "Broadcasted residual learning for efficient keyword spotting" (BC-ResNet).
The part over time works on one row instead of many and is added to all rows again.
Where we differ: batch normalisation instead of sub-spectral normalisation, ReLU instead of
swish, no dilation, and dropout only before the class layer.
"""

from __future__ import annotations

from torch import Tensor, nn

from semisonic.models.architecture import Size
from semisonic.models.blocks.base import Block, convolution


class _Branch(nn.Module):
    """What is added to the shortcut: the map filtered over mel, and its mean over time."""

    def __init__(self, in_channels: int, out_channels: int, kernel: Size) -> None:
        super().__init__()
        along_mel, along_time = (kernel[0], 1), (1, kernel[1])
        layers: list[nn.Module] = []
        if in_channels != out_channels:
            layers += [
                convolution(in_channels, out_channels, (1, 1)),
                nn.BatchNorm2d(out_channels),
                nn.ReLU(),
            ]
        self.mel = nn.Sequential(
            *layers,
            convolution(out_channels, out_channels, along_mel, groups=out_channels),
            nn.BatchNorm2d(out_channels),
        )
        self.time = nn.Sequential(
            convolution(out_channels, out_channels, along_time, groups=out_channels),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            convolution(out_channels, out_channels, (1, 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Shape (batch, out_channels, mel, frame)."""
        y: Tensor = self.mel(x)
        row: Tensor = self.time(y.mean(dim=2, keepdim=True))  # (batch, channel, 1, frame)
        return y + row


class BroadcastBlock(Block):
    """ReLU of shortcut plus the map filtered over mel plus a row filtered over time."""

    ends_in_relu = True

    def make_branch(self, in_channels: int, out_channels: int, kernel: Size) -> nn.Module:
        """Both parts."""
        return _Branch(in_channels, out_channels, kernel)
