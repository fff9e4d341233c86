"""Does the file say what the model says? Both hear the same sounds, each by its own way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter1d

from semisonic.base.errors import ModelError
from semisonic.data.store_decode import as_stored, full_scale
from semisonic.evaluation import lwlrap
from semisonic.features import make_extractor
from semisonic.features.options import WAVE
from semisonic.inference.export_options import AUDIO
from semisonic.inference.exporting.exportable import EMBEDDINGS, LEVELS, SCORES
from semisonic.inference.exporting.running import Runner
from semisonic.inference.exporting.sounds import Heard
from semisonic.inference.pipeline import features_of_wave
from semisonic.inference.scoring import embed_rows, score_rows
from semisonic.models import SoundModel

MOST_DB = 0.05
AUDIBLE_DB = 70.0
"""Cells further below the loudest of their frame hold the rounding of float32, not the sound."""

MOST_SAMPLE = 2.0**-15
"""For networks that hear samples: one step of 16 bits."""

MOST_SCORE = 1e-3
MOST_EMBEDDING = 1e-2
"""Share of the largest value. Features are rounded to float16 before they are embedded, and a
cell that falls on the other side of a step is 0.06 dB away."""

LEAST_AGREEMENT = 0.85
MOST_MEAN_SCORE = 0.05
"""For eight bits: share of sounds with the same best class, and mean distance of scores."""


@dataclass(frozen=True)
class Parity:
    """How far the file is from the model.

    Attributes
    ----------
    n_sounds : int
    scores, mean_scores : float
        Largest and mean absolute difference over sounds and classes.
    agreement : float
        Share of sounds with the same best class, 0 to 1.
    features : float or None
        Largest difference in dB of cells up to 70 dB below the loudest of their frame (for
        networks of waves: of samples). None where the file takes features.
    embeddings : float or None
        Largest difference as a share of the largest value.
    quality : (float, float) or None
        Accuracy of the model and of the file, 0 to 1, on sounds with labels (of several labels
        a sound: lwlrap).
    n_labelled : int
    """

    n_sounds: int
    scores: float
    mean_scores: float
    agreement: float
    features: float | None = None
    embeddings: float | None = None
    quality: tuple[float, float] | None = None
    n_labelled: int = 0

    def faults(self, *, waves: bool, int8: bool) -> list[str]:
        """What is too far; empty if the file may be kept."""
        if int8:
            rules = [
                ("share of the same best class", -self.agreement, -LEAST_AGREEMENT),
                ("mean distance of scores", self.mean_scores, MOST_MEAN_SCORE),
            ]
        else:
            unit, most = ("", MOST_SAMPLE) if waves else (" in dB", MOST_DB)
            rules = [
                ("scores", self.scores, MOST_SCORE),
                (f"features{unit}", self.features or 0.0, most),
                ("embeddings", self.embeddings or 0.0, MOST_EMBEDDING),
            ]
        return [
            f"{name}: found {abs(found):.3g}, expected at {'least' if most < 0 else 'most'} "
            f"{abs(most):.3g}"
            for name, found, most in rules
            if not found <= most  # so that NaN is a fault
        ]


class Comparison:
    """Compares a file with its model on sounds.

    Parameters
    ----------
    model : SoundModel
        On the CPU.
    kind : {"audio", "features"}
        What the file takes.
    """

    def __init__(self, model: SoundModel, kind: str) -> None:
        self.model, self.kind = model, kind
        self.extractor = make_extractor(model.mel)

    def run(self, file: Runner, sounds: Iterable[Heard], levels: Runner | None = None) -> Parity:
        """Let both hear the sounds.

        Parameters
        ----------
        file : Runner
            Gives scores, and embeddings if it has them.
        sounds : iterable of Heard
        levels : Runner, optional
            The same file with its features as an output; they are not compared without.
        """
        ours, theirs, apart, far, labels = [], [], [0.0], [0.0], []
        has_embeddings = False
        for sound in sounds:
            features = np.stack([self._features(wave) for wave in sound.waves])
            rows = np.arange(len(features))
            found = file(sound.waves if self.kind == AUDIO else features)
            ours.append(score_rows(self.model, features, rows).mean(axis=0))
            theirs.append(found[SCORES].mean(axis=0, dtype=np.float64))
            labels.append(sound.labels)
            if EMBEDDINGS in found:
                has_embeddings = True
                exact = embed_rows(self.model, features, rows)
                far.append(float(np.abs(found[EMBEDDINGS] - exact).max() / np.abs(exact).max()))
            if levels is not None:
                for wave, level in zip(sound.waves, levels(sound.waves)[LEVELS], strict=True):
                    apart.append(self._apart(wave, level))
        if not ours:
            raise ModelError("found no sound to compare the file on; give --check-on other ones")
        return summed_up(
            np.stack(ours), np.stack(theirs), labels,
            features=None if levels is None else float(np.max(apart)),
            embeddings=float(np.max(far)) if has_embeddings else None,
            multi_label=self.model.multi_label,
        )  # fmt: skip

    def _features(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        return features_of_wave(wave, self.model.mel, self.extractor)

    def _apart(self, wave: NDArray[np.float32], found: NDArray[np.float32]) -> float:
        """How far the file's features of a window are from ours, before ours are rounded."""
        scale = max(1.0, full_scale(wave))
        exact = self.extractor(as_stored(wave, scale))
        difference = np.abs(found - exact)
        if self.model.mel.input != WAVE:
            difference = difference[audible(exact)]
        return float(difference.max(initial=0.0))


def audible(level: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Cells of (channel, mel, frame) that hold sound; deltas where all that they look at does."""
    heard: NDArray[np.bool_] = level[:1] >= level[:1].max(axis=1, keepdims=True) - AUDIBLE_DB
    if len(level) == 1:
        return heard
    around = minimum_filter1d(heard.astype(np.uint8), 17, axis=2, mode="nearest")
    return np.concatenate((heard, around.astype(bool)))


def summed_up(
    ours: NDArray[np.float64],
    theirs: NDArray[np.float64],
    labels: list[tuple[int, ...]],
    *,
    features: float | None,
    embeddings: float | None,
    multi_label: bool,
) -> Parity:
    """The comparison of scores (sound, class), with what was found of features and embeddings."""
    difference = np.abs(ours - theirs)
    same = np.asarray(ours.argmax(axis=1) == theirs.argmax(axis=1))
    known = np.array([len(row) > 0 for row in labels])
    quality = None
    if known.any():
        truth = [row for row in labels if row]
        quality = (
            _quality(ours[known], truth, multi_label),
            _quality(theirs[known], truth, multi_label),
        )
    return Parity(
        len(ours), float(difference.max()), float(difference.mean()), float(same.mean()),
        features, embeddings, quality, int(known.sum()),
    )  # fmt: skip


def _quality(
    scores: NDArray[np.float64], labels: list[tuple[int, ...]], multi_label: bool
) -> float:
    if not multi_label:
        return float(np.mean(scores.argmax(axis=1) == [row[0] for row in labels]))
    hot = np.zeros(scores.shape)
    for number, row in enumerate(labels):
        hot[number, list(row)] = 1.0
    return lwlrap(hot, scores)
