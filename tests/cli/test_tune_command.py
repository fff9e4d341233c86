"""``semisonic tune`` from the command line: what it says, and how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from calls import cli
from systems import POSIX
from waiting import LONG, until

pytest.importorskip("optuna")

RECIPE = """
title = "tiny"
validation = 0.0
[setting]
model = "(2)3c-4fc"
objective = "none"
pool = false
[setting.mel]
sample_rate = 8000
duration = 1.0
n_fft = 256
hop_length = 128
n_mels = 16
[setting.fit]
epochs = 1
[tune]
setting.fit.learning_rate = "1e-4..1e-1 log"
[quick]
"setting.fit.epochs" = 100
"""


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tune") / "sounds"
    size = ["--n-classes", "2", "--clips-per-class", "9", "--n-pool", "1", "--n-folds", "3"]
    short = ["--duration", "1", "--sample-rate", "16000", "--clips-per-recording", "1"]
    assert cli("data synth", folder, size, short, "-q") == 0
    (folder / "tiny.toml").write_text(RECIPE, encoding="utf-8")
    return folder


def arguments(sounds: Path, output: Path) -> list[str]:
    return [
        "tune",
        str(sounds / "tiny.toml"),
        "--data",
        str(sounds / "labels.csv"),
        "-o",
        str(output),
        "--trials",
        "2",
        "--inner-folds",
        "2",
        "--workers",
        "1",
        "--device",
        "cpu",
        "--no-near-copies",
    ]


def test_it_says_what_was_found_and_how_to_measure_it(sounds, tmp_path, tells) -> None:
    run = tmp_path / "run"
    said = tells(0, arguments(sounds, run), "-q").out
    assert "fit.learning_rate" in said
    assert "optimistic" in said
    assert f"report: {run / 'report.html'}" in said
    command = said.splitlines()[-1].strip()
    assert command.startswith(f"semisonic run {run / 'best.toml'} --data {sounds / 'labels.csv'}")
    assert (run / "tables" / "trials.csv").is_file()
    assert cli(command.split()[1:-1], tmp_path / "test", "--dry-run") == 0


@POSIX
def test_an_interrupt_gives_130_and_the_same_command_goes_on(sounds, tmp_path) -> None:
    run = tmp_path / "run"
    line = [*arguments(sounds, run), "--quick"]
    process = subprocess.Popen(
        [sys.executable, "-m", "semisonic", *line],
        stderr=subprocess.PIPE,
        text=True,
        stdout=subprocess.DEVNULL,
    )
    until(lambda: any(run.glob("jobs/*/job.json")), process)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=LONG)[1]
    assert process.returncode == 130
    assert "The same command continues" in said
    done = {file: file.stat().st_mtime_ns for file in run.glob("jobs/*/job.json")}
    assert done
    assert cli(line, "-q") == 0
    assert all(file.stat().st_mtime_ns == then for file, then in done.items())
