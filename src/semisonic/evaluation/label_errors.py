"""Labels that look wrong: confident learning, and the most suspicious labels first.

Papers: Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels",
JAIR 2021 (which labels, and how many); Thyagarajan, Snorrason, Northcutt and Mueller 2022,
"Identifying incorrect annotations in multi-label classification data" (one question a class, and
one number for a clip).

Each clip is scored by a classifier that was not trained on its label (out-of-fold scores). Clips
are counted by given label and by confident class: a clip is confidently of a class if its score
reaches the mean score of the clips with that label, so a class with low scores is not lost. The
counts, scaled to the number of clips of each label, estimate the joint distribution of given and
true labels, and so how many labels of each class are wrong: those with the largest margins are the
suspects. They are sorted by the scores of their labels. With several labels per clip, each class
is a separate yes-or-no question.

Where we differ: a class whose clips all look wrong keeps one clip on the diagonal of the joint, so
that its column can be divided by its sum; a suspect is always a clip for which another answer has
the higher score; ties are broken by row, so the list is the same every time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semisonic.evaluation.metrics import as_classes, as_scores, as_targets, same_length

TOLERANCE = 1e-6
"""A score below the threshold of its class by less than this still reaches it, for rounding."""
WORST_WEIGHT = 0.8
"""Weight of a worse class against all better ones in the quality of a clip of several labels."""

ScoreTable = NDArray[np.float64]
Mask = NDArray[np.bool_]


def confident_joint(given: ArrayLike, scores: ArrayLike) -> ScoreTable:
    """Estimate the joint distribution of given and true labels.

    Parameters
    ----------
    given : array of int, shape (n,)
        The labels, of which some may be wrong.
    scores : array of float, shape (n, n_classes)
        Probabilities from classifiers that had not learnt the clip's own label, 0 to 1.

    Returns
    -------
    ndarray, shape (n_classes, n_classes)
        Share of all clips by given (row) and true class (column); sums to 1.

    Raises
    ------
    DataError
        For shapes that do not fit.
    """
    table = as_scores(scores)
    n_classes = table.shape[1]
    labels = as_classes(given, "labels", n_classes)
    same_length(labels=labels, scores=table)
    own = np.bincount(labels, table[np.arange(len(labels)), labels], n_classes)
    n_given = np.bincount(labels, minlength=n_classes)
    thresholds = np.where(n_given > 0, own / np.maximum(n_given, 1), np.inf)
    reached = table >= thresholds - TOLERANCE
    sure, known = np.where(reached, table, -np.inf).argmax(axis=1), reached.any(axis=1)
    counts = np.zeros((n_classes, n_classes))
    np.add.at(counts, (labels[known], sure[known]), 1)
    alone = (n_given > 0) & (np.diag(counts) == 0)
    counts[alone, alone] = 1.0
    rows = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0) * n_given[:, None]
    return np.asarray(rows / rows.sum())


@dataclass(frozen=True)
class Suspects:
    """The result for each label.

    Attributes
    ----------
    quality : ndarray, shape (n,)
        How well each clip's label fits its scores, 0 (not at all) to 1.
    is_suspect : ndarray of bool, shape (n,)
    suggested : ndarray
        The label that the scores suggest: class numbers (n,), or for several labels per clip
        booleans (n, n_classes). For a clip that is not a suspect, it may be the given label.
    joints : ndarray, shape (n_questions, n_answers, n_answers)
        See :func:`confident_joint`: one question, or for several labels one per class, with the
        answers no (0) and yes (1).
    """

    quality: ScoreTable
    is_suspect: Mask
    suggested: NDArray[np.int64] | Mask
    joints: ScoreTable

    @property
    def wrong_share(self) -> float:
        """Estimated share of the labels, or answers, that are wrong, 0 to 1."""
        return float(1.0 - np.trace(self.joints, axis1=1, axis2=2).mean())

    @property
    def order(self) -> NDArray[np.int64]:
        """All rows: the suspects, most suspicious first, then the others in the same order."""
        return np.lexsort((self.quality, ~self.is_suspect)).astype(np.int64)

    @property
    def suspects(self) -> NDArray[np.int64]:
        """The rows of the suspects, the most suspicious first."""
        return self.order[: int(self.is_suspect.sum())]


def find_suspects(given: ArrayLike, scores: ArrayLike) -> Suspects:
    """Find labels that look wrong.

    Parameters
    ----------
    given : array of int, shape (n,), or of 0 and 1, shape (n, n_classes)
        The labels, or with several per clip which each has.
    scores : array of float, shape (n, n_classes)
        Out-of-fold probabilities.

    Returns
    -------
    Suspects
        A clip of several labels is a suspect when the answer to any class is; ``suggested`` has
        the suspicious answers turned round, and its quality weighs the worst answers most.

    Raises
    ------
    DataError
        For shapes or scores that do not fit.
    """
    if np.ndim(given) == 2:
        return _find_in_tags(as_targets(given), as_scores(scores))
    joint = confident_joint(given, scores)
    labels, table = np.asarray(given), as_scores(scores)
    rows, best = np.arange(len(labels)), table.argmax(axis=1).astype(np.int64)
    # As many clips of each kind of error as there are estimated to be, the clearest first.
    estimated = joint * len(labels)
    np.fill_diagonal(estimated, 0.0)
    mask = np.zeros(len(labels), np.bool_)
    for label, other in zip(*np.nonzero(estimated >= 0.5), strict=True):
        members = np.flatnonzero(labels == label)
        margin = table[members, other] - table[members, label]
        n_wrong = int(estimated[label, other] + 0.5)
        mask[members[np.argsort(-margin, kind="stable")[:n_wrong]]] = True
    quality = np.clip(table[rows, labels], 0.0, 1.0)
    return Suspects(quality, mask & (best != labels), best, joint[None])


def _find_in_tags(labels: Mask, table: ScoreTable) -> Suspects:
    same_length(labels=labels, scores=table)
    answers = [
        find_suspects(yes.astype(np.int64), np.stack([1.0 - score, score], axis=1))
        for yes, score in zip(labels.T, table.T, strict=True)
    ]
    turned = np.stack([one.is_suspect for one in answers], axis=1)
    falling = -np.sort(-np.stack([one.quality for one in answers], axis=1), axis=1)
    quality = falling[:, 0]
    for worse in falling.T[1:]:  # from the best to the worst
        quality = WORST_WEIGHT * worse + (1.0 - WORST_WEIGHT) * quality
    joints = np.concatenate([one.joints for one in answers])
    return Suspects(quality, np.asarray(turned.any(axis=1)), labels ^ turned, joints)
