"""Recipes that compare pre-training objectives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from semisonic import recipes
from semisonic.classifier.config import OBJECTIVES
from semisonic.core.errors import OptionError
from semisonic.data.datasets.load import load_clips
from semisonic.experiments.plan import make_plan
from semisonic.experiments.recipe import Setting, read_recipe

COMPARE = """
title = "objectives"
validation = 0.0
folds = [1]
[[budgets]]
labels_per_class = 2
[setting]
model = "(4)3c-2p-(4)3c-2p-8fc"
decoder = "upsample"
[setting.mel]
sample_rate = 8000
duration = 0.5
n_fft = 256
hop_length = 128
n_mels = 16
[setting.pretrain]
epochs = 2
[setting.fit]
epochs = 2
[[settings]]
name = "simclr"
objective = "simclr"
[settings.pretext]
view_share = 0.6
[[settings]]
name = "denoising"
objective = "denoising"
[[settings]]
name = "layer-wise"
objective = "layer-wise"
[settings.pretext]
layer_epochs = 1
[[settings]]
name = "plain"
"""


@pytest.fixture(scope="module")
def finished(run_tiny) -> Path:
    return run_tiny(COMPARE).report.parent


def test_each_objective_is_compared_with_one_control(finished) -> None:
    results = json.loads((finished / "results.json").read_text())
    names = ["simclr", "denoising", "layer-wise", "plain"]
    assert [one["setting"] for one in results["comparisons"]] == names
    trained = {job["name"]: job["arm"] for job in results["jobs"] if job["kind"] == "train"}
    assert list(trained.values()).count("supervised") == 1
    jobs = {job["setting"]: job for job in results["jobs"] if job["kind"] == "pre-train"}
    assert [jobs[name]["way"] for name in names] == [
        "simclr",
        "denoising, upsample",
        "layer-wise, upsample",
        "upsample",
    ]
    assert all(job["spread"]["rank"] > 0 for job in jobs.values())


def test_the_report_shows_what_has_a_decoder_and_jobs_are_tidy(finished) -> None:
    page = (finished / "report.html").read_text()
    assert "denoising, upsample" in page
    assert not list(finished.glob("jobs/*/checkpoint.pt"))
    assert not list(finished.glob("jobs/*/layer-*"))


def test_the_recipe_of_the_package_compares_all_objectives() -> None:
    for quick in (False, True):
        recipe = read_recipe(recipes.find("pretraining-objectives"), quick=quick)
        assert tuple(s.objective for s in recipe.settings) == OBJECTIVES
        for setting in recipe.settings:
            setting.pretext.check_for(setting.objective)
            assert (setting.model, setting.mel.shape) == ("small", (1, 64, 216))
    recipe = read_recipe(recipes.find("pretraining-objectives"))
    assert [budget.labels_per_class for budget in recipe.budgets] == [4]


METHODS = """
[[settings]]
name = "a"
[[settings]]
name = "b"
method = "pi-model"
dropout = 0.5
label_smoothing = 0.1
[settings.method_params]
mixup = 0.2
[settings.fit]
epochs = 3
[[settings]]
name = "c"
objective = "denoising"
[[settings]]
name = "d"
objective = "simclr"
[settings.pretext]
view_share = 0.6
"""


def test_a_method_after_it_does_not_repeat_the_pre_training(tmp_path, tiny_set) -> None:
    (tmp_path / "r.toml").write_text(METHODS, encoding="utf-8")
    labelled = load_clips(tiny_set / "labelled.csv")
    plan = make_plan(read_recipe(tmp_path / "r.toml"), labelled, labelled[:0].without_labels())
    assert len(plan.of("pre-train")) == 3 * len(labelled.folds)


def test_settings_differ_in_pre_training_alone(tiny_set) -> None:
    labelled = load_clips(tiny_set / "labelled.csv")
    recipe = read_recipe(recipes.find("pretraining-objectives"))
    plan = make_plan(recipe, labelled, labelled[:0].without_labels())
    folds, draws = len(labelled.folds), 5
    controls = {job.name for job in plan.of("train") if job.arm == recipe.control}
    assert len(controls) == folds * draws
    assert len({job.name for job in plan.of("pre-train")}) == folds * len(OBJECTIVES)


def test_an_option_of_another_objective_is_refused(tiny_set, tmp_path) -> None:
    with pytest.raises(OptionError, match="did you mean 'simclr'"):
        _read(tmp_path, "[setting]\nobjective = 'simclar'")
    assert _read(tmp_path, "[setting]\nobjective = 'simclr'") == Setting(objective="simclr")


def _read(folder: Path, text: str) -> Setting:
    (folder / "r.toml").write_text(text, encoding="utf-8")
    return read_recipe(folder / "r.toml").settings[0]
