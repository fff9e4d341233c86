"""Measure calibration, and fit class thresholds.

Clips of one recording are alike, and held-out recordings are few. So a threshold is chosen on some
recordings and its precision is measured on others: cross-fitting, by which each fifth of the
recordings is named with the threshold that the others chose (Chernozhukov et al., "Double/debiased
machine learning for treatment and structural parameters", The Econometrics Journal 2018). The
precision is given with the lower end of Wilson's one-sided interval, in which recordings count and
not clips. A threshold that is shown to be precise enough is the largest of those that were
measured: the higher the score, the more precise.
"""

from __future__ import annotations

from math import ceil
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from semisonic.core.errors import OptionError
from semisonic.core.seeds import generator
from semisonic.evaluation.metrics import as_classes, as_scores, as_targets, same_length
from semisonic.evaluation.statistics import wilson_by_group

SHOWN, LIKELY, TOO_FEW, MISSED, BEST = "shown", "likely", "too few", "not reached", "best F1"
"""Outcomes: the lower bound of the precision reaches the wanted one; only its value does; only its
value does, of recordings that are too few to show it, even if all were right; neither does; or no
precision was asked for.
"""
COLUMNS = [
    "threshold",
    "outcome",
    "precision",
    "lower_bound",
    "recall",
    "clips",
    "recordings",
    "named",
    "recordings_named",
]
_PARTS = 5
_MOST_CANDIDATES = 256
Mask = NDArray[np.bool_]
Numbers = NDArray[np.float64]
Owners = NDArray[np.int64]


class Reliability(NamedTuple):
    """Confidence and accuracy by bin of confidence, each shape (n_bins,).

    Empty bins are NaN. ``error`` is the expected calibration error, 0 to 1.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    n_clips: NDArray[np.int64]
    error: float


def reliability(target: ArrayLike, scores: ArrayLike, n_bins: int = 10) -> Reliability:
    """Sort answers by score into equal bins from 0 to 1, and count the right ones.

    With one label per clip, its chosen class is an answer; with several, each pair of clip and
    class is.

    Paper: Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using
    Bayesian binning", AAAI 2015 (expected calibration error, on the chosen class).

    Parameters
    ----------
    target : array of int, shape (n,), or of 0 and 1, shape (n, n_classes)
        Class numbers, or the labels of each clip.
    scores : array, shape (n, n_classes)
        Probabilities.
    n_bins : int

    Returns
    -------
    Reliability

    Raises
    ------
    DataError
        If the shapes do not fit.

    Examples
    --------
    >>> round(reliability([0, 1, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.4, 0.6]]).error, 3)
    0.125
    """
    table = as_scores(scores)
    several = np.ndim(target) == 2
    truth = as_targets(target) if several else as_classes(target, "target", table.shape[1])
    same_length(target=truth, scores=table)
    if several:
        sure, right = table.ravel(), truth.ravel()
    else:
        sure, right = table.max(axis=1), table.argmax(axis=1) == truth
    where = np.clip(np.ceil(sure * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    count = np.bincount(where, minlength=n_bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(where, sure, n_bins) / count
        share = np.bincount(where, right, n_bins) / count
    error = float(np.nansum(count * np.abs(confidence - share)) / len(sure))
    return Reliability(confidence, share, count.astype(np.int64), error)


def recordings_needed(precision: float, level: float = 0.9) -> int:
    """Compute the least number of recordings, all right, for a lower bound of a given precision.

    Parameters
    ----------
    precision : float
        0 to below 1.
    level : float
        Confidence of the one-sided lower bound.

    Returns
    -------
    int

    Raises
    ------
    OptionError
        For a precision or a level out of range.

    Examples
    --------
    >>> recordings_needed(0.9)
    15
    """
    _check_thresholds(precision, level)
    z = float(norm.ppf(level))
    return ceil(precision * z * z / (1.0 - precision))


def parts_of(
    groups: ArrayLike, positive: ArrayLike, seed: int = 0, n_parts: int = _PARTS
) -> Owners:
    """Divide recordings into parts, those with positive rows as evenly as possible.

    Parameters
    ----------
    groups : array, shape (n,)
        The recording of each row.
    positive : array of bool, shape (n,)
        Rows that are rare, such as those of a class.
    seed : int
    n_parts : int
        At most; there are no more parts than recordings.

    Returns
    -------
    ndarray of int64, shape (n,)
        The part of each row, from 0.
    """
    names, owner = np.unique(np.asarray(groups), return_inverse=True)
    has = np.bincount(owner, np.asarray(positive, np.float64), len(names)) > 0
    shuffled = generator(seed, "parts of recordings").permutation(len(names))
    order = shuffled[np.argsort(~has[shuffled], kind="stable")]
    part = np.zeros(len(names), np.int64)
    part[order] = np.arange(len(names)) % max(1, min(n_parts, len(names)))
    return np.asarray(part[owner])


def class_thresholds(
    target: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    precision: float = 0.9,
    level: float = 0.9,
    least: float = 0.0,
    seed: int = 0,
) -> pd.DataFrame:
    """Find for each class the lowest threshold that gives the wanted precision on new recordings.

    Parameters
    ----------
    target : array of 0 and 1, shape (n, n_classes)
    scores : array, shape (n, n_classes)
        Scores of clips that were used neither for training nor for calibration.
    groups : array, shape (n,), optional
        The recording of each clip; without it, each clip is its own recording.
    precision : float
        Wanted share of right answers, 0 to below 1; 0: the best F1.
    level : float
        Confidence of the one-sided lower bound.
    least : float
        Thresholds are above this, such as one over the number of classes.
    seed : int
        Of the parts for cross-fitting.

    Returns
    -------
    DataFrame
        A row per class: the ``threshold``, or that of the best F1 if the precision was not
        reached; the ``outcome``: "shown", "likely", "too few", "not reached" or "best F1";
        ``precision``, its ``lower_bound`` and ``recall`` on recordings that did not choose the
        threshold, NaN if there are none; the number of ``clips`` and ``recordings`` of the class,
        and how many clips, of how many recordings, are ``named`` as this class.

    Raises
    ------
    OptionError
        For a precision or a level out of range.
    """
    _check_thresholds(precision, level)
    truth, table = as_targets(target), as_scores(scores)
    same_length(target=truth, scores=table)
    names = np.arange(len(table)) if groups is None else np.asarray(groups)
    same_length(scores=table, groups=names)
    owner = np.unique(names, return_inverse=True)[1].astype(np.int64)
    wanted = _Wanted(precision, level, least)
    rows = [
        _threshold(right, column, owner, wanted, seed)
        for right, column in zip(truth.T, table.T, strict=True)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


class _Wanted(NamedTuple):
    """What a threshold must give."""

    precision: float
    level: float
    least: float

    def lower_bound(self, right: Mask, owner: Owners) -> float:
        """Of the share of right answers, with recordings that count, one-sided."""
        return wilson_by_group(right, owner, 2 * self.level - 1).low

    def chosen(self, truth: Mask, scores: Numbers, owner: Owners) -> float | None:
        """The lowest threshold whose bound reaches the precision on these clips; or whose
        precision does; or that of the best F1. None if there is nothing to choose from.
        """
        order = np.argsort(-scores, kind="stable")
        ordered, answers, owners = scores[order], truth[order], owner[order]
        right, n_clips = np.cumsum(answers), int(truth.sum())
        # A threshold lies between two scores; clips of one score are named together.
        below = np.append(ordered[1:], self.least)
        at = np.flatnonzero((ordered > below) & (ordered > self.least))
        if not len(at) or not n_clips:
            return None
        precisions = right[at] / (at + 1)
        best = int((2 * right[at] / (at + 1 + n_clips)).argmax())
        if self.precision:
            reached = np.flatnonzero(precisions >= self.precision)
            if len(reached):
                best = int(reached[-1])
            if len(reached) > _MOST_CANDIDATES:
                spread = np.linspace(0, len(reached) - 1, _MOST_CANDIDATES).round()
                reached = reached[spread.astype(np.int64)]
            for place in reached[::-1].tolist():
                n = int(at[place]) + 1
                if self.lower_bound(answers[:n], owners[:n]) >= self.precision:
                    best = place
                    break
        return float(ordered[at[best]] + max(below[at[best]], self.least)) / 2


def _threshold(
    truth: Mask, scores: Numbers, owner: Owners, wanted: _Wanted, seed: int
) -> tuple[Any, ...]:
    """The row of one class."""
    part = parts_of(owner, truth, seed)
    used, named = list[float](), np.zeros(len(scores), np.bool_)
    measured = np.zeros(len(scores), np.bool_)
    for number in range(int(part.max(initial=-1)) + 1):
        mine, others = part == number, part != number
        value = wanted.chosen(truth[others], scores[others], owner[others])
        if value is not None:
            used.append(value)
            measured |= mine
            named[mine] = scores[mine] >= value
    n_recordings = len(np.unique(owner[named]))
    n_true = int(truth[measured].sum())
    share = low = float("nan")
    if named.any():
        share, low = float(truth[named].mean()), wanted.lower_bound(truth[named], owner[named])
    outcome = BEST
    if wanted.precision:
        outcome = MISSED
        if low >= wanted.precision:
            outcome = SHOWN
        elif share >= wanted.precision:
            needed = recordings_needed(wanted.precision, wanted.level)
            outcome = LIKELY if n_recordings >= needed else TOO_FEW
        elif not named.any() and truth.any():
            outcome = TOO_FEW
    value = max(used) if outcome == SHOWN else wanted.chosen(truth, scores, owner)
    if value is None:
        value = float(max(0.5, np.nextafter(wanted.least, 1.0)))
    return (
        value,
        outcome,
        share,
        low,
        float((truth & named).sum() / n_true) if n_true else float("nan"),
        int(truth.sum()),
        len(np.unique(owner[truth])),
        int(named.sum()),
        n_recordings,
    )


def _check_thresholds(precision: float, level: float) -> None:
    if not 0 <= precision < 1:
        raise OptionError(f"precision: found {precision}, expected from 0 to below 1")
    if not 0.5 <= level < 1:
        raise OptionError(f"level: found {level}, expected from 0.5 to below 1")
