"""From frames to one value a map: mean, maximum, both, the last, attention, salient parts.

All take clips of any length, and batches of clips of several lengths: frames from
``n_frames[i]`` on are what fills up clip i and count for nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.base.errors import ModelError
from semisonic.base.options import nearest


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


class MeanPool(TimePool):
    """The mean: textures such as rain."""

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The mean over frames, shape (batch, channel)."""
        if n_frames is None:
            return x.mean(dim=2)
        total = x.masked_fill(_beyond(x, n_frames), 0.0).sum(dim=2)
        return total / n_frames[:, None].to(x.dtype)


class MeanMaxPool(MeanPool):
    """The mean plus the maximum: textures, and events as short as one frame.

    Kong et al. (2020), "PANNs".
    """

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The sum of mean and maximum over frames, shape (batch, channel)."""
        mean = super().forward(x, n_frames)
        if n_frames is not None:
            x = x.masked_fill(_beyond(x, n_frames), -torch.inf)
        return mean + x.amax(dim=2)


class MaxPool(TimePool):
    """The maximum: events as short as one frame."""

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The maximum over frames, shape (batch, channel)."""
        if n_frames is not None:
            x = x.masked_fill(_beyond(x, n_frames), -torch.inf)
        return x.amax(dim=2)


class LastPool(TimePool):
    """The last frame that counts: what a recurrent layer knows when it has heard the clip."""

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The last frame, shape (batch, channel)."""
        if n_frames is None:
            return x[:, :, -1]
        last = (n_frames - 1)[:, None, None].expand(-1, x.shape[1], 1)
        return x.gather(2, last)[:, :, 0]


class AttentionPool(TimePool):
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


class SalientPool(TimePool):
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
    "mean": MeanPool,
    "mean+max": MeanMaxPool,
    "max": MaxPool,
    "last": LastPool,
    "attention": AttentionPool,
    "salient": SalientPool,
}


def time_pool(name: str, channels: int) -> TimePool:
    """A pooling by its name."""
    if name not in OVER_TIME:
        raise ModelError(f"unknown pooling over time '{name}': {nearest(name, OVER_TIME)}")
    return OVER_TIME[name](channels)


def _beyond(x: Tensor, n_frames: Tensor) -> Tensor:
    """Which frames do not count, shape (batch, 1, frame)."""
    return torch.arange(x.shape[2], device=x.device) >= n_frames[:, None, None]
