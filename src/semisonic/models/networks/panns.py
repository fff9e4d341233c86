"""CNN14 of PANNs."""

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


def _cnn14_block(in_channels: int, maps: int, *, halves: bool) -> EncoderLayer:
    """Two convolutions 3 x 3, each with norm and ReLU, then the mean of cells two by two."""
    layers: list[nn.Module] = []
    for n_inputs in (in_channels, maps):
        conv = nn.Conv2d(n_inputs, maps, 3, padding=1, bias=False)
        layers += [conv, nn.BatchNorm2d(maps), nn.ReLU()]
    return EncoderLayer(*layers, *([AveragePoolLayer(maps, HALF, ceil=False)] if halves else []))


def cnn14(shape: Shape) -> Backbone:
    """CNN14 without its class layer."""
    widths = (shape[0], *CNN14)
    blocks = [_cnn14_block(a, b, halves=b != CNN14[-1]) for a, b in pairwise(widths)]
    encoder = LayeredEncoder(shape[0], CNN14[-1], blocks)
    encoder.code_shape(*shape[1:])  # refuses features too small to be halved so often
    neck = GlobalPoolNeck(CNN14[-1], (Dense(CNN14[-1], relu=True),))
    return Backbone("cnn14", encoder, neck)


NETWORKS = {"cnn14": cnn14}
