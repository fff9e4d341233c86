"""Level change: the same sound nearer or farther."""

from __future__ import annotations

from torch import Tensor

from semisonic.features.augment.base import Augmentation, Drawn, at_least, uniform
from semisonic.features.options import MelOptions


class Gain(Augmentation):
    """Make each clip louder or quieter by a random amount.

    Silence stays silence. Samples beyond full scale are not clipped: levels have no upper end.

    Parameters
    ----------
    mel : MelOptions
        With ``reference="max"`` or ``peak_normalize`` a level change cannot be seen, which is
        an error.
    max_db : float
        Largest change, up or down, in dB.
    probability : float
        Share of rows that are changed.

    Raises
    ------
    OptionError
        When the front end takes the level away.
    """

    def __init__(self, mel: MelOptions, max_db: float, probability: float = 1.0) -> None:
        super().__init__(mel, probability)
        self.max_db = at_least(max_db, 0.0, self.named("max_db"), "dB")
        self.levels.require_loudness("Gain")

    def draw(self, x: Tensor) -> Drawn:
        """``gain_db``: one number for each row."""
        return {"gain_db": uniform(x, -self.max_db, self.max_db)}

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The clips at their new levels."""
        return self.levels.amplify(x, drawn["gain_db"][:, None, None, None])
