"""General networks that were published with weights: YAMNet, CNN14 of PANNs, EfficientAT's mn.

**YAMNet**: Plakal and Ellis (2019), "YAMNet", in TensorFlow's models; Howard et al. (2017),
"MobileNets": the body of MobileNetV1 on patches of 0.96 s. Every patch of 96 frames, 48 apart,
gives a vector, the mean over its map; a clip's vector is the mean over its patches. Where we
differ: normalisations are folded into the convolutions, as they are in published ports; padding at
a clip's end is silence in the features, not in the samples, so the last two frames before it differ
a little.

**EfficientAT**: Schmid et al. (2023), MobileNetV3 taught by transformers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import log

from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.features.options import MelOptions
from semisonic.models.encoder import Encoder, PatchStep
from semisonic.models.necks import Backbone, GlobalPoolNeck, Shape
from semisonic.models.networks.layers import Block, LayeredEncoder, convolution
from semisonic.models.notation import Dense

YAMNET_OFFSET = 0.001
YAMNET_MEL = MelOptions(
    sample_rate=16000,
    n_fft=512,
    win_length=400,
    hop_length=160,
    n_mels=64,
    fmin_hz=125.0,
    fmax_hz=7500.0,
    power=1.0,
    center=False,
    mel_scale="kaldi",
    log_offset=YAMNET_OFFSET,
)
YAMNET_STEM = 32
YAMNET_LAYERS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
)
"""Channels and step of each pair of a convolution over a map alone and one over all maps."""
YAMNET_LENGTH, YAMNET_HOP = 96, 48
YAMNET_EMBEDDING = 1024


class SameConvRelu(nn.Conv2d):
    """Convolution with bias and ReLU, padded as TensorFlow's "same".

    At a step of 2 it pads an even size behind alone, and an odd one on both sides.
    """

    def forward(self, x: Tensor) -> Tensor:
        """The map, sizes divided by the step and rounded up."""
        around = [
            max((-(-n // step) - 1) * step + kernel - n, 0)
            for n, step, kernel in zip(x.shape[2:], self.stride, self.kernel_size, strict=True)
        ]
        mel, frame = around
        x = F.pad(x, (frame // 2, frame - frame // 2, mel // 2, mel - mel // 2))
        return F.relu(super().forward(x))


class YamnetEncoder(Encoder):
    """Convolutions on patches; the maps of a clip's patches stand side by side."""

    def __init__(self, in_channels: int, n_mels: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, YAMNET_EMBEDDING
        convs = [SameConvRelu(in_channels, YAMNET_STEM, 3, 2)]
        width, rows, frames = YAMNET_STEM, -(-n_mels // 2), YAMNET_LENGTH // 2
        for channels, step in YAMNET_LAYERS:
            convs += [
                SameConvRelu(width, width, 3, step, groups=width),
                SameConvRelu(width, channels, 1),
            ]
            width, rows, frames = channels, -(-rows // step), -(-frames // step)
        self.convs = nn.Sequential(*convs)
        self.step = PatchStep(YAMNET_LENGTH, YAMNET_HOP, rows, frames)
        self.plan = (self.step,)

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The maps of all patches, shape (batch, 1024, 2, 3 a patch) for 64 bands."""
        n_patches = self.step.count(x.shape[3])
        missing = YAMNET_LENGTH + (n_patches - 1) * YAMNET_HOP - x.shape[3]
        x = F.pad(
            x, (0, missing), value=log(YAMNET_OFFSET)
        )  # silence, so that the last frames count
        patches = x.unfold(3, YAMNET_LENGTH, YAMNET_HOP).permute(0, 3, 1, 2, 4).flatten(0, 1)
        code = self.convs(patches)  # (batch * patch, channel, mel, frame)
        side_by_side: Tensor = code.unflatten(0, (-1, n_patches)).movedim(1, 3).flatten(3)
        return side_by_side


def yamnet(shape: Shape) -> Backbone:
    """YAMNet without its class layer."""
    encoder = YamnetEncoder(shape[0], shape[1])
    return Backbone("yamnet", encoder, GlobalPoolNeck(YAMNET_EMBEDDING, over_time="mean"))


MOBILE_MEL = MelOptions(
    sample_rate=32000,
    n_fft=1024,
    win_length=800,
    hop_length=320,
    n_mels=128,
    fmax_hz=15000.0,
    mel_scale="kaldi",
    log_offset=1e-5,
    preemphasis=0.97,
)
MOBILE_WIDTHS = {"mn04": 0.4, "mn10": 1.0}


@dataclass(frozen=True)
class MobileBlockSpec:
    """A block as in table 1 of MobileNetV3, before its width is scaled."""

    kernel: int
    inner: int
    out: int
    step: int = 1
    excite: bool = False
    hard: bool = False


MOBILE_FIRST = 16
MOBILE_ROWS = (
    MobileBlockSpec(3, 16, 16),
    MobileBlockSpec(3, 64, 24, 2),
    MobileBlockSpec(3, 72, 24),
    MobileBlockSpec(5, 72, 40, 2, True),
    MobileBlockSpec(5, 120, 40, 1, True),
    MobileBlockSpec(5, 120, 40, 1, True),
    MobileBlockSpec(3, 240, 80, 2, False, True),
    MobileBlockSpec(3, 200, 80, 1, False, True),
    MobileBlockSpec(3, 184, 80, 1, False, True),
    MobileBlockSpec(3, 184, 80, 1, False, True),
    MobileBlockSpec(3, 480, 112, 1, True, True),
    MobileBlockSpec(3, 672, 112, 1, True, True),
    MobileBlockSpec(5, 672, 160, 2, True, True),
    MobileBlockSpec(5, 960, 160, 1, True, True),
    MobileBlockSpec(5, 960, 160, 1, True, True),
)
MOBILE_LAST = 6
"""How many times wider the last convolution is than the last block."""


def _to_eights(width: float) -> int:
    """The nearest multiple of eight, at least 8 and at least nine tenths of a width."""
    nearest = max(8, int(width + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * width else nearest


def _conv(
    in_channels: int, out_channels: int, kernel: int, step: int, groups: int, *act: nn.Module
) -> nn.Sequential:
    conv = convolution(in_channels, out_channels, kernel, step, groups)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels, eps=0.001, momentum=0.01), *act)


class ChannelWeights(nn.Module):
    """Squeeze-excitation over channels, with a quarter of the maps inside."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = _to_eights(channels // 4)
        self.fc1 = nn.Linear(channels, inner)
        self.fc2 = nn.Linear(inner, channels)

    def forward(self, x: Tensor) -> Tensor:
        """The weighed map."""
        weights: Tensor = self.fc2(self.fc1(x.mean(dim=(2, 3))).relu()).sigmoid()
        return x * weights[:, :, None, None]


def _mobile_block(in_channels: int, row: MobileBlockSpec, width: float) -> Block:
    """Widen, convolve each map alone, weigh the maps, narrow; a shortcut where sizes stay."""
    inner, out = _to_eights(row.inner * width), _to_eights(row.out * width)
    act = nn.Hardswish if row.hard else nn.ReLU
    layers: list[nn.Module] = []
    if inner != in_channels:
        layers.append(_conv(in_channels, inner, 1, 1, 1, act()))
    layers.append(_conv(inner, inner, row.kernel, row.step, inner, act()))
    if row.excite:
        layers.append(ChannelWeights(inner))
    layers.append(_conv(inner, out, 1, 1, 1))
    return Block(*layers, shortcut=row.step == 1 and in_channels == out)


def _body(name: str, width: float, shape: Shape) -> Backbone:
    channels = _to_eights(MOBILE_FIRST * width)
    blocks = [Block(*_conv(shape[0], channels, 3, 2, 1, nn.Hardswish()))]
    for row in MOBILE_ROWS:
        blocks.append(_mobile_block(channels, row, width))
        channels = _to_eights(row.out * width)
    blocks.append(Block(*_conv(channels, MOBILE_LAST * channels, 1, 1, 1, nn.Hardswish())))
    encoder = LayeredEncoder(shape[0], MOBILE_LAST * channels, blocks)
    return Backbone(name, encoder, GlobalPoolNeck(MOBILE_LAST * channels, over_time="mean"))


CNN14_MEL = MelOptions(
    sample_rate=32000, n_fft=1024, hop_length=320, n_mels=64, fmin_hz=50.0, fmax_hz=14000.0
)
CNN14 = (64, 128, 256, 512, 1024, 2048)


def _cnn14_block(in_channels: int, maps: int) -> Block:
    """Two convolutions 3 x 3 with norm and ReLU, and the mean of cells two by two but the last."""
    layers: list[nn.Module] = []
    for n_inputs in (in_channels, maps):
        layers += [convolution(n_inputs, maps, 3), nn.BatchNorm2d(maps), nn.ReLU()]
    return Block(*layers, *([nn.AvgPool2d((2, 2), (2, 2))] if maps != CNN14[-1] else []))


def cnn14(shape: Shape) -> Backbone:
    """CNN14 without its class layer."""
    blocks = [_cnn14_block(a, b) for a, b in pairwise((shape[0], *CNN14))]
    encoder = LayeredEncoder(shape[0], CNN14[-1], blocks)
    encoder.code_shape(*shape[1:])  # refuses features too small to be halved so often
    neck = GlobalPoolNeck(CNN14[-1], (Dense(CNN14[-1], relu=True),))
    return Backbone("cnn14", encoder, neck)


NETWORKS = {
    "yamnet": yamnet,
    "cnn14": cnn14,
    **{name: partial(_body, name, width) for name, width in MOBILE_WIDTHS.items()},
}
