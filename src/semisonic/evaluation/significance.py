"""Whether two classifiers differ by more than luck, asked on the same clips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom
from scipy.stats import t as student

from semisonic.core.errors import DataError
from semisonic.evaluation.intervals import Interval
from semisonic.evaluation.metrics import as_correct


class McNemar(NamedTuple):
    """Two-sided p-value, and how many clips only a or only b had right."""

    p: float
    n_only_a: int
    n_only_b: int


def mcnemar_exact(correct_a: ArrayLike, correct_b: ArrayLike) -> McNemar:
    """McNemar's test with the exact binomial distribution, for one draw.

    Paper: McNemar, "Note on the sampling error of the difference between correlated
    proportions or percentages", Psychometrika 1947. Only clips on which the two disagree
    count; were the two equally good, each such clip would be a fair coin.

    Parameters
    ----------
    correct_a, correct_b : array of bool, shape (n,)
        Whether each clip was right, in the same order.

    Returns
    -------
    McNemar

    Raises
    ------
    DataError
        When the shapes differ or hold several draws.

    Examples
    --------
    >>> mcnemar_exact([1, 1, 0, 0, 0], [1, 0, 1, 1, 1])
    McNemar(p=0.625, n_only_a=1, n_only_b=3)
    """
    a, b = _pair(correct_a, correct_b)
    if a.ndim != 1:
        raise DataError("McNemar's test takes one draw, shape (n,); see mcnemar_pooled for several")
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    p = min(1.0, 2.0 * float(binom.cdf(min(only_a, only_b), only_a + only_b, 0.5)))
    return McNemar(p, only_a, only_b)


def mcnemar_pooled(
    correct_a: ArrayLike, correct_b: ArrayLike, groups: ArrayLike | None = None
) -> float:
    """McNemar's test over several draws and whole recordings: a two-sided exact p-value.

    The same clip scored in five draws is not five clips, so the decisions cannot simply
    be added up. Instead the difference (right by b minus right by a) is summed by
    recording over all its clips and draws; were the two equally good, the sign of each
    sum would be a fair coin. The distribution over all combinations of signs is computed
    exactly. With one draw and each clip its own recording this is McNemar's exact test.

    Parameters
    ----------
    correct_a, correct_b : array of bool, shape (n,) or (n_draws, n)
    groups : array, shape (n,), optional
        The recording of each clip.

    Returns
    -------
    float
        The p-value.

    Raises
    ------
    DataError
        When the shapes differ.

    Examples
    --------
    >>> mcnemar_pooled([[1, 0, 0], [1, 0, 0]], [[1, 1, 1], [1, 1, 1]])
    0.5
    """
    a, b = _pair(correct_a, correct_b)
    difference = np.atleast_2d(b.astype(np.int64) - a).sum(axis=0)
    if groups is not None:
        labels = np.asarray(groups)
        if labels.shape != difference.shape:
            raise DataError(f"pooled McNemar: found {labels.shape} groups for {difference.shape}")
        _, member = np.unique(labels, return_inverse=True)
        difference = np.bincount(member, difference).astype(np.int64)
    return sign_flip_exact(difference)


def sign_flip_exact(differences: ArrayLike) -> float:
    """Compute the share of all sign combinations whose sum is at least as far from 0 as found.

    Exact: the distribution of the sum is built up one term after the other.

    Parameters
    ----------
    differences : array of int, shape (n,)

    Returns
    -------
    float

    Examples
    --------
    >>> sign_flip_exact([1, 1, 1])
    0.25
    """
    sizes = np.abs(np.asarray(differences, dtype=np.int64))
    found = abs(int(np.sum(np.asarray(differences, dtype=np.int64))))
    limit = int(sizes.sum())
    chance = np.zeros(2 * limit + 1)
    chance[limit] = 1.0
    reach = 0
    for size in sizes[sizes > 0].tolist():
        reach += size
        window = slice(limit - reach, limit + reach + 1)
        old = chance[window].copy()
        new = np.zeros_like(old)
        new[size:] += 0.5 * old[: len(old) - size]
        new[: len(old) - size] += 0.5 * old[size:]
        chance[window] = new
    tail = float(chance[limit + found :].sum())
    return min(1.0, 2.0 * tail if found else 1.0)


class ResampledT(NamedTuple):
    """The statistic, the two-sided p-value and the 95 % interval of the mean difference."""

    t: float
    p: float
    interval: Interval


def corrected_resampled_t(
    differences: ArrayLike, test_train_ratio: float, level: float = 0.95
) -> ResampledT:
    """Run the t-test over folds and draws that allows for their shared training clips.

    Paper: Nadeau and Bengio, "Inference for the generalization error", Machine Learning
    2003; used over repeated cross-validation as in Bouckaert and Frank, PAKDD 2004. The
    plain t-test takes folds for independent and finds differences that are not there;
    here the variance of the mean is ``(1 / k + n_test / n_train)`` times that of one fold.

    Parameters
    ----------
    differences : array of float, shape (k,)
        Accuracy of b minus accuracy of a, one per fold and draw.
    test_train_ratio : float
        Test clips over training clips of one fold; 1 / (n_folds - 1) for whole folds.
    level : float
        Of the interval.

    Returns
    -------
    ResampledT

    Raises
    ------
    DataError
        For fewer than two differences, values that are not finite, or a ratio of 0 or less.

    Examples
    --------
    >>> round(corrected_resampled_t([0.02, 0.04, 0.03, 0.05, 0.01], 0.25).p, 3)
    0.047
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise DataError("corrected t-test: expected finite differences of shape (k,)")
    if len(values) < 2:
        raise DataError(
            f"corrected t-test: found {len(values)} difference, expected two folds or draws"
        )
    if not test_train_ratio > 0:
        raise DataError(f"corrected t-test: found a ratio of {test_train_ratio}, expected above 0")
    k, mean = len(values), float(values.mean())
    error = float(np.sqrt((1.0 / k + test_train_ratio) * values.var(ddof=1)))
    if error <= 1e-12 * max(1.0, abs(mean)):
        same = abs(mean) < 1e-12
        return ResampledT(
            0.0 if same else np.copysign(np.inf, mean), float(same), Interval(mean, mean)
        )
    t = mean / error
    half = float(student.ppf(0.5 + level / 2, k - 1)) * error
    return ResampledT(t, float(2.0 * student.sf(abs(t), k - 1)), Interval(mean - half, mean + half))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for asking several questions at once.

    Paper: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian
    Journal of Statistics 1979.

    Parameters
    ----------
    p_values : sequence of float

    Returns
    -------
    list of float
        In the order given.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, largest = [0.0] * len(p_values), 0.0
    for place, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[i]))
        corrected[i] = largest
    return corrected


def _pair(correct_a: ArrayLike, correct_b: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    a, b = as_correct(correct_a, "correct_a"), as_correct(correct_b, "correct_b")
    if a.shape != b.shape:
        raise DataError(f"paired test: found shapes {a.shape} and {b.shape}, expected equal")
    return a, b
