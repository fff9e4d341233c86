"""Confident learning: how many labels are wrong, and which class is taken for which.

Paper: Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset
labels", JAIR 2021.

What it does: from scores that each clip got from a classifier which had not learnt its label
(out-of-fold scores), clips are counted by given label and by the class that they surely are. A
clip surely is a class when its score reaches the mean score of the clips that carry that label,
so a class that a classifier is never sure of is not lost. The counts, brought to the number of
clips of each label, estimate the joint distribution of given and true labels.

Where we differ: nothing in the counting. A class whose clips all look wrong keeps one clip on
the diagonal of the joint, so that its column can be divided by its sum. No torch here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semisonic.base.errors import DataError
from semisonic.evaluation.checked import as_classes, as_scores, same_length

TOLERANCE = 1e-6
"""Below its class's threshold by so little a score still reaches it: it is rounding."""

Table = NDArray[np.float64]


@dataclass(frozen=True)
class ConfidentJoint:
    """What :func:`confident_joint` counted.

    Attributes
    ----------
    counts : ndarray of int64, shape (n_classes, n_classes)
        Clips by given label (row) and sure class (column). Clips that are surely no class
        are not in it.
    thresholds : ndarray, shape (n_classes,)
        The mean score of the clips with each label; infinite for a class without clips.
    n_given : ndarray of int64, shape (n_classes,)
        Clips with each label.
    """

    counts: NDArray[np.int64]
    thresholds: Table
    n_given: NDArray[np.int64]

    @property
    def joint(self) -> Table:
        """Estimated share of all clips by given (row) and true class (column); sums to 1."""
        counts = self.counts.astype(np.float64)
        has_clips = self.n_given > 0
        alone = has_clips & (np.diag(counts) == 0)
        counts[alone, alone] = 1.0
        sums = counts.sum(axis=1, keepdims=True)
        rows = counts / np.where(sums > 0, sums, 1.0) * self.n_given[:, None]
        return np.asarray(rows / rows.sum())

    @property
    def noise_matrix(self) -> Table:
        """Chance of each given label (row) for clips of a true class (column).

        Columns sum to 1; NaN for a class that no clip is estimated to be.
        """
        joint = self.joint
        with np.errstate(invalid="ignore"):
            return np.asarray(joint / joint.sum(axis=0, keepdims=True))

    @property
    def true_given_label(self) -> Table:
        """Chance of each true class (column) for clips with a given label (row).

        Rows sum to 1; NaN for a class without clips.
        """
        joint = self.joint
        with np.errstate(invalid="ignore"):
            return np.asarray(joint / joint.sum(axis=1, keepdims=True))

    @property
    def wrong_share(self) -> float:
        """Estimated share of the labels that are wrong, 0 to 1."""
        return float(1.0 - np.trace(self.joint))


def confident_joint(given: ArrayLike, scores: ArrayLike) -> ConfidentJoint:
    """Count clips by the label they carry and the class they surely are.

    Parameters
    ----------
    given : array of int, shape (n,)
        The labels, of which some may be wrong.
    scores : array of float, shape (n, n_classes)
        Probabilities from classifiers that had not learnt the clip's own label, 0 to 1.

    Raises
    ------
    DataError
        For shapes that do not fit or scores outside 0 to 1.
    """
    table, labels = checked_scores(given, scores)
    n_classes = table.shape[1]
    n_given = np.bincount(labels, minlength=n_classes)
    sure, thresholds = sure_classes(labels, table)
    known = sure >= 0
    cells = labels[known] * n_classes + sure[known]
    counts = np.bincount(cells, minlength=n_classes * n_classes).reshape(n_classes, n_classes)
    return ConfidentJoint(counts.astype(np.int64), thresholds, n_given.astype(np.int64))


def sure_classes(given: NDArray[np.int64], scores: Table) -> tuple[NDArray[np.int64], Table]:
    """The class each clip surely is, or -1, shape (n,); and the thresholds of the classes."""
    n_classes = scores.shape[1]
    own = np.bincount(given, scores[np.arange(len(given)), given], n_classes)
    n_given = np.bincount(given, minlength=n_classes)
    thresholds = np.where(n_given > 0, own / np.maximum(n_given, 1), np.inf)
    reached = scores >= thresholds - TOLERANCE
    best = np.where(reached, scores, -np.inf).argmax(axis=1)
    return np.where(reached.any(axis=1), best, -1).astype(np.int64), thresholds


def checked_scores(given: ArrayLike, scores: ArrayLike) -> tuple[Table, NDArray[np.int64]]:
    """Scores and labels of the right shapes and ranges.

    Raises
    ------
    DataError
        When they are not.
    """
    table = as_scores(scores)
    labels = as_classes(given, "labels", table.shape[1])
    same_length(labels=labels, scores=table)
    in_range(table)
    return table, labels


def in_range(scores: Table) -> None:
    """Raise when scores are no probabilities."""
    low, high = float(scores.min()), float(scores.max())
    if low < -TOLERANCE or high > 1.0 + TOLERANCE:
        raise DataError(
            f"scores: found {low:.4g} to {high:.4g}, expected probabilities of 0 to 1; give what "
            "a softmax or sigmoid makes of logits"
        )
