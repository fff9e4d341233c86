"""Which rows of a pool an answer speaks of."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from semisonic.data.clips import Clips
from semisonic.labeling.answers import match

POOL = Clips.from_rows(
    "/sounds/index",
    [{"file": "../a.wav", "start_time": s, "end_time": s + 5.0} for s in (0.0, 5.0, 10.0)]
    + [{"file": "../b.wav"}],
)


def answers(*rows: dict[str, object]) -> Clips:
    return Clips.from_rows(Path("/sounds"), rows)


def matched(file: str, start: float, end: float) -> list[tuple[float, str]]:
    found = match(answers({"file": file, "start_time": start, "end_time": end}), POOL)
    return [(float(POOL.start_time[row]), str(POOL.file[row])[3]) for row in found.rows]


def test_the_very_stretch_alone() -> None:
    assert matched("a.wav", 5.0, 10.0) == [(5.0, "a")]


def test_a_long_answer_speaks_of_what_it_covers_half_of() -> None:
    assert matched("a.wav", 2.4, 12.6) == [(0.0, "a"), (5.0, "a"), (10.0, "a")]
    assert matched("a.wav", 2.6, 12.4) == [(5.0, "a")]


def test_a_short_answer_speaks_of_the_row_it_lies_in() -> None:
    assert matched("a.wav", 6.0, 6.2) == [(5.0, "a")]
    assert matched("a.wav", 4.7, 5.1) == [(0.0, "a")]


def test_a_whole_recording_holds_any_answer() -> None:
    assert matched("b.wav", 3.0, 4.0) == [(0.0, "b")]


def test_answers_about_nothing_are_counted() -> None:
    found = match(answers({"file": "c.wav"}, {"file": "a.wav", "start_time": 90.0}), POOL)
    assert len(found.rows) == 0
    assert found.n_unmatched == 2


def test_labels_of_several_answers_come_together() -> None:
    table = answers(
        {"file": "a.wav", "start_time": 0.5, "end_time": 1.0, "labels": "dog"},
        {
            "file": "a.wav",
            "start_time": 2.0,
            "end_time": 3.0,
            "labels": "cat",
            "label_type": "uncertain",
        },
        {"file": "a.wav", "start_time": 10.0, "end_time": 15.0, "labels": "rain"},
    )
    found = match(table, POOL)
    assert [set(row) for row in found.labels] == [{"dog", "cat"}, {"rain"}]
    assert np.array_equal(found.is_verified, [False, True])
