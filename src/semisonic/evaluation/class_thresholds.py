"""From which score on a class is named: for a wanted precision, or for the best F1.

Held-out clips are few, so what is reached is told with the lower end of Wilson's interval, one
side. The threshold is looked for among the scores of the very clips it is judged by, which makes
it look a little better than it is; the bound does not make up for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from semisonic.base.errors import OptionError
from semisonic.evaluation.checked import as_scores, as_targets, same_length
from semisonic.evaluation.intervals import wilson

SHOWN, LIKELY, MISSED, BEST = "shown", "likely", "not reached", "best F1"
"""Whether the lower bound of the precision reaches the wanted one, its value only, or neither; or
that none was wanted."""


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
    """The fewest clips, all right, whose lower bound reaches a precision."""
    _check(precision, level)
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
    """For each class the lowest score from which on it is named precisely enough.

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

    Raises
    ------
    OptionError
        For a precision or a level out of range.
    """
    _check(precision, level)
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
    ordered, right = scores[order], np.cumsum(truth[order])
    # A threshold lies between two scores; clips of one score are named together.
    below = np.append(ordered[1:], least)
    at = np.flatnonzero((ordered > below) & (ordered > least))
    n_clips = int(truth.sum())
    if not len(at) or not n_clips:
        value = float(max(0.5, np.nextafter(least, 1.0)))
        named = int((scores >= value).sum())
        share = 0.0 if named else float("nan")
        return ClassThreshold(value, MISSED, share, share, float("nan"), n_clips, named)
    n_named, hits = at + 1, right[at]
    precisions = hits / n_named
    lows = np.array(
        [wilson(int(h), int(n), 2 * level - 1).low for h, n in zip(hits, n_named, strict=True)]
    )
    if precision and (lows >= precision).any():
        best, outcome = int(np.flatnonzero(lows >= precision)[-1]), SHOWN
    elif precision and (precisions >= precision).any():
        best, outcome = int(np.flatnonzero(precisions >= precision)[-1]), LIKELY
    else:
        f1 = 2 * hits / (n_named + n_clips)
        best, outcome = int(f1.argmax()), MISSED if precision else BEST
    value = (ordered[at[best]] + max(below[at[best]], least)) / 2
    return ClassThreshold(
        float(value), outcome, float(precisions[best]), float(lows[best]),
        float(hits[best] / n_clips), n_clips, int(n_named[best]),
    )  # fmt: skip


def _check(precision: float, level: float) -> None:
    if not 0 <= precision < 1:
        raise OptionError(f"precision: found {precision}, expected from 0 to below 1")
    if not 0.5 <= level < 1:
        raise OptionError(f"level: found {level}, expected from 0.5 to below 1")
