"""Clips with windows of silence: an experiment, ``predict`` and ``evaluate`` give one answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import semisonic
from semisonic.audio.write import write

RATE = 8000
RECIPE = """
title = "padded"
validation = 0.0
folds = [1]
[[budgets]]
draws = 1
[setting]
model = "(4)3c-2p-(4)3c-2p-8fc"
[setting.mel]
sample_rate = 8000
duration = 0.5
n_fft = 256
hop_length = 128
n_mels = 16
[setting.fit]
epochs = 4
"""


@pytest.fixture(scope="module")
def padded(tmp_path_factory) -> Path:
    """Clips of 0.5 s of tone or noise and 1 to 2.5 s of zeros."""
    folder = tmp_path_factory.mktemp("padded")
    rng = np.random.default_rng(0)
    lines = ["file,label,fold"]
    for kind in ("tone", "noise"):
        for i in range(12):
            n = RATE // 2
            wave = np.zeros(n * (3 + i % 4), np.float32)
            wave[:n] = 0.1 * rng.normal(size=n)
            if kind == "tone":
                wave[:n] += 0.2 * np.sin(2 * np.pi * (400 + 30 * i) * np.arange(n) / RATE)
            write(folder / f"{kind}{i}.wav", wave, RATE)
            lines.append(f"{kind}{i}.wav,{kind},{i % 3 + 1}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_an_experiment_scores_clips_as_predict_and_evaluate_do(padded, run_tiny, tmp_path) -> None:
    run_tiny(RECIPE, tmp_path / "run", data=padded / "labels.csv", unlabelled=None)
    jobs = sorted((tmp_path / "run" / "jobs").glob("train-*"))
    assert jobs
    for job in jobs:
        found = semisonic.predict(job / "model.zip", padded, device="cpu", top=2).to_frame()
        answers = found.set_index(found["file"].map(lambda name: Path(name).name))
        (own,) = job.glob("predictions.csv.gz")
        rows = pd.read_csv(own).set_index("clip")
        assert len(rows) == 8
        for clip, row in rows.iterrows():
            answer = answers.loc[clip]
            by_class = {answer["label"]: answer["score"], answer["label_2"]: answer["score_2"]}
            for name, score in by_class.items():
                assert row[f"p:{name}"] == pytest.approx(score, abs=1e-5)
        place = tmp_path / f"of-{job.name}"
        tested = semisonic.evaluate(job / "model.zip", padded / "labels.csv", place, fold=1)
        own_accuracy = (rows["predicted"] == rows["target"]).mean()
        assert tested.metrics["accuracy"] == pytest.approx(own_accuracy)
