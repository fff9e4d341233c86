"""Necks: from the encoder's last map to one vector per clip, the embedding; pooling over time."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from semisonic.core.errors import ModelError
from semisonic.models.encoder import Encoder
from semisonic.models.notation import Dense

Shape = tuple[int, int, int]
"""Of features: (channel, mel, frame)."""

POOLINGS = ("mean+max", "mean", "max", "last")
"""Over time. The mean is for textures such as rain, the maximum for events as short as a frame,
both for both (Kong et al. 2020, "PANNs"), the last frame for recurrent layers."""


def pool_time(kind: str, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
    """Pool values per frame, (batch, channel, frame), to one per channel, (batch, channel).

    Frames of clip i from ``n_frames[i]``, if given, are padding and do not count.
    """
    if kind == "last":
        if n_frames is None:
            return x[:, :, -1]
        last = (n_frames - 1)[:, None, None].expand(-1, x.shape[1], 1)
        return x.gather(2, last)[:, :, 0]
    mean, largest = x.mean(dim=2), x
    if n_frames is not None:
        beyond = torch.arange(x.shape[2], device=x.device) >= n_frames[:, None, None]
        total = x.masked_fill(beyond, 0.0).sum(dim=2)
        mean, largest = total / n_frames[:, None].to(x.dtype), x.masked_fill(beyond, -torch.inf)
    if kind == "mean":
        return mean
    return largest.amax(dim=2) if kind == "max" else mean + largest.amax(dim=2)


class Neck(nn.Module):
    """Base: a map (batch, channel, mel, frame) to an embedding (batch, out_features).

    ``no_frames`` says why there is no embedding of each frame; it is empty if there is one. If
    clips of a batch were padded, ``n_frames``, int64 of shape (batch,), is the number of valid
    frames of each map.
    """

    out_features: int
    no_frames = "its dense layers read all frames of the clip together"

    def __init__(self, in_features: int, dense: tuple[Dense, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for layer in dense:
            layers.append(nn.Linear(in_features, layer.units))
            if layer.relu:
                layers.append(nn.ReLU())
            in_features = layer.units
        self.dense = nn.Sequential(*layers)
        self.out_features = in_features

    def frames(self, code: Tensor) -> Tensor:
        """The embedding of each frame of a map; only if ``no_frames`` is empty."""
        raise NotImplementedError

    def class_layer(self, n_classes: int) -> nn.Module:
        """The layer that scores classes from the embedding."""
        return nn.Linear(self.out_features, n_classes)


class FlattenNeck(Neck):
    """The flattened map, then dense layers: for clips of one length.

    Parameters
    ----------
    code_shape : (channel, mel, frame)
        The only shape that is accepted.
    dense : tuple of Dense
    """

    def __init__(self, code_shape: Shape, dense: tuple[Dense, ...] = ()) -> None:
        super().__init__(prod(code_shape), dense)
        self.code_shape = code_shape

    def forward(self, code: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The embedding, shape (batch, out_features); all frames always count."""
        if tuple(code.shape[1:]) != self.code_shape or n_frames is not None:
            raise ModelError(
                f"found a code of shape {tuple(code.shape[1:])} (channel, mel, frame), expected "
                f"{self.code_shape}: as this model takes clips of one length only; pad or cut "
                "the clips to it, or use an architecture with 'gp'"
            )
        embedding: Tensor = self.dense(code.flatten(1))
        return embedding


class GlobalPoolNeck(Neck):
    """Pooling over frames of the mean over mel, or of each row: for clips of any length.

    Parameters
    ----------
    channels : int
    dense : tuple of Dense
    over_time : {"mean+max", "mean", "max", "last"}
        See :data:`POOLINGS`.
    rows : int
        Number of rows over mel, each pooled over time separately, so that the embedding
        distinguishes low and high sounds; 1: the mean over any number of rows.
    """

    def __init__(
        self,
        channels: int,
        dense: tuple[Dense, ...] = (),
        over_time: str = "mean+max",
        rows: int = 1,
    ) -> None:
        super().__init__(channels * rows, dense)
        self.over_time, self.rows = over_time, rows
        self.no_frames = "it uses the last frame only" if over_time == "last" else ""

    def forward(self, code: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The embedding, shape (batch, out_features)."""
        if n_frames is not None:
            n_frames = n_frames.clamp(max=code.shape[3])
        embedding: Tensor = self.dense(pool_time(self.over_time, self._over_mel(code), n_frames))
        return embedding

    def _over_mel(self, code: Tensor) -> Tensor:
        """The values pooled over time, (batch, value, frame)."""
        if self.rows == 1:
            return code.mean(dim=2)
        if code.shape[2] != self.rows:
            raise ModelError(
                f"found a code of {code.shape[2]} rows over mel, expected {self.rows}: as this "
                "network takes one number of mel bands only"
            )
        return code.flatten(1, 2)

    def frames(self, code: Tensor) -> Tensor:
        """The embedding of each frame, as if the clip were this frame alone.

        Returns
        -------
        Tensor, shape (batch, frame, out_features)
        """
        values = self._over_mel(code)  # (batch, value, frame)
        alone = values.transpose(1, 2).flatten(0, 1)[:, :, None]  # (batch * frame, channel, 1)
        embedding: Tensor = self.dense(pool_time(self.over_time, alone))
        return embedding.view(len(code), values.shape[2], -1)


@dataclass(frozen=True)
class Backbone:
    """A network without its class layer: an encoder and a neck.

    Attributes
    ----------
    name : str
        The registered name or the architecture.
    encoder : Encoder
    neck : Neck
    """

    name: str
    encoder: Encoder
    neck: Neck
