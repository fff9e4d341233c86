"""One function decides what a label is, the same at every door."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semisonic.classifier.sounds import as_sounds
from semisonic.core.errors import DataError
from semisonic.data.datasets.load import load_clips

_NAMES = st.text("abcéßдع水 -._&'", min_size=1, max_size=8).filter(
    lambda text: text.strip() and text.strip()[0] not in "'-"
)
_ROWS = st.lists(st.lists(_NAMES, max_size=3, unique_by=lambda n: " ".join(n.split())), min_size=1)
_FORMS = {
    "separated": ";".join,
    "Python": repr,
    "JSON": json.dumps,
    "a list": list,
    "an array": lambda row: np.array(row, dtype=object),
    "bytes": lambda row: [np.bytes_(name.encode()) for name in row],
}


def _frame(cells: list[Any]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "file": [f"{i}.wav" for i in range(len(cells))],
            "species": pd.Series(cells, dtype=object),
        }
    )


@pytest.mark.parametrize("form", _FORMS)
@given(rows=_ROWS)
def test_all_forms_of_labels_are_the_same_in_a_frame_and_beside_files(
    form: str, rows: list[list[str]]
) -> None:
    frame = _frame([_FORMS[form](row) for row in rows])
    expected = tuple(tuple(" ".join(name.split()) for name in row) for row in rows)
    assert as_sounds(frame).clips.labels == expected
    assert as_sounds(frame.file, frame.species).clips.labels == expected


@pytest.mark.parametrize("form", ["separated", "Python", "JSON"])
def test_a_table_has_the_labels_of_a_frame(form: str, tmp_path: Path) -> None:
    rows = [["dog"], ["cat", "dog"], [], ["frog's call", "cat"]]
    frame = _frame([_FORMS[form](row) for row in rows])
    table = tmp_path / "labels.csv"
    frame.to_csv(table, index=False, quoting=csv.QUOTE_ALL)
    clips = load_clips(table, allow_missing=True)
    assert clips.labels == tuple(map(tuple, rows)) == as_sounds(frame).clips.labels


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (np.array(["dog", "cat"], "S"), (("dog",), ("cat",))),
        (["[cat, dog]", "['cat' 'dog']"], (("cat", "dog"), ("cat", "dog"))),
        ([np.True_, False], (("True",), ("False",))),
        ([3.0, np.nan], (("3",), ())),
        ([{"b", "a"}, ""], (("a", "b"), ())),
    ],
)
def test_labels_of_other_programs(cells: Any, labels: Any) -> None:
    assert as_sounds(["0.wav", "1.wav"], cells).clips.labels == labels


@pytest.mark.parametrize(
    "same", ["cafe\u0301", "caf\u00e9\u200b", "\ufeffcaf\u00e9", "ca\u00adfé", " café\u00a0"]
)
def test_names_that_look_alike_are_one_class(same: str, tmp_path: Path) -> None:
    assert as_sounds(["0.wav", "1.wav"], ["caf\u00e9", same]).clips.classes == ("caf\u00e9",)
    table = tmp_path / "labels.csv"
    table.write_text(f"file,label\n0.wav,caf\u00e9\n1.wav,{same}\n", encoding="utf-8")
    assert load_clips(table, allow_missing=True).classes == ("caf\u00e9",)
    for folder in ("caf\u00e9", same.strip("\u00a0 ")):
        (tmp_path / "sounds" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "sounds" / folder / f"{len(folder)}.wav").touch()
    assert load_clips(tmp_path / "sounds").classes == ("caf\u00e9",)


@pytest.mark.parametrize("bad", ["d\x1b[31mog", "d\x07og", "\u200b\ufeff"])
def test_names_that_cannot_be_read_are_refused_with_their_row(bad: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1\.wav|row 1"):
        as_sounds(["0.wav", "1.wav"], ["cat", bad])
    table = tmp_path / "labels.csv"
    table.write_text(f"file,label\n0.wav,cat\n1.wav,{bad}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"labels\.csv, row 3"):
        load_clips(table, allow_missing=True)
    (tmp_path / "sounds" / bad).mkdir(parents=True)
    (tmp_path / "sounds" / bad / "0.wav").touch()
    with pytest.raises(DataError):
        load_clips(tmp_path / "sounds")


@pytest.mark.parametrize("wrong", ["dog", {"0.wav": "dog"}, 3])
def test_what_is_no_sequence_of_labels_is_refused(wrong: Any) -> None:
    with pytest.raises(DataError):
        as_sounds(["0.wav"], wrong)


def test_a_continuous_value_is_no_label() -> None:
    assert as_sounds(["0.wav", "1.wav"], [1.0, 2.0]).clips.classes == ("1", "2")
    with pytest.raises(DataError):
        as_sounds(["0.wav", "1.wav"], [1.0, 1.5])
