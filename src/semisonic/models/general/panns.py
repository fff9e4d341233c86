"""CNN14 and MobileNetV1 of PANNs.

Kong et al. (2020), "PANNs: large-scale pretrained audio neural networks for audio pattern
recognition". Log-mel in dB, a normalisation of each band (which becomes our standardisation),
convolutions, the mean over mel, mean plus maximum over time, a dense layer.

Where we differ: the dropout between blocks is left out.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.features import MelOptions
from semisonic.models.architecture import Dense
from semisonic.models.general.block_encoder import BlockEncoder, PlannedBlock, remember
from semisonic.models.necks import GlobalPoolNeck
from semisonic.models.plan import ConvStep, DownStep, Step, Trace
from semisonic.models.registry import Body, Shape, register

MEL = MelOptions(
    sample_rate=32000, n_fft=1024, hop_length=320, n_mels=64, fmin_hz=50.0, fmax_hz=14000.0
)
HALF = (2, 2)
CNN14 = (64, 128, 256, 512, 1024, 2048)
STEM = 32
MOBILE = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1),
    (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
"""Channels and step of each block after the first."""


class Cnn14Block(PlannedBlock):
    """Two convolutions, each with norm and ReLU, then the mean of cells two by two."""

    def __init__(self, in_channels: int, out_channels: int, *, halves: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.halves = halves
        self.plan = (
            ConvStep(in_channels, out_channels, (3, 3)),
            ConvStep(out_channels, out_channels, (3, 3)),
        )
        if halves:
            self.plan += (DownStep(out_channels, HALF, HALF),)

    def forward(self, x: Tensor, record: Trace | None = None) -> Tensor:
        """The map, half as high and wide where the block says so."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        if not self.halves:
            return x
        remember(x, record)
        return F.avg_pool2d(x, HALF)


class MobileBlock(PlannedBlock):
    """A convolution, the mean of cells, norm, ReLU; then, but for the first, one over all maps.

    The first one mixes what comes in; the others convolve each map alone.
    """

    def __init__(self, in_channels: int, out_channels: int, step: int, *, is_first: bool) -> None:
        super().__init__()
        inner = out_channels if is_first else in_channels
        groups = 1 if is_first else in_channels
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, inner, 3, padding=1, groups=groups, bias=False),
            nn.AvgPool2d(step),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
        )
        if not is_first:
            self.layers.extend(
                [
                    nn.Conv2d(inner, out_channels, 1, bias=False),
                    nn.BatchNorm2d(out_channels),
                    nn.ReLU(),
                ]
            )
        self.halves = step == 2
        conv = ConvStep(in_channels, out_channels, (3, 3))
        down: tuple[Step, ...] = ()
        if self.halves:
            channels = out_channels if is_first else in_channels
            down = (DownStep(channels, HALF, HALF, has_map=not is_first),)
        self.plan = (conv, *down) if is_first else (*down, conv)

    def forward(self, x: Tensor, record: Trace | None = None) -> Tensor:
        """The map, half as high and wide where the block has a step of two."""
        if self.halves:
            remember(x, record)
        y: Tensor = self.layers(x)
        return y


def _body(name: str, blocks: list[PlannedBlock], shape: Shape, channels: int) -> Body:
    encoder = BlockEncoder(shape[0], channels, blocks)
    encoder.code_shape(*shape[1:])  # refuses features too small to be halved so often
    return Body(name, encoder, GlobalPoolNeck(channels, (Dense(channels, relu=True),)))


@register("cnn14")
def cnn14(shape: Shape) -> Body:
    """CNN14 without its class layer."""
    widths = (shape[0], *CNN14)
    blocks: list[PlannedBlock] = [
        Cnn14Block(a, b, halves=b != CNN14[-1]) for a, b in pairwise(widths)
    ]
    return _body("cnn14", blocks, shape, CNN14[-1])


@register("panns-mobilenet")
def mobilenet(shape: Shape) -> Body:
    """PANNs' MobileNetV1 without its class layer."""
    blocks: list[PlannedBlock] = [MobileBlock(shape[0], STEM, 2, is_first=True)]
    width = STEM
    for channels, step in MOBILE:
        blocks.append(MobileBlock(width, channels, step, is_first=False))
        width = channels
    return _body("panns-mobilenet", blocks, shape, width)
