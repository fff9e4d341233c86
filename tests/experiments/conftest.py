"""Ten seconds of sounds that a small network can tell apart, and a recipe for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from semisonic.audio.write import write

RATE = 8000

RECIPE = """
title = "tiny"
question = "?"
validation = 0.0
[[budgets]]
labels_per_class = 2
draws = 2
[setting]
model = "(4)3c-2p-(4)3c-2p-8fc"
[setting.mel]
sample_rate = 8000
duration = 0.5
n_fft = 256
hop_length = 128
n_mels = 16
[setting.pretrain]
epochs = 2
[setting.fit]
epochs = 3
[[settings]]
name = "un-pooling"
[[settings]]
name = "up-sampling"
decoder = "upsample"
"""


@pytest.fixture(scope="session")
def tiny_set(tmp_path_factory) -> Path:
    """``labelled.csv`` with 2 classes, 3 folds and 2 clips per recording, and ``pool/``."""
    folder = tmp_path_factory.mktemp("tiny")
    rng = np.random.default_rng(0)
    time = np.arange(RATE // 2) / RATE
    lines = ["file,label,group,fold"]
    for name, pitch in (("low", 300.0), ("high", 2000.0)):
        for i in range(12):
            tone = np.sin(2 * np.pi * pitch * (1 + 0.1 * rng.random()) * time)
            wave = (0.3 * tone + 0.05 * rng.standard_normal(len(time))).astype(np.float32)
            file = f"clips/{name}{i}.wav"
            (folder / "clips").mkdir(exist_ok=True)
            write(folder / file, wave, RATE)
            lines.append(f"{file},{name},{name}-{i // 2},{i // 4 + 1}")
    (folder / "labelled.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "pool").mkdir()
    for i in range(6):
        noise = (0.1 * rng.standard_normal(len(time))).astype(np.float32)
        write(folder / "pool" / f"noise{i}.wav", noise, RATE)
    return folder


@pytest.fixture(scope="session")
def tiny_recipe(tiny_set) -> Path:
    """The recipe file."""
    file = tiny_set / "tiny.toml"
    file.write_text(RECIPE, encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def run_tiny(tiny_set, tmp_path_factory):
    """Run a recipe, a file or its text, on the tiny set; the result."""
    from semisonic.experiments.options import RunOptions
    from semisonic.experiments.run import RunResult, run_recipe

    def run(recipe: str | Path, output: Path | None = None, **changes: object) -> RunResult:
        if "\n" in str(recipe):
            file = tmp_path_factory.mktemp("recipe") / "recipe.toml"
            file.write_text(str(recipe), encoding="utf-8")
            recipe = file
        values: dict[str, object] = {
            "recipe": str(recipe),
            "data": tiny_set / "labelled.csv",
            "unlabelled": tiny_set / "pool",
            "output": output or tmp_path_factory.mktemp("run") / "out",
            "device": "cpu",
            "workers": 1,
        }
        return run_recipe(RunOptions(**(values | changes)))

    return run


@pytest.fixture(scope="session")
def job_times():
    """When each job of a run folder was done: the same twice if nothing was trained between."""
    return lambda folder: {f: f.stat().st_mtime_ns for f in folder.glob("jobs/*/job.json")}
