"""CNN14 and MobileNetV1 of PANNs."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from semisonic.features.options import MelOptions
from semisonic.models.necks import Backbone, GlobalPoolNeck, Shape
from semisonic.models.networks.layers import AveragePoolLayer, EncoderLayer, LayeredEncoder
from semisonic.models.notation import Dense

MEL = MelOptions(
    sample_rate=32000, n_fft=1024, hop_length=320, n_mels=64, fmin_hz=50.0, fmax_hz=14000.0
)
HALF = (2, 2)
CNN14 = (64, 128, 256, 512, 1024, 2048)
STEM = 32
MOBILE = (
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
"""Channels and step of each block after the first."""


def _cnn14_block(in_channels: int, maps: int, *, halves: bool) -> EncoderLayer:
    """Two convolutions 3 x 3, each with norm and ReLU, then the mean of cells two by two."""
    layers: list[nn.Module] = []
    for n_inputs in (in_channels, maps):
        conv = nn.Conv2d(n_inputs, maps, 3, padding=1, bias=False)
        layers += [conv, nn.BatchNorm2d(maps), nn.ReLU()]
    return EncoderLayer(*layers, *([AveragePoolLayer(maps, HALF, ceil=False)] if halves else []))


def _mobile_layers(in_channels: int, maps: int, step: int, *, groups: int = 1) -> list[nn.Module]:
    """A convolution 3 x 3, the mean of cells if there is a step, norm and ReLU."""
    conv = nn.Conv2d(in_channels, maps, 3, padding=1, groups=groups, bias=False)
    pool = AveragePoolLayer(maps, HALF, ceil=False) if step == 2 else nn.Identity()
    return [conv, pool, nn.BatchNorm2d(maps), nn.ReLU()]


def _mobile_block(in_channels: int, maps: int, step: int) -> EncoderLayer:
    """A convolution of each map alone, then one over all maps."""
    over_all = nn.Conv2d(in_channels, maps, 1, bias=False)
    alone = _mobile_layers(in_channels, in_channels, step, groups=in_channels)
    return EncoderLayer(*alone, over_all, nn.BatchNorm2d(maps), nn.ReLU())


def _body(name: str, blocks: list[EncoderLayer], shape: Shape, channels: int) -> Backbone:
    encoder = LayeredEncoder(shape[0], channels, blocks)
    encoder.code_shape(*shape[1:])  # refuses features too small to be halved so often
    return Backbone(name, encoder, GlobalPoolNeck(channels, (Dense(channels, relu=True),)))


def cnn14(shape: Shape) -> Backbone:
    """CNN14 without its class layer."""
    widths = (shape[0], *CNN14)
    blocks = [_cnn14_block(a, b, halves=b != CNN14[-1]) for a, b in pairwise(widths)]
    return _body("cnn14", blocks, shape, CNN14[-1])


def mobilenet(shape: Shape) -> Backbone:
    """PANNs' MobileNetV1 without its class layer."""
    blocks = [EncoderLayer(*_mobile_layers(shape[0], STEM, 2))]
    width = STEM
    for channels, step in MOBILE:
        blocks.append(_mobile_block(width, channels, step))
        width = channels
    return _body("panns-mobilenet", blocks, shape, width)


NETWORKS = {"cnn14": cnn14, "panns-mobilenet": mobilenet}
