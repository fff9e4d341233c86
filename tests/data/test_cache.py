"""What is kept of finished work: what is on the disk when, and what a kill or a cut costs."""

from __future__ import annotations

import json
import os
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.core.errors import DataError
from semisonic.data import cache as module
from semisonic.data.cache import ArrayCache, KeyTable, file_facts, need_disk_space
from semisonic.data.clips import Clips

ONE, TWO = (("a",), (1,), None), (("ü\n\udc80", 0.1), (), [1, "x"])


def line(*records):
    text = json.dumps(records, separators=(",", ":")).encode()
    return f"{zlib.crc32(text):08x} ".encode() + text + b"\n"


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


def test_lines_of_earlier_versions_are_read(tmp_path):
    (tmp_path / "j").write_bytes(json.dumps([ONE, TWO]).encode() + b"\n")
    with KeyTable(tmp_path / "j") as table:
        assert table.items() == [ONE, TWO]


@given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit_never_gives_another_value(tmp_path_factory, place, bit):
    path = tmp_path_factory.mktemp("journal") / "j"
    with KeyTable(path) as table:
        table.add((("a",), (1,), 2.5))
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1 << bit
    path.write_bytes(data)
    with KeyTable(path) as table:
        assert table.get(("a",), (1,)) in (None, 2.5)


@pytest.fixture
def clips(tmp_path):
    root = tmp_path / "files"
    root.mkdir()
    for i in range(70):
        (root / f"{i:02d}.wav").write_bytes(b"x" * i)
    return Clips.from_rows(root, [{"file": f"{i:02d}.wav"} for i in range(70)])


class Sizes:
    """Counts how often it is asked."""

    def __init__(self):
        self.asked: list[str] = []

    def __call__(self, path):
        self.asked.append(path.name)
        return float(path.stat().st_size) if path.exists() else None


def facts(clips, cache):
    sizes = Sizes()
    return file_facts(clips, clips.file.tolist(), sizes, "size", cache=cache), sorted(sizes.asked)


def test_only_new_and_changed_files_are_opened(clips, tmp_path):
    cache = tmp_path / "cache"
    first, asked = facts(clips, cache)
    assert first == list(range(70))
    assert len(asked) == 70
    assert facts(clips, cache) == (first, [])
    (clips.root / "03.wav").write_bytes(b"longer")
    os.utime(clips.root / "05.wav", ns=(1, 1))
    (clips.root / "07.wav").unlink()
    again, asked = facts(clips, cache)
    assert asked == ["03.wav", "05.wav", "07.wav"]
    assert again[3] == 6
    assert again[5] == 5
    assert again[7] is None
    assert facts(clips, cache)[1] == ["07.wav"], "what cannot be worked out is tried again"


def test_without_a_folder_nothing_is_kept(clips):
    assert facts(clips, None) == facts(clips, None)
    assert len(facts(clips, None)[1]) == 70


def test_another_folder_of_recordings_has_facts_of_its_own(clips, tmp_path):
    facts(clips, tmp_path / "cache")
    os.rename(clips.root, tmp_path / "moved")
    moved = clips.with_columns(root=tmp_path / "moved")
    assert len(facts(moved, tmp_path / "cache")[1]) == 70


def test_a_torn_journal_costs_its_last_line(clips, tmp_path):
    cache = tmp_path / "cache"
    facts(clips, cache)
    (journal,) = (cache / "files").glob("*.jsonl")
    journal.write_bytes(journal.read_bytes()[:-5])
    found, asked = facts(clips, cache)
    assert found == list(range(70))
    assert len(asked) == 1


def test_a_small_disk_is_told_before(tmp_path):
    need_disk_space(tmp_path / "new" / "folder", 1000, "samples")
    with pytest.raises(DataError, match=r"features of 5 clips needs 1000000.0 GB more, but"):
        need_disk_space(tmp_path / "new", 10**15, "features of 5 clips")
    assert not (tmp_path / "new").exists()


@settings(max_examples=30, deadline=None)
@given(place=st.integers(0, 79), bit=st.integers(0, 7))
def test_rows_with_a_flipped_bit_are_told(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int
) -> None:
    folder, rows = tmp_path_factory.mktemp("cache"), np.arange(20, dtype="<f4")
    about = ("rows", {"step": 1}, "<f4")
    with ArrayCache.open(folder, *about) as cache:
        (written,) = cache.add((("a",), (1,), rows, None))
        assert cache.read(written).tolist() == rows.tolist()
    data = bytearray(cache.data_path.read_bytes())
    data[place] ^= 1 << bit
    cache.data_path.write_bytes(data)
    with ArrayCache.open(folder, *about) as cache:
        found = cache.find(("a",), (1,))
        assert found is not None
        with pytest.raises(DataError):
            cache.read(found)
