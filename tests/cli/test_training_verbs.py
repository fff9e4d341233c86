"""From recordings to predictions through the command line, on a tiny synthetic set."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from calls import cli
from semisonic.models.model_file import read_about
from systems import POSIX
from waiting import LONG, until

SMALL = ["--model", "(4)3c-2p-8fc", "--n-mels", "16", "--sample-rate", "8000", "--duration", "1"]
QUICK = ["--epochs", "1", "--batch-size", "8", "--device", "cpu", "--precision", "fp32", "-q"]


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "sounds"
    size = ["--n-classes", "3", "--clips-per-class", "10", "--n-pool", "12"]
    short = ["--duration", "1", "--sample-rate", "16000", "--clips-per-recording", "1"]
    assert cli("data synth", folder, size, short, "-q") == 0
    return folder


@pytest.fixture(scope="module")
def runs(sounds) -> Path:
    """An encoder, a model that starts from it, and its evaluation."""
    runs = sounds.parent / "runs"
    labels = str(sounds / "labels.csv")
    pool = str(sounds / "pool")
    encoder, model, test = (str(runs / name) for name in ("encoder", "model", "test"))
    fold = ["--test-fold", "2"]
    assert cli("pretrain", pool, "-o", encoder, SMALL, QUICK) == 0
    assert (
        cli("train", labels, "--encoder", encoder, "--method supervised", fold, "-o", model, QUICK)
        == 0
    )
    assert cli("evaluate", model, labels, "--fold 2 -o", test, "-q") == 0
    return runs


@pytest.mark.parametrize(
    ("name", "file"), [("encoder", "encoder.zip"), ("model", "model.zip"), ("test", "report.html")]
)
def test_each_run_folder_holds_its_record_and_its_result(runs, name, file) -> None:
    folder = runs / name
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "done"
    assert {"options", "versions", "seeds", "data", "machine"} <= set(record)
    assert (folder / "log.txt").is_file()
    assert (folder / file).stat().st_size > 0


def test_a_folder_of_another_run_is_refused_and_left_alone(runs, sounds, tells) -> None:
    folder = runs / "encoder"
    before = (folder / "encoder.zip").read_bytes()
    arguments = ["pretrain", str(sounds / "pool"), "-o", str(folder), *SMALL, *QUICK]
    assert "belongs to another run" in tells(2, arguments, "--seed 5").err
    assert cli("train", sounds / "labels.csv", "-o", folder, "--method supervised", QUICK) == 2
    assert (folder / "encoder.zip").read_bytes() == before


def test_a_run_can_be_repeated_from_its_record(runs, sounds, tmp_path, tells) -> None:
    record = str(runs / "encoder" / "run.json")
    again = tmp_path / "again"
    first = tells(0, "pretrain --config", record, "-o", again, "-q").out.replace(str(again), "")
    assert first
    options = [
        json.loads((f / "run.json").read_text(encoding="utf-8"))["options"]
        for f in (again, runs / "encoder")
    ]
    assert {**options[0], "output": ""} == {**options[1], "output": ""}


def test_a_dry_run_says_what_would_be_done(sounds, tmp_path, tells, monkeypatch) -> None:
    monkeypatch.setenv("SEMISONIC_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "run"
    answer = tells(0, "train", sounds / "labels.csv", "-o", folder, "--dry-run")
    shown = tomllib.loads(answer.out)
    assert shown == {"data": str(sounds / "labels.csv"), "output": str(folder)}
    assert "read as a table of files and labels" in answer.err
    assert "# method: probe on an encoder trained on synthetic sounds" in answer.out
    assert "synthetic sounds: make" not in answer.out  # that encoder comes with the package
    assert re.search(r"decode \d+ clips: less than a minute", answer.out)
    assert re.search(r"total: less than a minute .* [\d.]+ [MG]B in '.*cache'", answer.out)
    tiny = tells(0, "train", sounds / "labels.csv", "-o", folder, "--model tiny --dry-run").out
    assert "synthetic sounds: make 2,000, train the encoder for 2,000 steps" in tiny
    assert "other values of: 'model'. To avoid it" in tiny
    other = ("--n-mels 40 --fmin-hz 50", "--dry-run")
    bands = tells(0, "train", sounds / "labels.csv", "-o", folder, *other).out
    assert "other values of: 'n_mels', 'fmin_hz'. To avoid it" in bands
    random = tells(0, "train", sounds / "labels.csv", "--method supervised", *other).out
    assert "synthetic" not in random
    assert re.search(r"total: about \d+ min .* about [\d.]+ [MG]B in '.*cache'", tiny)
    last = answer.out.splitlines()[-1]
    assert last.startswith("# total")
    assert not folder.exists()
    assert cli("pretrain", tmp_path / "nothing", "--dry-run") == 2


def test_a_verbose_dry_run_shows_all_options(sounds, tmp_path, tells) -> None:
    run = ["train", str(sounds / "labels.csv"), "-o", str(tmp_path / "run")]
    answer = tells(0, run, "--dry-run -v").out
    assert "labels_per_class = 0" in answer
    assert "# schedule: chosen by auto" in answer


def test_what_will_be_done_is_said_before(sounds, tmp_path, monkeypatch, tells) -> None:
    from semisonic.classifier import train as ready

    def work(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ready, "with_start", work)
    labels, run = str(sounds / "labels.csv"), str(tmp_path / "run")
    said = tells(130, "train", labels, "-o", run, SMALL, "--epochs 3").err
    assert "method: supervised from an encoder trained on synthetic sounds" in said
    assert re.search(r"train \(supervised\), \d+ steps of 20 clips", said)


def test_simclr_runs_with_the_options_that_it_shows_and_records(
    sounds, tmp_path, capsys, tells
) -> None:
    """What is given by hand holds, also where it is the default of another objective."""
    rate, schedule = 1e-3, "constant"
    by_hand = ["--learning-rate", "0.001", "--schedule", "constant"]
    out = tmp_path / "run"
    call = ["pretrain", str(sounds / "pool"), "-o", str(out), "--objective", "simclr", "--steps"]
    call += ["6", "--epoch-steps", "3", "--batch-size", "4", "--device", "cpu", *SMALL, *by_hand]
    shown = tomllib.loads(tells(0, call, "--dry-run -v").out)["fit"]
    assert cli(call, "-q") == 0
    capsys.readouterr()
    recorded = json.loads((out / "run.json").read_text(encoding="utf-8"))["options"]["fit"]
    for found in (shown, recorded):
        assert (found["learning_rate"], found["schedule"]) == (rate, schedule)
        assert (found["optimizer"], found["ema_decay"], found["steps"]) == ("adamw", 0.995, 6)
    history = json.loads((out / "training" / "history.json").read_text(encoding="utf-8"))
    assert len(history) == 2
    rates = {row["lr"] for row in history}
    assert rates == {rate}
    again = ["pretrain", "--config", str(out / "run.json"), "--dry-run", "-v"]
    assert tomllib.loads(tells(0, again).out)["fit"] == shown


def test_a_run_by_auto_is_repeated_from_its_record(sounds, runs, tmp_path) -> None:
    """Also the choice: what nobody gave is left to it again."""
    call = ["train", str(sounds / "labels.csv"), "-o", str(tmp_path / "a"), "--steps", "4"]
    call += ["--encoder", str(runs / "encoder"), "--device", "cpu", "-q"]
    call += ["--learning-rate", "0.001", "--dropout", "0"]
    assert cli(call) == 0
    record = str(tmp_path / "a" / "run.json")
    assert cli("train --config", record, "-o", tmp_path / "b", "-q") == 0
    found = []
    for name in ("a", "b"):
        made = read_about(tmp_path / name / "model.zip")["about"]["options"]
        found.append((made["fit"]["learning_rate"], made["fit"]["optimizer"], made["dropout"]))
    assert found[0] == found[1] == (1e-3, "adamw", 0.0)


def test_the_word_synth_is_the_embedded_set(tmp_path, monkeypatch) -> None:
    """The set is made beside the run folder, and the room gets ordinary paths."""
    from semisonic.classifier.options import TrainOptions
    from semisonic.cli.parser import Session
    from semisonic.cli.training_verbs import begin

    made: list[Path] = []
    monkeypatch.setattr(
        "semisonic.data.synth.dataset.make_synth", lambda folder: made.append(folder)
    )
    options = TrainOptions(
        method="supervised",
        data=Path("synth"),
        unlabelled=Path("synth"),
        output=tmp_path / "runs" / "model",
    )
    session = Session()
    session.quiet = True
    found = begin(options, session)
    assert made == [tmp_path / "runs" / "synth"]
    assert (found.data, found.unlabelled) == (made[0] / "labels.csv", made[0] / "pool")


@POSIX
@pytest.mark.slow
def test_ctrl_c_is_calm_and_leaves_a_checkpoint(sounds, tmp_path) -> None:
    run = tmp_path / "run"
    arguments = ["pretrain", str(sounds / "pool"), "-o", str(run), *SMALL, *QUICK]
    arguments[arguments.index("--epochs") + 1] = "100000"
    process = subprocess.Popen(
        [sys.executable, "-m", "semisonic", *arguments], stderr=subprocess.PIPE, text=True
    )
    until((run / "training" / "history.json").exists, process)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=LONG)
    assert process.returncode == 130
    assert error == "\nInterrupted. The same command continues where it stopped.\n"
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["status"] == "interrupted"
    assert list(run.glob("training/*"))


def test_a_verb_ends_with_what_comes_next(sounds, tmp_path, tells) -> None:
    encoder, model = tmp_path / "encoder", tmp_path / "model"
    loud = [*SMALL, *QUICK[:-1]]
    assert (
        f"next: semisonic train LABELLED --encoder {encoder}"
        in tells(0, "pretrain", sounds / "pool", "-o", encoder, loud).err
    )
    line = ["train", str(sounds / "labels.csv"), "--method", "supervised", "-o", str(model), *loud]
    assert f"semisonic predict {model} RECORDINGS" in tells(0, line).err
    assert (
        f"next: semisonic map {tmp_path / 'index'}"
        in tells(0, "embed", model, sounds / "pool", "-o", tmp_path / "index").err
    )
    assert "next:" not in tells(0, "predict", model, sounds / "pool", "-q").err
