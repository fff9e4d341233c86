"""Scores of windows to starts and ends: told once each, and at the times that hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.classifier.detection.frame_scores import FrameScorer, packed, unpacked
from semisonic.classifier.events import EventRules, EventTracker
from semisonic.classifier.live.scorer import LiveEvent, LiveTracker, WindowScores
from semisonic.classifier.options import EventOptions
from semisonic.core.errors import OptionError
from semisonic.features.options import MelOptions
from semisonic.models.sound_model import build

HOP, WINDOW = 0.5, 2.0
MEL = MelOptions(sample_rate=8000, duration=WINDOW, n_fft=256, hop_length=128, n_mels=16)
LISTENER = FrameScorer(build("(2)3c-4p-gp", MEL, ("a", "b")), HOP, "windows")
PLAIN: dict[str, Any] = {"threshold": "0.5", "edge": 0.8, "merge_gap": 0.0, "min_duration": 0.0}


def windows_of(rows: Sequence[Any], start: float = 0.0, silent: bool = False) -> list[WindowScores]:
    tables = [np.array([row, 0.0]) if np.isscalar(row) else np.array(row, float) for row in rows]
    times = [start + i * HOP for i in range(len(rows))]
    return [
        WindowScores(at, at + WINDOW, table, silent)
        for at, table in zip(times, tables, strict=True)
    ]


def follow(windows: list[WindowScores], **options: Any) -> list[LiveEvent]:
    tracker = LiveTracker(LISTENER, EventOptions(**{**PLAIN, **options}))
    said = [event for window in windows for event in tracker.push(window)]
    return said + tracker.finish()


def ends(said: list[LiveEvent]) -> list[tuple[str, float, float | None, str]]:
    return [
        (one.label, one.start_time, one.end_time, one.reason) for one in said if one.kind == "end"
    ]


def test_an_event_lies_where_most_windows_hear_it() -> None:
    said = follow(windows_of([0, 0, 0.9, 0.9, 0.9, 0.9, 0, 0, 0]))
    assert [one.kind for one in said] == ["start", "end"]
    # The frame from 2.5 s on lies in windows 2 to 5, which all hear it; those beside in three.
    assert ends(said) == [("a", 2.5, 3.0, "quiet")]
    assert said[1].score == pytest.approx(0.9, abs=1e-4)
    assert said[0].id == said[1].id == 1
    assert follow(windows_of([0.9] * 4))[1].end_time == 3.5


def test_a_start_is_told_before_the_end_is_known() -> None:
    tracker = LiveTracker(LISTENER, EventOptions(**PLAIN))
    kinds = [
        [one.kind for one in tracker.push(window)]
        for window in windows_of([0.9, 0.9, 0.9, 0.9, 0, 0, 0, 0, 0, 0])
    ]
    assert kinds == [[], ["start"], [], [], [], [], [], [], ["end"], []]


def test_an_event_that_turns_out_too_short_is_taken_back() -> None:
    rows = [0.55, 0.55, 0.55, 0.55, 1.0, 1.0, 1.0, 1.0, 0, 0, 0, 0, 0]
    said = follow(windows_of(rows), edge=1.0, min_duration=1.5)
    assert [(one.kind, one.reason) for one in said] == [("start", ""), ("end", "too short")]


def test_digital_silence_is_no_event_whatever_a_network_says() -> None:
    assert follow(windows_of([0.99] * 5, silent=True)) == []


def test_at_a_gap_events_end_and_all_begins_anew() -> None:
    tracker = LiveTracker(LISTENER, EventOptions(**PLAIN))
    said = [event for window in windows_of([0.9, 0.9]) for event in tracker.push(window)]
    assert ends(said + tracker.finish("gap", 2.7)) == [("a", 0.0, 2.5, "gap")]
    for window in windows_of([(0.1, 0.6)] * 3, start=10.0):
        said += tracker.push(window)
    assert [(one.label, one.start_time, one.id) for one in said if one.kind == "start"] == [
        ("a", 0.0, 1),
        ("b", 10.0, 2),
    ]


def test_only_chosen_classes_are_followed() -> None:
    said = follow(windows_of([(0.9, 0.9)] * 3), classes=("b",))
    assert {one.label for one in said} == {"b"}
    with pytest.raises(OptionError, match="unknown class 'c'"):
        LiveTracker(LISTENER, EventOptions(classes=("c",)))


score = st.sampled_from([0.0, 0.2, 0.4, 0.55, 0.7, 1.0])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(score, score), min_size=1, max_size=40),
    st.sampled_from([0.0, 0.5, 1.2]),
    st.sampled_from([0.0, 0.7, 1.5]),
    st.sampled_from([0.5, 0.8, 1.0]),
)
def test_whatever_the_scores_the_ends_are_the_events_of_detect(
    rows: list[tuple[float, float]], min_duration: float, merge_gap: float, edge: float
) -> None:
    options = {"min_duration": min_duration, "merge_gap": merge_gap, "edge": edge}
    windows = windows_of(rows)
    said = follow(windows, **options)

    whole = LISTENER.average()
    for window in windows:
        whole.add(window.start_time, window.end_time, window.scores)
    rules = EventRules.of(LISTENER, EventOptions(**{**PLAIN, **options}))
    tracker = EventTracker(rules)
    over = tracker.push(unpacked(packed(whole.take())))
    expected = rules.rows([*over, *tracker.open()], "", np.inf)
    found = sorted(
        (round(one.start_time, 3), round(one.end_time or 0, 3), one.label, one.score)
        for one in said
        if one.kind == "end" and one.reason != "too short"
    )
    assert found == sorted(
        (row["start_time"], row["end_time"], row["label"], row["score"]) for row in expected
    )
    starts = {one.id: one for one in said if one.kind == "start"}
    closed = [one for one in said if one.kind == "end"]
    assert sorted(starts) == sorted(one.id for one in closed) == list(range(1, len(starts) + 1))
    for one in closed:
        assert starts[one.id].label == one.label
        assert starts[one.id].score <= one.score
