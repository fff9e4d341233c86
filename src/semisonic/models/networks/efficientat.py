"""EfficientAT's mn networks: MobileNetV3 taught by transformers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from semisonic.features.options import MelOptions
from semisonic.models.necks import Backbone, GlobalPoolNeck, Shape
from semisonic.models.networks.layers import Block, LayeredEncoder, convolution

MEL = MelOptions(
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
WIDTHS = {"mn04": 0.4, "mn10": 1.0}


@dataclass(frozen=True)
class MobileBlockSpec:
    """A block as in table 1 of MobileNetV3, before its width is scaled."""

    kernel: int
    inner: int
    out: int
    step: int = 1
    excite: bool = False
    hard: bool = False


FIRST = 16
ROWS = (
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
LAST = 6
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
    channels = _to_eights(FIRST * width)
    blocks = [Block(*_conv(shape[0], channels, 3, 2, 1, nn.Hardswish()))]
    for row in ROWS:
        blocks.append(_mobile_block(channels, row, width))
        channels = _to_eights(row.out * width)
    blocks.append(Block(*_conv(channels, LAST * channels, 1, 1, 1, nn.Hardswish())))
    encoder = LayeredEncoder(shape[0], LAST * channels, blocks)
    return Backbone(name, encoder, GlobalPoolNeck(LAST * channels, over_time="mean"))


NETWORKS = {name: partial(_body, name, width) for name, width in WIDTHS.items()}
