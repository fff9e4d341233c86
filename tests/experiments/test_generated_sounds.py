"""The recipe of generated sounds, on a tiny set."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from semisonic import recipes
from semisonic.evaluation.predictions import Predictions
from semisonic.experiments.jobs import TrainJob, named_training
from semisonic.experiments.options import RunOptions
from semisonic.experiments.recipe import Budget, GeneratedOptions, Setting, read_recipe
from semisonic.experiments.run import run_recipe

SMALL = {
    "setting.model": "(4)3c-2p-(4)3c-2p-8fc",
    "setting.mel": {
        "sample_rate": 8000,
        "duration": 0.5,
        "n_fft": 256,
        "hop_length": 128,
        "n_mels": 16,
    },
    "setting.fit": {
        "steps": 4,
        "epoch_steps": 2,
        "batch_size": 4,
        "precision": "fp32",
    },
    "setting.generated": {"generator_steps": 2, "generated_per_class": 4},
    "budgets": [{"labels_per_class": 2}],
    "folds": [1],
}


@pytest.fixture(scope="module")
def finished(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("generated") / "run"
    changes = tuple(f"{key}={_toml(value)}" for key, value in SMALL.items())
    run_recipe(
        RunOptions(
            recipe="generated-sounds",
            data=tiny_set / "labelled.csv",
            output=output,
            device="cpu",
            workers=1,
            quick=True,
            change=changes,
        )
    )
    return output


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}={_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


def test_arms_are_compared_and_patches_shown(finished: Path) -> None:
    results = json.loads((finished / "results.json").read_text())
    names = [one["setting"] for one in results["comparisons"]]
    assert names[:3] == ["augmentation", "VAE samples", "GAN samples"]
    jobs = {job["cell"]: job for job in results["jobs"] if job["arm"] == "with"}
    assert jobs["VAE samples"]["generated"]["n_patches"] == 8
    assert "critic_loss" in jobs["GAN samples"]["generated"]
    assert "generated" not in jobs["augmentation"]
    assert len({job["n_epochs"] for job in results["jobs"]}) == 1
    page = (finished / "report.html").read_text()
    assert "What the generators made" in page
    assert page.count("made by VAE") == page.count("made by GAN") == 2
    assert "A generator learns from the labelled training clips" in page
    assert (finished / "figures" / "generated.png").stat().st_size > 3000


def test_a_control_is_trained_once_and_only_clips_are_tested(finished: Path) -> None:
    assert len(list((finished / "jobs").glob("train-*/job.json"))) == 5
    table = Predictions.read(finished / "tables" / "predictions.csv")
    one = table.select(setting="VAE samples", arm="with")
    plain = table.select(setting="VAE samples", arm="without")
    assert sorted(one.clip) == sorted(plain.clip)
    assert not list((finished / "jobs").glob("*/generator"))


def test_names_of_other_jobs_stay_and_options_make_new_ones() -> None:
    rows = np.arange(4)
    job = TrainJob("", Setting(), Budget(), "a", 1, 0, 0, rows, rows[:0], rows, rows, None)

    def name(options: GeneratedOptions) -> str:
        return named_training(replace(job, setting=Setting(generated=options)), "").name

    plain = name(GeneratedOptions())
    assert name(GeneratedOptions(generator_steps=7)) == plain
    made = [
        GeneratedOptions(generator="vae"),
        GeneratedOptions(generator="gan"),
        GeneratedOptions(generator="vae", generated_ratio=0.5),
    ]
    assert len({plain, *map(name, made)}) == 4


def test_the_recipe_holds_both_arms_alike() -> None:
    for quick in (False, True):
        recipe = read_recipe(recipes.find("generated-sounds"), quick=quick)
        for control, treated in zip(recipe.controls, recipe.settings, strict=True):
            assert not control.generated.is_used
            assert control.fit == treated.fit
            assert (control.model, control.mel) == (treated.model, treated.mel)
        assert [one.generated.generator for one in recipe.settings] == [
            "none",
            "vae",
            "gan",
            "vae",
            "vae",
        ]
        assert recipe.controls[-1].method_params == recipe.settings[-1].method_params
        assert recipe.controls[1].method_params.augment == "none"
