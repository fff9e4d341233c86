"""Labels that look wrong: confident learning, and the most suspicious labels first.

Paper: Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels",
JAIR 2021.

From scores that each clip got from a classifier which had not learnt its label (out-of-fold
scores), clips are counted by given label and by the class that they surely are. A clip surely is a
class when its score reaches the mean score of the clips that carry that label, so a class that a
classifier is never sure of is not lost. The counts, brought to the number of clips of each label,
estimate the joint distribution of given and true labels.

Where we differ: nothing in the counting. A class whose clips all look wrong keeps one clip on the
diagonal of the joint, so that its column can be divided by its sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semisonic.core.errors import DataError, OptionError
from semisonic.core.options import nearest
from semisonic.evaluation.metrics import as_classes, as_scores, as_targets, same_length

TOLERANCE = 1e-6
"""Below its class's threshold by so little a score still reaches it: it is rounding."""

ScoreTable = NDArray[np.float64]


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
    thresholds: ScoreTable
    n_given: NDArray[np.int64]

    @property
    def joint(self) -> ScoreTable:
        """Estimated share of all clips by given (row) and true class (column); sums to 1."""
        counts = self.counts.astype(np.float64)
        has_clips = self.n_given > 0
        alone = has_clips & (np.diag(counts) == 0)
        counts[alone, alone] = 1.0
        sums = counts.sum(axis=1, keepdims=True)
        rows = counts / np.where(sums > 0, sums, 1.0) * self.n_given[:, None]
        return np.asarray(rows / rows.sum())

    @property
    def noise_matrix(self) -> ScoreTable:
        """Chance of each given label (row) for clips of a true class (column).

        Columns sum to 1; NaN for a class that no clip is estimated to be.
        """
        joint = self.joint
        with np.errstate(invalid="ignore"):
            return np.asarray(joint / joint.sum(axis=0, keepdims=True))

    @property
    def true_given_label(self) -> ScoreTable:
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

    Returns
    -------
    ConfidentJoint

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


def sure_classes(
    given: NDArray[np.int64], scores: ScoreTable
) -> tuple[NDArray[np.int64], ScoreTable]:
    """The class each clip surely is, or -1, shape (n,); and the thresholds of the classes."""
    n_classes = scores.shape[1]
    own = np.bincount(given, scores[np.arange(len(given)), given], n_classes)
    n_given = np.bincount(given, minlength=n_classes)
    thresholds = np.where(n_given > 0, own / np.maximum(n_given, 1), np.inf)
    reached = scores >= thresholds - TOLERANCE
    best = np.where(reached, scores, -np.inf).argmax(axis=1)
    return np.where(reached.any(axis=1), best, -1).astype(np.int64), thresholds


def checked_scores(given: ArrayLike, scores: ArrayLike) -> tuple[ScoreTable, NDArray[np.int64]]:
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


def in_range(scores: ScoreTable) -> None:
    """Raise when scores are no probabilities."""
    low, high = float(scores.min()), float(scores.max())
    if low < -TOLERANCE or high > 1.0 + TOLERANCE:
        raise DataError(
            f"scores: found {low:.4g} to {high:.4g}, expected probabilities of 0 to 1; give what "
            "a softmax or sigmoid makes of logits"
        )


# Which labels look wrong, the most suspicious first.
#
# Papers: Northcutt, Jiang and Chuang 2021, "Confident learning" (which labels, and how many);
# Kuan and Mueller 2022, "Model-agnostic label quality scoring to detect real-world label errors"
# (the order: self-confidence and normalised margin); Thyagarajan, Snorrason, Northcutt and Mueller
# 2022, "Identifying incorrect annotations in multi-label classification data" (one question a
# class, and one number for a clip).
#
# What it does: a rule decides which labels are suspects, a quality from 0 to 1 puts them in
# order. With several labels per clip each class is a yes-or-no question of its own.
#
# Where we differ: a suspect is always a clip for which another answer has the higher score, under
# either rule; ties of quality are broken by row, so the list is the same every time.


RULES = ("noise-rate", "confident")
RANKINGS = ("margin", "confidence")
WORST_WEIGHT = 0.8
"""Weight of a worse class against all better ones in the quality of a clip of several labels."""

Rule = Literal["noise-rate", "confident"]
Ranking = Literal["margin", "confidence"]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Suspects:
    """What is thought of each label.

    Attributes
    ----------
    quality : ndarray, shape (n,)
        How well each clip's label fits its scores, 0 (not at all) to 1.
    is_suspect : ndarray of bool, shape (n,)
    suggested : ndarray
        What the scores say instead: class numbers (n,), or for several labels per clip booleans
        (n, n_classes). Of a clip that is no suspect it may be the given label.
    joints : tuple of ConfidentJoint
        One; for several labels one per class, over its answers no (0) and yes (1).
    """

    quality: ScoreTable
    is_suspect: Mask
    suggested: NDArray[np.int64] | Mask
    joints: tuple[ConfidentJoint, ...]

    @property
    def order(self) -> NDArray[np.int64]:
        """All rows: the suspects from the most suspicious on, then the others likewise."""
        rows = np.arange(len(self.quality))
        return np.lexsort((rows, self.quality, ~self.is_suspect)).astype(np.int64)

    @property
    def suspects(self) -> NDArray[np.int64]:
        """The rows of the suspects, the most suspicious first."""
        return self.order[: int(self.is_suspect.sum())]


def find_suspects(
    given: ArrayLike,
    scores: ArrayLike,
    *,
    rule: Rule = "noise-rate",
    ranking: Ranking = "margin",
) -> Suspects:
    """Find labels that look wrong, one label per clip.

    Parameters
    ----------
    given : array of int, shape (n,)
    scores : array of float, shape (n, n_classes)
        Out-of-fold probabilities.
    rule : {"noise-rate", "confident"}
        ``confident``: clips that surely are another class. ``noise-rate``: for each pair of
        given and true class as many as the joint estimates, those with the largest margin.
    ranking : {"margin", "confidence"}
        Quality by the score of the given label less the best other one (brought to 0 to 1),
        or by the score of the given label alone.

    Raises
    ------
    DataError, OptionError
        For shapes, scores or names that do not fit.
    """
    _check_suspects(rule, ranking)
    table, labels = checked_scores(given, scores)
    joint = confident_joint(labels, table)
    quality = label_quality(labels, table, ranking)
    best = table.argmax(axis=1).astype(np.int64)
    if rule == "confident":
        sure, _ = sure_classes(labels, table)
        mask = (sure >= 0) & (sure != labels)
    else:
        mask = _by_noise_rate(labels, table, joint)
    return Suspects(quality, mask & (best != labels), best, (joint,))


def find_suspects_multi(
    given: ArrayLike,
    scores: ArrayLike,
    *,
    rule: Rule = "noise-rate",
) -> Suspects:
    """Find labels that look wrong, several labels per clip: one question per class.

    Parameters
    ----------
    given : array of 0 and 1, shape (n, n_classes)
    scores : array of float, shape (n, n_classes)
        Out-of-fold probability that each class is present.
    rule
        See :func:`find_suspects`.

    Returns
    -------
    Suspects
        A clip is a suspect when the answer to any class is; ``suggested`` has the suspicious
        answers turned round. A question with two answers has one ranking only: the score of
        the given answer. The quality of a clip weighs its worst answers most.
    """
    _check_suspects(rule, "confidence")
    table, labels = as_scores(scores), as_targets(given)
    same_length(labels=labels, scores=table)
    in_range(table)
    masks: list[Mask] = []
    qualities: list[ScoreTable] = []
    joints: list[ConfidentJoint] = []
    for answers, yes in zip(labels.T.astype(np.int64), table.T, strict=True):
        found = find_suspects(
            answers, np.stack([1.0 - yes, yes], axis=1), rule=rule, ranking="confidence"
        )
        masks.append(found.is_suspect)
        qualities.append(found.quality)
        joints += found.joints
    turned = np.stack(masks, axis=1)
    quality = _of_clips(np.stack(qualities, axis=1))
    mask: Mask = np.asarray(turned.any(axis=1))
    return Suspects(quality, mask, labels ^ turned, tuple(joints))


def label_quality(
    given: NDArray[np.int64], scores: ScoreTable, ranking: Ranking = "margin"
) -> ScoreTable:
    """Rate how well each given label fits the scores.

    Parameters
    ----------
    given : ndarray of int64, shape (n,)
    scores : ndarray, shape (n, n_classes)
        0 to 1.
    ranking : {"margin", "confidence"}
        By the score of the label less the best other one, or by the score of the label alone.

    Returns
    -------
    ndarray, shape (n,)
        0 to 1; 0 is the most suspicious.

    Examples
    --------
    >>> label_quality(np.array([0, 1]), np.array([[0.9, 0.1], [0.7, 0.3]]))
    array([0.9, 0.3])
    """
    rows = np.arange(len(given))
    own = scores[rows, given]
    if ranking == "confidence" or scores.shape[1] < 2:
        return np.asarray(np.clip(own, 0.0, 1.0))
    others = scores.copy()
    others[rows, given] = -np.inf
    return np.asarray(np.clip((own - others.max(axis=1) + 1.0) / 2.0, 0.0, 1.0))


def _by_noise_rate(given: NDArray[np.int64], scores: ScoreTable, joint: ConfidentJoint) -> Mask:
    """As many clips of each kind of error as there are estimated to be, the clearest first."""
    estimated = joint.joint * len(given)
    np.fill_diagonal(estimated, 0.0)
    mask = np.zeros(len(given), np.bool_)
    for label, other in zip(*np.nonzero(estimated >= 0.5), strict=True):
        members = np.flatnonzero(given == label)
        margin = scores[members, other] - scores[members, label]
        n_wrong = int(estimated[label, other] + 0.5)
        mask[members[np.argsort(-margin, kind="stable")[:n_wrong]]] = True
    return mask


def _of_clips(qualities: ScoreTable) -> ScoreTable:
    """One quality a clip from those of its classes: from the best to the worst, the worst most."""
    falling = -np.sort(-qualities, axis=1)
    whole = falling[:, 0]
    for worse in falling.T[1:]:
        whole = WORST_WEIGHT * worse + (1.0 - WORST_WEIGHT) * whole
    return whole


def _check_suspects(rule: str, ranking: str) -> None:
    if rule not in RULES:
        raise OptionError(f"rule of suspects: found '{rule}'; {nearest(rule, RULES)}")
    if ranking not in RANKINGS:
        raise OptionError(f"ranking of suspects: found '{ranking}'; {nearest(ranking, RANKINGS)}")
