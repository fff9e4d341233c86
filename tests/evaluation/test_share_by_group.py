"""Intervals of a share where clips of one recording are right or wrong together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.core.errors import DataError
from semisonic.evaluation.intervals import effective_count, wilson, wilson_by_group


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


def test_clips_of_recordings_of_their_own_are_independent() -> None:
    right = np.arange(30) % 3 > 0
    assert wilson_by_group(right, np.arange(30)) == wilson(20, 30)


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


def test_arrays_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(DataError, match="effective count"):
        effective_count([1, 0], ["a"])
