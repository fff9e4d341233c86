"""Time shift of samples: round the end, or with silence in front."""

from __future__ import annotations

import torch
from torch import Tensor

from semisonic.base.errors import OptionError
from semisonic.base.options import nearest
from semisonic.features.augment.base import Drawn, at_least, whole
from semisonic.features.augment.wave.base import WaveAugmentation

MODES = ("wrap", "delay")


class TimeShift(WaveAugmentation):
    """Shift each clip by a random time.

    Parameters
    ----------
    sample_rate : int
        Hz.
    max_shift : float
        Largest shift in seconds; with "wrap" half of the clip or more means any.
    mode : {"wrap", "delay"}
        Round the end, earlier or later; or only later, with silence in front and the end cut
        off (Piczak 2015).
    probability : float
        Share of rows that are changed.
    """

    def __init__(
        self, sample_rate: int, max_shift: float, mode: str = "wrap", probability: float = 1.0
    ) -> None:
        super().__init__(sample_rate, probability)
        self.max_shift = at_least(max_shift, 0.0, self.named("max_shift"), "s")
        if mode not in MODES:
            raise OptionError(f"{self.named('mode')}: found {mode!r}; {nearest(mode, MODES)}")
        self.mode = mode

    def draw(self, x: Tensor) -> Drawn:
        """``shift``: samples, above 0 for later."""
        most, n = self.samples(self.max_shift), x.shape[1]
        if self.mode == "delay":
            return {"shift": whole(x, 0, min(most, n - 1))}
        return {"shift": whole(x, 0, n - 1) if 2 * most + 1 >= n else whole(x, -most, most)}

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The shifted clips."""
        return shifted(x, drawn["shift"], self.mode)


def shifted(x: Tensor, shift: Tensor, mode: str) -> Tensor:
    """Each wave (batch, time) later by ``shift`` samples, (batch,)."""
    place = torch.arange(x.shape[1], device=x.device) - shift[:, None]
    moved = x.gather(1, place.remainder(x.shape[1]))
    return moved * (place >= 0) if mode == "delay" else moved
