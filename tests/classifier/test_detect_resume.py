"""A detection that is killed goes on, and ends as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from detecting_sounds import long_wave
from tiny_sounds import RATE

from systems import POSIX
from waiting import until

# Parts of two seconds, each slowed down, so that there is a middle to be killed in.
SCRIPT = """
import sys, time
from pathlib import Path
from semisonic.data import cache as journal
from semisonic.classifier.detection.detect import run_detect
from semisonic.classifier.detection import frame_scores as grid
from semisonic.classifier.options import EventOptions
journal.FLUSH_INTERVAL = 0.01
grid.SPAN = 2.0
real = grid.packed
def slow(scores):
    time.sleep(float(sys.argv[4]))
    return real(scores)
grid.packed = slow
model, files, output = map(Path, sys.argv[1:4])
run_detect(model, (files,), output, EventOptions(), device="cpu", workers=2)
"""


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    sf.write(folder / "a.wav", long_wave(), RATE)
    sf.write(folder / "b.flac", np.roll(long_wave(17.3), 4321), 2 * RATE)
    return folder


def start(model: Path, files: Path, output: Path, delay: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", SCRIPT, str(model), str(files), str(output), str(delay)]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


@POSIX
def test_kill_9_at_any_time(
    detector: Path, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from semisonic.classifier.detection import frame_scores as grid
    from semisonic.classifier.detection.detect import run_detect
    from semisonic.classifier.options import EventOptions

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    journal = killed / "scores" / "journal.jsonl"
    for limit in (3, 8):
        process = start(detector, recordings, killed, 0.15)
        until(
            lambda limit=limit: journal.exists() and journal.read_bytes().count(b"\n") > limit,
            process,
        )
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    monkeypatch.setattr(grid, "SPAN", 2.0)
    for output in (killed, whole):
        run_detect(detector, (recordings,), output, EventOptions(), device="cpu")
    events = (whole / "events.csv").read_bytes()
    assert (killed / "events.csv").read_bytes() == events
    assert events.count(b"\n") > 4
    lines = journal.read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(set(lines)) > 10


def test_torn_scores_are_computed_again(detector: Path, recordings: Path, tmp_path: Path) -> None:
    from semisonic.classifier.detection.detect import detect

    first = detect(detector, recordings, output=tmp_path, device="cpu")
    scores = tmp_path / "data.bin"
    with scores.open("r+b") as stream:
        stream.truncate(scores.stat().st_size - 100)
    again = detect(detector, recordings, output=tmp_path, device="cpu")
    assert 0 < again.scored_seconds < 28
    assert again.events.equals(first.events)
    (tmp_path / "journal.jsonl").write_bytes(b"\x00nonsense\n")
    assert detect(detector, recordings, output=tmp_path, device="cpu").scored_seconds > 28


def test_parts_do_not_change_what_is_found(
    detector: Path, recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from semisonic.classifier.detection import frame_scores as grid
    from semisonic.classifier.detection.detect import detect

    path = recordings / "a.wav"  # at the model's rate, so that no resampler begins anew
    whole = detect(detector, path, device="cpu").events
    for seconds in (0.5, 1.7, 6.0):
        monkeypatch.setattr(grid, "SPAN", seconds)
        parts = detect(detector, path, device="cpu").events
        assert parts["label"].tolist() == whole["label"].tolist()
        for column in ("start_time", "end_time", "score"):
            np.testing.assert_allclose(parts[column], whole[column], atol=1e-4)


def _peak(model: Path, recording: Path) -> float:
    """Megabytes that a detection takes beside its imports."""
    code = f"""
import resource
from semisonic.classifier.detection.detect import detect
from semisonic.classifier.model_file import open_model
model = open_model({str(model)!r})
detect(model, {str(recording.with_name("short.wav"))!r}, device="cpu", workers=1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
detect(model, {str(recording)!r}, device="cpu", workers=1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return float(done.stdout) / unit


@POSIX
def test_memory_does_not_grow_with_length(detector: Path, tmp_path: Path) -> None:
    sf.write(tmp_path / "short.wav", long_wave(), RATE)
    with sf.SoundFile(tmp_path / "long.wav", "w", RATE, 1) as stream:
        for _ in range(60):  # 20 minutes: 38 MB as float32, more as features
            stream.write(long_wave())
    assert _peak(detector, tmp_path / "long.wav") < 25
