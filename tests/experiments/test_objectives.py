"""Recipes that compare pre-training objectives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_plan import table

from semisonic import recipes
from semisonic.classifier.config import OBJECTIVES
from semisonic.experiments.plan import make_plan
from semisonic.experiments.recipe import read_recipe

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
    results = json.loads((finished / "results.json").read_text(encoding="utf-8"))
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
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert "denoising, upsample" in page
    assert not list(finished.glob("jobs/*/checkpoint.pt"))
    assert not list(finished.glob("jobs/*/layer-*"))


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
objective = "layer-wise"
[[settings]]
name = "d"
objective = "layer-wise"
[settings.pretext]
layer_epochs = 1
"""


def test_a_method_after_it_does_not_repeat_the_pre_training(tmp_path) -> None:
    (tmp_path / "r.toml").write_text(METHODS, encoding="utf-8")
    labelled = table()
    plan = make_plan(read_recipe(tmp_path / "r.toml"), labelled, labelled[:0].without_labels())
    assert len(plan.of("pre-train")) == 3 * len(labelled.folds)


def test_the_recipe_of_the_package_compares_all_objectives_alike() -> None:
    for quick in (False, True):
        recipe = read_recipe(recipes.find("pretraining-objectives"), quick=quick)
        assert tuple(s.objective for s in recipe.settings) == OBJECTIVES
        for setting in recipe.settings:
            setting.pretext.check_for(setting.objective)
            assert (setting.model, setting.mel.shape) == ("small", (1, 64, 216))
    recipe = read_recipe(recipes.find("pretraining-objectives"))
    labelled = table()
    plan = make_plan(recipe, labelled, labelled[:0].without_labels())
    controls = {job.name for job in plan.of("train") if job.arm == recipe.control}
    assert len(controls) == 3 * 5  # folds and draws
    assert len({job.name for job in plan.of("pre-train")}) == 3 * len(OBJECTIVES)
