"""Scores of windows to events: thresholds, means, delays, gaps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semisonic.base.errors import OptionError
from semisonic.inference import EventTracker, LiveEvent, TrackOptions, WindowScores
from semisonic.inference.live.smoothing import RecentMean

HOP, WINDOW = 0.5, 2.0
PLAIN: dict[str, Any] = {"smooth": 0.0, "hysteresis": 0.0, "off_delay": 0.0}


def windows_of(*scores: Any, start: float = 0.0, silent: bool = False) -> list[WindowScores]:
    return [
        WindowScores(
            start + i * HOP, start + i * HOP + WINDOW, np.atleast_1d(np.asarray(row, float)), silent
        )
        for i, row in enumerate(scores)
    ]


def follow(
    windows: list[WindowScores], classes: str = "a", threshold: float = 0.5, **options: Any
) -> list[LiveEvent]:
    tracker = EventTracker(
        tuple(classes), np.full(len(classes), threshold), HOP, TrackOptions(**{**PLAIN, **options})
    )
    said = [event for window in windows for event in tracker.push(window)]
    return said + tracker.finish()


def ends(said: list[LiveEvent]) -> list[tuple[float, float | None, str]]:
    return [(one.start_time, one.end_time, one.reason) for one in said if one.kind == "end"]


def test_an_event_lies_where_its_sound_was() -> None:
    said = follow(windows_of(0, 0.1, 0.6, 0.9, 0.7, 0.2, 0))
    assert [one.kind for one in said] == ["start", "end"]
    assert said[0].score == pytest.approx(0.6)
    assert said[1].score == pytest.approx(0.9)
    # Windows 2 to 4 have their centres at 2.0 to 3.0 s.
    assert ends(said) == [(1.75, 3.25, "quiet")]
    assert said[0].id == said[1].id == 1


def test_the_first_and_the_last_window_speak_for_the_edges() -> None:
    assert ends(follow(windows_of(0.9, 0.9, 0.9))) == [(0.0, 3.0, "end of stream")]
    assert ends(follow(windows_of(0.9, 0.9, 0.0))) == [(0.0, 1.75, "quiet")]
    assert ends(follow([WindowScores(0.0, 0.3, np.array([0.9]), False)])) == [
        (0.0, 0.3, "end of stream")
    ]


def test_hysteresis_carries_an_event_through_a_dip() -> None:
    scores = (0, 0.6, 0.42, 0.6, 0.38, 0)
    assert len(ends(follow(windows_of(*scores)))) == 2
    assert ends(follow(windows_of(*scores), hysteresis=0.2)) == [(1.25, 2.75, "quiet")]


def test_an_off_delay_carries_an_event_through_a_pause() -> None:
    scores = (0, 0.6, 0, 0.6, 0, 0, 0.6, 0, 0)
    assert len(ends(follow(windows_of(*scores)))) == 3
    found = ends(follow(windows_of(*scores), off_delay=1.0))
    assert found == [(1.25, 2.75, "quiet"), (3.75, 4.25, "quiet")]


def test_a_short_event_is_never_said_and_a_long_one_when_it_is_long_enough() -> None:
    tracker = EventTracker(
        ("a",), np.array([0.5]), HOP, TrackOptions(**{**PLAIN, "min_duration": 1.0})
    )
    kinds = [
        [one.kind for one in tracker.push(window)]
        for window in windows_of(0, 0.9, 0, 0.9, 0.9, 0.9, 0)
    ]
    assert kinds == [[], [], [], [], ["start"], [], ["end"]]


def test_the_mean_forgets_a_window_after_its_time() -> None:
    mean = RecentMean(1.0)
    found = [mean.push(window) for window in windows_of(1.0, 0.0, 0.0, 0.5)]
    assert [float(scores[0]) for _, scores in found] == pytest.approx([1.0, 0.5, 0.0, 0.25])
    assert [centre for centre, _ in found] == pytest.approx([1.0, 1.25, 1.75, 2.25])


def test_windows_that_were_skipped_do_not_lengthen_the_mean() -> None:
    mean = RecentMean(1.0)
    mean.push(windows_of(1.0)[0])
    assert float(mean.push(windows_of(0.0, start=3.0)[0])[1][0]) == 0.0


def test_digital_silence_is_no_event_whatever_a_network_says() -> None:
    assert follow(windows_of(0.99, 0.99, silent=True)) == []
    assert follow(windows_of(0.0, 0.0), threshold=0.0) == []


def test_at_a_gap_events_end_and_the_mean_begins_anew() -> None:
    tracker = EventTracker(
        ("a", "b"), np.array([0.5, 0.5]), HOP, TrackOptions(**{**PLAIN, "smooth": 1.0})
    )
    for window in windows_of((0.9, 0), (0.9, 0)):
        tracker.push(window)
    assert ends(tracker.finish("gap")) == [(0.0, 2.5, "gap")]
    said = tracker.push(windows_of((0.1, 0.6), start=10.0)[0])
    assert [(one.label, one.start_time, one.id) for one in said] == [("b", 10.0, 2)]


def test_only_chosen_classes_are_followed_each_by_its_threshold() -> None:
    tracker = EventTracker(
        "abc", np.array([0.3, 0.8, 0.1]), HOP, TrackOptions(**PLAIN), np.array([True, True, False])
    )
    said = [one for window in windows_of((0.4, 0.7, 0.9)) for one in tracker.push(window)]
    assert [(one.label, one.threshold) for one in said] == [("a", 0.3)]
    with pytest.raises(OptionError, match="2 thresholds for 1 classes"):
        EventTracker("a", np.array([0.3, 0.8]), HOP)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=40),
    st.sampled_from([0.0, 1.0, 2.3]),
    st.sampled_from([0.0, 0.5, 1.2]),
    st.sampled_from([0.0, 0.7, 1.5]),
)
def test_whatever_the_scores_starts_and_ends_belong_together(
    rows: list[tuple[float, float]], smooth: float, min_duration: float, off_delay: float
) -> None:
    said = follow(
        windows_of(*rows), "ab", smooth=smooth, min_duration=min_duration, off_delay=off_delay,
        hysteresis=0.2,
    )  # fmt: skip
    starts = {one.id: one for one in said if one.kind == "start"}
    closed = [one for one in said if one.kind == "end"]
    assert sorted(starts) == sorted(one.id for one in closed) == list(range(1, len(starts) + 1))
    last: dict[str, float] = {}
    for one in sorted(closed, key=lambda one: one.start_time):
        first = starts[one.id]
        assert (first.label, first.start_time) == (one.label, one.start_time)
        assert one.end_time is not None
        assert one.end_time - one.start_time >= max(min_duration, 1e-9) - 1e-6
        assert one.start_time >= last.get(one.label, 0.0) - 1e-9
        assert one.end_time <= windows_of(*rows)[-1].end_time + 1e-9
        assert one.score >= 0.5
        last[one.label] = one.end_time
