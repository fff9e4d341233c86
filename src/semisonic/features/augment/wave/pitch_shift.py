"""Pitch shift of samples at the same tempo: a phase vocoder, then another speed."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from semisonic.base.errors import OptionError
from semisonic.features.augment.base import Drawn, at_least, uniform
from semisonic.features.augment.pitch_shift import MOST_SEMITONES
from semisonic.features.augment.wave.base import WaveAugmentation
from semisonic.features.augment.wave.resampling import resampled
from semisonic.features.augment.wave.vocoder import (
    HOP,
    analysed,
    phase_vocoder,
    row_by_row,
    synthesised,
)


class PitchShift(WaveAugmentation):
    """Shift the pitch of each clip by a random interval.

    A shift down leaves the highest frequencies empty, which tells augmented clips apart for
    those who look there; the one on spectrograms goes on with the last band it knows.

    Parameters
    ----------
    sample_rate : int
        Hz.
    max_semitones : float
        Largest shift, up or down, 0 to 24 semitones; any interval between is drawn.
    probability : float
        Share of rows that are changed.
    """

    def __init__(self, sample_rate: int, max_semitones: float, probability: float = 1.0) -> None:
        super().__init__(sample_rate, probability)
        name = self.named("max_semitones")
        self.max_semitones = at_least(max_semitones, 0.0, name, "semitones")
        if max_semitones > MOST_SEMITONES:
            raise OptionError(
                f"{name}: found {max_semitones:g} semitones, expected at most {MOST_SEMITONES:g}"
            )

    def draw(self, x: Tensor) -> Drawn:
        """``semitones``, above 0 for up."""
        return {"semitones": uniform(x, -self.max_semitones, self.max_semitones)}

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The shifted clips."""
        one = torch.ones_like(drawn["semitones"])
        return played(x, one, drawn["semitones"], self.max_semitones)


def played(x: Tensor, factor: Tensor, semitones: Tensor, max_semitones: float) -> Tensor:
    """Waves at another tempo and another pitch.

    Parameters
    ----------
    x : Tensor, shape (batch, time)
    factor : Tensor, shape (batch,)
        Speed at the same pitch; a faster clip ends in silence, a slower one is cut.
    semitones : Tensor, shape (batch,)
        Change of pitch.
    max_semitones : float
        At least the largest of them; it fixes how much room is needed in between.

    Returns
    -------
    Tensor, same shape
    """
    n = x.shape[1]
    n_frames = math.ceil(n * 2 ** (max_semitones / 12) / HOP) + 2

    def one(x: Tensor, factor: Tensor, ratio: Tensor) -> Tensor:
        frame = torch.arange(n_frames, device=x.device, dtype=torch.float64)
        stretched = phase_vocoder(analysed(x), frame * (factor / ratio)[:, None])
        long = synthesised(stretched, (n_frames - 1) * HOP)
        moment = torch.arange(n, device=x.device, dtype=torch.float64)
        return resampled(long, moment * ratio[:, None], ratio)

    return row_by_row(one, x, factor.double(), torch.exp2(semitones.double() / 12))
