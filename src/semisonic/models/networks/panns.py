"""CNN14 of PANNs."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from semisonic.features.options import MelOptions
from semisonic.models.necks import Backbone, GlobalPoolNeck, Shape
from semisonic.models.networks.layers import Block, LayeredEncoder, convolution
from semisonic.models.notation import Dense

MEL = MelOptions(
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


NETWORKS = {"cnn14": cnn14}
