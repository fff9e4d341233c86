"""The benchmark of a quarter of a million clips, with forty."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from semisonic.core.files import read_json
from systems import POSIX

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@POSIX
@pytest.mark.slow
def test_every_part_is_measured(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    benchmark = importlib.import_module("quarter_million")
    run = benchmark.run

    def run_here(name: str, work: Path, arguments: argparse.Namespace) -> dict[str, Any]:
        """The first part in a process of its own, as is what is killed; the rest in this one."""
        if name == "list":
            return run(name, work, arguments)
        return benchmark.part(name, work, arguments.seconds, arguments.rate, arguments.workers)

    monkeypatch.setattr(benchmark, "run", run_here)
    output = tmp_path / "results.json"
    words = ["--clips", "40", "--seconds", "0.5", "--kill", "--workers", "1"]
    words += ["--work", str(tmp_path), "-o", str(output)]
    monkeypatch.setattr(sys, "argv", ["quarter_million.py", *words])
    benchmark.main()
    found = read_json(output)["clips"]["40"]
    parts = {"list", "store", "resumed", "features", "again", "epoch"}
    assert set(found) == parts | {"disk_mb"}
    assert found["list"]["memory_mb"] >= 0  # only a process of its own gives nothing back
    assert found["resumed"]["bytes_when_killed"] > 0
    assert found["disk_mb"]["all"] >= found["disk_mb"]["samples"]
