"""Networks of published projects on log-mel: convolutions, with recurrent layers or without.

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

**``piczak-short``, ``piczak-long``**: filters over nearly all of mel, large dense layers.

**``crnn-lstm``, ``crnn-gru``**: convolutions, then recurrent layers from frame to frame.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from semisonic.core.errors import ModelError
from semisonic.models.encoder import DownStep, Encoder, SameConv
from semisonic.models.necks import Backbone, FlattenNeck, GlobalPoolNeck, Shape
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
    """The weight of each input cell in the mean of an output cell, shape (n_out, n_in)."""
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
        """Shape (channel, mel, frame) of the code, the same for any sufficient size."""
        if n_mels < PICTURE[0] or n_frames < PICTURE[1]:
            raise ModelError(
                f"found features of {n_mels} x {n_frames} (mel x frame), expected at least "
                f"{PICTURE[0]} x {PICTURE[1]}; use more mel bands, longer clips or a smaller "
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
        """Draw weights again; the bias is a constant."""
        values = torch.empty(self.weight.shape)
        self.weight.copy_(values.uniform_(-self.bound, self.bound, generator=stream))
        if self.bias is not None:
            self.bias.fill_(self.first_bias)


class NormalLinear(nn.Linear):
    """A dense layer whose first weights are normal with a deviation of 0.01, biases zero."""

    @torch.no_grad()
    def draw_weights(self, stream: torch.Generator) -> None:
        """Draw weights again."""
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


class RecurrentEncoder(Encoder):
    """The maps of a convolutional encoder, read frame by frame.

    Parameters
    ----------
    front : LayeredEncoder
        Its steps are the plan.
    recurrent : nn.RNNBase
        Batch first, in one direction.
    whole_windows : bool
        Whether the convolutions have no zero padding; then only windows within a clip count, so
        that padding does not change the result.
    """

    no_frames = "its recurrent layers depend on earlier frames"

    def __init__(
        self, front: LayeredEncoder, recurrent: nn.RNNBase, *, whole_windows: bool = False
    ) -> None:
        super().__init__()
        self.front, self.recurrent, self.whole_windows = front, recurrent, whole_windows
        self.in_channels, self.out_channels = front.in_channels, recurrent.hidden_size
        self.plan = front.plan

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The code, shape (batch, hidden, 1, fewer frames)."""
        frames = self.front(x).permute(0, 3, 1, 2).flatten(2)  # (batch, frame, channel * mel)
        heard, _ = self.recurrent(frames)
        code: Tensor = heard.transpose(1, 2).unsqueeze(2)
        return code

    def code_shape(self, n_mels: int, n_frames: int) -> tuple[int, int, int]:
        """Shape (hidden, 1, frame) of the code of an input of that size."""
        return self.out_channels, 1, self.front.code_shape(n_mels, n_frames)[2]

    def frames_after(self, n_frames: Tensor) -> Tensor:
        """The number of valid frames, at least one."""
        if not self.whole_windows:
            return super().frames_after(n_frames)
        for step in self.plan:
            if isinstance(step, DownStep):
                n_frames = (n_frames - step.size[1]).div(step.stride[1], rounding_mode="floor") + 1
        return n_frames.clamp(min=1)


def crnn_lstm(shape: Shape) -> Backbone:
    """Three convolutions, the last with a step of two, LSTM 2 x 512, 256 units."""
    blocks, channels = [], shape[0]
    for maps, kernel, stride in ((16, 5, 1), (32, 3, 1), (64, 3, 2)):
        conv = nn.Conv2d(channels, maps, kernel, stride)
        blocks.append(Block(conv, nn.BatchNorm2d(maps), nn.ReLU()))
        channels = maps
    front = LayeredEncoder(shape[0], channels, blocks)
    rows = front.code_shape(*shape[1:])[1]
    lstm = nn.LSTM(channels * rows, 512, num_layers=2, batch_first=True)
    neck = GlobalPoolNeck(512, (Dense(256, True),), over_time="last")
    return Backbone("crnn-lstm", RecurrentEncoder(front, lstm, whole_windows=True), neck)


def crnn_gru(shape: Shape) -> Backbone:
    """Four pairs of convolutions, GRU 2 x 256, 128 units."""
    front = vgg_encoder(shape[0], (64, 128, 128, 64))
    channels, rows, _ = front.code_shape(*shape[1:])
    gru = nn.GRU(channels * rows, 256, num_layers=2, batch_first=True)
    return Backbone("crnn-gru", RecurrentEncoder(front, gru), prelu_neck(256, "last"))


NETWORKS = {
    "cnn2": cnn2,
    "cnn3": cnn3,
    "vgg": vgg,
    "resnet": resnet,
    **{
        f"piczak-{length}": partial(piczak, f"piczak-{length}", (n_frames,), 5000)
        for length, n_frames in SEGMENTS.items()
    },
    "piczak-small": partial(piczak, "piczak-small", tuple(SEGMENTS.values()), 500),
    "crnn-lstm": crnn_lstm,
    "crnn-gru": crnn_gru,
}
