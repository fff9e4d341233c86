"""A store that is killed, torn, or built by two processes at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile as sf

from semisonic.audio.read import read
from semisonic.data.cache import ArrayCache
from semisonic.data.clips import Clips
from semisonic.data.stores import SampleStore
from systems import POSIX
from waiting import until

RATE = 8000
N = 60

# Builds with every clip slowed down, so that there is a middle to be killed in.
SCRIPT = """
import sys, time
from pathlib import Path
from semisonic.data import cache as journal
from semisonic.data import stores as store
from semisonic.data.clips import Clips
root, folder, delay = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
journal.FLUSH_INTERVAL = 0.01
real = store.decode_clip
def slow(*arguments):
    time.sleep(delay)
    return real(*arguments)
store.decode_clip = slow
clips = Clips.from_rows(root, [{"file": p.name} for p in root.iterdir()])
print(store.SampleStore.build(clips, folder, sample_rate=8000, workers=2).n_decoded)
"""


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "recordings"
    path.mkdir()
    for i in range(N):
        x = np.random.default_rng(i).uniform(-0.5, 0.5, 800 + 10 * i)
        sf.write(path / f"{i:02d}.wav", x, RATE)
    return path


def start(root, folder, delay):
    command = [sys.executable, "-c", SCRIPT, str(root), str(folder), str(delay)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def lines(folder):
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("journal*"))


@pytest.fixture
def folder(root, tmp_path):
    """The folder of a store that was built."""
    build(root, tmp_path / "s")
    return tmp_path / "s"


def build(root, folder):
    clips = Clips.from_rows(root, [{"file": path.name} for path in root.iterdir()])
    return SampleStore.build(clips, folder, sample_rate=RATE, workers=2)


def check(store):
    assert len(store) == N
    for row, path in enumerate(store.clips.paths):
        np.testing.assert_array_equal(store.wave(row), read(path)[0])


@POSIX
def test_a_killed_build_goes_on_where_it_was(root, tmp_path):
    folder = tmp_path / "s"
    finished = 0
    for aim in (8, 30):
        process = start(root, folder, 0.02)
        until(lambda aim=aim: lines(folder) >= aim, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert finished < lines(folder) < N
        finished = lines(folder)
    store = build(root, folder)
    assert store.n_decoded == N - finished
    check(store)
    # Places given out and never finished are used again: the file holds the clips alone,
    # apart from the few that were under way at one of the kills.
    size = next(folder.glob("data*")).stat().st_size
    assert size <= 2 * int(store.n_samples.sum()) + 2 * 2 * 2 * 8 * 1400


@pytest.mark.parametrize("torn", [b"[", b'["59.wav",0.0,null,1', b"\x00\xff", b"\n{}\n[1]\nnull"])
def test_a_torn_journal_line_is_ignored(root, folder, torn):
    journal = next(folder.glob("journal*"))
    whole = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(whole[:-5]) + torn)
    store = build(root, folder)
    assert store.n_decoded == 5
    check(store)
    again = build(root, folder)  # what was appended behind the torn line counts
    assert again.n_decoded == 0
    check(again)


def test_data_that_are_shorter_than_the_journal_are_made_again(root, folder):
    data = next(folder.glob("data*"))
    os.truncate(data, data.stat().st_size // 2)
    store = build(root, folder)
    assert 0 < store.n_decoded < N
    check(store)


def test_two_processes_share_the_work_of_one(root, tmp_path):
    folder = tmp_path / "s"
    with ArrayCache.open(folder, "samples", {"sample_rate": RATE}, "<i2"):
        processes = [start(root, folder, 0.005) for _ in range(2)]
        for process in processes:  # both are there, and wait for us
            assert process.stderr is not None
            assert "waiting for another process" in process.stderr.readline()
        assert lines(folder) == 0
    answers = sorted(process.communicate()[0].split() for process in processes)
    assert answers == [["0"], [str(N)]]
    check(build(root, folder))


def test_an_interrupt_keeps_what_is_finished(root, tmp_path, monkeypatch):
    from semisonic.data import stores as module

    real, count = module.decode_clip, iter(range(1000))

    def interrupted(*arguments):
        if next(count) == 20:
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module, "decode_clip", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build(root, tmp_path / "s")
    assert lines(tmp_path / "s") > 0
    check(build(root, tmp_path / "s"))
