"""Named random streams, and files that are either whole or not there."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from semisonic.core.files import content_hash, digest, read_json, replacing, write_json, write_text
from semisonic.core.seeds import derive, generator, torch_generator


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
    with pytest.raises(TypeError, match="object is no plain value"):
        digest(object())


def test_a_file_that_failed_leaves_the_old_one(tmp_path) -> None:
    file = tmp_path / "new" / "a.txt"
    write_text(file, "old")

    def fail() -> None:
        with replacing(file) as part:
            part.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert file.read_text() == "old"
    assert [path.name for path in file.parent.iterdir()] == ["a.txt"]


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
