"""The file of a key table: what is on the disk when, and what a kill or a cut costs."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.data import cache as module
from semisonic.data.cache import KeyTable

ONE, TWO = (("a",), (1,), None), (("ü\n\udc80", 0.1), (), [1, "x"])


def line(*records):
    return json.dumps(records, separators=(",", ":")).encode() + b"\n"


def test_the_newest_value_of_each_key_is_kept(tmp_path):
    for records in ([ONE, TWO], [(("a",), (2,), "new")]):
        with KeyTable(tmp_path / "j") as table:
            table.add(*records)
    with KeyTable(tmp_path / "j") as table:
        assert table.items() == [(("a",), (2,), "new"), TWO]
        assert (table.get(("a",), (2,)), table.get(("a",), (1,))) == ("new", None)


def test_data_come_first_and_once(tmp_path, monkeypatch):
    path, seen = tmp_path / "j", []
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    with KeyTable(path, lambda: seen.append(path.read_bytes())) as table:
        table.add(ONE)
        assert path.read_bytes() == b""  # work waits for a moment
        now += module.FLUSH_INTERVAL
        table.add(TWO)
        assert path.read_bytes() == line(ONE) + line(TWO)
        table.flush()
        table.add(ONE)
    assert seen == [b"", line(ONE) + line(TWO)]


@pytest.mark.parametrize(("fails", "kept"), [("data", b""), ("table", line(ONE))])
def test_a_stop_while_the_disk_is_at_work_doubles_nothing(tmp_path, monkeypatch, fails, kept):
    stops = iter([KeyboardInterrupt])

    def stop(*_):
        for one in stops:
            raise one

    def fail():
        raise KeyboardInterrupt

    if fails == "table":
        monkeypatch.setattr(module, "sync", stop)
    before = fail if fails == "data" else lambda: None
    with pytest.raises(KeyboardInterrupt), KeyTable(tmp_path / "j", before) as table:  # noqa: PT012
        table.add(ONE)
        table.flush()
    assert (tmp_path / "j").read_bytes() == kept


@settings(max_examples=60, deadline=None)
@given(n=st.integers(0, 4), cut=st.integers(0, 9000), size=st.sampled_from([1, 5, 5000]))
def test_a_cut_loses_the_last_line_alone(tmp_path_factory, n, cut, size):
    path = tmp_path_factory.mktemp("journal") / "j"
    lines = [line(((str(i),), (), "x" * size)) for i in range(n)]
    whole = b"".join(lines)
    path.write_bytes(whole[:cut])
    n_whole = whole[:cut].count(b"\n")
    with KeyTable(path) as table:
        assert [key for key, *_ in table.items()] == [(str(i),) for i in range(n_whole)]
        table.add(ONE)
    assert path.read_bytes() == b"".join(lines[:n_whole]) + line(ONE)
