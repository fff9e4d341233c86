"""Level change of samples."""

from __future__ import annotations

from torch import Tensor

from semisonic.features.augment.base import Drawn, at_least, uniform
from semisonic.features.augment.wave.base import WaveAugmentation


class Gain(WaveAugmentation):
    """Make each clip louder or quieter by a random amount.

    Parameters
    ----------
    sample_rate : int
        Hz.
    max_db : float
        Largest change, up or down, in dB.
    probability : float
        Share of rows that are changed.
    """

    def __init__(self, sample_rate: int, max_db: float, probability: float = 1.0) -> None:
        super().__init__(sample_rate, probability)
        self.max_db = at_least(max_db, 0.0, self.named("max_db"), "dB")

    def draw(self, x: Tensor) -> Drawn:
        """``gain_db``: one number for each row."""
        return {"gain_db": uniform(x, -self.max_db, self.max_db)}

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The clips at their new levels."""
        return x * 10 ** (drawn["gain_db"][:, None] / 20)
