"""Temporary folders go when they are not needed any more, however their process ends."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from semisonic.core.files import locked
from semisonic.core.temporary import temporary_folder
from systems import LINKS

HOLDING = """
import sys
from semisonic.core.temporary import temporary_folder
with temporary_folder() as folder:
    (folder / "big.bin").write_bytes(bytes(1000))
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@LINKS
def test_what_a_killed_process_left_goes_and_nothing_else(place) -> None:
    others = [place / name for name in ("semisonic-notes", "elsewhere", "semisonic-link")]
    others[0].mkdir()
    others[1].mkdir()
    command = [sys.executable, "-c", HOLDING]
    with subprocess.Popen(
        command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        left = Path(process.stdout.readline().strip())
        others[2].symlink_to(left, target_is_directory=True)
        with temporary_folder() as mine:
            assert left.is_dir()  # its process lives
            process.kill()
            process.wait()
            (mark,) = (path for path in left.iterdir() if path.name != "big.bin")
            with locked(mark, wait=True):
                pass
            with temporary_folder() as next_one:
                assert not left.exists()
                assert mine.is_dir()
                assert next_one.is_dir()
    assert sorted(place.iterdir()) == sorted(others)
