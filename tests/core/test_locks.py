"""Locks between processes, and the package where the system is not POSIX."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from semisonic.audio.write import write
from semisonic.core.errors import OptionError
from semisonic.core.files import FolderLock, exclusive, locked
from semisonic.training.run_folder import RunFolder
from systems import POSIX

COUNT = """
import sys
from pathlib import Path
from semisonic.core.files import exclusive
file = Path(sys.argv[1]) / "number"
for _ in range(int(sys.argv[2])):
    with exclusive(file.with_name(".lock")):
        file.write_text(str(int(file.read_text()) + 1))
"""
WITHOUT_POSIX = """
import asyncio, os, signal, sys  # asyncio of this system asks for fcntl
for name in ("fcntl", "resource"):
    sys.modules[name] = None
for name in ("pread", "pwrite", "fdatasync", "setpgrp", "killpg", "geteuid", "sched_getaffinity"):
    vars(os).pop(name, None)
for name in ("pthread_sigmask", "SIGKILL", "SIGHUP"):
    vars(signal).pop(name, None)
"""
WORK = """
import os, sys
from pathlib import Path
from semisonic.cli.main import main
from semisonic.data.datasets.load import load_clips
from semisonic.data.stores import SampleStore
from semisonic.core.parallel import PROCESS_ENGINE, allow_processes
from semisonic.labeling.label_log import LabelLog

def work():
    sounds, out = map(Path, sys.argv[1:])
    assert not hasattr(os, "pread")
    short = ["--method", "supervised", "--model", "(4)3c-2p-8fc"]
    front = ["--sample-rate", "8000", "--duration", "0.5", "--n-mels", "16"]
    args = ["train", str(sounds), *short, *front, "--epochs", "1", "-o", str(out / "run")]
    assert main(args) == 0
    assert main(["predict", str(out / "run"), str(sounds), "-o", str(out / "scores.csv")]) == 0
    allow_processes()
    clips = load_clips(sounds)
    store = SampleStore.build(
        clips, out / "store", sample_rate=8000, workers=2, engine=PROCESS_ENGINE
    )
    assert store.n_decoded == len(clips) and store.wave(3).any()
    log = LabelLog(out / "labels.jsonl", sounds)
    log.append(clips.file[0], 0.0, 0.5, ("a",))
    assert len(log.entries()) == 1

if __name__ == "__main__":
    work()
"""


def test_processes_that_race_for_a_lock_lose_nothing(tmp_path) -> None:
    (tmp_path / "number").write_text("0", encoding="utf-8")
    command = [sys.executable, "-c", COUNT, str(tmp_path), "100"]
    racing = [subprocess.Popen(command) for _ in range(3)]
    assert [one.wait() for one in racing] == [0, 0, 0]
    assert (tmp_path / "number").read_text(encoding="utf-8") == "300"


@POSIX
def test_the_file_of_a_lock_stays_for_those_who_wait_for_it(tmp_path) -> None:
    with RunFolder(tmp_path, "train", {}):
        before = (tmp_path / ".lock").stat().st_ino
    assert (tmp_path / ".lock").stat().st_ino == before


def test_a_folder_is_locked_once(tmp_path) -> None:
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    first.acquire()
    with pytest.raises(OptionError, match="another process is writing to this run"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


def test_a_disk_without_locks_locks_all_the_same(tmp_path, monkeypatch) -> None:
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with exclusive(tmp_path / "lock"), locked(tmp_path / "lock", wait=False) as got:
        assert not got
    with locked(tmp_path / "lock", wait=False) as got:
        assert got


@pytest.mark.slow
def test_training_stores_and_answers_need_no_posix(tmp_path) -> None:
    (tmp_path / "python").mkdir()
    (tmp_path / "python" / "sitecustomize.py").write_text(WITHOUT_POSIX, encoding="utf-8")
    (tmp_path / "work.py").write_text(WORK, encoding="utf-8")
    rng = np.random.default_rng(0)
    for i in range(16):
        (tmp_path / "sounds" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        file = tmp_path / "sounds" / "ab"[i % 2] / f"{i}.wav"
        write(file, 0.1 * rng.standard_normal(4000).astype(np.float32), 8000)
    paths = [str(tmp_path / "python"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, str(tmp_path / "work.py"), str(tmp_path / "sounds"), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
