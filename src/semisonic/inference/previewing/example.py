"""What a preview is made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semisonic.features import LogMel, MelOptions

DRAWS = 2
"""Times each augmentation is drawn."""

Wave = NDArray[np.float32]


@dataclass(frozen=True)
class Draw:
    """One random change.

    Attributes
    ----------
    level : ndarray, shape (mel, frame)
        The changed features in dB.
    wave : ndarray, shape (time,)
        What they sound like.
    drawn : str
        The random numbers in words.
    """

    level: NDArray[np.float32]
    wave: Wave
    drawn: str


@dataclass(frozen=True)
class Example:
    """An augmentation and what it made of the clip.

    Attributes
    ----------
    name : str
        For files: letters and hyphens.
    title, text : str
        What it is and what it does.
    how : str
        How the sound was made.
    draws : tuple of Draw
    """

    name: str
    title: str
    text: str
    how: str
    draws: tuple[Draw, ...]


@dataclass(frozen=True)
class Clip:
    """The clip that is shown, and others to mix it with.

    Attributes
    ----------
    wave : Tensor, shape (1, time)
        Samples at the rate of ``mel``, padded to its duration.
    others : Tensor, shape (n, time)
        Other clips of the set; none when there is one only.
    label : str
        Empty without one.
    other_labels : tuple of str
    name : str
    file : Path
    mel : MelOptions
        Without deltas, which no one can see or hear.
    """

    wave: Tensor
    others: Tensor
    label: str
    other_labels: tuple[str, ...]
    name: str
    file: Path
    mel: MelOptions

    @property
    def level(self) -> Tensor:
        """Features in dB, shape (1, 1, mel, frame)."""
        return self.features(self.wave)

    def features(self, wave: Tensor) -> Tensor:
        """Features in dB, (n, 1, mel, frame), of samples (n, time)."""
        result: Tensor = LogMel(self.mel)(wave)
        return result

    def draw(self, level: Tensor, wave: Tensor, drawn: str) -> Draw:
        """A change to be shown, from features (1, 1, mel, frame) and samples (time,)."""
        return Draw(as_array(level[0, 0]), as_array(wave), drawn)


def as_array(x: Tensor) -> NDArray[np.float32]:
    """A tensor as an array of its own."""
    return x.detach().to(torch.float32).cpu().numpy().copy()
