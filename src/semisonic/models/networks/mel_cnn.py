"""``cnn2``, ``cnn3``: plain convolutions on a picture of 64 x 128, for clips of a fixed length.

From a student project on ESC-50 (seed 002, 2024) with 128 mel bands and 500 frames of 10 ms.
Features of any larger size are made 64 x 128 first. The L2 penalty on convolutions and the
dense layer of ``cnn3`` belongs to the optimiser: its weight decay.

Where we differ: the picture is made smaller by means over exact areas, as taking single points
would pass over half of the cells. The published text does not name the activations in the
blocks of ``cnn3``; here ReLU comes after each convolution and after the dense layer, and the
norm after it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semisonic.base.errors import ModelError
from semisonic.models.architecture import Dense, Size
from semisonic.models.necks import FlattenNeck
from semisonic.models.networks.dense import VectorNorm, with_layers
from semisonic.models.networks.parts import MaxPool, Part, PartsEncoder, ValidConv
from semisonic.models.plan import Trace
from semisonic.models.registry import Body, Shape, register

PICTURE: Size = (64, 128)
"""(mel, frame)"""


def area_weights(n_in: int, n_out: int) -> Tensor:
    """Which share of each input cell an output cell is the mean of, shape (n_out, n_in)."""
    edges = torch.arange(n_out + 1, dtype=torch.float64) * n_in / n_out
    cells = torch.arange(n_in, dtype=torch.float64)
    right = torch.minimum(edges[1:, None], cells + 1)
    left = torch.maximum(edges[:-1, None], cells)
    return ((right - left).clamp(min=0) * n_out / n_in).float()


class PictureEncoder(PartsEncoder):
    """Features made 64 x 128, then the parts."""

    def __init__(self, in_channels: int, parts: list[Part], out_channels: int) -> None:
        super().__init__(
            in_channels, out_channels, parts,
            no_decoder="it first makes features of any size 64 x 128",
        )  # fmt: skip

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


@register("cnn2")
def cnn2(shape: Shape) -> Body:
    """Four convolutions and 100 dense units: 491 230 parameters with 50 classes."""
    parts, channels = [], shape[0]
    for maps in (32, 128, 128, 128):
        conv = ValidConv(channels, maps, (3, 3))
        parts.append(Part(conv, nn.ReLU(), MaxPool(maps, (2, 2), (2, 2))))
        channels = maps
    encoder = PictureEncoder(shape[0], parts, channels)
    return Body("cnn2", encoder, FlattenNeck(encoder.code_shape(*shape[1:]), (Dense(100, True),)))


@register("cnn3")
def cnn3(shape: Shape) -> Body:
    """Three convolutions with norms, and much dropout: 1 173 670 parameters with 50 classes."""
    parts, channels = [], shape[0]
    for maps in (32, 64, 128):
        conv = ValidConv(channels, maps, (3, 3))
        parts.append(Part(conv, nn.ReLU(), nn.BatchNorm2d(maps), MaxPool(maps, (2, 2), (2, 2))))
        channels = maps
    encoder = PictureEncoder(shape[0], parts, channels)
    neck = FlattenNeck(encoder.code_shape(*shape[1:]))
    return Body(
        "cnn3",
        encoder,
        with_layers(
            neck, 100,
            nn.Dropout(0.8), nn.Linear(neck.out_features, 100), nn.ReLU(), VectorNorm(100),
            nn.Dropout(0.6),
        ),
    )  # fmt: skip
