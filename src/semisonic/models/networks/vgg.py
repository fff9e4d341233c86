"""``vgg``: pairs of convolutions and mean pools, on log-mel of any length.

The network that a project on FSDKaggle2019 used in all its stages (seed 004, its version 2; four
blocks in the manner of Simonyan and Zisserman 2015). With three equal channels and 80 classes it
has the published 4 765 457 parameters, 1 152 fewer with one channel.

Where we differ: the last window of a pool may be a partial one, so that clips of any length
work, and the first weights are uniform of the same variance.
"""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from semisonic.models.layers import SameConv
from semisonic.models.networks.dense import prelu_neck
from semisonic.models.networks.parts import AveragePool, Part, PartsEncoder
from semisonic.models.registry import Body, Shape, register


def vgg_block(in_channels: int, maps: int) -> Part:
    """Two convolutions 3 x 3 with norm and ReLU, and means of 2 x 2."""
    layers: list[nn.Module] = []
    for n_inputs in (in_channels, maps):
        layers += [SameConv(n_inputs, maps, (3, 3)), nn.BatchNorm2d(maps), nn.ReLU()]
    return Part(*layers, AveragePool(maps, (2, 2)))


def vgg_encoder(in_channels: int, widths: tuple[int, ...], no_decoder: str = "") -> PartsEncoder:
    """A block a width; as an auto-encoder it takes ``upsample``, ``subpixel`` and ``unet``."""
    blocks = [vgg_block(a, b) for a, b in pairwise((in_channels, *widths))]
    return PartsEncoder(in_channels, widths[-1], blocks, no_decoder=no_decoder)


@register("vgg")
def vgg(shape: Shape) -> Body:
    """Four blocks, the maximum over time, 128 units."""
    encoder = vgg_encoder(shape[0], (64, 128, 256, 512))
    return Body("vgg", encoder, prelu_neck(encoder.out_channels, "max"))
