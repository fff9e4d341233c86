"""Whether a score means what it says: reliability, class thresholds, out-of-distribution scores.

Held-out clips are few, so what a threshold reaches is told with the lower end of Wilson's interval,
one side. The threshold is looked for among the scores of the very clips it is judged by, which
makes it look a little better than it is; the bound does not make up for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from semisonic.core.errors import DataError, OptionError
from semisonic.evaluation.intervals import wilson_of_share
from semisonic.evaluation.metrics import as_classes, as_scores, as_targets, same_length

SHOWN, LIKELY, MISSED, BEST = "shown", "likely", "not reached", "best F1"
"""Whether the lower bound of the precision reaches the wanted one, its value only, or neither; or
that none was wanted."""


@dataclass(frozen=True)
class Reliability:
    """Confidence and accuracy by bin of confidence, each shape (n_bins,).

    Empty bins hold NaN. ``error`` is the expected calibration error, 0 to 1.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    n_clips: NDArray[np.int64]
    error: float


def reliability(target: ArrayLike, scores: ArrayLike, n_bins: int = 10) -> Reliability:
    """Sort clips by the probability of their chosen class into equal bins of 0 to 1.

    Paper: Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using
    Bayesian binning", AAAI 2015 (expected calibration error, on the chosen class).

    Parameters
    ----------
    target : array of int, shape (n,)
        Class numbers.
    scores : array, shape (n, n_classes)
        Probabilities.
    n_bins : int

    Returns
    -------
    Reliability

    Raises
    ------
    DataError
        When the shapes do not fit.

    Examples
    --------
    >>> round(reliability([0, 1, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.4, 0.6]]).error, 3)
    0.125
    """
    table = as_scores(scores)
    truth = as_classes(target, "target", table.shape[1])
    same_length(target=truth, scores=table)
    chosen = table.argmax(axis=1)
    sure = table[np.arange(len(truth)), chosen]
    right = (chosen == truth).astype(np.float64)
    return _binned(sure, right, n_bins)


def expected_calibration_error(target: ArrayLike, scores: ArrayLike, n_bins: int = 10) -> float:
    """Compute how far confidence and accuracy lie apart, mean over clips, 0 to 1."""
    return reliability(target, scores, n_bins).error


def tag_reliability(target: ArrayLike, scores: ArrayLike, n_bins: int = 10) -> Reliability:
    """As :func:`reliability` for several labels per clip: each clip and class is an answer.

    Parameters
    ----------
    target : array of 0 and 1, shape (n, n_classes)
    scores : array, shape (n, n_classes)
    n_bins : int

    Returns
    -------
    Reliability
    """
    table, truth = as_scores(scores), as_targets(target)
    same_length(target=truth, scores=table)
    return _binned(table.ravel(), truth.ravel().astype(np.float64), n_bins)


def _binned(sure: NDArray[np.float64], right: NDArray[np.float64], n_bins: int) -> Reliability:
    where = np.clip(np.ceil(sure * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    count = np.bincount(where, minlength=n_bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(where, sure, n_bins) / count
        share = np.bincount(where, right, n_bins) / count
    used = count > 0
    error = float(np.sum(count[used] * np.abs(confidence - share)[used]) / len(sure))
    return Reliability(confidence, share, count.astype(np.int64), error)


@dataclass(frozen=True)
class ClassThreshold:
    """A class and the score from which on it is named.

    Attributes
    ----------
    value : float
        For a wanted precision that was not reached: the one with the best F1.
    outcome : {"shown", "likely", "not reached", "best F1"}
    precision, low, recall : float
        On these clips; ``low`` is the lower bound of the precision. NaN without clips.
    n_clips, n_named : int
        Clips of the class, and clips that are named so.
    """

    value: float
    outcome: str
    precision: float
    low: float
    recall: float
    n_clips: int
    n_named: int


def clips_needed(precision: float, level: float = 0.9) -> int:
    """Compute the fewest clips, all right, whose lower bound reaches a precision.

    Parameters
    ----------
    precision : float
        0 to below 1.
    level : float
        Confidence of the lower bound, one side.

    Returns
    -------
    int

    Raises
    ------
    OptionError
        For a precision or a level out of range.

    Examples
    --------
    >>> clips_needed(0.9)
    15
    """
    _check_thresholds(precision, level)
    z = float(norm.ppf(level))
    return ceil(precision * z * z / (1.0 - precision))


def class_thresholds(
    target: ArrayLike,
    scores: ArrayLike,
    *,
    precision: float = 0.9,
    level: float = 0.9,
    least: float = 0.0,
) -> tuple[ClassThreshold, ...]:
    """Find for each class the lowest score from which on it is named precisely enough.

    Parameters
    ----------
    target : array of 0 and 1, shape (n, n_classes)
    scores : array, shape (n, n_classes)
        Of clips that neither trained nor calibrated.
    precision : float
        Wanted share of right ones among the clips named, 0 to below 1; 0: the best F1.
    level : float
        Confidence of the lower bound, one side.
    least : float
        No threshold is at or below this, such as one over the number of classes.

    Returns
    -------
    tuple of ClassThreshold
        One a class.

    Raises
    ------
    OptionError
        For a precision or a level out of range.
    """
    _check_thresholds(precision, level)
    truth, table = as_targets(target), as_scores(scores)
    same_length(target=truth, scores=table)
    return tuple(
        _threshold(truth[:, c], table[:, c], precision, level, least) for c in range(table.shape[1])
    )


def _threshold(
    truth: NDArray[np.bool_],
    scores: NDArray[np.float64],
    precision: float,
    level: float,
    least: float,
) -> ClassThreshold:
    order = np.argsort(-scores, kind="stable")
    ordered, right, n_clips = scores[order], np.cumsum(truth[order]), int(truth.sum())
    # A threshold lies between two scores; clips of one score are named together.
    below = np.append(ordered[1:], least)
    at = np.flatnonzero((ordered > below) & (ordered > least))
    if not len(at) or not n_clips:
        value = float(max(0.5, np.nextafter(least, 1.0)))
        named = int((scores >= value).sum())
        share = 0.0 if named else float("nan")
        return ClassThreshold(value, MISSED, share, share, float("nan"), n_clips, named)
    n_named, hits = at + 1, right[at]
    precisions = hits / n_named
    pairs = zip(precisions.tolist(), n_named.tolist(), strict=True)
    lows = np.array([wilson_of_share(share, n, 2 * level - 1).low for share, n in pairs])
    outcome, best = BEST, int((2 * hits / (n_named + n_clips)).argmax())
    if precision:
        outcome = MISSED
        for reached, word in ((lows, SHOWN), (precisions, LIKELY)):
            if (reached >= precision).any():
                best, outcome = int(np.flatnonzero(reached >= precision)[-1]), word
                break
    value = (ordered[at[best]] + max(below[at[best]], least)) / 2
    return ClassThreshold(
        float(value),
        outcome,
        float(precisions[best]),
        float(lows[best]),
        float(hits[best] / n_clips),
        n_clips,
        int(n_named[best]),
    )


def _check_thresholds(precision: float, level: float) -> None:
    if not 0 <= precision < 1:
        raise OptionError(f"precision: found {precision}, expected from 0 to below 1")
    if not 0.5 <= level < 1:
        raise OptionError(f"level: found {level}, expected from 0.5 to below 1")


class OodMetrics(NamedTuple):
    """How well an out-of-distribution score tells known sounds from unknown ones.

    Attributes
    ----------
    auroc : float
        Probability that an unknown sound has a higher score than a known one; 0.5 is chance.
    false_alarms : float
        Share of unknown sounds taken for known where ``kept`` of the known ones pass (FPR at
        95 % TPR).
    """

    auroc: float
    false_alarms: float


def ood_metrics(known: ArrayLike, unknown: ArrayLike, kept: float = 0.95) -> OodMetrics:
    """Measure an out-of-distribution score.

    Parameters
    ----------
    known, unknown : array, shape (n,) and (m,)
        Scores of sounds of known classes and of others; the higher, the less known.
    kept : float
        Share of known sounds that pass.

    Returns
    -------
    OodMetrics

    Raises
    ------
    DataError
        Without a value of each, or for values that are not finite.

    Examples
    --------
    >>> round(ood_metrics([0.1, 0.2, 0.3], [0.25, 0.8, 0.9]).auroc, 3)
    0.889
    """
    a, b = np.asarray(known, np.float64), np.asarray(unknown, np.float64)
    if not len(a) or not len(b) or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise DataError("known and unknown: expected at least one finite value of each")
    kinds = np.r_[np.zeros(len(a)), np.ones(len(b))]
    limit = ood_threshold(a, kept)
    return OodMetrics(float(roc_auc_score(kinds, np.r_[a, b])), float((b <= limit).mean()))


def ood_threshold(known: ArrayLike, kept: float) -> float:
    """Find the out-of-distribution score up to which at least a share of known sounds pass.

    Parameters
    ----------
    known : array, shape (n,)
    kept : float
        Above 0, to 1.

    Returns
    -------
    float

    Raises
    ------
    DataError
        Without values, or for a share out of range.

    Examples
    --------
    >>> ood_threshold([0.1, 0.4, 0.2, 0.3], 0.5)
    0.2
    """
    values = np.sort(np.asarray(known, np.float64))
    if not len(values) or not 0 < kept <= 1:
        raise DataError(f"limit: found {len(values)} values and a share of {kept}")
    return float(values[min(len(values) - 1, int(np.ceil(kept * len(values) - 1e-9)) - 1)])
