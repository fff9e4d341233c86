"""Necks: from the encoder's last map to one vector a clip, the embedding; and pooling over time."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.core.errors import ModelError
from semisonic.core.options import nearest
from semisonic.models.encoder import Encoder
from semisonic.models.notation import Dense

Shape = tuple[int, int, int]
"""Of features: (channel, mel, frame)."""

# From frames to one value a map: mean, maximum, both, the last, attention, salient parts.
#
# All take clips of any length, and batches of clips of several lengths: frames from
# ``n_frames[i]`` on are what fills up clip i and count for nothing.


class TimePool(nn.Module):
    """Base: (batch, channel, frame) to (batch, channel).

    Parameters
    ----------
    channels : int
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """One value a map.

        Parameters
        ----------
        x : Tensor, shape (batch, channel, frame)
        n_frames : Tensor of int64, shape (batch,), or None
            Frames of each clip that count, 1 or more; all of them if None.

        Returns
        -------
        Tensor, shape (batch, channel)
        """
        raise NotImplementedError


class MeanTimePool(TimePool):
    """The mean: textures such as rain."""

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The mean over frames, shape (batch, channel)."""
        if n_frames is None:
            return x.mean(dim=2)
        total = x.masked_fill(_beyond(x, n_frames), 0.0).sum(dim=2)
        return total / n_frames[:, None].to(x.dtype)


class MeanMaxTimePool(MeanTimePool):
    """The mean plus the maximum: textures, and events as short as one frame.

    Kong et al. (2020), "PANNs".
    """

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The sum of mean and maximum over frames, shape (batch, channel)."""
        mean = super().forward(x, n_frames)
        if n_frames is not None:
            x = x.masked_fill(_beyond(x, n_frames), -torch.inf)
        return mean + x.amax(dim=2)


class MaxTimePool(TimePool):
    """The maximum: events as short as one frame."""

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The maximum over frames, shape (batch, channel)."""
        if n_frames is not None:
            x = x.masked_fill(_beyond(x, n_frames), -torch.inf)
        return x.amax(dim=2)


class LastTimePool(TimePool):
    """The last frame that counts: what a recurrent layer knows when it has heard the clip."""

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The last frame, shape (batch, channel)."""
        if n_frames is None:
            return x[:, :, -1]
        last = (n_frames - 1)[:, None, None].expand(-1, x.shape[1], 1)
        return x.gather(2, last)[:, :, 0]


class AttentionTimePool(TimePool):
    """A mean weighed by what the frames hold; the network learns which to listen to.

    Kong et al. (2018), "Audio Set classification with attention model". Where we differ: the
    weights are found for groups of maps, not for classes, so that the embedding has them too.
    """

    N_GROUPS = 4

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        if channels % self.N_GROUPS:
            raise ModelError(
                f"attention over time: found {channels} maps, expected a multiple of "
                f"{self.N_GROUPS}"
            )
        self.score = nn.Linear(channels, self.N_GROUPS)

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The weighed mean over frames, shape (batch, channel)."""
        score = self.score(x.transpose(1, 2)).float().transpose(1, 2)  # (batch, group, frame)
        if n_frames is not None:
            score = score.masked_fill(_beyond(score, n_frames), -torch.inf)
        weight = torch.softmax(score, dim=2).to(x.dtype)
        each = weight.repeat_interleave(self.channels // self.N_GROUPS, dim=1)
        return (x * each).sum(dim=2)


class SalientTimePool(TimePool):
    """The mean of the loudest few stretches of each map, wherever they are.

    Sparse salient region pooling, variant T (IEEE Access 2023, 10.1109/ACCESS.2022.3232807):
    means of windows, then the mean of the largest of them. Where we differ: mel is averaged
    before, and the windows are shorter, as a frame here is 0.37 s.
    """

    WINDOW = 3
    TOP = 4

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The mean of the largest window means, shape (batch, channel)."""
        if n_frames is not None:
            return self._each(x, n_frames)
        windows = F.avg_pool1d(x, min(self.WINDOW, x.shape[2]), stride=1)
        return windows.topk(min(self.TOP, windows.shape[2]), dim=2).values.mean(dim=2)

    def _each(self, x: Tensor, n_frames: Tensor) -> Tensor:
        """The same for clips of several lengths, those of one length together."""
        result = x.new_empty(x.shape[:2])
        for n in set(n_frames.tolist()):
            rows = (n_frames == n).nonzero()[:, 0]
            result = result.index_copy(0, rows, self.forward(x[rows, :, :n]))
        return result


OVER_TIME: dict[str, type[TimePool]] = {
    "mean": MeanTimePool,
    "mean+max": MeanMaxTimePool,
    "max": MaxTimePool,
    "last": LastTimePool,
    "attention": AttentionTimePool,
    "salient": SalientTimePool,
}


def time_pool(name: str, channels: int) -> TimePool:
    """A pooling by its name."""
    if name not in OVER_TIME:
        raise ModelError(f"unknown pooling over time '{name}': {nearest(name, OVER_TIME)}")
    return OVER_TIME[name](channels)


def _beyond(x: Tensor, n_frames: Tensor) -> Tensor:
    """Which frames do not count, shape (batch, 1, frame)."""
    return torch.arange(x.shape[2], device=x.device) >= n_frames[:, None, None]


# Necks: from the encoder's last map to one vector a clip, the embedding.


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
        See :mod:`semisonic.models.necks`.
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


@dataclass(frozen=True)
class Backbone:
    """A network without its class layer: an encoder and a neck.

    Attributes
    ----------
    name : str
        The registered name or the architecture that builds the same again.
    encoder : Encoder
    neck : Neck
    """

    name: str
    encoder: Encoder
    neck: Neck
