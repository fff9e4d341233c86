"""Sub-pixel convolution: finer cells are made as channels at the small size.

Shi et al. (2016), "Real-time single image and video super-resolution using an efficient
sub-pixel convolutional neural network"; initial filters after Aitken et al. (2017), equal
for all cells that a coarse cell becomes, so that training starts from plain up-sampling
without a checkerboard. Rectangular steps work too.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from semisonic.models.architecture import Size
from semisonic.models.decoders.base import Decoder, Level, fit_size, repeat_cells
from semisonic.models.layers import SameConv
from semisonic.models.plan import ConvStep, Trace


def shuffle_cells(x: Tensor, stride: Size) -> Tensor:
    """Channels to cells: (batch, c * a * b, mel, frame) to (batch, c, mel * a, frame * b)."""
    batch, channels, mel, frame = x.shape
    a, b = stride
    parts = x.reshape(batch, channels // (a * b), a, b, mel, frame)
    return parts.permute(0, 1, 4, 2, 5, 3).reshape(batch, -1, mel * a, frame * b)


class SubPixelConv(SameConv):
    """A convolution whose groups of ``factor`` output channels start out equal."""

    def __init__(self, mirrored: ConvStep, factor: int) -> None:
        super().__init__(mirrored.out_channels, mirrored.in_channels * factor, mirrored.kernel)
        self.factor = factor

    @torch.no_grad()
    def spread(self) -> None:
        """Make the filters of each group equal to the first of the group."""
        self.weight.copy_(self.weight[:: self.factor].repeat_interleave(self.factor, dim=0))
        if self.bias is not None:
            self.bias.copy_(self.bias[:: self.factor].repeat_interleave(self.factor))


class SubPixelDecoder(Decoder):
    """Convolve at the small size, then spread channels over the finer cells."""

    def make_conv(self, level: Level, mirrored: ConvStep) -> SubPixelConv:
        """A convolution that makes all the finer cells at once."""
        factor = prod(prod(self.downs[down].stride) for down in level.ups)
        return SubPixelConv(mirrored, factor)

    def run_level(self, x: Tensor, level: Level, number: int, trace: Trace) -> Tensor:
        """Convolve, then undo the steps down."""
        x = self.convolve(x, level, number)
        for down in level.ups:
            stride, size = self.downs[down].stride, trace.downs[down].size
            if level.conv is None:
                x = repeat_cells(x, stride, size)
            else:
                x = fit_size(shuffle_cells(x, stride), size)
        return x
