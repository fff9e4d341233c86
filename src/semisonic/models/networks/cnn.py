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
from semisonic.models.encoder import ConvStep, DownStep, SameConv, Step, Trace, Undo
from semisonic.models.necks import Backbone, FlattenNeck, Shape
from semisonic.models.networks.layers import (
    AveragePoolLayer,
    EncoderLayer,
    LayeredEncoder,
    MaxPoolLayer,
    ValidConv,
    VectorNorm,
    WithPlan,
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

    def __init__(self, in_channels: int, parts: list[EncoderLayer], out_channels: int) -> None:
        super().__init__(
            in_channels,
            out_channels,
            parts,
            no_decoder="it first makes features of any size 64 x 128",
        )

    def walk(self, x: Tensor, record: Trace | None) -> Tensor:
        """The code."""
        self.check_size(x.shape[2], x.shape[3])
        if x.shape[2:] != PICTURE:
            rows, columns = (
                area_weights(n_in, n_out).to(x)
                for n_in, n_out in zip(x.shape[2:], PICTURE, strict=True)
            )
            x = rows @ x @ columns.T
        return super().walk(x, record)

    def code_shape(self, n_mels: int, n_frames: int) -> tuple[int, int, int]:
        """Shape (channel, mel, frame) of the code, the same for any size that is enough."""
        self.check_size(n_mels, n_frames)
        return super().code_shape(*PICTURE)

    def check_size(self, n_mels: int, n_frames: int) -> None:
        """Raise ModelError for features of less than 64 x 128."""
        if n_mels < PICTURE[0] or n_frames < PICTURE[1]:
            raise ModelError(
                f"found features of {n_mels} x {n_frames} (mel x frame), expected at least "
                f"{PICTURE[0]} x {PICTURE[1]}; take more mel bands, longer clips or a smaller "
                "hop_length"
            )


def cnn2(shape: Shape) -> Backbone:
    """Four convolutions and 100 dense units: 491 230 parameters with 50 classes."""
    parts, channels = [], shape[0]
    for maps in (32, 128, 128, 128):
        conv = ValidConv(channels, maps, (3, 3))
        parts.append(EncoderLayer(conv, nn.ReLU(), MaxPoolLayer(maps, (2, 2), (2, 2))))
        channels = maps
    encoder = PictureEncoder(shape[0], parts, channels)
    return Backbone(
        "cnn2", encoder, FlattenNeck(encoder.code_shape(*shape[1:]), (Dense(100, True),))
    )


def cnn3(shape: Shape) -> Backbone:
    """Three convolutions with norms, and much dropout: 1 173 670 parameters with 50 classes."""
    parts, channels = [], shape[0]
    for maps in (32, 64, 128):
        conv = ValidConv(channels, maps, (3, 3))
        parts.append(
            EncoderLayer(conv, nn.ReLU(), nn.BatchNorm2d(maps), MaxPoolLayer(maps, (2, 2), (2, 2)))
        )
        channels = maps
    encoder = PictureEncoder(shape[0], parts, channels)
    neck = FlattenNeck(encoder.code_shape(*shape[1:]))
    return Backbone(
        "cnn3",
        encoder,
        with_layers(
            neck,
            100,
            nn.Dropout(0.8),
            nn.Linear(neck.out_features, 100),
            nn.ReLU(),
            VectorNorm(100),
            nn.Dropout(0.6),
        ),
    )


def _vgg_block(in_channels: int, maps: int) -> EncoderLayer:
    """Two convolutions 3 x 3 with norm and ReLU, and means of 2 x 2."""
    layers: list[nn.Module] = []
    for n_inputs in (in_channels, maps):
        layers += [SameConv(n_inputs, maps, (3, 3)), nn.BatchNorm2d(maps), nn.ReLU()]
    return EncoderLayer(*layers, AveragePoolLayer(maps, (2, 2)))


def vgg_encoder(in_channels: int, widths: tuple[int, ...], no_decoder: str = "") -> LayeredEncoder:
    """A block a width; as an auto-encoder it takes ``upsample``, ``subpixel`` and ``unet``."""
    blocks = [_vgg_block(a, b) for a, b in pairwise((in_channels, *widths))]
    return LayeredEncoder(in_channels, widths[-1], blocks, no_decoder=no_decoder)


def vgg(shape: Shape) -> Backbone:
    """Four blocks, the maximum over time, 128 units."""
    encoder = vgg_encoder(shape[0], (64, 128, 256, 512))
    return Backbone("vgg", encoder, prelu_neck(encoder.out_channels, "max"))


class ProjectedBlock(nn.Module, WithPlan):
    """Two convolutions 3 x 3, beside them a shortcut that learns; the first may step by two."""

    def __init__(self, in_channels: int, maps: int, step: int) -> None:
        super().__init__()
        self.step = step
        self.branch = nn.Sequential(
            nn.Conv2d(in_channels, maps, 3, step, 1, bias=False),
            nn.BatchNorm2d(maps),
            nn.ReLU(),
            nn.Conv2d(maps, maps, 3, 1, 1, bias=False),
            nn.BatchNorm2d(maps),
        )
        self.shortcut = nn.Sequential(
            nn.Conv2d(in_channels, maps, 1, step, bias=False), nn.BatchNorm2d(maps)
        )
        self.relu = nn.ReLU()
        plan: list[Step] = [ConvStep(in_channels, maps, (3, 3)), ConvStep(maps, maps, (3, 3))]
        if step > 1:
            plan.insert(0, DownStep(in_channels, (step, step), (step, step), ceil=True))
        self.plan = tuple(plan)

    def forward(self, x: Tensor, record: Trace | None = None) -> Tensor:
        """The map, shape (batch, maps, mel / step, frame / step), rounded up."""
        if self.step > 1 and record is not None:
            record.downs.append(Undo((x.shape[2], x.shape[3]), map=x if record.maps else None))
        y: Tensor = self.relu(self.branch(x) + self.shortcut(x))
        return y


def resnet(shape: Shape) -> Backbone:
    """Blocks of 64, 128, 256 and 512 maps, the mean of the last, 128 units."""
    parts: list[EncoderLayer] = []
    channels = shape[0]
    for maps in (64, 128, 256, 512):
        parts.append(EncoderLayer(ProjectedBlock(channels, maps, step=2 if parts else 1)))
        channels = maps
    encoder = LayeredEncoder(shape[0], channels, parts)
    return Backbone("resnet", encoder, prelu_neck(channels, "mean"))


NETWORKS = {"cnn2": cnn2, "cnn3": cnn3, "vgg": vgg, "resnet": resnet}
