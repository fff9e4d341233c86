"""``cnn2``, ``cnn3``, ``vgg``, ``resnet``: convolutions on log-mel.

**``cnn2``, ``cnn3``**: plain convolutions on a picture of 64 x 128, for clips of a fixed length.
From a student project on ESC-50 (seed 002, 2024) with 128 mel bands and 500 frames of 10 ms.
Features of any larger size are made 64 x 128 first. The L2 penalty on convolutions and the
dense layer of ``cnn3`` belongs to the optimiser: its weight decay.

Where we differ: the picture is made smaller by means over exact areas, as taking single points
would pass over half of the cells. The published text does not name the activations in the
blocks of ``cnn3``; here ReLU comes after each convolution and after the dense layer, and the
norm after it.

**``vgg``**: pairs of convolutions and mean pools, on log-mel of any length. The network that a
project on FSDKaggle2019 used in all its stages (seed 004, its version 2; four blocks in the manner
of Simonyan and Zisserman 2015). With three equal channels and 80 classes it has the published 4
765 457 parameters, 1 152 fewer with one channel.

Where we differ: the last window of a pool may be a partial one, so that clips of any length
work, and the first weights are uniform of the same variance.

**``resnet``**: four residual blocks on log-mel of any length. He et al. (2016), "Deep residual
learning for image recognition", in the size that a project on FSDKaggle2019 wrote and never tried
(seed 004, its version 4): one block of two convolutions a width, each with a shortcut that is a
convolution of one cell, and no other layers before.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from semisonic.core.errors import ModelError
from semisonic.models.encoder import DownStep, SameConv
from semisonic.models.necks import Backbone, FlattenNeck, Shape
from semisonic.models.networks.layers import (
    Block,
    LayeredEncoder,
    VectorNorm,
    convolution,
    prelu_neck,
    with_layers,
)
from semisonic.models.notation import Dense, Size

PICTURE: Size = (64, 128)
"""(mel, frame)"""


def area_weights(n_in: int, n_out: int) -> Tensor:
    """Which share of each input cell an output cell is the mean of, shape (n_out, n_in)."""
    edges = torch.arange(n_out + 1, dtype=torch.float64) * n_in / n_out
    cells = torch.arange(n_in, dtype=torch.float64)
    right = torch.minimum(edges[1:, None], cells + 1)
    left = torch.maximum(edges[:-1, None], cells)
    return ((right - left).clamp(min=0) * n_out / n_in).float()


class PictureEncoder(LayeredEncoder):
    """Features made 64 x 128, then the parts."""

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The code."""
        self.code_shape(x.shape[2], x.shape[3])
        if x.shape[2:] != PICTURE:
            rows, columns = (
                area_weights(n_in, n_out).to(x)
                for n_in, n_out in zip(x.shape[2:], PICTURE, strict=True)
            )
            x = rows @ x @ columns.T
        return super().forward(x)

    def code_shape(self, n_mels: int, n_frames: int) -> tuple[int, int, int]:
        """Shape (channel, mel, frame) of the code, the same for any size that is enough."""
        if n_mels < PICTURE[0] or n_frames < PICTURE[1]:
            raise ModelError(
                f"found features of {n_mels} x {n_frames} (mel x frame), expected at least "
                f"{PICTURE[0]} x {PICTURE[1]}; take more mel bands, longer clips or a smaller "
                "hop_length"
            )
        return super().code_shape(*PICTURE)


def _picture_cnn(shape: Shape, widths: tuple[int, ...], *, norm: bool) -> PictureEncoder:
    """Convolutions 3 x 3 without zeros around the map, each with ReLU and a pool of 2 x 2."""
    blocks = []
    for n_inputs, maps in pairwise((shape[0], *widths)):
        norms = [nn.BatchNorm2d(maps)] if norm else []
        pool = nn.MaxPool2d((2, 2), (2, 2))
        blocks.append(Block(nn.Conv2d(n_inputs, maps, 3), nn.ReLU(), *norms, pool))
    return PictureEncoder(shape[0], widths[-1], blocks)


def cnn2(shape: Shape) -> Backbone:
    """Four convolutions and 100 dense units: 491 230 parameters with 50 classes."""
    encoder = _picture_cnn(shape, (32, 128, 128, 128), norm=False)
    neck = FlattenNeck(encoder.code_shape(*shape[1:]), (Dense(100, True),))
    return Backbone("cnn2", encoder, neck)


def cnn3(shape: Shape) -> Backbone:
    """Three convolutions with norms, and much dropout: 1 173 670 parameters with 50 classes."""
    encoder = _picture_cnn(shape, (32, 64, 128), norm=True)
    neck = FlattenNeck(encoder.code_shape(*shape[1:]))
    dense = (nn.Linear(neck.out_features, 100), nn.ReLU(), VectorNorm(100))
    neck = with_layers(neck, 100, nn.Dropout(0.8), *dense, nn.Dropout(0.6))
    return Backbone("cnn3", encoder, neck)


def vgg_encoder(in_channels: int, widths: tuple[int, ...]) -> LayeredEncoder:
    """A block a width: two convolutions 3 x 3 with norm and ReLU, and means of 2 x 2."""
    blocks = []
    for before, maps in pairwise((in_channels, *widths)):
        layers: list[nn.Module] = []
        for n_inputs in (before, maps):
            layers += [SameConv(n_inputs, maps, (3, 3)), nn.BatchNorm2d(maps), nn.ReLU()]
        pool = nn.AvgPool2d((2, 2), (2, 2), ceil_mode=True, count_include_pad=False)
        blocks.append(Block(*layers, pool))
    return LayeredEncoder(in_channels, widths[-1], blocks)


def vgg(shape: Shape) -> Backbone:
    """Four blocks, the maximum over time, 128 units."""
    encoder = vgg_encoder(shape[0], (64, 128, 256, 512))
    return Backbone("vgg", encoder, prelu_neck(encoder.out_channels, "max"))


class ProjectedBlock(nn.Module):
    """Two convolutions 3 x 3, beside them a shortcut that learns; the first may step by two."""

    def __init__(self, in_channels: int, maps: int, step: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            convolution(in_channels, maps, 3, step),
            nn.BatchNorm2d(maps),
            nn.ReLU(),
            convolution(maps, maps, 3),
            nn.BatchNorm2d(maps),
        )
        self.shortcut = nn.Sequential(convolution(in_channels, maps, 1, step), nn.BatchNorm2d(maps))
        self.relu = nn.ReLU()
        self.plan = (DownStep((step, step), (step, step), ceil=True),)

    def forward(self, x: Tensor) -> Tensor:
        """The map, shape (batch, maps, mel / step, frame / step), rounded up."""
        y: Tensor = self.relu(self.branch(x) + self.shortcut(x))
        return y


def resnet(shape: Shape) -> Backbone:
    """Blocks of 64, 128, 256 and 512 maps, the mean of the last, 128 units."""
    widths = (shape[0], 64, 128, 256, 512)
    # each in a block of its own, as "parts.0.layers.0" is what its first weights depend on
    blocks = [
        Block(ProjectedBlock(a, b, step=2 if number else 1))
        for number, (a, b) in enumerate(pairwise(widths))
    ]
    encoder = LayeredEncoder(shape[0], widths[-1], blocks)
    return Backbone("resnet", encoder, prelu_neck(widths[-1], "mean"))


NETWORKS = {"cnn2": cnn2, "cnn3": cnn3, "vgg": vgg, "resnet": resnet}
