"""``piczak-short``, ``piczak-long``: filters over nearly all of mel, large dense layers."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from semisonic.core.errors import ModelError
from semisonic.models.necks import Backbone, FlattenNeck, Shape
from semisonic.models.networks.layers import Block, LayeredEncoder, with_layers
from semisonic.models.notation import Size

N_MELS = 60
SEGMENTS = {"short": 41, "long": 101}
"""Frames of a segment."""

MAPS = 80


class UniformConv(nn.Conv2d):
    """A convolution whose first weights are uniform within a bound."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: Size, bound: float, bias: float = 0.0
    ) -> None:
        super().__init__(in_channels, out_channels, kernel)
        self.bound, self.first_bias = bound, bias

    @torch.no_grad()
    def draw_weights(self, stream: torch.Generator) -> None:
        """Draw weights anew; the bias is a constant."""
        values = torch.empty(self.weight.shape)
        self.weight.copy_(values.uniform_(-self.bound, self.bound, generator=stream))
        if self.bias is not None:
            self.bias.fill_(self.first_bias)


class NormalLinear(nn.Linear):
    """A dense layer whose first weights are normal with a deviation of 0.01, biases zero."""

    @torch.no_grad()
    def draw_weights(self, stream: torch.Generator) -> None:
        """Draw weights anew."""
        values = torch.empty(self.weight.shape)
        self.weight.copy_(values.normal_(0.0, 0.01, generator=stream))
        self.bias.zero_()


class PiczakNeck(FlattenNeck):
    """The cells side by side; the class layer has the published first weights."""

    def class_layer(self, n_classes: int) -> nn.Linear:
        """The layer that scores classes from the embedding."""
        return NormalLinear(self.out_features, n_classes)


def piczak(name: str, lengths: tuple[int, ...], units: int, shape: Shape) -> Backbone:
    """The network for segments of one of these lengths.

    Raises
    ------
    ModelError
        For features of another shape.
    """
    channels, n_mels, n_frames = shape
    if channels not in (1, 2) or n_mels != N_MELS or n_frames not in lengths:
        expected = " or ".join(f"2 x {N_MELS} x {n}" for n in lengths)
        raise ModelError(
            f"model '{name}': found features of {channels} x {n_mels} x {n_frames} (channel x "
            f"mel x frame), expected {expected} (one channel without deltas); 41 frames are "
            "20 480 samples and 101 are 51 200 at hop_length 512"
        )
    first = UniformConv(channels, MAPS, (57, 6), 0.001, bias=0.1)
    second = UniformConv(MAPS, MAPS, (1, 3), 0.1)
    blocks = [
        Block(first, nn.ReLU(), nn.MaxPool2d((4, 3), (1, 3)), nn.Dropout(0.5)),
        Block(second, nn.ReLU(), nn.MaxPool2d((1, 3), (1, 3))),
    ]
    encoder = LayeredEncoder(channels, MAPS, blocks)
    neck = PiczakNeck(encoder.code_shape(n_mels, n_frames))
    layers = []
    for n_inputs in (neck.out_features, units):
        layers += [NormalLinear(n_inputs, units), nn.ReLU(), nn.Dropout(0.5)]
    return Backbone(name, encoder, with_layers(neck, units, *layers))


NETWORKS = {
    **{
        f"piczak-{length}": partial(piczak, f"piczak-{length}", (n_frames,), 5000)
        for length, n_frames in SEGMENTS.items()
    },
    "piczak-small": partial(piczak, "piczak-small", tuple(SEGMENTS.values()), 500),
}
