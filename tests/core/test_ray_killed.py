"""What is killed in the middle of a detection goes on, and ends as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from calls import cli
from semisonic.classifier.detection import frame_scores
from systems import POSIX
from waiting import LONG, until

pytestmark = pytest.mark.slow

N = 15  # recordings with something to hear, each of one part

# Each call takes a few windows only, so that there are many calls.
SCRIPT = """
import sys
from semisonic.data import cache as journal
from semisonic.classifier.detection import frame_scores
from semisonic.cli.main import main
journal.FLUSH_INTERVAL = 0.01
frame_scores.CALL_DURATION = 0.1
sys.exit(main(sys.argv[1:]))
"""


def command(model: Path, sounds: Path, output: Path) -> list[str]:
    fixed = ["--threshold", "0.2", "--device", "cpu", "--hop", "0.01", "-q"]
    return ["detect", str(model), str(sounds), "-o", str(output), *fixed]


def lines(output: Path) -> list[str]:
    journal = output / "scores" / "journal.jsonl"
    return journal.read_text(encoding="utf-8").splitlines() if journal.is_file() else []


@pytest.fixture(scope="module")
def here(model, sounds, tmp_path_factory) -> Path:
    """What one machine makes."""
    output = tmp_path_factory.mktemp("here")
    assert cli(command(model, sounds, output)) == 3
    return output


def check(there: Path, here: Path) -> None:
    """The same scores in the same order, each once, and the same events."""
    for name in ("events.csv", "scores/data.bin"):
        assert (there / name).read_bytes() == (here / name).read_bytes()
    assert len(set(lines(there))) == len(lines(there)) == N


def test_a_node(model, sounds, tmp_path, cluster, here, doomed, monkeypatch) -> None:
    from semisonic.data import cache as journal

    monkeypatch.setattr(journal, "FLUSH_INTERVAL", 0.01)
    monkeypatch.setattr(frame_scores, "CALL_DURATION", 0.1)
    killer = doomed(lambda _: len(lines(tmp_path)) > 3)
    more = ["--engine", "ray", "--address", cluster]
    assert cli(command(model, sounds, tmp_path), more) == 3
    killer.join(5)
    assert not killer.is_alive()
    check(tmp_path, here)


@POSIX
@pytest.mark.long
def test_the_driver(model, sounds, tmp_path, cluster, here) -> None:
    more = ["--engine", "ray", "--address", cluster]
    start = [sys.executable, "-c", SCRIPT, *command(model, sounds, tmp_path), *more]
    for how, status, n in ((signal.SIGINT, 130, 3), (signal.SIGKILL, -9, 7)):
        with subprocess.Popen(start, stderr=subprocess.PIPE, text=True) as process:
            until(lambda n=n: len(lines(tmp_path)) > n, process)
            process.send_signal(how)
            _, said = process.communicate(timeout=LONG)
            assert process.returncode == status, said
            assert "Traceback" not in said
    there = len(lines(tmp_path))
    assert there < N
    assert cli(command(model, sounds, tmp_path), more) == 3
    check(tmp_path, here)


def _marked(mark: str) -> list[str]:
    """The names of processes that were started with a mark in their environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:80])
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc")
@pytest.mark.long
def test_a_ray_of_this_machine_ends_with_the_command(model, sounds, tmp_path, here) -> None:
    mark = f"semisonic-{uuid.uuid4()}"
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    start = [sys.executable, "-c", SCRIPT, *command(model, sounds, tmp_path), "--engine", "ray"]
    environment["SEMISONIC_MARK"] = mark
    done = subprocess.run(start, env=environment, capture_output=True, text=True, timeout=LONG)
    assert done.returncode == 3, done.stderr
    check(tmp_path, here)
    until(lambda: not _marked(mark))
