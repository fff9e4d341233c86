"""How speeds are compared: a regression is seen, noise is not, and results can be read."""

from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from waiting import LONG

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
RESULTS = BENCHMARKS / "results" / "bench"


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("measuring")


def check(new: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / "check.py"), str(new), *more]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONG)


def slower(folder: Path, part: str, row: int, factor: float) -> Path:
    """The committed results with one ratio divided."""
    for file in RESULTS.glob("*.json"):
        found = json.loads(file.read_text())
        if file.stem == part:
            for name in ("ratio", "low", "high"):
                found["rows"][row][name] /= factor
        (folder / file.name).write_text(json.dumps(found))
    return folder


def test_committed_results_agree_with_themselves() -> None:
    done = check(RESULTS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ratios are as they were" in done.stdout


def test_a_regression_is_seen_and_noise_is_not(tmp_path: Path) -> None:
    done = check(slower(tmp_path, "frontend", 0, 1.1))
    assert done.returncode == 0, done.stdout
    done = check(slower(tmp_path, "frontend", 0, 2.0))
    assert done.returncode == 1
    assert "slower: front end: 60 x 216 (1024/512, 22.05 kHz) / librosa" in done.stdout


def test_a_missing_row_is_seen_and_a_missing_part_is_passed_over(tmp_path: Path) -> None:
    slower(tmp_path, "", 0, 1.0)
    (tmp_path / "store_throughput.json").unlink()
    assert check(tmp_path).returncode == 0
    file = tmp_path / "frontend.json"
    found = json.loads(file.read_text())
    del found["rows"][0]
    file.write_text(json.dumps(found))
    done = check(tmp_path)
    assert done.returncode == 1
    assert "missing" in done.stdout


def test_nothing_to_compare(tmp_path: Path) -> None:
    assert check(tmp_path).returncode == 2


def busy(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_ways_take_turns_and_are_compared(measuring: Any) -> None:
    order: list[str] = []

    def way(name: str, seconds: float) -> Any:
        return lambda: (order.append(name), busy(seconds))[0]

    times = measuring.take_turns({"a": way("a", 0.01), "b": way("b", 0.02)}, 3)
    assert order == ["b", "a", "a", "b", "b", "a", "a", "b"]
    (row,) = measuring.compare("p", "w", times, ours="a", n=10, against=("b",), limit=("l", 0.005))
    assert row.ours == pytest.approx(1, rel=0.3)
    assert row.ratio == pytest.approx(2, rel=0.3)
    assert row.share == pytest.approx(0.5, rel=0.3)
    assert row.low <= row.ratio <= row.high
    assert "p: w" in measuring.table([row])


def test_time_of_other_processes_is_added(measuring: Any) -> None:
    times = measuring.take_turns({"a": lambda: 5.0}, 2)
    assert all(5 <= seconds < 5.5 for seconds in times["a"])


def test_a_row_is_read_as_it_was_written(measuring: Any) -> None:
    row = measuring.Row("p", "w", "ms", 1.5)
    found = measuring.from_json(json.loads(json.dumps(measuring.as_json(row))))
    assert found.key == row.key
    assert found.ours == 1.5
    assert found.ratio != found.ratio
    assert dataclasses.asdict(found).keys() == dataclasses.asdict(row).keys()


def test_every_part_has_committed_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for part in importlib.import_module("bench").PARTS:
        found = json.loads((RESULTS / f"{part}.json").read_text())
        assert found["rows"], part
        assert found["commit"], part
        assert found["machine"]["cpu"], part
