"""The benchmark of large projects runs, at a size that says nothing."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from semisonic.core.files import read_json
from systems import POSIX

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@POSIX
def test_it_times_what_the_page_waits_for(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    output = tmp_path / "found.json"
    small = ["--clips", "60", "--classes", "3", "--answers", "12", "-o", str(output)]
    monkeypatch.setattr(sys, "argv", ["project_learning.py", *small])
    importlib.import_module("project_learning").main()
    found = read_json(output)["seconds"]
    assert set(found) == {"learn", "suspicious labels", "next questions"}
    assert all(times["wall"] > 0 for times in found.values())
