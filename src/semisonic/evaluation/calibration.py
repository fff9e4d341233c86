"""Measure calibration, and fit class thresholds.

Held-out clips are few, so the precision of a threshold is reported with the lower end of Wilson's
one-sided interval. The threshold is chosen among the scores of the same clips that measure it, so
the precision is slightly too high; the bound does not correct for that.
"""

from __future__ import annotations

from math import ceil
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from semisonic.core.errors import OptionError
from semisonic.evaluation.metrics import as_classes, as_scores, as_targets, same_length
from semisonic.evaluation.statistics import wilson_of_share

SHOWN, LIKELY, MISSED, BEST = "shown", "likely", "not reached", "best F1"
"""Outcomes: the lower bound of the precision reaches the wanted one, only its value does, or
neither; or no precision was asked for.
"""
COLUMNS = ["threshold", "outcome", "precision", "lower_bound", "recall", "clips", "named"]


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


def clips_needed(precision: float, level: float = 0.9) -> int:
    """Compute the least number of clips, all right, for a lower bound of a given precision.

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
) -> pd.DataFrame:
    """Find for each class the lowest threshold that gives the wanted precision.

    Parameters
    ----------
    target : array of 0 and 1, shape (n, n_classes)
    scores : array, shape (n, n_classes)
        Scores of clips that were used neither for training nor for calibration.
    precision : float
        Wanted share of right answers, 0 to below 1; 0: the best F1.
    level : float
        Confidence of the one-sided lower bound.
    least : float
        Thresholds are above this, such as one over the number of classes.

    Returns
    -------
    DataFrame
        A row per class: the ``threshold``, or that of the best F1 if the precision was not
        reached; the ``outcome``: "shown", "likely", "not reached" or "best F1"; ``precision``, its
        ``lower_bound`` and ``recall`` on these clips, NaN without clips; the number of ``clips``
        of the class, and how many clips are ``named`` as this class.

    Raises
    ------
    OptionError
        For a precision or a level out of range.
    """
    _check_thresholds(precision, level)
    truth, table = as_targets(target), as_scores(scores)
    same_length(target=truth, scores=table)
    columns = zip(truth.T, table.T, strict=True)
    rows = [_threshold(*column, precision, level, least) for column in columns]
    return pd.DataFrame(rows, columns=COLUMNS)


def _threshold(
    truth: NDArray[np.bool_],
    scores: NDArray[np.float64],
    precision: float,
    level: float,
    least: float,
) -> tuple[Any, ...]:
    """The row of one class."""
    order = np.argsort(-scores, kind="stable")
    ordered, right, n_clips = scores[order], np.cumsum(truth[order]), int(truth.sum())
    # A threshold lies between two scores; clips of one score are named together.
    below = np.append(ordered[1:], least)
    at = np.flatnonzero((ordered > below) & (ordered > least))
    if not len(at) or not n_clips:
        value = float(max(0.5, np.nextafter(least, 1.0)))
        named = int((scores >= value).sum())
        share = 0.0 if named else float("nan")
        return value, MISSED, share, share, float("nan"), n_clips, named
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
    value = float(ordered[at[best]] + max(below[at[best]], least)) / 2
    measured = (float(x[best]) for x in (precisions, lows, hits / n_clips))
    return value, outcome, *measured, n_clips, int(n_named[best])


def _check_thresholds(precision: float, level: float) -> None:
    if not 0 <= precision < 1:
        raise OptionError(f"precision: found {precision}, expected from 0 to below 1")
    if not 0.5 <= level < 1:
        raise OptionError(f"level: found {level}, expected from 0.5 to below 1")
