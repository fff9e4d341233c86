"""Levels in dB as the front end makes them, and how they add, grow and end at silence.

A cell of the features is ``20 / power * log10(mel)`` dB. Energies of sounds that have
nothing to do with each other add, and ``10 ** (dB / 10)`` is such an energy: exactly for
``power=2``, where the bands sum energies. For other powers the bands sum magnitudes, and the
sum of two sounds comes out up to about 1 dB too high where both are equally loud.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from semisonic.base.errors import OptionError
from semisonic.features.options import WAVE, MelOptions

_TO_POWER = math.log(10.0) / 10.0
_LEAST_RELATIVE = 1e-20  # -200 dB, where levels are below the clip's own maximum


class Levels:
    """What the options of a front end mean for arithmetic on its features.

    All arguments named ``x`` are levels in dB, shape (batch, 1, mel, frame).
    """

    def __init__(self, mel: MelOptions) -> None:
        if mel.input == WAVE:
            raise OptionError(
                "augmentation: this changes spectrograms, and the front end is 'wave'; leave it "
                "out, or take the network of a spectrogram"
            )
        self.mel = mel
        self.is_relative = mel.reference == "max"
        self.floor_db = mel.quietest_db
        self._least = _LEAST_RELATIVE if self.is_relative else 10 ** (self.floor_db / 10)

    def require_loudness(self, name: str) -> None:
        """Refuse a transform that needs the level of a clip, where the front end removes it."""
        for cause, removes in (
            ("reference='max'", self.is_relative),
            ("peak_normalize=true", self.mel.peak_normalize),
        ):
            if removes:
                raise OptionError(
                    f"{name}: the front end has {cause}, which takes the level of every clip "
                    "away, so that a change of level changes nothing; set the gain to 0 dB or "
                    "keep the level"
                )

    def power(self, x: Tensor) -> Tensor:
        """Levels as energies."""
        return torch.exp_(x * _TO_POWER)

    def from_power(self, power: Tensor) -> Tensor:
        """Energies as levels, in place; energies below silence become silence."""
        return self.settle(power.clamp_(min=self._least).log10_().mul_(10.0))

    def silence(self, x: Tensor) -> Tensor:
        """The level of silence, shape (batch or 1, 1, 1, 1).

        Where levels are relative to a clip's maximum it is the clip's lowest level.
        """
        if self.is_relative:
            return x.amin((1, 2, 3), keepdim=True)
        return x.new_full((1, 1, 1, 1), self.floor_db)

    def amplify(self, x: Tensor, gain_db: Tensor) -> Tensor:
        """Add a gain to all that sounds: silence times anything is silence.

        Within the lowest decibel above silence the gain fades in. ``gain_db`` broadcasts
        to ``x``.
        """
        sounds = (x - self.silence(x)).clamp_(0.0, 1.0)
        return self.settle(sounds.mul_(gain_db).add_(x))

    def settle(self, x: Tensor) -> Tensor:
        """Make levels again such as the front end gives: its floor, maximum and range.

        Works in place: memory is what these small sums cost most.
        """
        if self.is_relative:
            loudest = x.amax((1, 2, 3), keepdim=True)
            silent = loudest - x.amin((1, 2, 3), keepdim=True) < 1e-3
            x.sub_(loudest.masked_fill(silent, 0.0))
        else:
            x.clamp_(min=self.floor_db)
        if self.mel.top_db is not None:
            x.clamp_(min=x.amax((1, 2, 3), keepdim=True) - self.mel.top_db)
        return x
