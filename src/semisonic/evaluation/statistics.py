"""Intervals of numbers, and tests of differences.

Answers for clips of one recording are not independent, so the bootstrap resamples whole
recordings. With several draws (other labels, other seeds), it also resamples the draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom, norm, t

from semisonic.core.errors import DataError
from semisonic.core.seeds import generator
from semisonic.evaluation.metrics import as_correct

_BLOCK = 500


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


UNKNOWN = Interval(float("nan"), float("nan"))


def wilson(n_right: int, n: int, level: float = 0.95) -> Interval:
    """Compute the interval of a share from ``n_right`` of ``n`` independent clips.

    Paper: Wilson, "Probable inference, the law of succession, and statistical inference", JASA
    1927. It stays within 0 to 1, and is suitable for few clips and for shares near 0 and 1.

    Parameters
    ----------
    n_right, n : int
    level : float
        Confidence, 0 to 1.

    Returns
    -------
    Interval
        Within 0 to 1.

    Raises
    ------
    DataError
        If there are no clips, or more right answers than clips.

    Examples
    --------
    >>> low, high = wilson(9, 10)
    >>> round(low, 3), round(high, 3)
    (0.596, 0.982)
    """
    if n < 1 or not 0 <= n_right <= n:
        raise DataError(f"Wilson interval: found {n_right} of {n}, expected 0 <= right <= n, n > 0")
    return wilson_of_share(n_right / n, n, level)


def wilson_of_share(share: float, n: float, level: float = 0.95) -> Interval:
    """As :func:`wilson` for a share, 0 to 1, of ``n`` clips, which need not be a whole number."""
    z = float(norm.ppf(0.5 + level / 2))
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if share == 0 else float(middle - half)
    high = 1.0 if share == 1 else float(middle + half)
    return Interval(low, high)


class Bootstrap(NamedTuple):
    """A mean, its percentile interval, and the two-sided p-value of the mean being 0."""

    mean: float
    low: float
    high: float
    p: float


def bootstrap(
    values: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    level: float = 0.95,
    n_resamples: int = 5000,
    seed: int = 0,
) -> Bootstrap:
    """Bootstrap the mean of values, or of differences, by drawing recordings and draws.

    With several draws, draws and recordings are drawn independently of each other, as a
    clip is scored in every draw (the two-way bootstrap of Owen, "The pigeonhole
    bootstrap", Annals of Applied Statistics 2007). One draw is kept as it is.

    Parameters
    ----------
    values : array of float, shape (n,) or (n_draws, n)
        One value a clip (right or wrong, or a difference), for each draw.
    groups : array, shape (n,), optional
        The recording of each clip; whole recordings are drawn. Without it, each clip is
        its own recording.
    level : float
        The share of resamples inside the interval, 0 to 1.
    n_resamples, seed : int

    Returns
    -------
    Bootstrap

    Raises
    ------
    DataError
        For values that are not finite, or clips of one recording only.

    Examples
    --------
    >>> found = bootstrap([1, 0, 1, 1], groups=["a", "a", "b", "b"])
    >>> found.low <= found.mean <= found.high
    True
    """
    table = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if table.ndim != 2 or table.size == 0 or not np.isfinite(table).all():
        raise DataError("bootstrap: expected finite values of shape (n,) or (n_draws, n), n > 0")
    n_draws, n = table.shape
    labels = np.arange(n) if groups is None else np.asarray(groups)
    if labels.shape != (n,):
        raise DataError(f"bootstrap: found {labels.shape} groups, expected ({n},)")
    names, member = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise DataError("bootstrap: found clips of one recording, expected at least two recordings")
    size = np.bincount(member).astype(np.float64)
    total = np.stack([np.bincount(member, row) for row in table])
    rng = generator(seed, "bootstrap")
    blocks = []
    for start in range(0, n_resamples, _BLOCK):
        block = min(_BLOCK, n_resamples - start)
        times = _drawn(rng, block, len(names))
        drawn = _drawn(rng, block, n_draws)
        blocks.append(((times @ total.T) * drawn).sum(axis=1) / (times @ size) / n_draws)
    means = np.concatenate(blocks)
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    tail = min(np.sum(means <= 0), np.sum(means >= 0))
    p = min(1.0, 2.0 * (float(tail) + 1.0) / (n_resamples + 1.0))
    return Bootstrap(float(table.mean()), float(low), float(high), p)


def _drawn(rng: np.random.Generator, n_resamples: int, n: int) -> NDArray[np.float64]:
    """How often each of ``n`` items comes up in ``n`` draws, shape (n_resamples, n)."""
    picked = rng.integers(n, size=(n_resamples, n)) + n * np.arange(n_resamples)[:, None]
    return np.bincount(picked.ravel(), minlength=n_resamples * n).reshape(-1, n).astype(np.float64)


def effective_count(correct: ArrayLike, groups: ArrayLike, level: float = 0.95) -> float:
    """Estimate the number of independent clips that give as much information as these.

    Paper: Korn and Graubard, "Confidence intervals for proportions with small expected number of
    positive counts estimated from survey data", Survey Methodology 1998; how many that is follows
    from how much the recordings differ (the design effect; Kish, "Survey sampling", 1965). Where
    we differ: it is meant for Wilson's interval and not Clopper and Pearson's, and where clips
    are all right or all wrong, so that nothing shows how much recordings differ, only recordings
    count.

    Parameters
    ----------
    correct : array of bool, shape (n,)
    groups : array, shape (n,)
        The recording of each clip.
    level : float
        Level of the interval it is for: few recordings say little about how much they differ.

    Returns
    -------
    float
        From 1 to n; n if each clip comes from a different recording.

    Raises
    ------
    DataError
        Without clips, or for arrays that do not go together.

    Examples
    --------
    >>> effective_count([True, True, False, False], ["a", "a", "b", "b"])
    1.0
    >>> effective_count([True, True, False, False], ["a", "b", "c", "d"])
    4.0
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
    """Compute Wilson's interval of the share of right clips, counted by :func:`effective_count`.

    Parameters
    ----------
    correct, groups, level
        See :func:`effective_count`.

    Returns
    -------
    Interval
    """
    right = as_correct(correct, "correct")
    count = effective_count(right, groups, level)
    return wilson_of_share(float(right.mean()), count, level)


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
        If the shapes differ or have several draws.

    Examples
    --------
    >>> mcnemar_exact([1, 1, 0, 0, 0], [1, 0, 1, 1, 1])
    McNemar(p=0.625, n_only_a=1, n_only_b=3)
    """
    a, b = _pair(correct_a, correct_b)
    if a.ndim != 1:
        raise DataError(
            "McNemar's test: expected one draw, shape (n,); for several draws, use mcnemar_pooled"
        )
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
        If the shapes differ.

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

    Paper: Nadeau and Bengio, "Inference for the generalization error", Machine Learning 2003; used
    over repeated cross-validation as in Bouckaert and Frank, PAKDD 2004. The plain t-test treats
    folds as independent and finds differences that do not exist; here the variance of the mean is
    ``(1 / k + n_test / n_train)`` times that of one fold.

    Parameters
    ----------
    differences : array of float, shape (k,)
        Accuracy of b minus accuracy of a, one per fold and draw.
    test_train_ratio : float
        Test clips over training clips of one fold: 1 / (n_folds - 1), where ``n_folds`` counts all
        folds of the data, also those that were not tested.
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
            f"corrected t-test: found {len(values)} difference, expected at least two folds or "
            "draws"
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
    statistic = mean / error
    half = float(t.ppf(0.5 + level / 2, k - 1)) * error
    p = float(2.0 * t.sf(abs(statistic), k - 1))
    return ResampledT(statistic, p, Interval(mean - half, mean + half))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for several tests at once.

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
