"""The interval of a share where clips of one recording are right or wrong together.

Paper: Korn and Graubard, "Confidence intervals for proportions with small expected number of
positive counts estimated from survey data", Survey Methodology 1998: the interval of as many
independent clips as tell as much. How many that is follows from how much the recordings differ
(the design effect; Kish, "Survey sampling", 1965). Where we differ: it is Wilson's interval and not
Clopper and Pearson's, and where clips are all right or all wrong, so that nothing shows how much
recordings differ, only recordings count.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t

from semisonic.base.errors import DataError
from semisonic.evaluation.checked import as_correct
from semisonic.evaluation.intervals import Interval, wilson_of_share


def effective_count(correct: ArrayLike, groups: ArrayLike, level: float = 0.95) -> float:
    """How many independent clips tell as much of their share as these.

    Parameters
    ----------
    correct : array of bool, shape (n,)
    groups : array, shape (n,)
        The recording of each clip.
    level : float
        Of the interval it is for: few recordings tell little of how much they differ.

    Returns
    -------
    float
        From 1 to n; n where each clip is of a recording of its own.

    Raises
    ------
    DataError
        Without clips, or for arrays that do not go together.
    """
    right, names = as_correct(correct, "correct").astype(np.float64), np.asarray(groups)
    if right.ndim != 1 or names.shape != right.shape:
        raise DataError(
            f"effective count: found answers of shape {right.shape} and recordings of shape "
            f"{names.shape}, expected (n,) both"
        )
    _, owner = np.unique(names, return_inverse=True)
    sizes = np.bincount(owner).astype(np.float64)
    n, n_groups = len(right), len(sizes)
    if n_groups == n:
        return float(n)
    if n_groups == 1:
        return 1.0
    least = n * n / float(np.square(sizes).sum())  # if a recording's clips always agree
    share = float(right.mean())
    if share in (0.0, 1.0):
        return least
    residual = np.bincount(owner, right - share)
    variance = n_groups / (n_groups - 1) * float(np.square(residual).sum()) / n**2
    found = share * (1 - share) / max(variance, 1e-12)
    tail = 0.5 + level / 2
    found *= float(t.ppf(tail, n - 1) / t.ppf(tail, n_groups - 1)) ** 2
    return float(np.clip(found, 1.0, n))


def wilson_by_group(correct: ArrayLike, groups: ArrayLike, level: float = 0.95) -> Interval:
    """Wilson's interval of the share of right clips, of as many as :func:`effective_count` says."""
    right = as_correct(correct, "correct")
    count = effective_count(right, groups, level)
    return wilson_of_share(float(right.mean()), count, level)
