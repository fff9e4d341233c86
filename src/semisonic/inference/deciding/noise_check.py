"""What a network computes of made-up noise, and what the model says of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.features import MelOptions, make_extractor
from semisonic.inference.deciding.made_up_noise import BEYOND_DB, KINDS, make_noise
from semisonic.inference.pipeline import features_of_wave
from semisonic.inference.scoring import answer_rows
from semisonic.models import SoundModel

PER_KIND = 72
"""Stretches of each kind to fit a rule by, and as many others to check it."""


@dataclass(frozen=True)
class NoiseRow:
    """What is said of one kind of noise.

    Attributes
    ----------
    kind : str
    n : int
    refused : float
        Share called unknown, 0 to 1.
    surest : float
        The highest score of any class.
    taken_for : str
        The class of that score.
    """

    kind: str
    n: int
    refused: float
    surest: float
    taken_for: str


def features_of_noise(
    mel: MelOptions, *, seed: int, per_kind: int = PER_KIND, beyond_db: float = BEYOND_DB
) -> NDArray[np.float32]:
    """Features of made-up noise, kind after kind, ``per_kind`` rows each."""
    extractor = make_extractor(mel)
    return np.stack(
        [
            features_of_wave(wave, mel, extractor)
            for kind in KINDS
            for wave in make_noise(
                kind, per_kind, mel.n_samples, mel.sample_rate, seed, beyond_db=beyond_db
            )
        ]
    )


def check_noise(
    model: SoundModel, *, seed: int, per_kind: int = PER_KIND, device: str | torch.device = "cpu"
) -> tuple[NoiseRow, ...]:
    """What the model says of noise that no rule was fitted by, a row per kind."""
    features = features_of_noise(model.mel, seed=seed, per_kind=per_kind, beyond_db=0.0)
    said = answer_rows(model, features, np.arange(len(features)), device=device)
    rows = []
    for number, kind in enumerate(KINDS):
        part = slice(number * per_kind, (number + 1) * per_kind)
        scores = said.scores[part]
        row, column = np.unravel_index(int(scores.argmax()), scores.shape)
        rows.append(
            NoiseRow(
                kind, per_kind, float((said.known[part] < 0.5).mean()),
                float(scores[row, column]), model.classes[int(column)],
            )
        )  # fmt: skip
    return tuple(rows)
