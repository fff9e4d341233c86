from __future__ import annotations

import os
from pathlib import Path

import pytest

from semisonic.audio.find import find_audio
from semisonic.core.errors import DataError
from systems import LINKS, POSIX


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in find_audio(root)]


def test_finds_recordings_below_a_folder_whatever_the_case(tmp_path: Path) -> None:
    touch(tmp_path, "b/x.WAV", "a.flac", "b/c/d.Mp3", "notes.txt", "b/picture.png", "wav")
    assert names(tmp_path) == ["a.flac", "b/c/d.Mp3", "b/x.WAV"]


def test_order_is_that_of_the_whole_path(tmp_path: Path) -> None:
    touch(tmp_path, "b.wav", "a/z.wav", "a b/y.wav", "a.wav", "C.wav")
    assert names(tmp_path) == sorted(["b.wav", "a/z.wav", "a b/y.wav", "a.wav", "C.wav"])


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "x.wav", "._x.wav", ".cache/y.wav")
    assert names(tmp_path) == ["x.wav"]


@LINKS
def test_a_link_to_a_folder_is_followed_once_and_cycles_end(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    touch(root, "real/x.wav")
    touch(other, "y.wav")
    (root / "real" / "up").symlink_to(root, target_is_directory=True)
    (root / "alias").symlink_to(root / "real", target_is_directory=True)
    (root / "elsewhere").symlink_to(other, target_is_directory=True)
    assert names(root) == ["elsewhere/y.wav", "real/x.wav"]


@POSIX
def test_what_is_no_file_is_listed_if_nobody_waits_for_it(tmp_path: Path) -> None:
    """So that whoever reads it says what is wrong; what reads tables would wait for a pipe."""
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "self.wav").symlink_to("self.wav")
    for name in ("pipe.wav", "pipe.txt"):
        os.mkfifo(tmp_path / name)
    found = [path.name for path in find_audio(tmp_path)]
    assert found == ["gone.wav", "pipe.wav", "self.wav"]
    assert find_audio(tmp_path, frozenset([".txt"])) == []


@pytest.mark.parametrize("name", ["missing", "file.wav"])
def test_what_is_no_folder_is_an_error(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "file.wav")
    with pytest.raises(DataError, match=name):
        find_audio(tmp_path / name)


@pytest.mark.skipif(
    getattr(os, "geteuid", int)() == 0, reason="root, and anybody on Windows, may list every folder"
)
def test_a_folder_that_may_not_be_listed_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "closed/x.wav")
    (tmp_path / "closed").chmod(0)
    try:
        with pytest.raises(DataError, match="closed"):
            find_audio(tmp_path)
    finally:
        (tmp_path / "closed").chmod(0o755)


def test_finds_all_of_the_real_sets(shared_data: Path) -> None:
    assert len(find_audio(shared_data / "esc10")) == 400
    assert len(find_audio(shared_data / "odd_files")) == 36
