"""The same data, seed and settings give the same weights, whichever door a training goes in by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import semisonic
from semisonic.core.options import to_dict
from semisonic.core.seeds import derive
from semisonic.training.options import FitOptions

MODEL = "(4)3c-2p-(4)3c-2p-8fc"
MEL = {"sample_rate": 8000, "duration": 0.5, "n_fft": 256, "hop_length": 128, "n_mels": 16}
FIT = {"epochs": 3, "batch_size": 8, "precision": "fp32"}
PRETRAIN = {"steps": 6, "epoch_steps": 3, "batch_size": 8, "precision": "fp32"}
PRETRAIN |= {"patience": 0, "restore_best": False}
PRETRAIN = to_dict(FitOptions()) | PRETRAIN  # all of it, so that nothing is left to choose

RECIPE = """
title = "one configuration"
validation = 0.0
folds = [1]
[[budgets]]
draws = 1
[setting]
model = "{model}"
decoder = "unpool"
{pretraining}
[setting.mel]
{mel}
[setting.fit]
{fit}
[setting.pretrain]
{pretrain}
"""


def _toml(values: dict[str, Any]) -> str:
    texts = {True: "true", False: "false"}
    return "\n".join(
        f"{name} = {texts[value] if isinstance(value, bool) else repr(value)}".replace("'", '"')
        for name, value in values.items()
    )


def _seed() -> int:
    """The seed that the first draw of an experiment with seed 0 has."""
    return derive(0, "draw", 0) % (1 << 31)


def _by_fit(data: Path, pool: Path | None) -> dict[str, torch.Tensor]:
    from semisonic.data.datasets.load import load_clips

    clips = load_clips(data)
    model = semisonic.SoundClassifier(
        MODEL,
        mel=MEL,
        training=FIT,
        pretraining=PRETRAIN,
        method="supervised",
        decoder="unpool",
        objective="none" if pool is None else "simclr",
        validation=0.0,
        calibration="none",
        seed=_seed(),
        device="cpu",
    )
    model.fit(clips[clips.fold != 1], unlabelled=pool)
    return dict(model.model_.state_dict())


def _by_train(data: Path, pool: Path | None, output: Path) -> dict[str, torch.Tensor]:
    result = semisonic.train(
        data=data,
        unlabelled=pool,
        output=output,
        model=MODEL,
        mel=MEL,
        fit=FIT,
        pretrain=PRETRAIN,
        method="supervised",
        objective="none" if pool is None else "simclr",
        validation=0.0,
        calibration="none",
        test_fold=1,
        seed=_seed(),
        device="cpu",
    )
    return dict(result.outcome.model.state_dict())


def _by_run(data: Path, pool: Path | None, folder: Path) -> dict[str, torch.Tensor]:
    recipe = folder / "recipe.toml"
    pretraining = "" if pool is None else 'objective = "simclr"'
    recipe.write_text(
        RECIPE.format(
            model=MODEL,
            mel=_toml(MEL),
            fit=_toml(FIT),
            pretrain=_toml(PRETRAIN),
            pretraining=pretraining,
        ),
        encoding="utf-8",
    )
    result = semisonic.run_recipe(
        recipe, data=data, unlabelled=pool, output=folder / "run", device="cpu", workers=1
    )
    from semisonic.models.model_file import load, read_about

    files = sorted((folder / "run" / "jobs").glob("train-*/model.zip"))
    models = {file: load(file) for file in files}
    if pool is None:  # the control is the arm without pre-training
        (file,) = (f for f in files if read_about(f)["about"]["arm"] == "supervised")
    else:
        assert result.model is not None
        file = result.model
        models[file] = load(file)
    return dict(models[file].state_dict())


def _same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert np.array_equal(a[name].numpy(), b[name].numpy()), name


@pytest.mark.parametrize("with_pool", [False, True], ids=["supervised", "simclr and a pool"])
def test_the_same_weights_come_out_of_every_door(tiny_set, tmp_path, with_pool) -> None:
    data, pool = tiny_set / "labelled.csv", tiny_set / "pool" if with_pool else None
    by_fit = _by_fit(data, pool)
    _same(by_fit, _by_train(data, pool, tmp_path / "train"))
    _same(by_fit, _by_run(data, pool, tmp_path))
