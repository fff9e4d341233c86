"""Necks: from the encoder's last map to one vector a clip, the embedding."""

from __future__ import annotations

from math import prod

from torch import Tensor, nn

from semisonic.base.errors import ModelError
from semisonic.models.architecture import Dense


class Neck(nn.Module):
    """Base: a map (batch, channel, mel, frame) to an embedding (batch, out_features)."""

    out_features: int

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

    def forward(self, code: Tensor) -> Tensor:
        """The embedding, shape (batch, out_features)."""
        if tuple(code.shape[1:]) != self.code_shape:
            raise ModelError(
                f"found a code of shape {tuple(code.shape[1:])} (channel, mel, frame), expected "
                f"{self.code_shape}: this model takes clips of one length only; fit the clips to "
                "it, or use an architecture with 'gp'"
            )
        embedding: Tensor = self.dense(code.flatten(1))
        return embedding


class GlobalPoolNeck(Neck):
    """Mean over mel bands, then mean plus maximum over frames: clips of any length.

    After Kong et al. (2020), PANNs. The maximum finds a short event, the mean a texture.
    """

    def __init__(self, channels: int, dense: tuple[Dense, ...] = ()) -> None:
        super().__init__(channels, dense)

    def forward(self, code: Tensor) -> Tensor:
        """The embedding, shape (batch, out_features)."""
        over_mel = code.mean(dim=2)  # (batch, channel, frame)
        embedding: Tensor = self.dense(over_mel.mean(dim=2) + over_mel.amax(dim=2))
        return embedding
