"""The clip table: order, identity, and what it refuses."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semisonic.core.errors import DataError
from semisonic.data.clips import Clips, join

ROWS: list[dict[str, Any]] = [
    {"file": "a.wav", "start_time": 0.0, "end_time": 5.0, "labels": "owl"},
    {"file": "a.wav", "start_time": 0.0, "end_time": 10.0, "labels": ("owl", "fox")},
    {"file": "a.wav", "start_time": 0.0},
    {"file": "a.wav", "start_time": 2.0, "end_time": 4.0, "labels": "fox"},
    {"file": "b\\c.wav", "group": "night 1", "fold": 2},
]


def test_the_order_of_rows_cannot_be_seen() -> None:
    one = Clips.from_rows("/x", ROWS)
    for seed in range(10):
        mixed = random.Random(seed).sample(ROWS, len(ROWS))
        other = Clips.from_rows("/x", mixed)
        assert other.ids == one.ids
        assert other.labels == one.labels
    assert one.ids == [
        "a.wav@0.000-5.000",
        "a.wav@0.000-10.000",
        "a.wav",
        "a.wav@2.000-4.000",
        "b/c.wav",
    ]


def test_targets_follow_the_classes() -> None:
    clips = Clips.from_rows("/x", ROWS, classes=("owl", "fox"))
    assert clips.targets().tolist() == [[1, 0], [1, 1], [0, 0], [0, 1], [0, 0]]
    single = clips[[0, 2, 3]]
    assert single.target().tolist() == [0, -1, 1]
    with pytest.raises(DataError, match="several labels"):
        clips.target()


def test_parts_keep_everything_else() -> None:
    clips = Clips.from_rows("/x", ROWS)
    part = clips[[4, 0]]
    assert part.group.tolist() == ["night 1", "a.wav"]
    assert part.fold.tolist() == [2, 0]
    assert part.classes == clips.classes == ("fox", "owl")
    assert len(clips[np.zeros(5, bool)]) == 0
    assert clips[3].ids == ["a.wav@2.000-4.000"]
    bare = clips.without_labels()
    assert not bare.is_labelled.any()
    assert bare.classes == ()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"start_time": -1.0}, r"a\.wav: found start -1 s"),
        ({"start_time": float("nan")}, "expected 0 <= start < end"),
        ({"start_time": 3.0, "end_time": 3.0}, "start 3 s, end 3 s"),
        ({"end_time": float("inf")}, "end inf s"),
        ({"fold": -2}, "found fold -2"),
    ],
)
def test_what_is_no_stretch_of_time_is_refused(row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Clips.from_rows("/x", [{"file": "a.wav", **row}])


def test_what_cannot_be_a_table_is_refused() -> None:
    with pytest.raises(DataError, match=r"found the clip a\.wav twice"):
        Clips.from_rows("/x", [{"file": "a.wav"}, {"file": "a.wav"}])
    with pytest.raises(DataError, match="labels without a class: owl"):
        Clips.from_rows("/x", ROWS[:1], classes=("fox",))
    with pytest.raises(DataError, match="found a class name twice"):
        Clips.from_rows("/x", [], classes=("fox", "fox"))
    with pytest.raises(DataError, match="column 'fold' has 1 rows, expected 5"):
        Clips.from_rows("/x", ROWS).with_columns(fold=np.zeros(1, np.int64))


def test_as_a_frame(tmp_path: Path) -> None:
    frame = Clips.from_rows(tmp_path, ROWS).to_frame()
    assert frame["label"].tolist() == ["owl", "owl;fox", "", "fox", ""]
    assert frame["end_time"].isna().sum() == 2


def test_what_stands_twice_is_found_in_any_order() -> None:
    rows = [{"file": "a.wav", "start_time": float(i), "end_time": i + 1.0} for i in range(3)]
    clips = Clips.from_rows("root", [*rows, {"file": "b.wav"}, {"file": "a.wav"}])
    assert clips.standing_twice() == ""
    doubled = clips[[4, 0, 3, 2, 0]]
    assert doubled.standing_twice() == clips.ids[0]
    assert clips[[4, 2, 4]].standing_twice() == "b.wav"


def test_joined_rows_point_at_the_same_files_in_order(tmp_path: Path) -> None:
    rows = [{"file": name, "labels": "dog"} for name in ("x.wav", "y.wav")]
    first = Clips.from_rows(tmp_path / "a", rows)
    second = Clips.from_rows(tmp_path / "b" / "c", [{"file": "x.wav"}])
    joined = join(first, second)
    assert joined.paths == [*first.paths, *second.paths]
    assert joined.labels == (("dog",), ("dog",), ())
    assert len(set(joined.ids)) == 3
    assert joined.target().tolist() == [0, 0, -1]
