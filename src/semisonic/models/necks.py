"""Necks: from the encoder's last map to one vector a clip, the embedding."""

from __future__ import annotations

from math import prod

from torch import Tensor, nn

from semisonic.base.errors import ModelError
from semisonic.models.architecture import Dense
from semisonic.models.pooling import time_pool

NO_FRAMES = {"last": "it answers from the last frame only"}
"""Poolings over time that say nothing of a frame alone."""


class Neck(nn.Module):
    """Base: a map (batch, channel, mel, frame) to an embedding (batch, out_features).

    ``no_frames`` says why there is no embedding of each frame; it is empty where there is one.
    Where clips of a batch were filled up to one length, ``n_frames``, int64 of shape
    (batch,), tells how many frames of each map count.
    """

    out_features: int
    no_frames = "its dense layers take all frames of the clip side by side"

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
        """The embedding of each frame of a map; only where ``no_frames`` is empty."""
        raise ModelError(f"{type(self).__name__} has no embeddings of frames: {self.no_frames}")

    def class_layer(self, n_classes: int) -> nn.Module:
        """The layer that scores classes from the embedding."""
        return nn.Linear(self.out_features, n_classes)


class FlattenNeck(Neck):
    """All cells of the map side by side, then dense layers: clips of one length.

    Parameters
    ----------
    code_shape : (channel, mel, frame)
        The only shape that is accepted.
    dense : tuple of Dense
    """

    def __init__(self, code_shape: tuple[int, int, int], dense: tuple[Dense, ...] = ()) -> None:
        super().__init__(prod(code_shape), dense)
        self.code_shape = code_shape

    def forward(self, code: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The embedding, shape (batch, out_features); all frames always count."""
        if tuple(code.shape[1:]) != self.code_shape or n_frames is not None:
            raise ModelError(
                f"found a code of shape {tuple(code.shape[1:])} (channel, mel, frame), expected "
                f"{self.code_shape}: this model takes clips of one length only; fit the clips to "
                "it, or use an architecture with 'gp'"
            )
        embedding: Tensor = self.dense(code.flatten(1))
        return embedding


class GlobalPoolNeck(Neck):
    """Mean over mel bands, then one value a map over frames: clips of any length.

    Parameters
    ----------
    channels : int
    dense : tuple of Dense
    over_time : {"mean+max", "mean", "max", "last", "attention", "salient"}
        See :mod:`semisonic.models.pooling`.
    rows : int
        Rows of the map that stay side by side in the embedding; 0 takes their mean.
    """

    def __init__(
        self,
        channels: int,
        dense: tuple[Dense, ...] = (),
        *,
        over_time: str = "mean+max",
        rows: int = 0,
    ) -> None:
        channels *= max(rows, 1)
        super().__init__(channels, dense)
        self.rows = rows
        self.no_frames = NO_FRAMES.get(over_time, "")
        self.over_time = time_pool(over_time, channels)

    def forward(self, code: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The embedding, shape (batch, out_features)."""
        if n_frames is not None:
            n_frames = n_frames.clamp(max=code.shape[3])
        embedding: Tensor = self.dense(self.over_time(self._values(code), n_frames))
        return embedding

    def frames(self, code: Tensor) -> Tensor:
        """The embedding of each frame, as if the clip were that frame alone.

        Returns
        -------
        Tensor, shape (batch, frame, out_features)
        """
        values = self._values(code)
        alone = values.transpose(1, 2).flatten(0, 1)[:, :, None]  # (batch * frame, channel, 1)
        embedding: Tensor = self.dense(self.over_time(alone))
        return embedding.view(len(code), values.shape[2], -1)

    def _values(self, code: Tensor) -> Tensor:
        """The map without its rows, shape (batch, channel, frame)."""
        return code.flatten(1, 2) if self.rows else code.mean(dim=2)
