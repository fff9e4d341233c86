"""Copies of a sound, cut, quieter and under another name: no split parts them, no pool holds them.

Each of 18 recordings stands twice, and nobody says so. Where each file counted as a recording,
what validates or is tested would often be a copy of what was learned from.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from tiny_sounds import MEL, PLAIN, RATE

from semisonic import SoundClassifier
from semisonic.classifier.cross_validation import cross_validate
from semisonic.classifier.provenance import DataPart, recording_hashes
from semisonic.cli.main import main
from semisonic.core.seeds import generator
from semisonic.data.datasets.load import load_clips
from semisonic.models.model_file import read_about
from semisonic.training.options import FitOptions

CLASSES = {"high": (1500, 3000), "low": (200, 700), "wide": (300, 3500)}
N = 6
TINY = "(4)3c-2p-8fc"
FRONT = ["--sample-rate", "8000", "--duration", "0.5", "--n-fft", "256", "--hop-length", "128"]
QUICK = ["--n-mels", "16", "--epochs", "1", "--batch-size", "8", "--device", "cpu"]
TRAIN = [*FRONT, *QUICK, "--precision", "fp32", "--model", TINY, "--method", "supervised", "-q"]
NAMELESS = "No clip names the recording that it was cut from"


def noise(kind: str, number: int, duration: float = 1.6) -> np.ndarray:
    """Noise of a band that comes and goes; each number is another recording."""
    rng = generator(number, "copied sound", kind)
    n = round(duration * RATE)
    low, high = CLASSES[kind]
    spectrum = np.fft.rfft(rng.normal(0, 1, n))
    frequency = np.fft.rfftfreq(n, 1 / RATE)
    spectrum[(frequency < low) | (frequency > high)] = 0
    level = np.interp(np.arange(n), np.linspace(0, n, 12), rng.uniform(0.1, 1.0, 12))
    wave = np.fft.irfft(spectrum, n) * level
    return (0.4 * wave / np.abs(wave).max()).astype(np.float32)


@pytest.fixture(scope="module")
def doubled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders in which each recording stands a second time: quieter, later, as FLAC."""
    folder = tmp_path_factory.mktemp("doubled") / "sounds"
    for kind in CLASSES:
        (folder / kind).mkdir(parents=True)
        for number in range(N):
            wave = noise(kind, number)
            sf.write(folder / kind / f"{'abcdef'[number]}one.wav", wave, RATE)
            sf.write(folder / kind / f"z{'uvwxyz'[number]}two.flac", 0.6 * wave[1000:], RATE)
    return folder


@pytest.fixture(scope="module")
def pool(doubled: Path) -> Path:
    """Six recordings that nobody labelled, and near copies of three that are labelled."""
    folder = doubled.parent / "pool"
    folder.mkdir()
    for number in range(6):
        sf.write(folder / f"new{number}.wav", noise("wide", 100 + number), RATE)
    for kind in CLASSES:
        sf.write(folder / f"{kind}.wav", 0.5 * noise(kind, 0)[:-900], RATE)
    return folder


def partner(file: str) -> str:
    """The other file of a pair."""
    folder, _, name = file.partition("/")
    if name.endswith("one.wav"):
        return f"{folder}/z{'uvwxyz'['abcdef'.index(name[0])]}two.flac"
    return f"{folder}/{'abcdef'['uvwxyz'.index(name[1])]}one.wav"


def classifier(folder: Path | None = None, **more: Any) -> SoundClassifier:
    fit = FitOptions(epochs=1, **PLAIN)
    more = {"method": "supervised", "training": fit, "pretraining": fit, **more}
    return SoundClassifier(TINY, mel=MEL, device="cpu", folder=folder, validation=0.3, **more)


def roles(model: Path, data: Path) -> dict[str, str]:
    """For what each file was used, as the model's file tells."""
    hashes = recording_hashes(load_clips(data))
    about = read_about(model)["about"]
    return {
        file: role
        for role in ("training", "validation")
        for file, value in hashes.items()
        if value in DataPart.from_dict(about[role]).hashes
    }


def test_train_validates_on_recordings_that_it_has_not_heard(
    doubled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(["train", str(doubled), "-o", str(run), "--validation", "0.3", *TRAIN]) == 0
    told = capsys.readouterr().out
    assert "18 pairs of near-identical clips are kept together" in told
    assert NAMELESS in told
    part = roles(run / "model.zip", doubled)
    assert len(part) == 6 * N
    assert set(part.values()) == {"training", "validation"}
    assert all(part[file] == part[partner(file)] for file in part)
    found = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["validation"]
    n = sum(role == "validation" for role in part.values())
    assert (found["n_clips"], found["n_recordings"]) == (n, n // 2)
    low, high = found["accuracy_interval"]
    right = round(found["accuracy"] * n)
    assert f"({right} of {n} clips of {n // 2} recordings; 95 % interval" in told
    assert low <= found["accuracy"] <= high
    assert high - low > 0.2  # few recordings tell little


def test_what_was_compared_is_known_the_next_time(
    doubled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["train", str(doubled), "--cache", str(tmp_path / "cache"), *TRAIN]
    assert main([*command, "-o", str(tmp_path / "one")]) == 0

    def never(*_: object, **__: object) -> None:
        raise AssertionError("compared again")

    monkeypatch.setattr("semisonic.data.recordings.find_duplicates", never)
    assert main([*command, "-o", str(tmp_path / "two")]) == 0
    assert roles(tmp_path / "one" / "model.zip", doubled) == roles(
        tmp_path / "two" / "model.zip", doubled
    )


def test_recordings_that_are_known_are_taken_as_they_are(
    doubled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", str(doubled), "--validation", "0.3", *TRAIN]
    assert main([*command, "--group", "(.{9})", "-o", str(tmp_path / "pattern")]) == 0
    assert main([*command, "--group", "file", "-o", str(tmp_path / "file")]) == 0
    told = capsys.readouterr().out
    assert NAMELESS not in told
    assert "near-identical" not in told


def test_a_classifier_in_python_validates_on_recordings_that_it_has_not_heard(
    doubled: Path, tmp_path: Path
) -> None:
    clf = classifier(tmp_path / "place").fit(doubled)
    clf.save(tmp_path / "model.zip")
    part = roles(tmp_path / "model.zip", doubled)
    assert set(part.values()) == {"training", "validation"}
    assert all(part[file] == part[partner(file)] for file in part)


def test_cross_validation_tests_on_recordings_that_it_has_not_heard(
    doubled: Path, tmp_path: Path
) -> None:
    found = cross_validate(classifier(), doubled, n_folds=2)
    fold = dict(zip(found.measurement.clips.file.tolist(), found.fold.tolist(), strict=True))
    assert set(fold.values()) == {1, 2}
    assert all(fold[file] == fold[partner(file)] for file in fold)


def test_the_pool_is_cleaned_alike_by_train_and_by_python(
    doubled: Path,
    pool: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = "3 clips of the pool are the same sounds as labelled clips"
    run = tmp_path / "run"
    more = ["--unlabelled", str(pool), "--objective", "reconstruction", *TRAIN]
    assert main(["train", str(doubled), "-o", str(run), *more]) == 0
    assert said in capsys.readouterr().out

    clf = classifier(tmp_path / "place", objective="reconstruction")
    with pytest.warns(UserWarning, match=said):
        clf.fit(doubled, unlabelled=pool)
    clf.save(tmp_path / "model.zip")
    files = (run / "model.zip", tmp_path / "model.zip")
    heard = [read_about(file)["about"]["pretraining"] for file in files]
    assert heard[0]["hashes"] == heard[1]["hashes"]
    assert heard[0]["clips"] == 6

    with pytest.warns(UserWarning, match="of the pool") as told:
        cross_validate(
            classifier(objective="reconstruction"),
            doubled,
            unlabelled=pool,
            n_folds=2,
        )
    of_pool = [str(one.message) for one in told if "of the pool" in str(one.message)]
    assert len(of_pool) == 1  # once for all folds, of all that is tested
    assert said in of_pool[0]


def test_all_verbs_with_numbers_count_recordings_and_not_copies(
    doubled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(["train", str(doubled), "-o", str(run), *TRAIN]) == 0
    capsys.readouterr()
    command = ["evaluate", str(run), str(doubled), "--allow-seen", "-q", "--bootstrap", "100"]
    assert main([*command, "-o", str(tmp_path / "test")]) == 0
    told = capsys.readouterr().out
    assert "36 clips of 18 recordings" in told
    assert NAMELESS in told
    assert NAMELESS in (tmp_path / "test" / "report.html").read_text(encoding="utf-8")
    command = ["calibrate", str(run), str(doubled), "--allow-seen", "-q"]
    assert main([*command, "-o", str(tmp_path / "calibrated")]) == 0
    told = capsys.readouterr().out
    assert "36 clips of 18 recordings" in told
    assert NAMELESS in told
    command = ["suspects", str(doubled), *FRONT, "--n-mels", "16", "-q", "-o"]
    assert main([*command, str(tmp_path / "suspects")]) == 0
    told = capsys.readouterr().out
    assert "18 pairs of near-identical clips" in told
    assert NAMELESS in told
    with (tmp_path / "suspects" / "suspects.csv").open(newline="") as stream:
        group = {row["clip"]: row["group"] for row in csv.DictReader(stream)}
    assert all(group[partner(file)] == group[file] for file in group if partner(file) in group)


def test_data_info_says_what_is_not_known_and_copies_can_be_asked_for(
    doubled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "info", str(doubled), "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["n_recordings"] == 36
    assert NAMELESS in told.err
    assert main(["data", "info", str(doubled), "--json", "--group", "copies"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["n_recordings"] == 18
    assert "18 pairs of near-identical clips are kept together" in told.err


def test_data_check_names_the_next_step(doubled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(doubled)]) == 3
    told = capsys.readouterr().out
    assert "clips that count as separate recordings: 18" in told
    assert "--group copies" in told
    assert "across splits" not in told
    assert main(["data", "check", str(doubled), "--group", "copies"]) == 0


def test_few_labels_all_teach_where_no_epoch_is_chosen(doubled: Path, tmp_path: Path) -> None:
    encoder = tmp_path / "encoder"
    command = ["pretrain", str(doubled), "-o", str(encoder), "--model", TINY, *FRONT, *QUICK]
    assert main([*command, "--precision", "fp32", "-q"]) == 0
    command = ["train", str(doubled), "--encoder", str(encoder), "--method", "probe", "-q"]
    assert main([*command, "-o", str(tmp_path / "run")]) == 0
    assert set(roles(tmp_path / "run" / "model.zip", doubled).values()) == {"training"}
    assert main([*command, "-o", str(tmp_path / "part"), "--validation", "0.3"]) == 0
    assert "validation" in roles(tmp_path / "part" / "model.zip", doubled).values()
