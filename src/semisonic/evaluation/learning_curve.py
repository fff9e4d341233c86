"""Accuracy against labels per class: how many are needed, and what a pool is worth in labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semisonic.core.errors import DataError
from semisonic.evaluation.comparison import ArmAccuracy

LEAST_POINTS = 3
"""Numbers of labels from which a number in between is derived."""


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

    def needed(self, accuracy: float, values: Sequence[float] | None = None) -> float:
        """The least number of labels per class that reaches an accuracy and keeps it; infinity if
        none does.

        A budget counts when it and all larger ones reach the accuracy. Not less than the
        smallest budget that was measured.

        Parameters
        ----------
        accuracy : float
            0 to 1.
        values : sequence of float, optional
            Accuracies instead of the means, such as the ends of their intervals.
        """
        means, labels = self.means if values is None else values, self.labels
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


def needed_texts(curve: LearningCurve, accuracies: Sequence[float]) -> list[str]:
    """Sentences about the labels per class that each accuracy, 0 to 1, needs.

    The range is that of the intervals of the accuracies. With fewer than three numbers of labels
    nothing shows how the accuracy rises, so the sentences only name those that reached it.
    """
    if len(curve.points) < LEAST_POINTS:
        return [
            *(_reached_text(curve, accuracy) for accuracy in accuracies),
            f"To see how many labels are needed with {curve.name}, try at least {LEAST_POINTS} "
            "numbers of labels.",
        ]
    low, high = zip(*(point.accuracy.interval for point in curve.points), strict=True)
    texts = []
    for accuracy in accuracies:
        percent, labels = f"{100 * accuracy:.0f} %", curve.needed(accuracy)
        least, most = curve.needed(accuracy, high), curve.needed(accuracy, low)
        if math.isinf(least):
            texts.append(f"{percent} was not reached with {curve.name}.")
            continue
        upper = "more than were tried" if math.isinf(most) else _or_fewer(curve, most)
        if math.isinf(labels):
            text = f"{percent} was not reached with {curve.name}, but is not ruled out"
        else:
            text = f"{percent} needs {_or_fewer(curve, labels)} per class with {curve.name}"
        texts.append(f"{text} (95 % interval: {_or_fewer(curve, least)} to {upper}).")
    return texts


def _reached_text(curve: LearningCurve, accuracy: float) -> str:
    reached = [
        count_labels(point.labels_per_class)
        for point in curve.points
        if point.accuracy.mean >= accuracy
    ]
    numbers = " and ".join(reached) or "no number of labels"
    return f"{100 * accuracy:.0f} % was reached with {numbers} per class with {curve.name}."


def _or_fewer(curve: LearningCurve, labels: float) -> str:
    """A number of labels that an accuracy needs."""
    if labels <= curve.labels[0]:
        return f"{count_labels(curve.labels[0])} or fewer"
    return f"about {count_labels(math.ceil(labels - 1e-9))}"


def count_labels(n: float) -> str:
    """Write a number of labels.

    Examples
    --------
    >>> count_labels(1), count_labels(12)
    ('1 label', '12 labels')
    """
    return "1 label" if n == 1 else f"{n:.3g} labels"
