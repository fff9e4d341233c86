"""The event table: what it holds, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from semisonic.core.errors import DataError
from semisonic.data.events import Events

ROWS = [
    {"file": "b.wav", "start_time": 1.0, "end_time": 2.5, "label": "owl", "score": 0.75},
    {
        "file": "a\\c.wav",
        "start_time": 0,
        "end_time": 0,
        "label": "fox",
        "fmin_hz": 200,
        "fmax_hz": 900.5,
        "presence": "negative",
    },
    {"file": "b.wav", "start_time": 0.5, "end_time": 2.0, "label": "owl", "presence": "uncertain"},
]


def test_rows_keep_their_order_and_unknown_values_are_nan() -> None:
    events = Events.from_rows(ROWS)
    assert events.file.tolist() == ["b.wav", "a/c.wav", "b.wav"]
    assert events.score[0] == 0.75
    assert np.isnan(events.score[1:]).all()
    assert events.fmax_hz[1] == 900.5
    assert events.presence.tolist() == ["positive", "negative", "uncertain"]
    assert "3 events, 2 labels, 2 files" in repr(events)


def test_sorted_and_chosen_rows() -> None:
    events = Events.from_rows(ROWS).sorted()
    assert events.start_time.tolist() == [0.0, 0.5, 1.0]
    assert events[events.label == "owl"].score.tolist()[1] == 0.75
    assert len(events[0]) == 1
    assert len(Events.from_rows([])) == 0


def test_frame_has_a_column_for_each_attribute() -> None:
    frame = Events.from_rows(ROWS).to_frame()
    assert Events.from_rows(frame.to_dict("records")).label.tolist() == ["owl", "fox", "owl"]
    assert list(frame.columns) == [
        "file",
        "start_time",
        "end_time",
        "label",
        "score",
        "fmin_hz",
        "fmax_hz",
        "presence",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start_time": 3.0}, "row 0.*found start 3 s and end 2.5 s"),
        ({"end_time": None}, "found start 1 s and end nan s"),
        ({"score": 1.5}, "score 1.5, expected 0 to 1"),
        ({"fmin_hz": 900, "fmax_hz": 200}, "found 900 to 200 Hz"),
        ({"presence": "maybe"}, "'maybe', expected one of positive, negative"),
    ],
)
def test_impossible_values_are_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Events.from_rows([{**ROWS[0], **change}])
