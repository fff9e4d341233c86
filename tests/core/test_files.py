"""Named random streams, and files that are either whole or not there; CSV that is no formula."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semisonic.core.files import (
    content_hash,
    digest,
    path_from,
    read_csv,
    read_json,
    replacing,
    write_csv,
    write_json,
    write_text,
)
from semisonic.core.seeds import derive, generator, torch_generator
from semisonic.data.tables import read_table
from semisonic.labeling.label_log import LabelLog


def test_streams_depend_on_their_names_alone() -> None:
    first = generator(0, "split", 2).random(3)
    generator(0, "other").random(100)
    assert (generator(0, "split", 2).random(3) == first).all()
    assert len({derive(s, *n) for s in (0, 1) for n in (("a",), ("b",), ("a", "b"))}) == 6
    assert derive(0, "a", "b") != derive(0, "ab")
    assert 0 <= derive(3, "x") < 2**63
    assert torch_generator(0, "x").initial_seed() == derive(0, "x")


def test_seeds_are_the_same_on_every_machine() -> None:
    assert derive(0, "split", "fold 2") == 6_444_411_654_671_875_796


def test_names_that_are_no_unicode_make_seeds_and_hashes() -> None:
    assert derive(0, "a\udcff") != derive(0, "a\udcfe")
    assert digest("a\udcff") != digest("a\udcfe")


def test_a_hash_of_options_tells_every_field_and_of_an_object_is_refused():
    @dataclass(frozen=True)
    class Hidden:
        n: int = field(default=1, repr=False)

    assert digest(Hidden()) == digest(Hidden(1)) != digest(Hidden(2))
    assert digest([Path("a"), np.int64(3)]) == digest([Path("a"), 3]) != digest([Path("b"), 3])
    with pytest.raises(TypeError, match="object is not a plain value"):
        digest(object())


def test_a_file_that_failed_leaves_the_old_one(tmp_path) -> None:
    file = tmp_path / "new" / "a.txt"
    write_text(file, "old")

    def fail() -> None:
        with replacing(file) as part:
            part.write_text("half", encoding="utf-8")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert file.read_text(encoding="utf-8") == "old"
    assert [path.name for path in file.parent.iterdir()] == ["a.txt"]


def test_a_text_has_the_same_bytes_on_every_system(tmp_path) -> None:
    write_text(tmp_path / "a.txt", "ä\nb\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa4\nb\n"


def test_json_holds_any_name(tmp_path) -> None:
    values = {"file": "caf\u00e9 \udcff.wav", "n": [1, None]}
    write_json(tmp_path / "a.json", values)
    assert read_json(tmp_path / "a.json") == values
    assert "caf\u00e9" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_hashes_tell_contents_apart(tmp_path) -> None:
    for name, data in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(data)
    a, b, c = (content_hash(tmp_path / name) for name in "abc")
    assert a == b != c


CELLS = st.text(
    st.one_of(
        st.sampled_from("=+-@'\t;,\"1. "), st.characters(codec="utf-8", exclude_characters="\0")
    ),
    max_size=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cells=st.lists(st.tuples(CELLS, CELLS), min_size=1))
def test_every_text_comes_back_and_none_is_a_formula(tmp_path, cells) -> None:
    path = tmp_path / "table.csv"
    write_csv(path, ["a", "b"], cells)
    assert [(row["a"], row["b"]) for row in read_csv(path)] == cells
    with path.open(newline="", encoding="utf-8") as stream:
        _, *raw = csv.reader(stream)
    for cell in (cell for row in raw for cell in row):
        if cell[:1] in ("=", "@", "\t", "\r"):
            raise AssertionError(cell)
        if cell[:1] in ("+", "-"):
            float(cell)


def test_numbers_stay_numbers(tmp_path) -> None:
    path = tmp_path / "table.csv"
    write_csv(path, ["a"], [[-1.5], ["-1.500"], [-3], ["+2e-05"], ["-.5"]])
    assert path.read_text(encoding="utf-8") == "a\n-1.5\n-1.500\n-3\n+2e-05\n-.5\n"


def test_headings_and_cells_come_back_through_the_reader_of_tables(tmp_path) -> None:
    path = tmp_path / "table.csv"
    write_csv(path, ["file", "=label"], [["-a.wav", "@b"], ["'c.wav", "-0.5"]])
    table = read_table(path)
    assert table.names == ("file", "=label")
    assert [row.cells for row in table.rows] == [("-a.wav", "@b"), ("'c.wav", "-0.5")]


def test_a_path_on_another_drive_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert path_from(tmp_path / "a" / "b.wav", tmp_path / "c") == "../a/b.wav"

    def no_way(path: object, start: object = None) -> str:
        raise ValueError("path is on mount 'C:', start on mount 'D:'")

    monkeypatch.setattr(os.path, "relpath", no_way)
    assert path_from(tmp_path / "b.wav", tmp_path / "c") == (tmp_path / "b.wav").as_posix()
    (tmp_path / "sounds").mkdir()
    log = LabelLog(tmp_path / "labels.jsonl", tmp_path / "sounds")
    log.append("b.wav", 0.0, 1.0, "dog")
    assert LabelLog(tmp_path / "labels.jsonl").root == tmp_path / "sounds"
