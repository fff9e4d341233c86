"""Accuracy against labels per class: how many are needed, and what a pool is worth in labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semisonic.core.errors import DataError
from semisonic.evaluation.comparison import ArmAccuracy


@dataclass(frozen=True)
class CurvePoint:
    """One budget of labels.

    Attributes
    ----------
    labels_per_class : float
        For all labels, the mean number per class that training had.
    accuracy : ArmAccuracy
        Mean, spread over draws, and an interval over test clips; 0 to 1.
    draws : tuple of float
        Accuracy of each draw, 0 to 1.
    """

    labels_per_class: float
    accuracy: ArmAccuracy
    draws: tuple[float, ...]


@dataclass(frozen=True)
class LearningCurve:
    """Accuracies of one way of training, by labels per class.

    Raises
    ------
    DataError
        Without points, or when two have the same number of labels.
    """

    name: str
    points: tuple[CurvePoint, ...]

    def __post_init__(self) -> None:
        labels = [point.labels_per_class for point in self.points]
        if not labels or len(set(labels)) != len(labels):
            raise DataError(
                f"learning curve '{self.name}': found {len(labels)} points with "
                f"{len(set(labels))} numbers of labels, expected at least one point, and each "
                "number once"
            )
        ordered = tuple(sorted(self.points, key=lambda point: point.labels_per_class))
        object.__setattr__(self, "points", ordered)

    @property
    def labels(self) -> tuple[float, ...]:
        """Labels per class, rising."""
        return tuple(point.labels_per_class for point in self.points)

    @property
    def means(self) -> tuple[float, ...]:
        """Mean accuracy at each, 0 to 1."""
        return tuple(point.accuracy.mean for point in self.points)

    def needed(self, accuracy: float) -> float:
        """The least number of labels per class that reaches an accuracy and keeps it; infinity if
        none does.

        A budget counts when it and all larger ones reach the accuracy. Not less than the
        smallest budget that was measured.
        """
        means, labels = self.means, self.labels
        first = len(means)
        while first and means[first - 1] >= accuracy:
            first -= 1
        if first == len(means):
            return math.inf
        if first == 0:
            return labels[0]
        low, high = means[first - 1], means[first]
        part = (accuracy - low) / (high - low)
        logs = np.log(labels[first - 1 : first + 1])
        return float(np.exp(logs[0] + part * (logs[1] - logs[0])))


def worth_in_labels(with_pool: LearningCurve, without: LearningCurve) -> list[tuple[float, float]]:
    """Compute what the pool is worth: labels per class, and how many give the same accuracy
    without it.

    Parameters
    ----------
    with_pool, without : LearningCurve

    Returns
    -------
    list of (float, float)
        For each budget of ``with_pool`` the labels that ``without`` needs for the same accuracy,
        which is infinite if it never reaches it.
    """
    return [
        (labels, without.needed(mean))
        for labels, mean in zip(with_pool.labels, with_pool.means, strict=True)
    ]


def say_needed(curve: LearningCurve, accuracies: Sequence[float]) -> list[str]:
    """Write a sentence for each accuracy, 0 to 1: how many labels per class it needs."""
    sentences = []
    for accuracy in accuracies:
        labels = curve.needed(accuracy)
        percent = f"{100 * accuracy:.0f} %"
        if math.isinf(labels):
            sentences.append(f"{percent} was not reached with {curve.name}.")
        elif labels <= curve.labels[0] and curve.means[0] >= accuracy:
            sentences.append(
                f"{percent} needs {count_labels(curve.labels[0])} per class or fewer with "
                f"{curve.name}."
            )
        else:
            sentences.append(
                f"{percent} needs about {count_labels(math.ceil(labels - 1e-9))} per class with "
                f"{curve.name}."
            )
    return sentences


def count_labels(n: float) -> str:
    """Write a number of labels.

    Examples
    --------
    >>> count_labels(1), count_labels(12)
    ('1 label', '12 labels')
    """
    return "1 label" if n == 1 else f"{n:.3g} labels"
