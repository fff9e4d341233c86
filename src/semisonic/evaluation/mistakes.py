"""The clips about which a classifier was most surely wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semisonic.evaluation.results import Predictions


@dataclass(frozen=True)
class WrongClip:
    """A clip that was wrong: in how many of its scorings, and how sure the classifier was.

    ``score`` is the probability (0 to 1) given to ``predicted``, ``true_score`` that given
    to the right class, both the mean over all scorings of the clip.
    """

    clip: str
    group: str
    fold: int
    target: str
    predicted: str
    score: float
    true_score: float
    n_wrong: int
    n_scored: int


def worst_mistakes(predictions: Predictions, n: int = 12) -> list[WrongClip]:
    """The ``n`` clips with the largest gap between a wrong class and the right one.

    Each clip occurs once: the probabilities of its scorings (draws) are averaged, and it
    counts as a mistake when the average is highest for a wrong class.
    """
    found = []
    order = np.argsort(predictions.clip, kind="stable")
    names, starts = np.unique(predictions.clip[order], return_index=True)
    for clip, rows in zip(names.tolist(), np.split(order, starts[1:]), strict=True):
        mean = predictions.probabilities[rows].astype(np.float64).mean(axis=0)
        target, predicted = int(predictions.target[rows[0]]), int(mean.argmax())
        if predicted == target:
            continue
        found.append(
            WrongClip(
                clip=clip,
                group=str(predictions.group[rows[0]]),
                fold=int(predictions.fold[rows[0]]),
                target=predictions.classes[target],
                predicted=predictions.classes[predicted],
                score=float(mean[predicted]),
                true_score=float(mean[target]),
                n_wrong=int((~predictions.correct[rows]).sum()),
                n_scored=len(rows),
            )
        )
    return sorted(found, key=lambda wrong: (wrong.true_score - wrong.score, wrong.clip))[:n]
