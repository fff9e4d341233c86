"""How speeds are compared: a regression is seen, noise is not, and results can be read."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from waiting import LONG

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
RESULTS = BENCHMARKS / "results" / "bench"


def check(new: Path) -> tuple[int, str]:
    """The exit status of benchmarks/check.py, and what it prints."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        patch.syspath_prepend(str(BENCHMARKS))
        patch.setattr(sys, "argv", ["check.py", str(new)])
        status = importlib.import_module("check").main()
    return status, said.getvalue()


def slower(folder: Path, part: str, row: int, factor: float) -> Path:
    """The committed results with one ratio divided."""
    for file in RESULTS.glob("*.json"):
        found = json.loads(file.read_text(encoding="utf-8"))
        if file.stem == part:
            for name in ("ratio", "low", "high"):
                found["rows"][row][name] /= factor
        (folder / file.name).write_text(json.dumps(found), encoding="utf-8")
    return folder


def test_committed_results_agree_with_themselves() -> None:
    command = [sys.executable, str(BENCHMARKS / "check.py"), str(RESULTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONG)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ratios are as they were" in done.stdout


def test_a_regression_is_seen_and_noise_is_not(tmp_path: Path) -> None:
    status, said = check(slower(tmp_path, "frontend", 0, 1.1))
    assert status == 0, said
    status, said = check(slower(tmp_path, "frontend", 0, 2.0))
    assert status == 1
    assert "slower: front end: 60 x 216 (1024/512, 22.05 kHz) / librosa" in said


def test_a_missing_row_is_seen_and_a_missing_part_is_passed_over(tmp_path: Path) -> None:
    slower(tmp_path, "", 0, 1.0)
    (tmp_path / "store_throughput.json").unlink()
    assert check(tmp_path)[0] == 0
    file = tmp_path / "frontend.json"
    found = json.loads(file.read_text(encoding="utf-8"))
    del found["rows"][0]
    file.write_text(json.dumps(found), encoding="utf-8")
    status, said = check(tmp_path)
    assert status == 1
    assert "missing" in said


def test_every_part_has_committed_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for part in importlib.import_module("bench").PARTS:
        found = json.loads((RESULTS / f"{part}.json").read_text(encoding="utf-8"))
        assert found["rows"], part
        assert found["commit"], part
        assert found["machine"]["cpu"], part
