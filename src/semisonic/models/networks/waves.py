"""Networks that read samples: ``m5``, ``m11``, ``m18``, ``aclnet-sc``, ``aclnet-dwsc``.

**``m5``, ``m11``, ``m18``**: deep convolutions over time, from samples of a clip of any length.
Dai et al. (2017), "Very deep convolutional neural networks for raw waveforms", ICASSP. The first
filters are 80 samples long, all others 3; four pools of 4 between the blocks leave a frame for
1 024 samples. Where we differ from the paper: convolutions have biases, as in the networks whose
results on ESC-50 are known (seed 002, 2024), and their dropout: of half the values after the
third block of ``m5``, and of 0.4 of the embedding of ``m11`` (they do not say where). As there,
``m5`` pools once more after its last block. Their L2 penalty of 1e-4 belongs to the optimiser.

**``aclnet-sc``, ``aclnet-dwsc``**: from samples to a picture of 64 rows, then plain convolutions.
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

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.models.encoder import ConvStep, DownStep, Step
from semisonic.models.necks import Backbone, GlobalPoolNeck, Shape
from semisonic.models.networks.layers import Block, LayeredEncoder, convolution, with_layers
from semisonic.models.notation import Size
from semisonic.models.registry import RegisteredNetwork, scaled_name


class WaveConv(nn.Conv2d):
    """A convolution over time: n samples give n / step, rounded up.

    The zeros at the start do not depend on how long the clip is, so a clip that is filled up
    with zeros gets the same first values as alone.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        step: int = 1,
        *,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(
            in_channels, out_channels, (1, kernel), (1, step), groups=groups, bias=bias
        )
        self.step = step
        self.left = (kernel - step) // 2
        self.right = kernel - step - self.left
        down = DownStep((1, step), (1, step), ceil=True)
        self.plan = (ConvStep(in_channels, out_channels, (1, kernel)), down)

    def forward(self, x: Tensor) -> Tensor:
        """The convolved map, (batch, out_channels, 1, time / step)."""
        return super().forward(F.pad(x, (self.left, self.right + -x.shape[3] % self.step)))


MIN_SAMPLES = 1024
"""One frame of the code."""


def wave_cnn(
    name: str,
    widths: tuple[int, ...],
    depths: tuple[int, ...],
    shape: Shape,
    *,
    drop_half_in: int | None = None,
    embedding_dropout: float = 0.0,
    last_pool: bool = False,
) -> Backbone:
    """Blocks of so many maps and convolutions; the first has the long filters."""
    blocks, channels = [], 1
    for number, (maps, depth) in enumerate(zip(widths, depths, strict=True)):
        convs = []
        for _ in range(depth):
            convs.append(WaveConv(channels, maps, *((3,) if number else (80, 4))))
            channels = maps
        layers = _normed(*convs)
        if number == drop_half_in:
            layers.append(nn.Dropout(0.5))
        if last_pool or number < len(widths) - 1:
            layers.append(nn.MaxPool2d((1, 4), (1, 4), ceil_mode=True))
        blocks.append(Block(*layers))
    encoder = LayeredEncoder(1, channels, blocks, least_frames=MIN_SAMPLES)
    encoder.code_shape(*shape[1:])
    neck = GlobalPoolNeck(channels, over_time="mean")
    if embedding_dropout:
        neck = with_layers(neck, channels, nn.Dropout(embedding_dropout))
    return Backbone(name, encoder, neck)


ACLNET_ROWS, ACLNET_FIRST, ACLNET_STEPS = 64, 16, (2, 2)
SAMPLES_A_COLUMN = 160
ACLNET_BLOCKS = (32, 64, 128, 256, 512)
"""Maps at width 1; the first block has one convolution, the others two."""

ACLNET_MIN_SAMPLES = SAMPLES_A_COLUMN * 2 ** len(ACLNET_BLOCKS)
"""One cell of the last map: 5 120 samples."""


@dataclass(frozen=True)
class PictureStep(Step):
    """Maps become rows."""

    def shrink(self, size: Size) -> Size:
        """The size of the picture."""
        return ACLNET_ROWS, size[1]


class AsPicture(nn.Module):
    """Maps as the rows of one map: (batch, maps, 1, time) to (batch, 1, maps, time)."""

    plan = (PictureStep(),)

    def forward(self, x: Tensor) -> Tensor:
        """The picture."""
        return x.transpose(1, 2)


def _wave_part(separable: bool) -> Block:
    """Samples (batch, 1, 1, time) to columns of 64 values (batch, 64, 1, time / 160)."""
    first, rows, (one, two) = ACLNET_FIRST, ACLNET_ROWS, ACLNET_STEPS
    convs = [WaveConv(1, first, 9, one, bias=False)]
    if separable:
        convs.append(WaveConv(first, first, 5, two, groups=first, bias=False))
        convs.append(WaveConv(first, rows, 1, bias=False))
    else:
        convs.append(WaveConv(first, rows, 5, two, bias=False))
    window = (1, SAMPLES_A_COLUMN // (one * two))
    return Block(*_normed(*convs), nn.MaxPool2d(window, window, ceil_mode=True))


def _picture_block(in_channels: int, maps: int, *, first: bool, separable: bool) -> Block:
    """Convolutions 3 x 3 and a pool; the first block is always one standard convolution."""
    convs: list[nn.Conv2d] = []
    for n_inputs in (in_channels,) if first else (in_channels, maps):
        if separable and not first:
            convs.append(convolution(n_inputs, n_inputs, 3, groups=n_inputs))
            convs.append(convolution(n_inputs, maps, 1))
        else:
            convs.append(convolution(n_inputs, maps, 3))
    before = [AsPicture()] if first else []
    return Block(*before, *_normed(*convs), nn.MaxPool2d((2, 2), (2, 2), ceil_mode=True))


def _normed(*convs: nn.Conv2d) -> list[nn.Module]:
    """Convolutions, each with norm and ReLU."""
    return [
        layer for conv in convs for layer in (conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU())
    ]


def aclnet(family: str, separable: bool, shape: Shape, width: float) -> Backbone:
    """The network of a width, for waves of any length from 5 120 samples on."""
    widths = [1, *(max(1, round(maps * width)) for maps in ACLNET_BLOCKS)]
    blocks = [
        _picture_block(a, b, first=number == 0, separable=separable)
        for number, (a, b) in enumerate(pairwise(widths))
    ]
    parts = [_wave_part(separable), *blocks]
    encoder = LayeredEncoder(1, widths[-1], parts, least_frames=ACLNET_MIN_SAMPLES)
    encoder.code_shape(*shape[1:])
    neck = GlobalPoolNeck(encoder.out_channels, over_time="mean")
    return Backbone(scaled_name(family, width), encoder, neck)


_BY_NAME = {
    "m5": partial(
        wave_cnn, "m5", (128, 128, 256, 512), (1, 1, 1, 1), drop_half_in=2, last_pool=True
    ),
    "m11": partial(
        wave_cnn, "m11", (64, 64, 128, 256, 512), (1, 2, 2, 3, 2), embedding_dropout=0.4
    ),
    "m18": partial(wave_cnn, "m18", (64, 64, 128, 256, 512), (1, 4, 4, 4, 4)),
}
NETWORKS = {
    **{name: RegisteredNetwork(make, waves=True) for name, make in _BY_NAME.items()},
    "aclnet-sc": RegisteredNetwork(partial(aclnet, "aclnet-sc", False), waves=True, scaled=True),
    "aclnet-dwsc": RegisteredNetwork(partial(aclnet, "aclnet-dwsc", True), waves=True, scaled=True),
}
