"""The benchmark of a quarter of a million clips, with forty."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from semisonic.core.files import read_json
from waiting import LONG

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_every_part_is_measured(tmp_path):
    output = tmp_path / "results.json"
    words = ["--clips", "40", "--seconds", "0.5", "--kill", "--workers", "1"]
    words += ["--work", str(tmp_path), "-o", str(output)]
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "quarter_million.py"), *words],
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    assert done.returncode == 0, done.stderr
    found = read_json(output)["clips"]["40"]
    parts = {"list", "store", "resumed", "features", "again", "epoch"}
    assert set(found) == parts | {"disk_mb"}
    assert all(found[name]["memory_mb"] >= 0 for name in parts)
    assert found["resumed"]["bytes_when_killed"] > 0
    assert found["disk_mb"]["all"] >= found["disk_mb"]["samples"]
