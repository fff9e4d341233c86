"""The benchmark of noisy labels: it runs, goes on where it was, and counts right."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from semisonic.core import progress
from semisonic.core.files import read_json
from semisonic.data.options import SynthOptions
from semisonic.data.synth.dataset import make_synth

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark_module(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("label_noise")


def test_it_runs_in_parts_and_compares(benchmark_module, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("semisonic.classifier.simple.N_TREES", 10)
    make_synth(
        tmp_path / "sounds",
        SynthOptions(
            n_classes=3,
            clips_per_class=5,
            clips_per_recording=1,
            n_pool=0,
            duration=1.0,
            sample_rate=16000,
        ),
    )

    def call(*more: str) -> None:
        data, out = str(tmp_path / "sounds" / "labels.csv"), str(tmp_path / "out.json")
        common = ["--data", data, "--rate", "0.4", "--draws", "1", "--epochs", "1", "--workers"]
        common += ["1", "--model", "(4)3c-2p-8fc", "--augment", "none", "-o", out]
        common += ["--work", str(tmp_path / "work"), "--cache", str(tmp_path / "cache")]
        monkeypatch.setattr(sys, "argv", ["label_noise.py", *common, *more])
        try:
            benchmark_module.main()
        finally:
            progress.show_progress(False)

    arms = ["--arm", "cross-entropy", "--arm", "lq", "--arm", "statistics"]
    call(*arms[:2])
    call(*arms, "--collect")
    found = read_json(tmp_path / "out.json")
    assert (found["n_trainings"], found["n_missing"]) == (15, 10)
    assert set(found["results"][0]["accuracy"]) == {"cross-entropy"}
    call(*arms)
    monkeypatch.setattr(benchmark_module, "run", lambda _: pytest.fail("trained twice"))
    call(*arms)
    found = read_json(tmp_path / "out.json")
    assert found["n_missing"] == 0
    (row,) = found["results"]
    assert set(row["accuracy"]) == {"cross-entropy", "lq", "statistics"}
    assert len(row["accuracy"]["lq"]["by_fold"][0]) == 5
    assert set(row["against_cross_entropy"]) == {"lq", "statistics"}
    assert row["suspects"]["statistics"][0]["n_wrong"] == 6
    assert "label_noise.py" in found["command"]
    assert str(tmp_path) not in found["command"]


def test_suspicion_is_counted_right(benchmark_module) -> None:
    truth = np.arange(100) % 4
    given = truth.copy()
    given[:10] = (given[:10] + 1) % 4
    wrong = truth != given
    scores = np.where(np.eye(4)[truth] > 0, 0.91, 0.03)
    found = benchmark_module.suspicion(given, wrong, scores)
    assert found["noise-rate"] == {"n_suspects": 10, "precision": 1.0, "recall": 1.0}
    assert found["average_precision"] == 1.0
    assert found["precision_at_n_wrong"] == 1.0
    assert found["estimated_wrong_share"] == pytest.approx(0.1)
    scores[0], scores[50] = scores[1].copy(), scores[51].copy()  # one is missed, one made up
    worse = benchmark_module.suspicion(given, wrong, scores)
    assert worse["precision_at_n_wrong"] == 0.9
    clean = benchmark_module.suspicion(truth, np.zeros(100, bool), scores)
    assert clean["noise-rate"]["recall"] is None
