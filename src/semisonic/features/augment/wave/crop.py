"""Crop of samples: training on a shorter part of each clip."""

from __future__ import annotations

import torch
from torch import Tensor

from semisonic.features.augment.base import Drawn, at_least, share, uniform
from semisonic.features.augment.wave.base import WaveAugmentation

_GRID = 256  # samples between two places where a part may start
_SILENCE = 2e-5  # of full scale, less than one step of 16-bit samples


class Crop(WaveAugmentation):
    """Take a random part of each clip; in ``eval()`` the whole clip.

    Parameters
    ----------
    sample_rate : int
        Hz.
    duration : float
        Length of the part, in seconds. Clips that are no longer stay as they are.
    min_share : float
        A part is taken where it holds at least this share, 0 to 1, of the samples above
        digital silence of the fullest part: short sounds are padded, and a part of the
        padding teaches a class that is not there.
    """

    def __init__(self, sample_rate: int, duration: float, min_share: float = 0.5) -> None:
        super().__init__(sample_rate)
        at_least(duration, 1.0 / sample_rate, self.named("duration"), "s")
        self.duration, self.min_share = duration, share(min_share, self.named("min_share"))

    def draw(self, x: Tensor) -> Drawn:
        """``start``: the first sample of each part, among those that hold enough sound."""
        n = min(self.samples(self.duration), x.shape[1])
        before = torch.nn.functional.pad((x.abs() > _SILENCE).float().cumsum(1), (1, 0))
        starts = torch.arange(0, x.shape[1] - n + 1, _GRID, device=x.device)
        held = before[:, starts + n] - before[:, starts]  # (batch, start)
        enough = held >= self.min_share * held.amax(1, keepdim=True)
        chance = uniform(x, 0.0, 1.0, len(starts)).masked_fill(~enough, -1.0)
        return {"start": starts[chance.argmax(1)]}

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The parts, (batch, fewer samples)."""
        n = min(self.samples(self.duration), x.shape[1])
        return x.gather(1, drawn["start"][:, None] + torch.arange(n, device=x.device))
