"""Which labels look wrong, the most suspicious first.

Papers: Northcutt, Jiang and Chuang 2021, "Confident learning" (which labels, and how many);
Kuan and Mueller 2022, "Model-agnostic label quality scoring to detect real-world label errors"
(the order: self-confidence and normalised margin); Thyagarajan, Snorrason, Northcutt and Mueller
2022, "Identifying incorrect annotations in multi-label classification data" (one question a
class, and one number for a clip).

What it does: a rule decides which labels are suspects, a quality from 0 to 1 puts them in
order. With several labels per clip each class is a yes-or-no question of its own.

Where we differ: a suspect is always a clip for which another answer has the higher score, under
either rule; ties of quality are broken by row, so the list is the same every time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semisonic.base.errors import OptionError
from semisonic.base.options import nearest
from semisonic.evaluation.checked import as_scores, as_targets, same_length
from semisonic.evaluation.confident import (
    ConfidentJoint,
    Table,
    checked_scores,
    confident_joint,
    in_range,
    sure_classes,
)

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

    quality: Table
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
    _check(rule, ranking)
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
    _check(rule, "confidence")
    table, labels = as_scores(scores), as_targets(given)
    same_length(labels=labels, scores=table)
    in_range(table)
    masks: list[Mask] = []
    qualities: list[Table] = []
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


def label_quality(given: NDArray[np.int64], scores: Table, ranking: Ranking = "margin") -> Table:
    """How well each given label fits the scores, 0 to 1, shape (n,)."""
    rows = np.arange(len(given))
    own = scores[rows, given]
    if ranking == "confidence" or scores.shape[1] < 2:
        return np.asarray(np.clip(own, 0.0, 1.0))
    others = scores.copy()
    others[rows, given] = -np.inf
    return np.asarray(np.clip((own - others.max(axis=1) + 1.0) / 2.0, 0.0, 1.0))


def _by_noise_rate(given: NDArray[np.int64], scores: Table, joint: ConfidentJoint) -> Mask:
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


def _of_clips(qualities: Table) -> Table:
    """One quality a clip from those of its classes: from the best to the worst, the worst most."""
    falling = -np.sort(-qualities, axis=1)
    whole = falling[:, 0]
    for worse in falling.T[1:]:
        whole = WORST_WEIGHT * worse + (1.0 - WORST_WEIGHT) * whole
    return whole


def _check(rule: str, ranking: str) -> None:
    if rule not in RULES:
        raise OptionError(f"rule of suspects: found '{rule}'; {nearest(rule, RULES)}")
    if ranking not in RANKINGS:
        raise OptionError(f"ranking of suspects: found '{ranking}'; {nearest(ranking, RANKINGS)}")
