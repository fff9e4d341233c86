"""Circular time shift: the clip begins somewhere else, and what leaves comes in again.

Nothing is lost and no edge of silence is made that would tell augmented clips apart. A short
sound padded with silence moves inside its silence.
"""

from __future__ import annotations

import torch
from torch import Tensor

from semisonic.features.augment.base import Augmentation, Drawn, at_least, whole
from semisonic.features.augment.warp import take_frames
from semisonic.features.options import MelOptions


def roll_frames(x: Tensor, shift: Tensor) -> Tensor:
    """Move each row (batch, 1, mel, frame) later by ``shift`` frames, (batch,), around the end."""
    frame = torch.arange(x.shape[3], device=x.device)
    return take_frames(x, (frame - shift[:, None]).remainder(x.shape[3]))


class TimeShift(Augmentation):
    """Shift each clip by a random time, around its end.

    Parameters
    ----------
    mel : MelOptions
    max_shift : float
        Largest shift, earlier or later, in seconds; from half of the clip on every shift is
        equally likely. It is rounded to whole frames.
    probability : float
        Share of rows that are changed.
    """

    def __init__(self, mel: MelOptions, max_shift: float, probability: float = 1.0) -> None:
        super().__init__(mel, probability)
        self.max_shift = at_least(max_shift, 0.0, self.named("max_shift"), "s")

    def draw(self, x: Tensor) -> Drawn:
        """``shift``: frames, above 0 for later."""
        most = self.frames(self.max_shift)
        if 2 * most + 1 >= x.shape[3]:
            return {"shift": whole(x, 0, x.shape[3] - 1)}
        return {"shift": whole(x, -most, most)}

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The rolled clips."""
        return roll_frames(x, drawn["shift"])
