from __future__ import annotations

import csv
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from tiny_sounds import KINDS, MEL, NOTATION, QUICK, QUICK_PRETRAIN, RATE, sound, write_kinds
from training_rows import PRETRAIN, TRAIN

from semisonic.classifier import training as training_work
from semisonic.classifier.config import TRAIN_FIT, MethodOptions, PretextOptions
from semisonic.classifier.model_file import open_encoder, open_model
from semisonic.classifier.options import PretrainOptions, TrainOptions
from semisonic.classifier.pretrain import pretrain
from semisonic.classifier.provenance import DataPart
from semisonic.classifier.train import plan_training, train
from semisonic.core.errors import DataError, ModelError, OptionError
from semisonic.features.options import MelOptions
from semisonic.models.model_file import read_about
from systems import NAMES_OF_BYTES


@pytest.fixture(scope="module")
def encoder(pool: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("encoder") / "run"
    result = pretrain(replace(PRETRAIN, data=pool, output=output))
    assert result.encoder == output / "encoder.zip"
    assert result.outcome.n_train + result.outcome.n_held_out == 24
    assert "never active" in result.summary()
    return output


def test_a_run_holds_all_that_is_needed_to_judge_it(trained: Path) -> None:
    record = json.loads((trained / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "done"
    assert record["options"]["mel"]["n_mels"] == 16
    assert len(record["data"]) == 1
    assert record["notes"]["validation_accuracy"] == 1.0
    with (trained / "budget.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 24
    assert {row["part"] for row in rows} == {"train", "validation"}
    metrics = json.loads((trained / "metrics.json").read_text(encoding="utf-8"))
    assert set(metrics) == {"validation"}
    held = sum(row["part"] == "validation" for row in rows)
    with (trained / "validation.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == held == metrics["validation"]["n_clips"]
    for name in ("model.zip", "curves.png", "log.txt", "training/history.json"):
        assert (trained / name).is_file()


def test_the_model_knows_what_it_was_made_from(trained: Path) -> None:
    about = read_about(trained / "model.zip")["about"]
    with (trained / "budget.csv").open() as stream:
        parts = [row["part"] for row in csv.DictReader(stream)]
    for role, part in (("training", "train"), ("validation", "validation")):
        found = DataPart.from_dict(about[role])
        assert found.n_clips == len(found.hashes) == parts.count(part)
    assert about["options"]["mel"]["sample_rate"] == RATE


def test_the_same_command_again_gives_the_same_model(kinds: Path, tmp_path: Path) -> None:
    options = replace(TRAIN, data=kinds, output=tmp_path / "a")
    first = train(options)
    metrics = (tmp_path / "a" / "metrics.json").read_bytes()
    again = train(options)  # goes on with a finished run
    other = train(replace(options, output=tmp_path / "b"))
    assert (tmp_path / "a" / "metrics.json").read_bytes() == metrics
    assert (tmp_path / "b" / "metrics.json").read_bytes() == metrics
    a, b, c = (r.outcome.model.state_dict() for r in (first, again, other))
    assert all(torch.equal(a[k], b[k]) and torch.equal(a[k], c[k]) for k in a)
    with pytest.raises(OptionError, match="belongs to another run"):
        train(replace(options, seed=1))


def test_a_budget_is_drawn_and_written(kinds: Path, tmp_path: Path) -> None:
    result = train(replace(TRAIN, data=kinds, output=tmp_path / "run", labels_per_class=3))
    with (tmp_path / "run" / "budget.csv").open() as stream:
        labels = [row["label"] for row in csv.DictReader(stream)]
    assert sorted(labels) == sorted(KINDS * 3)
    assert not result.metrics
    assert "last weights" in result.summary()
    assert not (tmp_path / "run" / "metrics.json").exists()


def test_an_encoder_brings_its_network_and_front_end(
    kinds: Path, encoder: Path, tmp_path: Path
) -> None:
    options = TrainOptions(
        data=kinds, encoder=encoder, method="supervised", fit=QUICK, device="cpu", workers=1
    )
    result = train(replace(options, output=tmp_path / "run"))
    model = open_model(tmp_path / "run")
    assert model.mel == MEL
    assert model.name == NOTATION
    pretrained = open_encoder(encoder)
    statistics = pretrained.frontend.standardize.mean
    assert torch.equal(model.frontend.standardize.mean, statistics)
    about = read_about(result.model)["about"]
    assert DataPart.from_dict(about["pretraining"]).n_clips == 24
    with pytest.raises(OptionError, match="'n_mels': found 20"):
        train(replace(options, output=tmp_path / "x", mel=MelOptions(n_mels=20)))
    with pytest.raises(OptionError, match="option 'model'"):
        train(replace(options, output=tmp_path / "y", model="(4)3c-2p"))


def test_unlabelled_recordings_pre_train_the_encoder(
    kinds: Path, pool: Path, tmp_path: Path
) -> None:
    options = replace(TRAIN, data=kinds, unlabelled=pool, output=tmp_path / "run")
    result = train(options)
    assert result.job.pretrained is not None
    assert (tmp_path / "run" / "encoder.zip").is_file()
    about = read_about(result.model)["about"]
    assert DataPart.from_dict(about["pretraining"]).n_clips == 24
    again = replace(options, encoder=tmp_path / "run", output=tmp_path / "other")
    with pytest.raises(OptionError, match="does not learn from"):
        train(again)


def test_the_test_fold_is_heard_by_nobody(tmp_path: Path) -> None:
    data = write_kinds(tmp_path / "data", 4)
    rows = [
        {"file": f"{kind}/{i:02d}.wav", "label": kind, "fold": 1 + i % 2}
        for kind in KINDS
        for i in range(4)
    ]
    with (data / "table.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    pool = tmp_path / "pool"
    pool.mkdir()
    shutil.copy(data / "hum" / "00.wav", pool / "copy of a test clip.wav")
    shutil.copy(data / "hum" / "01.wav", pool / "copy of a training clip.wav")
    sf.write(pool / "test clip encoded anew.flac", 0.5 * sound("hiss", 0), RATE)
    for i in range(4):
        sf.write(pool / f"{i}.wav", sound("hiss", 500 + i), RATE)
    result = train(
        replace(
            TRAIN,
            data=data / "table.csv",
            unlabelled=pool,
            test_fold=1,
            validation=0.0,
            output=tmp_path / "run",
        )
    )
    assert result.job.n_tested == len(result.job.train) == 6
    about = read_about(result.model)["about"]
    assert DataPart.from_dict(about["training"]).n_clips == 6
    assert DataPart.from_dict(about["pretraining"]).n_clips == 4
    assert "were not used" in result.summary()
    assert "2 files of the pool are copies" in result.summary()
    assert "1 clip of the pool is the same sound" in result.summary()


def test_other_clips_of_a_tested_recording_are_not_heard(tmp_path: Path) -> None:
    """The pool is the data set itself: its clips without labels may share recordings."""
    data = write_kinds(tmp_path / "data", 4)
    lines = ["file,label,group,fold"]
    lines += [f"{k}/{i:02d}.wav,{k},{k}-{i},{1 + i % 2}" for k in KINDS for i in range(4)]
    sf.write(data / "later.wav", sound("hiss", 90), RATE)
    sf.write(data / "new.wav", sound("hiss", 91), RATE)
    lines += ["later.wav,,hum-0,", "new.wav,,other,"]
    table = data / "table.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = replace(TRAIN, data=table, unlabelled=table, test_fold=1, validation=0.0)
    result = train(replace(options, output=tmp_path / "run"))
    part = DataPart.from_dict(read_about(result.model)["about"]["pretraining"])
    assert part.n_clips == 1


def test_two_long_recordings_are_enough_to_train(tmp_path: Path) -> None:
    """The validation part is then a single recording, by which no scores can be calibrated."""
    lines = ["file,label,start_time,end_time"]
    for name in "ab":
        waves = [sound(KINDS[i % 3], i + 30 * (name == "b")) for i in range(24)]
        sf.write(tmp_path / f"{name}.wav", np.concatenate(waves), RATE)
        lines += [f"{name}.wav,{KINDS[i % 3]},{i / 2},{(i + 1) / 2}" for i in range(24)]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = train(replace(TRAIN, data=table, output=tmp_path / "run", validation=0.5))
    assert open_model(result.model).decision.calibration.method == "none"
    assert "24 validation clips of 1 recording, expected at least 20 clips of 2" in result.summary()


def test_a_pool_of_nothing_new_is_an_error(kinds: Path, tmp_path: Path) -> None:
    options = replace(TRAIN, data=kinds, unlabelled=kinds, output=tmp_path / "run")
    with pytest.raises(DataError, match="no clip is left for pre-training"):
        train(options)


def test_a_few_labels_are_all_learned_from_unless_a_part_is_asked_for(tmp_path: Path) -> None:
    """Two clips a class do not tell which epoch is the best."""
    data = write_kinds(tmp_path / "data", 6)
    by_default = replace(TRAIN_FIT, epochs=2, batch_size=8, precision="fp32")
    options = replace(TRAIN, data=data, fit=by_default, output=tmp_path / "run")
    assert any("6 steps of 8 clips, none held out" in line for line in plan_training(options))
    result = train(options)
    assert (len(result.job.train), len(result.job.validation)) == (18, 0)
    assert (result.outcome.best_epoch, len(result.outcome.history)) == (2, 2)  # the last weights
    said = "with 6 labels per class (up to 16), none are held out"
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert any(said in note for note in record["notes"]["notes"])
    assert said in result.summary()
    asked = replace(options, validation=0.3, output=tmp_path / "asked")
    assert len(train(asked).job.validation) > 0
    budget = replace(asked, labels_per_class=3, output=tmp_path / "budget")
    assert len(train(budget).job.validation) > 0


def test_bad_files_and_odd_clips_are_listed_and_the_rest_goes_on(tmp_path: Path) -> None:
    data = write_kinds(tmp_path / "data", 4)
    (data / "hum" / "bad.wav").write_text("no sound", encoding="utf-8")
    sf.write(data / "hum" / "silent.wav", np.zeros(RATE // 2), RATE)
    cut = data / "hum" / "00.wav"
    cut.write_bytes(cut.read_bytes()[: -RATE // 10])
    result = train(replace(TRAIN, data=data, output=tmp_path / "run", validation=0.0))
    assert len(result.job.train) == 14
    assert [name for name, _ in result.failures] == ["hum/bad.wav"]
    with (tmp_path / "run" / "bad_files.csv").open() as stream:
        assert [row["file"] for row in csv.DictReader(stream)] == ["hum/bad.wav"]
    assert "on 13 clips of 3 classes" in result.summary()
    assert (
        "2 clips or windows have faults (truncated 1, silent 1): see remarks.csv"
        in result.summary()
    )
    with (tmp_path / "run" / "remarks.csv").open() as stream:
        remarks = {row["clip"]: row["remark"] for row in csv.DictReader(stream)}
    assert set(remarks) == {"hum/00.wav", "hum/silent.wav"}
    assert remarks["hum/00.wav"].startswith("truncated: the header promises 0.50 s")
    assert "class 'hum'" not in result.summary()  # one silent clip of five


@NAMES_OF_BYTES
def test_names_that_are_no_unicode_are_trained_on(tmp_path: Path) -> None:
    data = write_kinds(tmp_path / "data", 4)
    for kind in KINDS:
        os.rename(data / kind / "00.wav", os.fsencode(data / kind) + b"/\xff.wav")
        (data / kind / "01.wav").write_text("no sound", encoding="utf-8")
        os.rename(data / kind / "01.wav", os.fsencode(data / kind) + b"/\xfe.wav")
    result = train(replace(TRAIN, data=data, output=tmp_path / "run"))
    assert len(result.failures) == 3
    assert r"hum/\udcff.wav" in (tmp_path / "run" / "budget.csv").read_text(encoding="utf-8")
    assert len(train(replace(TRAIN, data=data, output=tmp_path / "run")).failures) == 3


def test_a_class_of_which_nothing_can_be_read_is_named(tmp_path: Path) -> None:
    data = write_kinds(tmp_path / "data", 3)
    for file in (data / "hum").iterdir():
        file.write_text("no sound", encoding="utf-8")
    with pytest.raises(DataError, match="found no training clip for hum"):
        train(replace(TRAIN, data=data, output=tmp_path / "run", validation=0.0))


def test_a_network_that_cannot_be_made_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    options = replace(TRAIN, data=tmp_path / "nothing", output=tmp_path / "run", model="smal")
    with pytest.raises(ModelError, match="unknown model 'smal'"):
        train(options)
    with pytest.raises(ModelError, match="unknown model 'smal'"):
        pretrain(PretrainOptions(data=tmp_path / "nothing", model="smal"))


def test_data_must_be_named() -> None:
    with pytest.raises(OptionError, match=r"'data' is missing.*semisonic train FOLDER"):
        train(TRAIN)
    with pytest.raises(OptionError, match="'data' is missing"):
        pretrain(PretrainOptions())


def test_a_limit_draws_from_the_pool(pool: Path, tmp_path: Path) -> None:
    options = replace(PRETRAIN, data=pool, output=tmp_path / "run", limit=10)
    result = pretrain(options)
    assert result.outcome.n_train + result.outcome.n_held_out == 10
    again = pretrain(replace(options, output=tmp_path / "again"))
    assert again.outcome.error == result.outcome.error
    assert np.isfinite(again.outcome.error_db2)


def test_an_interrupted_run_ends_with_the_same_model(
    kinds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = replace(QUICK, checkpoint_interval=0.0)
    options = replace(TRAIN, data=kinds, fit=fit, output=tmp_path / "whole")
    whole = train(options)
    score, count = training_work.score_rows, 0

    def interrupted(*arguments: object, **named: object) -> object:
        nonlocal count
        count += 1
        if count == 5:
            raise KeyboardInterrupt
        return score(*arguments, **named)  # type: ignore[arg-type]

    options = replace(options, output=tmp_path / "parts")
    with monkeypatch.context() as patch:
        patch.setattr(training_work, "score_rows", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(options)
    record = json.loads((tmp_path / "parts" / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "interrupted"
    parts = train(options)
    a, b = whole.outcome.model.state_dict(), parts.outcome.model.state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)
    files = [tmp_path / name / "metrics.json" for name in ("whole", "parts")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_method_learns_from_the_pool_and_starts_from_a_classifier(
    kinds: Path, pool: Path, tmp_path: Path
) -> None:
    first = replace(TRAIN, data=kinds, output=tmp_path / "first")
    train(first)
    options = replace(
        TRAIN,
        data=kinds,
        unlabelled=pool,
        encoder=tmp_path / "first",
        method="fixmatch",
        method_params=MethodOptions(threshold=0.5),
        output=tmp_path / "second",
    )
    result = train(options)
    assert result.job.pretrained is None
    assert "used" in result.outcome.history[0]
    about = read_about(result.model)["about"]
    assert DataPart.from_dict(about["pretraining"]).n_clips == 24
    assert DataPart.from_dict(about["encoder_training"]).n_clips == len(result.job.train)


def test_auto_chooses_says_why_and_lets_options_win(
    kinds: Path, pool: Path, tmp_path: Path
) -> None:
    options = TrainOptions(
        data=kinds,
        unlabelled=pool,
        model=NOTATION,
        mel=MEL,
        device="cpu",
        workers=1,
        objective="simclr",
        pretrain=replace(QUICK_PRETRAIN, epochs=1),
        near_copies=False,
        pretext=PretextOptions(view_share=0.6),
        output=tmp_path / "run",
    )
    result = train(options)
    assert len(result.outcome.history) == 3  # labels, then two rounds of guesses
    assert result.outcome.pseudo_labels
    assert not len(result.job.validation)
    assert result.job.notes[0] == (
        "probe on a new encoder, pre-trained (simclr) on 48 clips (24 without labels): 8 labels "
        "per class are too few to change the encoder"
    )
    assert result.job.notes[0] in result.summary()
    epochs = replace(options, fit=replace(QUICK, epochs=2), output=tmp_path / "other")
    trained = train(epochs)
    assert (trained.job.config.method, len(trained.outcome.history)) == ("supervised", 2)
    assert "as option 'epochs' asks for" in trained.summary()


def test_auto_keeps_an_encoder_that_tells_sounds_apart(
    kinds: Path, trained: Path, encoder: Path, tmp_path: Path
) -> None:
    """Four labels per class are not enough to change it, whatever file it comes from."""
    options = TrainOptions(
        data=kinds,
        encoder=trained,
        labels_per_class=4,
        device="cpu",
        workers=1,
        output=tmp_path / "given",
    )
    result = train(options)
    assert result.job.config.method == "probe"
    before = open_model(trained).encoder.state_dict()
    after = result.outcome.model.encoder.state_dict()
    assert all((after[name] == before[name]).all() for name in before)
    record = json.loads((tmp_path / "given" / "run.json").read_text(encoding="utf-8"))
    assert record["notes"]["method"] == result.job.config.method
    drawn = replace(options, encoder=encoder, fit=replace(TrainOptions().fit, batch_size=12))
    method = plan_training(drawn)[0]
    assert "which was trained to rebuild spectrograms" in method
    assert method.startswith("method: supervised")


def test_silence_in_the_pool_is_left_out_and_told(kinds: Path, pool: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(pool, mixed)
    silent = tmp_path / "silent"
    silent.mkdir()
    for i in range(3):
        for folder in (mixed, silent):
            sf.write(folder / f"silence{i}.wav", np.zeros(4000 + i), 8000)
    options = replace(
        TRAIN, data=kinds, unlabelled=mixed, near_copies=False, output=tmp_path / "run"
    )
    result = train(options)
    assert "3 silent clips of the pool were left out" in result.job.notes
    with pytest.raises(DataError, match="all 3 clips are silent"):
        train(replace(options, unlabelled=silent, output=tmp_path / "other"))
