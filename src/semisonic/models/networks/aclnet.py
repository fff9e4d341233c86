"""``aclnet-sc``, ``aclnet-dwsc``: from samples to a picture of 64 rows, then plain convolutions.

Huang and Leanos (2018), "AclNet: efficient end-to-end audio classification CNN",
arXiv:1811.06669. Two convolutions over time and a pool make 64 values every 160 samples; they
are read as the rows of a picture. SC has standard convolutions, DWSC a filter for each map alone
and then one of a single cell. A width in the name, such as ``aclnet-dwsc-0.5``, is the paper's
width multiplier of the convolutions on the picture. Of the paper's grid we take 16 first filters
and two steps of two samples, which give its counts of parameters for DWSC (155 k at 0.5, 15 k at
0.125) and, at 0.5 and 44.1 kHz, 48.7 million multiply-adds a second of the published 49.3.

Where we differ: the class layer comes after the mean over the map and not before it, which gives
the same scores; sizes are rounded up, so the last samples of a clip count.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from semisonic.models.blocks.base import convolution
from semisonic.models.necks import GlobalPoolNeck
from semisonic.models.networks.parts import MaxPool, Part, PartsEncoder
from semisonic.models.networks.waves import NO_DECODER, WaveConv
from semisonic.models.plan import map_shape
from semisonic.models.registry import Body, Shape, register_scaled, scaled_name

ROWS, FIRST, STEPS = 64, 16, (2, 2)
SAMPLES_A_COLUMN = 160
BLOCKS = (32, 64, 128, 256, 512)
"""Maps at width 1; the first block has one convolution, the others two."""

LEAST_SAMPLES = SAMPLES_A_COLUMN * 2 ** len(BLOCKS)
"""One cell of the last map: 5 120 samples."""


class AsPicture(nn.Module):
    """Maps as the rows of one map: (batch, maps, 1, time) to (batch, 1, maps, time)."""

    def forward(self, x: Tensor) -> Tensor:
        """The picture."""
        return x.transpose(1, 2)


class AclNetEncoder(PartsEncoder):
    """The picture, then blocks of convolutions with a pool of 2 x 2 after each."""

    def __init__(self, width: float, separable: bool) -> None:
        widths = [1, *(max(1, round(maps * width)) for maps in BLOCKS)]
        blocks = [
            picture_block(a, b, first=number == 0, separable=separable)
            for number, (a, b) in enumerate(pairwise(widths))
        ]
        parts = [wave_part(separable), *blocks]
        super().__init__(1, widths[-1], parts, least_frames=LEAST_SAMPLES, no_decoder=NO_DECODER)

    def code_shape(self, n_mels: int, n_frames: int) -> tuple[int, int, int]:
        """Shape (channel, row, column) of the code of waves, of which ``n_mels`` is 1."""
        self.check_length(n_frames)
        first, *others = self.part_plans
        rows, _, columns = map_shape(first, (n_mels, n_frames))
        return map_shape(tuple(step for plan in others for step in plan), (rows, columns))


def wave_part(separable: bool) -> Part:
    """Samples (batch, 1, 1, time) to columns of 64 values (batch, 64, 1, time / 160)."""
    layers: list[nn.Module] = [*normed(WaveConv(1, FIRST, 9, STEPS[0], bias=False))]
    if separable:
        layers += normed(WaveConv(FIRST, FIRST, 5, STEPS[1], groups=FIRST, bias=False))
        layers += normed(WaveConv(FIRST, ROWS, 1, bias=False))
    else:
        layers += normed(WaveConv(FIRST, ROWS, 5, STEPS[1], bias=False))
    window = SAMPLES_A_COLUMN // (STEPS[0] * STEPS[1])
    return Part(*layers, MaxPool(ROWS, (1, window), (1, window), ceil=True))


def picture_block(in_channels: int, maps: int, *, first: bool, separable: bool) -> Part:
    """Convolutions 3 x 3 and a pool; the first block is always one standard convolution."""
    if first:
        layers = [AsPicture(), *normed(convolution(in_channels, maps, (3, 3)))]
    else:
        layers = []
        for n_inputs in (in_channels, maps):
            if separable:
                layers += normed(convolution(n_inputs, n_inputs, (3, 3), groups=n_inputs))
                layers += normed(convolution(n_inputs, maps, (1, 1)))
            else:
                layers += normed(convolution(n_inputs, maps, (3, 3)))
    return Part(*layers, MaxPool(maps, (2, 2), (2, 2), ceil=True))


def normed(conv: nn.Conv2d) -> list[nn.Module]:
    """A convolution, its norm and ReLU."""
    return [conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU()]


def aclnet(family: str, separable: bool, shape: Shape, width: float) -> Body:
    """The network of a width, for waves of any length from 5 120 samples on."""
    encoder = AclNetEncoder(width, separable)
    encoder.code_shape(*shape[1:])
    neck = GlobalPoolNeck(encoder.out_channels, over_time="mean")
    return Body(scaled_name(family, width), encoder, neck)


register_scaled("aclnet-sc", waves=True)(partial(aclnet, "aclnet-sc", False))
register_scaled("aclnet-dwsc", waves=True)(partial(aclnet, "aclnet-dwsc", True))
