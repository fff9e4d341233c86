"""What was worked out of a file is kept as long as the file stays as it is."""

from __future__ import annotations

import os

import pytest

from semisonic.core.errors import DataError
from semisonic.data.cache import file_facts, need_disk_space
from semisonic.data.clips import Clips


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
    with pytest.raises(DataError, match=r"features of 5 clips will take 1000000.0 GB more, and"):
        need_disk_space(tmp_path / "new", 10**15, "features of 5 clips")
    assert not (tmp_path / "new").exists()
