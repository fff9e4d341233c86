"""Time stretch: the sound goes faster or slower at the same pitch.

In a spectrogram this is another time axis; the level of each frame stays. A clip keeps its
length: a slower one is cut, round a random time that keeps its place. What a faster clip
leaves free is filled in the way that is natural for the clip. One that sounds throughout goes
round, like rain that goes on: an end of silence would tell augmented clips apart. One that is
padded with silence gets more silence: going round would repeat its sound.
"""

from __future__ import annotations

import math

from torch import Tensor

from semisonic.base.errors import OptionError
from semisonic.features.augment.base import Augmentation, Drawn, ordered, uniform
from semisonic.features.augment.places import check_outside, ends_of, places
from semisonic.features.augment.sounding import padded_rows
from semisonic.features.augment.warp import interpolate_frames
from semisonic.features.options import MelOptions


class Stretch(Augmentation):
    """Play each clip faster or slower at the same pitch.

    Parameters
    ----------
    mel : MelOptions
    min_factor, max_factor : float
        Range of speeds: 1.25 is a quarter faster, 0.8 a fifth slower. Drawn so that a factor
        is as likely as its inverse. From 0.25 to 4.
    outside : {"natural", "wrap", "silence"}
        What fills the rest of a faster clip: the clip goes round, or silence; "natural" is
        silence for clips that hold digital silence already, else round.
    probability : float
        Share of rows that are changed.
    """

    def __init__(
        self,
        mel: MelOptions,
        min_factor: float,
        max_factor: float,
        outside: str = "natural",
        probability: float = 1.0,
    ) -> None:
        super().__init__(mel, probability)
        self.min_factor, self.max_factor = check_factors(min_factor, max_factor, type(self))
        self.outside = check_outside(outside, self.named("outside"))

    def draw(self, x: Tensor) -> Drawn:
        """``factor``, and ``centre``: the place that stays, as a share of the clip."""
        low, high = math.log(self.min_factor), math.log(self.max_factor)
        return {"factor": uniform(x, low, high).exp(), "centre": uniform(x, 0.0, 1.0)}

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The stretched clips."""
        ends = ends_of(self.outside, padded_rows(x))
        source, beyond = places(x.shape[3], drawn["factor"], drawn["centre"], ends)
        stretched = interpolate_frames(x, source)
        silence = self.levels.silence(x).expand_as(x)
        return self.levels.settle(stretched.lerp_(silence, beyond[:, None, None].to(x.dtype)))


def check_factors(low: float, high: float, where: type) -> tuple[float, float]:
    """A range of speeds, or an OptionError."""
    name = f"{where.__name__}, options 'min_factor', 'max_factor'"
    ordered(low, high, name)
    if not 0.25 <= low <= high <= 4.0:
        raise OptionError(f"{name}: found {low:g} to {high:g}, expected 0.25 to 4")
    return low, high
