"""From an earlier model to another one: with a new class layer or the old, frozen at first."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_sounds import KINDS, QUICK, write_kinds
from training_rows import PRETRAIN, TRAIN

from semisonic.classifier.config import TrainConfig, check_read
from semisonic.classifier.evaluate import evaluate
from semisonic.classifier.find_rate import find_rate
from semisonic.classifier.model_file import open_model
from semisonic.classifier.options import (
    EvaluateOptions,
    FindRateOptions,
    PretrainOptions,
    TrainOptions,
)
from semisonic.classifier.pretrain import pretrain
from semisonic.classifier.provenance import DataPart
from semisonic.classifier.train import train
from semisonic.core.errors import DataError, ModelError, OptionError
from semisonic.models.model_file import read_about
from semisonic.models.pretrained import in_order
from semisonic.models.sound_model import SoundModel
from semisonic.training.options import FitOptions

OPTIONS = replace(TRAIN, validation=0.0)
FROZEN = replace(QUICK, freeze_epochs=1000.0)


def encoder_of(model: SoundModel) -> dict[str, torch.Tensor]:
    return dict(model.encoder.state_dict())


@pytest.fixture(scope="module")
def two_kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another set: fewer classes under other names, other recordings."""
    folder = write_kinds(tmp_path_factory.mktemp("two"), 5, 100)
    (folder / KINDS[2]).rename(folder.parent / "unused")
    (folder / KINDS[0]).rename(folder / "another name")
    return folder


def test_a_frozen_encoder_and_a_new_class_layer(
    trained: Path, two_kinds: Path, tmp_path: Path
) -> None:
    options = replace(OPTIONS, data=two_kinds, encoder=trained, fit=FROZEN)
    result = train(replace(options, output=tmp_path / "run"))
    before, after = open_model(trained), open_model(tmp_path / "run")
    assert set(after.classes) == {"another name", KINDS[1]}
    theirs = encoder_of(before)
    assert all(torch.equal(theirs[name], value) for name, value in encoder_of(after).items())
    thawed = replace(FROZEN, epochs=4, freeze_epochs=1.0, layer_decay=0.5)
    options = replace(options, fit=thawed, output=tmp_path / "thawed")
    moved = encoder_of(train(options).outcome.model)
    assert any(not torch.equal(theirs[name], value) for name, value in moved.items())
    assert len(result.outcome.history) == FROZEN.epochs


def test_the_chain_of_recordings_is_known_to_evaluate(
    trained: Path, kinds: Path, two_kinds: Path, tmp_path: Path
) -> None:
    first = replace(OPTIONS, data=two_kinds, encoder=trained, output=tmp_path / "first")
    train(first)
    third = write_kinds(tmp_path / "third", 4, 200)
    result = train(
        replace(OPTIONS, data=third, encoder=tmp_path / "first", output=tmp_path / "second")
    )
    about = read_about(result.model)["about"]
    found = DataPart.from_dict(about["encoder_training"]).hashes
    for run in (trained, tmp_path / "first"):
        mine = read_about(run / "model.zip")["about"]["training"]
        assert DataPart.from_dict(mine).hashes <= found
    options = EvaluateOptions(model=result.model, data=kinds, output=tmp_path / "x", device="cpu")
    with pytest.raises(DataError, match="trained on, by the encoder it started from"):
        evaluate(options)


def test_a_class_layer_is_kept_whatever_the_order_of_classes(
    trained: Path, kinds: Path, tmp_path: Path
) -> None:
    again = replace(
        OPTIONS,
        data=kinds,
        encoder=trained,
        keep_head=True,
        output=tmp_path / "run",
        fit=replace(QUICK, epochs=1, steps=1, learning_rate=0.0),
    )
    kept = train(again).outcome.model
    before = open_model(trained)
    assert kept.classes == before.classes
    for name, value in before.state_dict().items():
        assert torch.equal(kept.state_dict()[name], value), name
    new = train(replace(again, keep_head=False, output=tmp_path / "new")).outcome.model
    assert not torch.equal(new.head[1].weight, before.head[1].weight)
    turned = in_order(before, before.classes[::-1])
    assert turned.classes == before.classes[::-1]
    assert torch.equal(turned.head[1].weight, before.head[1].weight.flip(0))
    assert torch.equal(turned.head[1].bias, before.head[1].bias.flip(0))


def test_a_class_layer_that_cannot_be_kept_is_refused(
    trained: Path, kinds: Path, two_kinds: Path, pool: Path, tmp_path: Path
) -> None:
    options = replace(OPTIONS, data=kinds, encoder=trained, keep_head=True)

    def refused(match: str, error: type[Exception] = OptionError, **changes: object) -> None:
        with pytest.raises(error, match=match):
            train(replace(options, output=tmp_path / str(len(match)), **changes))  # type: ignore[arg-type]

    refused("lacks: another name; and has", ModelError, data=two_kinds)
    refused("no classifier is given", encoder=None)
    refused("'probe' trains its own class layer", method="probe", fit=TrainOptions().fit)
    refused("pre-training would change", objective="simclr", unlabelled=pool, near_copies=False)
    pretrain(replace(PRETRAIN, data=pool, output=tmp_path / "encoder"))
    refused("is an encoder and has no class layer", encoder=tmp_path / "encoder")


def test_random_weights_are_not_frozen(kinds: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, data=kinds, fit=FROZEN, output=tmp_path / "run")
    with pytest.raises(OptionError, match="'freeze_epochs': found 1000"):
        train(options)


@pytest.mark.parametrize("change", [{"freeze_epochs": 2.0}, {"layer_decay": 0.7}])
def test_who_does_not_read_the_options_refuses_them(
    change: dict[str, float], pool: Path, tmp_path: Path
) -> None:
    fit = replace(TrainOptions().fit, **change)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=f"'{next(iter(change))}'.*'probe'"):
        check_read("probe", TrainConfig(fit=fit))
    options = PretrainOptions(data=pool, fit=FitOptions(**change), output=tmp_path / "run")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="only the training of a classifier"):
        pretrain(options)


def test_a_rate_is_found_and_drawn(trained: Path, kinds: Path, tmp_path: Path) -> None:
    options = FindRateOptions(
        data=kinds,
        encoder=trained,
        method="supervised",
        fit=FROZEN,
        validation=0.0,
        device="cpu",
        workers=1,
        sweep_steps=60,
        output=tmp_path / "run",
    )
    result = find_rate(options)
    assert "frozen encoder" in result.summary()
    rows = list(csv.DictReader((tmp_path / "run" / "rates.csv").open()))
    assert len(rows) == len(result.sweep.rates)
    rates = np.array([float(row["learning_rate"]) for row in rows])
    assert rates[0] == pytest.approx(1e-6)
    assert (np.diff(rates) > 0).all()
    assert (tmp_path / "run" / "rates.png").read_bytes()[:4] == b"\x89PNG"
    notes = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["notes"]
    assert notes["suggestion"] == result.sweep.suggestion
    assert not (tmp_path / "run" / "model.zip").exists()
    with pytest.raises(OptionError, match="has no learning rate"):
        find_rate(
            replace(options, method="probe", fit=TrainOptions().fit, output=tmp_path / "probe")
        )
    assert not (tmp_path / "probe").exists()  # refused before anything is decoded
    few = replace(
        options,
        method="auto",
        fit=TrainOptions().fit,
        labels_per_class=4,
        output=tmp_path / "few",
    )
    assert "supervised from the given encoder" in find_rate(few).summary()
