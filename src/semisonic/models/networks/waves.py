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

from semisonic.models.encoder import ConvStep, DownStep, Step, Trace, map_shape
from semisonic.models.necks import Backbone, GlobalPoolNeck, Shape
from semisonic.models.networks.layers import (
    EncoderLayer,
    LayeredEncoder,
    MaxPoolLayer,
    WithPlan,
    convolution,
    with_layers,
)
from semisonic.models.registry import RegisteredNetwork, scaled_name

NO_DECODER = "no way back from its maps to samples is known to it"


class WaveConv(nn.Conv2d, WithPlan):
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
        plan: list[Step] = [ConvStep(in_channels, out_channels, (1, kernel))]
        if step > 1:
            plan.append(DownStep(out_channels, (1, step), (1, step), ceil=True, has_map=False))
        self.plan = tuple(plan)

    def forward(self, x: Tensor, record: Trace | None = None) -> Tensor:
        """The convolved map, (batch, out_channels, 1, time / step); nothing is recorded."""
        return super().forward(F.pad(x, (self.left, self.right + -x.shape[3] % self.step)))


MIN_SAMPLES = 1024
"""One frame of the code."""


@dataclass(frozen=True)
class WaveDesign:
    """Maps and depth of each block after the first layer, and what is dropped where."""

    first: int
    blocks: tuple[tuple[int, int], ...]
    dropout: dict[int, float]
    """By the number of the block, 0 for the first layer."""
    embedding_dropout: float = 0.0
    last_pool: bool = False


WAVE_DESIGNS = {
    "m5": WaveDesign(128, ((128, 1), (256, 1), (512, 1)), {2: 0.5}, last_pool=True),
    "m11": WaveDesign(64, ((64, 2), (128, 2), (256, 3), (512, 2)), {}, 0.4),
    "m18": WaveDesign(64, ((64, 4), (128, 4), (256, 4), (512, 4)), {}),
}


def wave_cnn(name: str, design: WaveDesign, shape: Shape) -> Backbone:
    """The network of a design."""
    encoder = _wave_encoder(design)
    encoder.code_shape(*shape[1:])
    neck = GlobalPoolNeck(encoder.out_channels, over_time="mean")
    if design.embedding_dropout:
        neck = with_layers(neck, neck.out_features, nn.Dropout(design.embedding_dropout))
    return Backbone(name, encoder, neck)


def _wave_encoder(design: WaveDesign) -> LayeredEncoder:
    """The convolutions of a design."""
    parts, channels = [], 1
    for number, (maps, depth) in enumerate(((design.first, 1), *design.blocks)):
        layers: list[nn.Module] = []
        for _ in range(depth):
            conv = WaveConv(channels, maps, 3) if number else WaveConv(1, maps, 80, 4)
            layers += [conv, nn.BatchNorm2d(maps), nn.ReLU()]
            channels = maps
        if number in design.dropout:
            layers.append(nn.Dropout(design.dropout[number]))
        if number < len(design.blocks) or design.last_pool:
            layers.append(MaxPoolLayer(maps, (1, 4), (1, 4), ceil=True))
        parts.append(EncoderLayer(*layers))
    return LayeredEncoder(1, channels, parts, least_frames=MIN_SAMPLES, no_decoder=NO_DECODER)


ACLNET_ROWS, ACLNET_FIRST, ACLNET_STEPS = 64, 16, (2, 2)
SAMPLES_A_COLUMN = 160
ACLNET_BLOCKS = (32, 64, 128, 256, 512)
"""Maps at width 1; the first block has one convolution, the others two."""

ACLNET_MIN_SAMPLES = SAMPLES_A_COLUMN * 2 ** len(ACLNET_BLOCKS)
"""One cell of the last map: 5 120 samples."""


class AsPicture(nn.Module):
    """Maps as the rows of one map: (batch, maps, 1, time) to (batch, 1, maps, time)."""

    def forward(self, x: Tensor) -> Tensor:
        """The picture."""
        return x.transpose(1, 2)


class AclNetEncoder(LayeredEncoder):
    """The picture, then blocks of convolutions with a pool of 2 x 2 after each."""

    def __init__(self, width: float, separable: bool) -> None:
        widths = [1, *(max(1, round(maps * width)) for maps in ACLNET_BLOCKS)]
        blocks = [
            _picture_block(a, b, first=number == 0, separable=separable)
            for number, (a, b) in enumerate(pairwise(widths))
        ]
        parts = [_wave_part(separable), *blocks]
        super().__init__(
            1, widths[-1], parts, least_frames=ACLNET_MIN_SAMPLES, no_decoder=NO_DECODER
        )

    def code_shape(self, n_mels: int, n_frames: int) -> tuple[int, int, int]:
        """Shape (channel, row, column) of the code of waves, of which ``n_mels`` is 1."""
        self.check_length(n_frames)
        first, *others = self.part_plans
        rows, _, columns = map_shape(first, (n_mels, n_frames))
        return map_shape(tuple(step for plan in others for step in plan), (rows, columns))


def _wave_part(separable: bool) -> EncoderLayer:
    """Samples (batch, 1, 1, time) to columns of 64 values (batch, 64, 1, time / 160)."""
    layers: list[nn.Module] = [*_normed(WaveConv(1, ACLNET_FIRST, 9, ACLNET_STEPS[0], bias=False))]
    if separable:
        layers += _normed(
            WaveConv(
                ACLNET_FIRST, ACLNET_FIRST, 5, ACLNET_STEPS[1], groups=ACLNET_FIRST, bias=False
            )
        )
        layers += _normed(WaveConv(ACLNET_FIRST, ACLNET_ROWS, 1, bias=False))
    else:
        layers += _normed(WaveConv(ACLNET_FIRST, ACLNET_ROWS, 5, ACLNET_STEPS[1], bias=False))
    window = SAMPLES_A_COLUMN // (ACLNET_STEPS[0] * ACLNET_STEPS[1])
    return EncoderLayer(*layers, MaxPoolLayer(ACLNET_ROWS, (1, window), (1, window), ceil=True))


def _picture_block(in_channels: int, maps: int, *, first: bool, separable: bool) -> EncoderLayer:
    """Convolutions 3 x 3 and a pool; the first block is always one standard convolution."""
    if first:
        layers = [AsPicture(), *_normed(convolution(in_channels, maps, (3, 3)))]
    else:
        layers = []
        for n_inputs in (in_channels, maps):
            if separable:
                layers += _normed(convolution(n_inputs, n_inputs, (3, 3), groups=n_inputs))
                layers += _normed(convolution(n_inputs, maps, (1, 1)))
            else:
                layers += _normed(convolution(n_inputs, maps, (3, 3)))
    return EncoderLayer(*layers, MaxPoolLayer(maps, (2, 2), (2, 2), ceil=True))


def _normed(conv: nn.Conv2d) -> list[nn.Module]:
    """A convolution, its norm and ReLU."""
    return [conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU()]


def aclnet(family: str, separable: bool, shape: Shape, width: float) -> Backbone:
    """The network of a width, for waves of any length from 5 120 samples on."""
    encoder = AclNetEncoder(width, separable)
    encoder.code_shape(*shape[1:])
    neck = GlobalPoolNeck(encoder.out_channels, over_time="mean")
    return Backbone(scaled_name(family, width), encoder, neck)


NETWORKS = {
    **{
        name: RegisteredNetwork(partial(wave_cnn, name, design), waves=True)
        for name, design in WAVE_DESIGNS.items()
    },
    "aclnet-sc": RegisteredNetwork(partial(aclnet, "aclnet-sc", False), waves=True, scaled=True),
    "aclnet-dwsc": RegisteredNetwork(partial(aclnet, "aclnet-dwsc", True), waves=True, scaled=True),
}
