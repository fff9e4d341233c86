"""Settings that begin from a classifier of another set."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_plan import table

from semisonic.audio.write import write
from semisonic.classifier.provenance import DataPart, recording_hashes
from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import read_json
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.experiments.options import RunOptions
from semisonic.experiments.plan import Job, make_plan
from semisonic.experiments.recipe import TRAINED, Recipe, Setting, read_recipe
from semisonic.experiments.starts import load_source
from semisonic.models.model_file import load, read_about
from semisonic.training.options import FitOptions

RATE = 8000
RECIPE = """
title = "tiny"
question = "?"
validation = 0.0
arms = ["from scratch", "transferred"]
[[budgets]]
labels_per_class = 2
draws = 2
[setting]
model = "(4)3c-2p-(4)3c-2p-8fc"
objective = "none"
pool = false
start = "trained"
[setting.mel]
sample_rate = 8000
duration = 0.5
n_fft = 256
hop_length = 128
n_mels = 16
[setting.fit]
epochs = 4
[control]
start = "fresh"
fit.freeze_epochs = 0.0
fit.layer_decay = 1.0
[source]
validation = 0.25
[source.fit]
epochs = 3
batch_size = 8
[[settings]]
name = "head"
fit.freeze_epochs = 99.0
[[settings]]
name = "thawed"
fit.freeze_epochs = 1.0
fit.layer_decay = 0.5
[[settings]]
name = "one rate"
"""


def tone(pitch: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time = np.arange(RATE // 2) / RATE
    wave = 0.3 * np.sin(2 * np.pi * pitch * (1 + 0.1 * rng.random()) * time)
    return np.asarray(wave + 0.05 * rng.standard_normal(len(time)), np.float32)


@pytest.fixture(scope="module")
def other_set(tiny_set, tmp_path_factory) -> Path:
    """Three classes of eight clips; one more clip is a copy of a tested one, by its bytes."""
    folder = tmp_path_factory.mktemp("other")
    for name, pitch in (("a", 500.0), ("b", 1000.0), ("c", 3000.0)):
        (folder / name).mkdir()
        for i in range(8):
            write(folder / name / f"{i}.wav", tone(pitch, i), RATE)
    shutil.copy(tiny_set / "clips" / "low3.wav", folder / "a" / "copy.wav")
    return folder


@pytest.fixture(scope="module")
def finished(run_tiny, other_set) -> Path:
    given = {"source": other_set, "near_copies": False, "unlabelled": None}
    return run_tiny(RECIPE, **given).report.parent


def source_file(folder: Path) -> Path:
    (file,) = (folder / "cache" / "sources").glob("model-*.zip")
    return file


def test_the_source_is_trained_once_without_copies_and_is_measured(
    finished, tiny_set, other_set
) -> None:
    about = read_about(source_file(finished))["about"]
    parts = [DataPart.from_dict(about[role]) for role in ("training", "validation")]
    assert sum(part.n_clips for part in parts) == 24
    tested = set(recording_hashes(load_clips(tiny_set / "labelled.csv")).values())
    assert not tested & (parts[0].hashes | parts[1].hashes)
    assert load(source_file(finished)).classes == ("a", "b", "c")
    record = read_json(finished / "run.json")
    assert "source" in record["data"]
    text = (finished / "report.html").read_text(encoding="utf-8")
    assert "1 file of the source is a copy of labelled recordings" in text
    assert "24 clips of 3 classes" in text
    assert "held-out clips of its own set" in text
    assert f"--source {other_set.name}" in text


def test_every_arm_starts_where_it_says(finished) -> None:
    encoder = load(source_file(finished)).encoder.state_dict()

    def equals_source(setting: str, arm: str) -> bool:
        found = []
        for folder in (finished / "jobs").glob("train-*"):
            job = read_json(folder / "job.json")
            if (job["setting"], job["arm"]) == (setting, arm) and job["draw"] == 0:
                mine = load(folder / "model.zip").encoder.state_dict()
                found.append(all(bool((mine[n] == encoder[n]).all()) for n in encoder))
        assert found
        assert len(set(found)) == 1
        return found[0]

    assert equals_source("head", "transferred")
    assert not equals_source("thawed", "transferred")
    assert not equals_source("one rate", "transferred")
    assert not equals_source("head", "from scratch")


def test_a_transferred_model_tells_what_its_encoder_was_trained_on(finished) -> None:
    theirs = DataPart.from_dict(read_about(source_file(finished))["about"]["training"]).hashes
    for folder in (finished / "jobs").glob("train-*"):
        job = read_json(folder / "job.json")
        if job["draw"]:
            continue
        about = read_about(folder / "model.zip")["about"]
        assert ("encoder_training" in about) == (job["arm"] == "transferred")
        if job["arm"] == "transferred":
            assert DataPart.from_dict(about["encoder_training"]).hashes == theirs


def test_clips_of_a_recording_that_is_tested_are_left_out(tmp_path) -> None:
    """Where a set names its recordings, one that both sets have is one recording."""
    for i in range(6):
        write(tmp_path / f"{i}.wav", tone(500.0, i), RATE)
    rows = [{"file": f"{i}.wav", "labels": "ab"[i % 2], "group": f"r{i}"} for i in range(6)]
    source = tmp_path / "source.csv"
    lines = [f"{row['file']},{row['labels']},{row['group']}" for row in rows]
    source.write_text("file,label,group\n" + "\n".join(lines) + "\n", encoding="utf-8")
    write(tmp_path / "tested.wav", tone(900.0, 9), RATE)
    tested = Clips.from_rows(tmp_path, [{"file": "tested.wav", "labels": "x", "group": "r3"}])
    recipe = Recipe(settings=(Setting(start=TRAINED),))
    found = load_source(RunOptions(source=source, near_copies=False), recipe, tested)
    assert found is not None
    assert "r3" not in found.clips.group
    assert len(found.clips) == 5
    assert any("1 clip of the source is of a recording" in note for note in found.notes)


def test_synthetic_sounds_stand_in_for_a_set_but_not_in_classes_of_the_data(tmp_path) -> None:
    recipe = Recipe(settings=(Setting(start=TRAINED),))
    small = replace(
        recipe.source.synth, n_classes=4, clips_per_class=5, clips_per_recording=1, duration=1.0
    )
    recipe = replace(recipe, source=replace(recipe.source, synth=small))
    tested = Clips.from_rows(tmp_path, [{"file": "x.wav", "labels": "rain", "group": "x"}])
    found = load_source(RunOptions(), recipe, tested)
    assert found is not None
    assert set(found.clips.classes) == {"wind", "sea_waves", "crackling_fire"}
    assert len(found.clips) == 15
    every = ("rain", "wind", "sea_waves", "crackling_fire")
    rows = [{"file": f"{name}.wav", "labels": name, "group": name} for name in every]
    with pytest.raises(DataError, match="found 0 of 4 synthetic kinds that are not classes"):
        load_source(RunOptions(), recipe, Clips.from_rows(tmp_path, rows))


def test_a_source_that_nobody_starts_from_is_refused(tmp_path) -> None:
    tested = Clips.from_rows(tmp_path, [{"file": "x.wav", "labels": "rain", "group": "x"}])
    assert load_source(RunOptions(), Recipe(), tested) is None
    with pytest.raises(OptionError, match="'source'"):
        load_source(RunOptions(source=tmp_path), Recipe(), tested)


def jobs_of(setting: Setting, source: str = "s") -> list[Job]:
    recipe = Recipe(validation=0.0, settings=(setting,))
    plan = make_plan(recipe, table(), table()[:0], source=source)
    return [job for job in plan.of("train") if job.arm == recipe.treated]


def test_jobs_are_told_apart_by_source_freezing_and_decay() -> None:
    def names(*given: object) -> set[str]:
        return {job.name for job in jobs_of(*given)}

    trained = Setting(start=TRAINED, objective="none")
    synthetic = replace(trained, start="synthetic")
    changed = [
        replace(trained, fit=FitOptions(freeze_epochs=1.0)),
        replace(trained, fit=FitOptions(layer_decay=0.5)),
        synthetic,
    ]
    found = [names(trained), names(trained, "other"), *map(names, changed)]
    assert len(set().union(*found)) == sum(map(len, found))
    assert names(synthetic) == names(synthetic, "other")


def test_auto_takes_a_trained_start_as_one_that_was_given() -> None:
    jobs = jobs_of(Setting(start=TRAINED, objective="none", method="auto"))
    assert {job.setting.start for job in jobs} == {TRAINED}


def test_the_recipe_of_the_package_takes_equal_steps_in_all_arms() -> None:
    from semisonic import recipes

    for quick in (False, True):
        recipe = read_recipe(recipes.find("transfer"), quick=quick)
        for control, treated in zip(recipe.controls, recipe.settings, strict=True):
            assert (control.start, control.fit.freeze_epochs) == ("fresh", 0.0)
            plain = replace(treated.fit, freeze_epochs=0.0, layer_decay=1.0)
            assert plain == control.fit
        assert any(setting.fit.freeze_epochs for setting in recipe.settings)
