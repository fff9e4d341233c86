"""Event scores against a search through all pairings, and segments against a loop."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.core.errors import OptionError
from semisonic.data.events import NEGATIVE, Events, make_events
from semisonic.evaluation.events import score_events, score_overlaps, score_segments

Row = tuple[float, float, str]


def table(rows: list[Row], file: str = "a.wav") -> Events:
    return make_events(
        {"file": file, "start_time": start, "end_time": start + length, "label": label}
        for start, length, label in rows
    )


ROWS = st.lists(
    st.tuples(
        st.integers(0, 12).map(lambda n: n / 8),
        st.integers(0, 12).map(lambda n: n / 8),
        st.sampled_from(["owl", "fox"]),
    ),
    max_size=4,
)


def best(true: list[Row], found: list[Row], allowed: object) -> tuple[int, float]:
    """The most pairs there can be, and the least error among those; all ways are tried."""
    most, least = 0, 0.0
    small, large = sorted((true, found), key=len)
    swapped = small is not true
    for places in itertools.permutations(range(len(large)), len(small)):
        n, error = 0, 0.0
        for i, k in enumerate(places):
            a, b = (large[k], small[i]) if swapped else (small[i], large[k])
            if a[2] == b[2] and allowed(a, b):  # type: ignore[operator]
                n += 1
                error += abs(a[0] - b[0]) + abs(a[0] + a[1] - b[0] - b[1])
        if n > most or (n == most and error < least):
            most, least = n, error
    return most, least


@settings(max_examples=200, deadline=None)
@given(ROWS, ROWS, st.sampled_from([0.0, 0.125, 0.25, 1.0]), st.sampled_from([0.0, 0.5]))
def test_as_many_pairs_as_possible_with_the_least_error(
    true: list[Row], found: list[Row], collar: float, share: float
) -> None:
    def allowed(a: Row, b: Row) -> bool:
        ends = abs(a[0] + a[1] - b[0] - b[1]) <= max(collar, share * a[1])
        return abs(a[0] - b[0]) <= collar and ends

    counts = score_events(
        table(true), table(found), onset_collar=collar, offset_collar=collar, offset_share=share
    ).overall
    n, error = best(true, found, allowed)
    assert (counts.n_true, counts.n_found, counts.n_matched) == (len(true), len(found), n)
    total = np.abs(counts.onset_errors).sum() + np.abs(counts.offset_errors).sum()
    assert total == pytest.approx(error)


def test_collars_as_in_the_challenges() -> None:
    true = table([(1.0, 2.0, "owl")])
    for start, length, matched in (
        (1.2, 1.8, 1),
        (1.21, 1.8, 0),
        (1.0, 3.0, 1),
        (1.0, 3.01, 0),
        (0.8, 1.2, 1),
    ):
        assert score_events(true, table([(start, length, "owl")])).overall.n_matched == matched
    late = score_events(true, table([(1.1, 9.0, "owl")]), offset_collar=None).overall
    assert late.n_matched == 1
    assert late.onset_errors == pytest.approx([0.1])
    assert late.offset_errors == pytest.approx([7.1])
    assert score_events(true, table([(1.0, 2.0, "fox")])).overall.n_matched == 0
    assert score_events(true, table([(1.0, 2.0, "owl")], "b.wav")).overall.n_matched == 0


def test_rates_and_means() -> None:
    true = table([(0, 1, "owl"), (5, 1, "owl"), (8, 1, "fox")])
    found = table([(0, 1, "owl"), (3, 1, "owl"), (7, 0.5, "cat")])
    scores = score_events(true, found, hours=0.5)
    assert scores.overall.precision == pytest.approx(1 / 3)
    assert scores.overall.recall == pytest.approx(1 / 3)
    assert scores.overall.false_alarms_per_hour == pytest.approx(4.0)
    assert scores.by_class["owl"].f1 == pytest.approx(0.5)
    assert scores.macro_f1 == pytest.approx(0.5 / 3)
    assert np.isnan(score_events(true, found).overall.false_alarms_per_hour)
    nothing = score_events(table([]), table([])).overall
    assert np.isnan([nothing.precision, nothing.recall, nothing.f1]).all()


def test_any_overlap_is_noticed() -> None:
    true = table([(1.0, 4.0, "owl")])
    assert score_overlaps(true, table([(4.9, 1.0, "owl")])).overall.n_matched == 1
    assert score_overlaps(true, table([(5.0, 1.0, "owl")])).overall.n_matched == 0


def test_events_that_are_not_there_do_not_count() -> None:
    rows = [{"file": "a", "start_time": 0, "end_time": 1, "label": "owl", "presence": NEGATIVE}]
    counts = score_events(make_events(rows), table([(0, 1, "owl")], "a")).overall
    assert (counts.n_true, counts.n_found) == (0, 1)


@settings(max_examples=100, deadline=None)
@given(ROWS, ROWS, st.sampled_from([0.25, 0.5, 1.0]))
def test_segments(true: list[Row], found: list[Row], segment: float) -> None:
    def active(rows: list[Row], label: str, k: int) -> bool:
        begin, end = k * segment, (k + 1) * segment
        return any(
            name == label and (max(a, begin) < min(a + n, end) or (n == 0 and begin <= a < end))
            for a, n, name in rows
        )

    expected = np.zeros(3, int)
    for label in ("owl", "fox"):
        for k in range(40):
            a, b = active(true, label, k), active(found, label, k)
            expected += (a, b, a and b)
    counts = score_segments(table(true), table(found), segment=segment).overall
    assert (counts.n_true, counts.n_found, counts.n_matched) == tuple(expected)


def test_wrong_collars() -> None:
    events = table([])
    with pytest.raises(OptionError, match="onset_collar"):
        score_events(events, events, onset_collar=-0.1)
    with pytest.raises(OptionError, match="segment"):
        score_segments(events, events, segment=0.0)
