"""Events as clips to learn from, clips as events, and windows of annotated recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semisonic.core.errors import OptionError
from semisonic.data.clips import Clips
from semisonic.data.events import Events, clips_from_events, label_windows, make_events
from semisonic.data.options import WindowRules

ROOT = Path("recordings")


def events(*rows: tuple[object, ...]) -> Events:
    names = ("file", "start_time", "end_time", "label", "presence")
    return make_events(dict(zip(names, row, strict=False)) for row in rows)


def said(clips: Clips) -> dict[str, tuple[tuple[str, ...], str]]:
    return {
        name: (labels, str(kind))
        for name, labels, kind in zip(clips.ids, clips.labels, clips.label_type, strict=True)
    }


def test_several_labels_over_one_stretch_are_one_clip() -> None:
    clips = clips_from_events(
        events(
            ("a.wav", 0, 3, "owl"),
            ("a.wav", 0, 3, "fox"),
            ("a.wav", 0, 3.5, "fox"),
            ("b.wav", 1.0001, 2, "owl"),
            ("b.wav", 1.0002, 2, "owl"),
        ),
        ROOT,
    )
    assert said(clips) == {
        "a.wav@0.000-3.000": (("fox", "owl"), "positive"),
        "a.wav@0.000-3.500": (("fox",), "positive"),
        "b.wav@1.000-2.000": (("owl",), "positive"),
    }
    assert clips.root == ROOT
    assert clips.classes == ("fox", "owl")
    assert clips.group.tolist() == ["a.wav", "a.wav", "b.wav"]


def test_uncertain_negative_and_nameless_events() -> None:
    clips = clips_from_events(
        events(
            ("a.wav", 0, 1, "owl"),
            ("a.wav", 0, 1, "fox", "negative"),
            ("a.wav", 1, 2, "owl", "uncertain"),
            ("a.wav", 1, 2, "fox"),
            ("a.wav", 2, 3, "fox", "negative"),
            ("a.wav", 2, 3, "owl", "negative"),
            ("a.wav", 3, 4, "owl", "negative"),
            ("a.wav", 4, 5, ""),
            ("a.wav", 5, 6, "owl"),
            ("a.wav", 5, 6, "owl", "negative"),
        ),
        ROOT,
    )
    assert list(said(clips).values()) == [
        (("owl",), "positive"),
        (("fox", "owl"), "uncertain"),
        (("background",), "positive"),  # neither class is there
        (("background",), "uncertain"),  # a fox may be there
        ((), "positive"),
        (("owl",), "uncertain"),  # somebody says it is, somebody that it is not
    ]
    assert clips.classes == ("fox", "owl", "background")
    assert any("2 segments without a class" in note for note in clips.notes)


def test_negatives_without_a_background_class_stay_without_labels() -> None:
    table = events(("a.wav", 0, 1, "owl"), ("a.wav", 2, 3, "owl", "negative"))
    clips = clips_from_events(table, ROOT, background=None)
    assert clips.labels == (("owl",), ())
    assert clips.classes == ("owl",)


def test_points_become_clips_of_a_second() -> None:
    clips = clips_from_events(events(("a.wav", 5, 5, "x"), ("a.wav", 0.1, 0.1, "x")), ROOT)
    assert clips.ids == ["a.wav@0.000-1.000", "a.wav@4.500-5.500"]
    assert any("2 points" in note for note in clips.notes)


def test_order_of_classes_and_groups() -> None:
    table = events(("s1/a.wav", 0, 1, "b"), ("s1/b.wav", 0, 1, "a"), ("s2/c.wav", 0, 1, "c"))
    clips = clips_from_events(table, ROOT, classes=["c", "b", "never"], group="folder")
    assert clips.classes == ("c", "b", "a")
    assert clips.group.tolist() == ["s1", "s1", "s2"]


def test_windows_have_the_labels_of_events_that_they_share_enough_with() -> None:
    table = events(
        (
            "a.wav",
            2.8,
            3.4,
            "owl",
        ),  # 0.2 s and a third of it in the first window, 0.4 s in the next
        ("a.wav", 8.95, 9.05, "tick"),  # half of it in each
        ("a.wav", 10, 10, "point"),
        ("a.wav", 10.5, 11, "fox", "uncertain"),
        ("a.wav", 12.5, 13, ""),
        ("a.wav", 16, 17, "owl", "negative"),
    )
    clips = label_windows(table, ROOT, {"a.wav": 19.6, "quiet.wav": 6.0}, WindowRules(3.0))
    assert said(clips) == {
        "a.wav@0.000-3.000": ((), "positive"),
        "a.wav@3.000-6.000": (("owl",), "positive"),
        "a.wav@6.000-9.000": (("tick",), "positive"),
        "a.wav@9.000-12.000": (("fox", "point", "tick"), "uncertain"),
        "a.wav@12.000-15.000": ((), "positive"),
        "a.wav@15.000-18.000": (("background",), "positive"),
        "a.wav@16.600-19.600": (("background",), "positive"),
        "quiet.wav@0.000-3.000": (("background",), "positive"),
        "quiet.wav@3.000-6.000": (("background",), "positive"),
    }
    assert clips.classes == ("fox", "owl", "point", "tick", "background")
    assert set(clips.group.tolist()) == {"a.wav", "quiet.wav"}
    assert clips.notes == (
        "3 windows of 3 s with events",
        "4 windows without events: of the class 'background'",
        "2 windows with too little of an event: no label",
    )


def test_windows_that_overlap_and_no_background() -> None:
    table = events(("a.wav", 2, 4, "owl"))
    rules = WindowRules(2.0, 1.0, min_overlap=1.5, min_share=0.75, background=None)
    clips = label_windows(table, ROOT, {"a.wav": 8.0}, rules)
    assert said(clips) == {
        "a.wav@1.000-3.000": ((), "positive"),
        "a.wav@2.000-4.000": (("owl",), "positive"),
        "a.wav@3.000-5.000": ((), "positive"),
    }
    assert clips.classes == ("owl",)


def test_a_recording_shorter_than_a_window_is_one_window() -> None:
    clips = label_windows(events(("a.wav", 0.5, 0.6, "x")), ROOT, {"a.wav": 1.2})
    assert said(clips) == {"a.wav@0.000-1.200": (("x",), "positive")}


def test_rules_of_windows_are_checked() -> None:
    with pytest.raises(OptionError, match="duration"):
        label_windows(events(), ROOT, {"a.wav": 5.0}, WindowRules(0.0))


@given(
    st.lists(st.tuples(st.floats(0, 30), st.floats(0, 5)), max_size=10),
    st.sampled_from([(1.0, None), (3.0, 1.5), (2.5, 2.5), (5.0, 0.7)]),
)
def test_every_event_is_in_some_window_and_background_touches_none(
    times: list[tuple[float, float]], shape: tuple[float, float | None]
) -> None:
    table = events(*(("a.wav", a, min(a + d, 30.0), "x") for a, d in times))
    clips = label_windows(table, ROOT, {"a.wav": 30.0}, WindowRules(*shape))
    held = np.zeros(len(table), np.bool_)
    for start, end, labels in zip(clips.start_time, clips.end_time, clips.labels, strict=True):
        inside = np.minimum(end, table.end_time) - np.maximum(start, table.start_time)
        if labels == ("background",):
            assert not (inside > 0).any()
        if labels == ("x",):
            held |= inside >= 0
    # A point at the very end of the recording is the one thing that windows do not reach.
    covered = table.start_time < clips.end_time.max() if len(clips) else held
    assert held[covered].all()
