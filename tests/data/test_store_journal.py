from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.data import cache as module
from semisonic.data.cache import Journal


def nothing():
    pass


def test_records_are_kept(tmp_path):
    path = tmp_path / "j"
    records = [["a", 1, None], ["ü\n\udc80", 0.1, []]]
    for record in records:
        with Journal(path, nothing) as journal:
            journal.append(record)
    with Journal(path, nothing) as journal:
        assert list(journal.records()) == records
        journal.append(["last"])
        assert list(journal.records()) == [*records, ["last"]]


def test_data_come_first(tmp_path):
    path = tmp_path / "j"
    seen = []
    with Journal(path, lambda: seen.append(path.read_bytes())) as journal:
        journal.append([1])
        journal.flush()
        journal.flush()
        journal.append([2])
    assert seen == [b"", b"[1]\n"]
    assert path.read_bytes() == b"[1]\n[2]\n"


def test_nothing_is_written_when_the_data_cannot_be(tmp_path):
    def fail():
        raise OSError

    with pytest.raises(OSError), Journal(tmp_path / "j", fail) as journal:
        journal.append([1])
    assert (tmp_path / "j").read_bytes() == b""


def test_ctrl_c_while_the_disk_is_at_work_doubles_nothing(tmp_path, monkeypatch):
    presses = iter([KeyboardInterrupt])

    def sync(_):
        for press in presses:
            raise press

    monkeypatch.setattr(module, "sync", sync)
    with pytest.raises(KeyboardInterrupt), Journal(tmp_path / "j", nothing) as journal:  # noqa: PT012
        journal.append([1])
        journal.flush()
    assert (tmp_path / "j").read_bytes() == b"[1]\n"


def test_work_waits_for_a_moment_only(tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    with Journal(tmp_path / "j", nothing) as journal:
        journal.append([1])
        assert (tmp_path / "j").read_bytes() == b""
        now += module.FLUSH_INTERVAL
        journal.append([2])
        assert (tmp_path / "j").read_bytes() == b"[1]\n[2]\n"


@settings(max_examples=60, deadline=None)
@given(n=st.integers(0, 4), cut=st.integers(0, 9000), size=st.sampled_from([1, 5, 5000]))
def test_a_cut_loses_the_last_line_alone(tmp_path_factory, n, cut, size):
    path = tmp_path_factory.mktemp("journal") / "j"
    lines = [f'["{i}","{"x" * size}"]\n'.encode() for i in range(n)]
    whole = b"".join(lines)
    path.write_bytes(whole[:cut])
    n_whole = whole[:cut].count(b"\n")
    with Journal(path, nothing) as journal:
        assert [record[0] for record in journal.records()] == [str(i) for i in range(n_whole)]
        journal.append(["new"])
    assert path.read_bytes() == b"".join(lines[:n_whole]) + b'["new"]\n'
