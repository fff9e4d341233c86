"""The tests against scipy, enumeration and numbers worked out by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, ttest_1samp

from semisonic.core.errors import DataError
from semisonic.evaluation.significance import (
    corrected_resampled_t,
    holm,
    mcnemar_exact,
    mcnemar_pooled,
    sign_flip_exact,
)


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
def test_bad_input_is_refused_with_the_reason(call: object, word: str) -> None:
    with pytest.raises(DataError, match=word):
        call()  # type: ignore[operator]


def test_corrected_t_of_equal_differences() -> None:
    assert corrected_resampled_t([0.0, 0.0, 0.0], 0.25).p == 1.0
    assert corrected_resampled_t([0.1, 0.1, 0.1], 0.25).p == 0.0
