"""Pre-training objectives through the verbs: pretrain, train, info."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_sounds import MEL, NOTATION, QUICK, QUICK_PRETRAIN
from training_rows import PRETRAIN, TRAIN

from semisonic.classifier.classifier import SoundClassifier
from semisonic.classifier.config import PretextOptions
from semisonic.classifier.info import info
from semisonic.classifier.model_file import open_encoder, open_model
from semisonic.classifier.pretrain import pretrain
from semisonic.classifier.provenance import DataPart
from semisonic.classifier.train import train
from semisonic.core.errors import OptionError
from semisonic.features.options import MelOptions
from semisonic.models.model_file import read_about
from semisonic.models.pretrained import AutoEncoder

VIEWS = PretextOptions(view_share=0.6)
SIMCLR = replace(PRETRAIN, objective="simclr", pretext=VIEWS)


@pytest.fixture(scope="module")
def simclr(pool: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("simclr") / "run"
    result = pretrain(replace(SIMCLR, data=pool, output=output))
    text = result.summary()
    assert "by simclr on" in text
    assert "held-out loss" in text
    assert "effective rank" in text
    return output


def test_the_run_and_the_file_say_what_was_measured(simclr: Path) -> None:
    notes = json.loads((simclr / "run.json").read_text(encoding="utf-8"))["notes"]
    measured = read_about(simclr / "encoder.zip")["about"]["measured"]
    for found in (notes, measured):
        assert found["objective"] == "simclr"
        assert found["effective_rank"] > 1
        assert found["deviation"] > 0
        assert found["held_out_error_db2"] is None
    history = json.loads((simclr / "training" / "history.json").read_text(encoding="utf-8"))
    assert {"loss", "val_loss", "val_deviation", "val_rank"} <= set(history[0])


def test_it_is_told_what_such_a_file_is(simclr: Path) -> None:
    text = info(str(simclr / "encoder.zip")).summary()
    assert "pre-trained encoder" in text
    assert "simclr" in text
    facts = info(str(simclr / "encoder.zip")).facts
    assert facts["network"].startswith("(8)3c")
    assert facts["decoder"] == "none"


def test_training_starts_from_an_encoder_without_a_decoder(
    simclr: Path, kinds: Path, tmp_path: Path
) -> None:
    start = open_encoder(simclr)
    assert not isinstance(start, AutoEncoder)
    frozen = replace(QUICK, epochs=1, learning_rate=0.0)
    output = tmp_path / "run"
    train(replace(TRAIN, data=kinds, encoder=simclr, fit=frozen, output=output))
    model = open_model(output)
    for name, value in start.encoder.named_parameters():
        assert torch.equal(model.encoder.get_parameter(name), value)


def test_pre_training_goes_on_from_an_encoder_and_both_are_told(
    simclr: Path, kinds: Path, tmp_path: Path
) -> None:
    start = open_encoder(simclr)
    still = replace(QUICK_PRETRAIN, epochs=1, learning_rate=0.0)
    output = tmp_path / "second"
    again = replace(
        SIMCLR,
        data=kinds,
        encoder=simclr,
        model="small",
        mel=MelOptions(),
        objective="reconstruction",
        pretext=PretextOptions(),
        fit=still,
        output=output,
    )
    pretrain(again)
    found = open_encoder(output)
    assert isinstance(found, AutoEncoder)
    for name, value in start.encoder.named_parameters():
        assert torch.equal(found.encoder.get_parameter(name), value)
    assert torch.equal(found.frontend.standardize.mean, start.frontend.standardize.mean)
    about = read_about(output / "encoder.zip")["about"]
    first, second = (
        DataPart.from_dict(read_about(path / "encoder.zip")["about"]["pretraining"])
        for path in (simclr, output)
    )
    assert DataPart.from_dict(about["encoder_pretraining"]).hashes == first.hashes
    train(replace(TRAIN, data=kinds, encoder=output, fit=QUICK, output=tmp_path / "third"))
    told = DataPart.from_dict(read_about(tmp_path / "third" / "model.zip")["about"]["pretraining"])
    assert told.hashes == first.hashes | second.hashes


@pytest.mark.parametrize("objective", ["denoising", "simclr"])
def test_train_pre_trains_on_unlabelled_recordings(
    objective: str, kinds: Path, pool: Path, tmp_path: Path
) -> None:
    options = replace(
        TRAIN,
        data=kinds,
        unlabelled=pool,
        near_copies=False,
        output=tmp_path / "run",
        objective=objective,
        pretrain=QUICK_PRETRAIN,
        pretext=VIEWS if objective == "simclr" else PretextOptions(),
        fit=replace(QUICK, epochs=1),
    )
    result = train(options)
    assert result.job.pretrained is not None
    assert result.job.pretrained.objective == objective
    kind = read_about(tmp_path / "run" / "encoder.zip")["kind"]
    assert kind == ("encoder" if objective == "simclr" else "autoencoder")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"decoder": "upsample"}, "has no decoder"),
        ({"pretext": PretextOptions(layer_epochs=3)}, "layer_epochs"),
        ({"objective": "simclear"}, "did you mean 'simclr'"),
    ],
)
def test_what_has_no_effect_is_refused_before_anything_is_read(
    change: dict[str, object], found: str, tmp_path: Path
) -> None:
    nowhere = tmp_path / "nothing"
    with pytest.raises(OptionError, match=found):
        pretrain(replace(SIMCLR, data=nowhere, output=tmp_path / "a", **change))  # type: ignore[arg-type]
    options = replace(TRAIN, objective="simclr", data=nowhere, output=tmp_path / "b")
    with pytest.raises(OptionError, match=found):
        train(replace(options, **change))  # type: ignore[arg-type]


def test_the_python_face_takes_an_objective(kinds: Path, pool: Path) -> None:
    classifier = SoundClassifier(
        NOTATION,
        mel=MEL,
        pretraining=QUICK_PRETRAIN,
        objective="simclr",
        pretext=VIEWS,
        validation=0.0,
        device="cpu",
    )
    classifier.set_params(pretext__view_share=0.7)
    classifier.fit(kinds, unlabelled=pool)
    assert "found" in classifier.pretraining_history_[0]
