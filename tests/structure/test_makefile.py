"""What the Makefile would do, without doing it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from waiting import LONG

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make here")


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONG,
    )


def test_run_uses_the_embedded_sounds_unless_told_otherwise() -> None:
    command = make("-n", "run").stdout.splitlines()[-1]
    assert 'semisonic run demo --data "synth"' in command
    assert '-o "runs/demo-synth"' in command
    command = make("-n", "run", "DATA=my sounds/birds/", "UNLABELLED=a pool").stdout.splitlines()[
        -1
    ]
    assert '--data "my sounds/birds/" --unlabelled "a pool" -o "runs/demo-' in command


@pytest.mark.parametrize(
    "target", ["install", "run", "test", "lint", "stub", "docs", "bench", "clean"]
)
def test_every_target_is_there(target: str) -> None:
    done = make("-n", target)
    assert done.returncode == 0, done.stderr


def test_clean_leaves_runs_and_the_environment() -> None:
    commands = make("-n", "clean").stdout
    assert ".pytest_cache" in commands
    assert "runs" not in commands
    assert ".venv" not in commands


def test_an_old_python_is_refused_in_words(tmp_path: Path) -> None:
    old = tmp_path / "python"
    code = "import sys; sys.version_info = (3, 9, 1); exec(sys.argv[2])"
    old.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$@"\n', encoding="utf-8")
    old.chmod(0o755)
    done = make("install", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}")
    assert done.returncode != 0
    assert "needs Python 3.11 or newer, found 3.9" in done.stderr
    assert not (tmp_path / "venv").exists()
