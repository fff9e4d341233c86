"""Intervals and tests hold what they promise, also when clips come in recordings."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, ttest_1samp

from semisonic.core.errors import DataError
from semisonic.evaluation.statistics import (
    bootstrap,
    corrected_resampled_t,
    effective_count,
    holm,
    mcnemar_exact,
    mcnemar_pooled,
    sign_flip_exact,
    wilson,
    wilson_by_group,
)


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 500), data=st.data(), level=st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_equals_scipy(n: int, data: st.DataObject, level: float) -> None:
    right = data.draw(st.integers(0, n))
    expected = binomtest(right, n).proportion_ci(level, method="wilson")
    assert wilson(right, n, level) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_bootstrap_of_independent_clips_is_about_as_wide_as_theory_says() -> None:
    values = np.repeat([1, 0], [300, 100])
    _, low, high, _ = bootstrap(values)
    error = np.sqrt(0.75 * 0.25 / 400)
    assert low == pytest.approx(0.75 - 1.96 * error, abs=0.006)
    assert high == pytest.approx(0.75 + 1.96 * error, abs=0.006)


def test_recordings_that_stand_and_fall_together_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    by_recording = rng.random(40) < 0.6
    values, groups = np.repeat(by_recording, 10), np.repeat(np.arange(40), 10)
    _, low, high, _ = bootstrap(values)
    _, wide_low, wide_high, _ = bootstrap(values, groups)
    assert wide_high - wide_low > 2.5 * (high - low)


def test_draws_that_differ_widen_the_interval() -> None:
    rng = np.random.default_rng(2)
    alike = rng.random((5, 200)) < 0.7
    differ = rng.random((5, 200)) < np.array([0.5, 0.6, 0.7, 0.8, 0.9])[:, None]
    _, low, high, _ = bootstrap(alike)
    _, wide_low, wide_high, _ = bootstrap(differ)
    assert wide_high - wide_low > 1.5 * (high - low)


def test_the_order_of_clips_and_names_of_recordings_do_not_matter() -> None:
    rng = np.random.default_rng(3)
    values, groups = rng.random(50) < 0.5, np.repeat(np.arange(25), 2)
    order = rng.permutation(50)
    assert bootstrap(values, groups) == bootstrap(values[order], groups[order])


def test_the_bootstrap_finds_a_clear_gain_and_no_imagined_one() -> None:
    rng = np.random.default_rng(4)
    base = rng.random(400) < 0.6
    better = base | (rng.random(400) < 0.2)
    result = bootstrap(better * 1.0 - base)
    assert result.mean == pytest.approx(better.mean() - base.mean())
    assert result.low > 0
    assert result.p < 0.01
    other = bootstrap((rng.random(400) < 0.6) * 1.0 - (rng.random(400) < 0.6))
    assert other.low < 0 < other.high
    assert bootstrap(np.zeros(400)) == (0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: wilson(3, 2), "3 of 2"),
        (lambda: wilson(0, 0), "n > 0"),
        (lambda: bootstrap([1, 0], ["r", "r"]), "one recording"),
        (lambda: bootstrap([1, 0], ["r"]), "groups"),
        (lambda: bootstrap([1, np.nan]), "finite"),
    ],
)
def test_bad_input_is_refused_with_the_reason(call: object, word: str) -> None:
    with pytest.raises(DataError, match=word):
        call()  # type: ignore[operator]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=60))
def test_it_is_never_surer_than_independent_clips_are(rows: list[tuple[bool, int]]) -> None:
    right, groups = [a for a, _ in rows], [b for _, b in rows]
    count = effective_count(right, groups)
    assert 1.0 <= count <= len(rows)
    low, high = wilson_by_group(right, groups)
    plain = wilson(sum(right), len(rows))
    assert 0.0 <= low <= plain.low + 1e-12
    assert plain.high - 1e-12 <= high <= 1.0
    assert low <= np.mean(right) <= high


def test_clips_that_always_agree_count_once_a_recording() -> None:
    groups = np.repeat(np.arange(20), 6)
    assert effective_count(groups % 4 > 0, groups) == pytest.approx(19, abs=2)
    assert effective_count(np.ones(120), groups) == pytest.approx(20)
    assert effective_count([1, 1, 0], ["a", "a", "a"]) == 1.0


@pytest.mark.parametrize("alike", [0.0, 0.3, 0.8])
def test_it_holds_the_truth_as_often_as_it_says(alike: float) -> None:
    """A recording is easy or hard; plain Wilson misses more often the more that decides."""
    rng = np.random.default_rng(0)
    groups, truth, n = np.repeat(np.arange(25), 8), 0.75, 600
    inside = plain = 0
    for _ in range(n):
        own = rng.random(25) < truth
        each = rng.random(200) < truth
        right = np.where(rng.random(200) < np.sqrt(alike), own[groups], each)
        low, high = wilson_by_group(right, groups)
        inside += low <= truth <= high
        low, high = wilson(int(right.sum()), 200)
        plain += low <= truth <= high
    assert inside / n > 0.92
    assert plain / n < 0.85 or alike == 0.0


def pair(only_a: int, only_b: int, both: int = 5, none: int = 4) -> tuple[np.ndarray, np.ndarray]:
    a = np.repeat([1, 0, 1, 0], [only_a, only_b, both, none])
    b = np.repeat([0, 1, 1, 0], [only_a, only_b, both, none])
    return a, b


@settings(max_examples=60, deadline=None)
@given(only_a=st.integers(0, 200), only_b=st.integers(0, 200))
def test_mcnemar_equals_the_binomial_test(only_a: int, only_b: int) -> None:
    result = mcnemar_exact(*pair(only_a, only_b))
    expected = binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert result.p == pytest.approx(expected, rel=1e-9)
    assert (result.n_only_a, result.n_only_b) == (only_a, only_b)


@settings(max_examples=60, deadline=None)
@given(only_a=st.integers(0, 60), only_b=st.integers(0, 60))
def test_pooled_mcnemar_of_one_draw_is_mcnemar(only_a: int, only_b: int) -> None:
    a, b = pair(only_a, only_b)
    assert mcnemar_pooled(a, b) == pytest.approx(mcnemar_exact(a, b).p, rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-6, 6), min_size=1, max_size=9))
def test_sign_flips_equal_full_enumeration(differences: list[int]) -> None:
    found = abs(sum(differences))
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((-1, 1), repeat=len(differences))
    ]
    assert sign_flip_exact(differences) == pytest.approx(np.mean([s >= found for s in sums]))


def test_clips_of_one_recording_count_as_one() -> None:
    a, b = np.zeros(12, int), np.ones(12, int)
    recordings = np.repeat(["r1", "r2", "r3"], 4)
    assert mcnemar_pooled(a, b) < 0.001
    assert mcnemar_pooled(a, b, recordings) == pytest.approx(2 * 0.5**3)


def test_corrected_t_by_hand() -> None:
    # differences 1 to 5, ratio 1/4: mean 3, variance 2.5, error sqrt((1/5 + 1/4) * 2.5)
    result = corrected_resampled_t([1, 2, 3, 4, 5], 0.25)
    assert result.t == pytest.approx(3 / np.sqrt(0.45 * 2.5))
    assert result.p == pytest.approx(0.0473, abs=2e-4)
    assert result.interval.low == pytest.approx(3 - 2.7764 * np.sqrt(1.125), abs=1e-3)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=3, max_size=25), st.floats(0.05, 2))
def test_corrected_t_is_the_plain_t_with_a_larger_error(values: list[float], ratio: float) -> None:
    if np.std(values) < 1e-6:
        return
    plain = ttest_1samp(values, 0.0)
    shrink = np.sqrt((1 / len(values)) / (1 / len(values) + ratio))
    result = corrected_resampled_t(values, ratio)
    assert result.t == pytest.approx(plain.statistic * shrink, rel=1e-9, abs=1e-12)
    assert result.p >= plain.pvalue - 1e-12


def test_corrected_t_finds_no_more_than_it_should_when_there_is_nothing() -> None:
    rng = np.random.default_rng(0)
    found_corrected = found_plain = 0
    for _ in range(400):
        shared = rng.normal(0, 0.5)  # what overlapping training sets have in common
        values = shared + rng.normal(0, 1, 10)
        found_corrected += corrected_resampled_t(values, 1 / 4).p < 0.05
        found_plain += ttest_1samp(values, 0.0).pvalue < 0.05
    assert found_corrected < 0.07 * 400 < found_plain


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: mcnemar_exact([1, 0], [1]), "shapes"),
        (lambda: mcnemar_exact([1, 2], [1, 0]), "right"),
        (lambda: mcnemar_exact([[1, 0]], [[1, 0]]), "pooled"),
        (lambda: mcnemar_pooled([1, 0], [1, 0], ["one"]), "groups"),
        (lambda: corrected_resampled_t([0.1], 0.25), "two"),
        (lambda: corrected_resampled_t([0.1, 0.2], 0.0), "ratio"),
        (lambda: corrected_resampled_t([0.1, np.nan], 0.25), "finite"),
    ],
)
def test_bad_input_of_a_test_is_refused(call: object, word: str) -> None:
    with pytest.raises(DataError, match=word):
        call()  # type: ignore[operator]


def test_corrected_t_of_equal_differences() -> None:
    assert corrected_resampled_t([0.0, 0.0, 0.0], 0.25).p == 1.0
    assert corrected_resampled_t([0.1, 0.1, 0.1], 0.25).p == 0.0


def test_an_effective_count_by_hand() -> None:
    """10, 9, 8 and 5 of 10 are right: Kish's count is 13.7, and less as there are four only."""
    right = np.concatenate([np.arange(10) < n for n in (10, 9, 8, 5)])
    variance = 4 / 3 * (2**2 + 1**2 + 0**2 + 3**2) / 40**2
    assert 0.8 * 0.2 / variance == pytest.approx(13.71, abs=0.01)
    of_39, of_3 = 2.0227, 3.1824  # of Student's t, at 97.5 %
    expected = 0.8 * 0.2 / variance * (of_39 / of_3) ** 2
    assert effective_count(right, np.repeat([0, 1, 2, 3], 10)) == pytest.approx(expected, rel=1e-3)


def test_the_p_of_a_bootstrap_has_two_sides() -> None:
    assert bootstrap([1, -1] * 50).p > 0.9
    drawn = np.random.default_rng(0).normal(size=(400, 50))
    below = np.mean([bootstrap(row, n_resamples=400).p < 0.2 for row in drawn])
    assert below == pytest.approx(0.2, abs=0.06)
