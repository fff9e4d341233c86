"""Speed change of samples: like a tape that runs faster, pitch and tempo go together."""

from __future__ import annotations

import math

from torch import Tensor

from semisonic.features.augment.base import Drawn, uniform
from semisonic.features.augment.places import check_outside, ends_of, places
from semisonic.features.augment.stretch import check_factors
from semisonic.features.augment.wave.base import WaveAugmentation, padded_waves
from semisonic.features.augment.wave.resampling import resampled
from semisonic.features.augment.wave.vocoder import row_by_row


class Speed(WaveAugmentation):
    """Play each clip at a random speed.

    Parameters
    ----------
    sample_rate : int
        Hz.
    min_factor, max_factor : float
        Range of speeds: 1.25 is a quarter faster and higher by the same factor. Drawn so that
        a factor is as likely as its inverse. From 0.25 to 4.
    outside : {"natural", "wrap", "silence"}
        What fills the rest of a faster clip: the clip goes round, or silence; "natural" is
        silence for clips that hold digital silence already, else round.
    probability : float
        Share of rows that are changed.
    """

    def __init__(
        self,
        sample_rate: int,
        min_factor: float,
        max_factor: float,
        outside: str = "natural",
        probability: float = 1.0,
    ) -> None:
        super().__init__(sample_rate, probability)
        self.min_factor, self.max_factor = check_factors(min_factor, max_factor, type(self))
        self.outside = check_outside(outside, self.named("outside"))

    def draw(self, x: Tensor) -> Drawn:
        """``factor``, and ``centre``: the place that stays, as a share of the clip."""
        low, high = math.log(self.min_factor), math.log(self.max_factor)
        return {"factor": uniform(x, low, high).exp(), "centre": uniform(x, 0.0, 1.0)}

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The clips at their new speeds."""
        ends = ends_of(self.outside, padded_waves(x))
        return row_by_row(_played, x, drawn["factor"].double(), drawn["centre"], ends)


def _played(x: Tensor, factor: Tensor, centre: Tensor, ends: Tensor) -> Tensor:
    place, beyond = places(x.shape[1], factor, centre, ends)
    return resampled(x, place, factor).masked_fill_(beyond, 0.0)
