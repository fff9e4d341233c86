"""Time stretch of samples at the same pitch, by a phase vocoder."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from semisonic.features.augment.base import Drawn, uniform
from semisonic.features.augment.places import check_outside, ends_of, places
from semisonic.features.augment.stretch import check_factors
from semisonic.features.augment.wave.base import WaveAugmentation, padded_waves
from semisonic.features.augment.wave.vocoder import (
    HOP,
    analysed,
    phase_vocoder,
    row_by_row,
    synthesised,
)


class Stretch(WaveAugmentation):
    """Play each clip faster or slower at the same pitch.

    Parameters
    ----------
    sample_rate : int
        Hz.
    min_factor, max_factor : float
        Range of speeds: 1.25 is a quarter faster. Drawn so that a factor is as likely as its
        inverse. From 0.25 to 4.
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
        """The stretched clips."""
        ends = ends_of(self.outside, padded_waves(x))
        return row_by_row(_stretched, x, drawn["factor"], drawn["centre"], ends)


def _stretched(x: Tensor, factor: Tensor, centre: Tensor, ends: Tensor) -> Tensor:
    n_frames = 1 + x.shape[1] // HOP
    place, beyond = places(n_frames, factor, centre, ends)
    place = torch.where(ends[:, None], place, place.remainder(x.shape[1] / HOP))
    stretched = phase_vocoder(analysed(x, ends), place)
    return synthesised(stretched * (~beyond)[:, None], x.shape[1])
