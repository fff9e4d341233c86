"""Events as a data frame: what it holds, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from semisonic.core.errors import DataError
from semisonic.data.events import EVENT_COLUMNS, make_events

OWL = {"file": "b.wav", "start_time": 1.0, "end_time": 2.5, "label": "owl", "score": 0.75}
FOX = {"file": "a\\\udcff.wav", "start_time": 0, "end_time": 0, "label": "fox"}
FOX |= {"fmin_hz": 200, "fmax_hz": 900.5, "presence": "negative", "mean_score": 1}


def test_rows_keep_their_order_and_unknown_values_are_nan() -> None:
    events = make_events([OWL, FOX])
    assert tuple(events.columns) == EVENT_COLUMNS
    assert events.file.tolist() == ["b.wav", "a/\udcff.wav"]
    np.testing.assert_array_equal(events.score, [0.75, np.nan])
    np.testing.assert_array_equal(events.fmax_hz, [np.nan, 900.5])
    assert events.presence.tolist() == ["positive", "negative"]
    assert make_events(events.to_dict("records")).equals(events)
    assert tuple(make_events([]).columns) == EVENT_COLUMNS


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
        make_events([{**OWL, **change}])
