"""The benchmark of graphics cards runs on a processor, at a size that says nothing."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from semisonic.core.files import read_json
from semisonic.features.options import MelOptions

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
TINY = MelOptions(sample_rate=8000, duration=0.5, n_fft=256, hop_length=128, n_mels=16)


@pytest.fixture
def gpu(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("gpu")


def call(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, output: Path, *arguments: str
) -> dict[str, Any]:
    words = ["gpu.py", *arguments, "--device", "cpu", "-o", str(output)]
    monkeypatch.setattr(sys, "argv", words)
    gpu.main()
    found: dict[str, Any] = read_json(output)
    assert found["machine"]["cores"] >= 1
    return found["results"]


def test_steps(gpu, monkeypatch, tmp_path) -> None:
    monkeypatch.setitem(gpu.NETWORKS, "paper", ("(4)3c-2p-8fc", TINY))
    small = ["--clips", "8", "--steps", "2", "--rounds", "1", "--networks", "paper"]
    found = call(gpu, monkeypatch, tmp_path / "steps.json", "steps", *small)
    rates = found["paper"]["steps a second"]
    assert set(rates) == {"kept", "in batch"}
    assert min(rates.values()) > 0


def test_folds_and_the_recipe(gpu, tiny_set, tiny_recipe, monkeypatch, tmp_path) -> None:
    data = str(tiny_set / "labelled.csv")
    few = ["--folds", "2", "--method", "supervised", "--epochs", "1"]
    found = call(gpu, monkeypatch, tmp_path / "auto.json", "auto", data, *few)
    (row,) = found["folds"]
    assert row["fold"] == 2
    assert 0 <= row["accuracy"] <= 1
    more = ["--unlabelled", str(tiny_set / "pool"), "--recipe", str(tiny_recipe), "--workers", "1"]
    found = call(gpu, monkeypatch, tmp_path / "table.json", "table", data, *more)
    assert found["seconds"] > 0
    assert found["verdicts"]
