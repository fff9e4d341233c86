"""Calibrated scores, thresholds and "unknown", the same in every way to scores."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from tiny_sounds import MEL, NOTATION, PLAIN, RATE

import semisonic
from semisonic.classifier.classifier import SoundClassifier
from semisonic.classifier.model_file import open_model
from semisonic.classifier.predict import predict_files
from semisonic.classifier.unknown import KINDS as NOISES
from semisonic.classifier.unknown import check_noise, make_noise
from semisonic.core.errors import DataError, ModelError, OptionError
from semisonic.core.seeds import generator
from semisonic.models.decision import Decision
from semisonic.models.model_file import load, read_about
from semisonic.models.sound_model import SoundModel
from semisonic.training.options import FitOptions

KINDS = ("click", "siren", "sweep")
FIT = FitOptions(epochs=10, learning_rate=5e-3, **PLAIN)


def sound(kind: str, number: int) -> np.ndarray:
    """A sound that is no noise; each number is another recording, one in ten hard to tell."""
    rng = generator(number, "sound to decide on", kind)
    if number % 10 == 9:
        kind = KINDS[int(rng.integers(3))]
    time = np.arange(RATE // 2) / RATE
    if kind == "click":
        wave = np.zeros(len(time))
        for start in rng.uniform(0, 0.45, 6):
            wave += np.exp(-200 * np.maximum(time - start, 0)) * (time > start)
        wave *= np.sin(2 * np.pi * rng.uniform(1500, 2500) * time)
    elif kind == "siren":
        wave = np.sin(2 * np.pi * 900 * time + 40 * np.sin(2 * np.pi * rng.uniform(3, 6) * time))
    else:
        wave = np.sin(2 * np.pi * (rng.uniform(500, 700) + 2500 * time) * time)
    return (0.4 * wave + rng.normal(0, 0.01, len(time))).astype(np.float32)


def write(folder: Path, n: int, first: int = 0) -> Path:
    for kind in KINDS:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(first, first + n):
            sf.write(folder / kind / f"{number:03d}.wav", sound(kind, number), RATE)
    return folder


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Clips to train, to calibrate and to test by, and a freshly trained model."""
    root = tmp_path_factory.mktemp("deciding")
    found = {
        "train": write(root / "train", 20),
        "calibrate": write(root / "calibrate", 14, 200),
        "test": write(root / "test", 10, 300),
        "noise": root / "noise",
        "run": root / "run",
    }
    found["noise"].mkdir()
    for kind in NOISES:
        for number, wave in enumerate(make_noise(kind, 3, 4000, RATE, 77)):
            sf.write(found["noise"] / f"{kind}-{number}.wav", wave, RATE)
    network = {"model": NOTATION, "mel": MEL, "fit": FIT, "method": "supervised"}
    more = {"device": "cpu", "group": "file", "validation": 0.34}
    semisonic.train(found["train"], found["run"], **network, **more)
    return found


@pytest.fixture(scope="module")
def calibrated(material: dict[str, Path]) -> Path:
    output = material["run"].parent / "calibrated"
    more = {"device": "cpu", "precision": 0.8, "licence": "CC0"}
    semisonic.calibrate(material["run"], material["calibrate"], output, **more)
    return output


def test_a_freshly_trained_model_has_a_temperature_and_a_rule(material: dict[str, Path]) -> None:
    decision = open_model(material["run"]).decision
    assert decision.calibration.method == "temperature"
    assert decision.unknown
    assert not decision.thresholds
    assert "chose the epoch" in decision.note["fitted on"]


@pytest.mark.parametrize("which", ["run", "calibrated"])
def test_silence_and_noise_never_give_a_confident_class(
    material: dict[str, Path], calibrated: Path, which: str
) -> None:
    model = open_model({**material, "calibrated": calibrated}[which])
    rows = pd.concat([check_noise(model, seed=seed, per_kind=30) for seed in (11, 12)])
    refused = rows["called unknown"]
    assert (refused >= np.where(rows["noise"] == "silence", 1.0, 0.96)).all(), rows
    assert ((rows["highest score"] < 0.6) | (refused < 1.0)).all(), rows
    assert refused.mean() >= 0.99
    said = predict_files(model, [material["noise"]], unknown=True).to_frame()
    silent = [Path(file).name.startswith("silence") for file in said["file"]]
    assert said["label"].tolist() == np.where(silent, "(silence)", "(noise)").tolist()
    known = predict_files(model, [material["test"]], unknown=True).to_frame()
    assert (known["reason"] == "").mean() > 0.75  # the limit stands on some twenty clips


def test_without_it_noise_is_named_with_confidence(material: dict[str, Path]) -> None:
    """The test above would show nothing if the network were modest by itself."""
    model = open_model(material["run"])
    model.decision = Decision()
    assert check_noise(model, seed=11)["highest score"].max() > 0.9
    with pytest.raises(ModelError, match="semisonic calibrate"):
        predict_files(model, [material["noise"]], unknown=True)


def test_calibrate_writes_a_model_a_table_and_a_page(
    material: dict[str, Path], calibrated: Path
) -> None:
    about = read_about(calibrated / "model.zip")["about"]
    assert about["calibration"]["clips"] == 42
    assert about["licence"] == "CC0"
    assert about["command"] == "train"
    model = open_model(calibrated)
    assert set(model.decision.thresholds) == set(KINDS)
    rows = list(csv.DictReader((calibrated / "thresholds.csv").open()))
    assert [row["class"] for row in rows] == list(KINDS)
    assert {row["outcome"] for row in rows} <= {"shown", "likely", "not reached"}
    assert all(float(row["threshold"]) > 0.5 for row in rows)  # no unknown sound gets so far
    page = (calibrated / "report.html").read_text(encoding="utf-8")
    for words in ("Reliability", "Thresholds", "Unknown sounds", "silence"):
        assert words in page
    assert (calibrated / "figures" / "reliability.png").is_file()


def test_clips_that_were_trained_on_are_refused(
    material: dict[str, Path], calibrated: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="cannot calibrate: the model was trained on"):
        semisonic.calibrate(material["run"], material["train"], tmp_path / "a")
    with pytest.raises(DataError, match="calibrated on"):
        semisonic.evaluate(calibrated, material["calibrate"], tmp_path / "b")
    few = write(tmp_path / "few", 2, 900)
    with pytest.raises(DataError, match="found 6 clips"):
        semisonic.calibrate(material["run"], few, tmp_path / "c", device="cpu")


def test_predict_says_unknown_and_why(
    material: dict[str, Path], calibrated: Path, tmp_path: Path
) -> None:
    output = tmp_path / "said.csv"
    files = (material["noise"], material["test"])
    predict = partial(predict_files, files=files, unknown=True, threshold="auto", top=2)
    result = predict(open_model(calibrated), output=output)
    rows = list(csv.DictReader(output.open()))
    assert list(rows[0]) == [
        "file",
        "start_time",
        "end_time",
        "label",
        "score",
        "label_2",
        "score_2",
        "known",
        "reason",
    ]
    limits = open_model(calibrated).decision.thresholds
    for row in rows:
        if row["label"] == "(unknown)":
            assert row["score"] == ""
            assert row["reason"] in ("like nothing learned", "below threshold")
            assert row["label_2"] in KINDS
        elif row["label"] in ("(silence)", "(noise)"):
            assert row["score"] == row["label_2"] == ""
            assert row["reason"] in ("digital silence", "steady noise")
        else:
            assert row["reason"] == ""
            assert float(row["score"]) >= limits[row["label"]] - 1e-4
            assert float(row["known"]) >= 0.5
    assert "(noise): steady noise" in result.summary()
    strict = predict(open_model(calibrated), unknown=False, threshold="1.0")
    assert set(strict.to_frame()["label"]) == {"(silence)", "(noise)", "(unknown)"}
    with pytest.raises(OptionError, match="expected auto or a number from 0 to 1"):
        predict(open_model(calibrated), threshold="2")
    with pytest.raises(ModelError, match="no thresholds"):
        predict(open_model(material["run"]))


def test_a_long_recording_of_silence_with_a_sound_in_it(calibrated: Path, tmp_path: Path) -> None:
    wave = np.concatenate([np.zeros(8000), sound("sweep", 1), np.zeros(8000)])
    sf.write(tmp_path / "long.wav", wave, RATE)
    model = open_model(calibrated)
    found = predict_files(model, [tmp_path / "long.wav"], windows=True, unknown=True).to_frame()
    assert found["label"].tolist() == ["(silence)", "(silence)", "sweep", "(silence)", "(silence)"]
    whole = predict_files(model, [tmp_path / "long.wav"], unknown=True).to_frame()
    assert whole["label"].tolist() == ["sweep"]


@pytest.fixture(scope="module")
def fitted() -> SoundClassifier:
    waves = [sound(kind, number) for kind in KINDS for number in range(12)]
    clf = SoundClassifier(NOTATION, mel=MEL, training=FIT, method="supervised", device="cpu")
    return clf.fit(waves, [kind for kind in KINDS for _ in range(12)], sample_rate=RATE)


def test_the_classifier_calibrates_with_arrays(fitted: SoundClassifier, tmp_path: Path) -> None:
    assert fitted.model_.decision.is_empty  # five clips held out are too few
    assert fitted.thresholds_ == {}
    with pytest.raises(ModelError):
        fitted.predict([sound("click", 50)], sample_rate=RATE, unknown=True)
    held = [sound(kind, number) for kind in KINDS for number in range(100, 110)]
    names = [kind for kind in KINDS for _ in range(10)]
    assert fitted.calibrate(held, names, sample_rate=RATE, precision=0.7) is fitted
    assert set(fitted.thresholds_) == set(KINDS)
    noise = [wave for kind in NOISES for wave in make_noise(kind, 4, 4000, RATE, 5)]
    assert set(fitted.predict(noise, sample_rate=RATE, unknown=True)) == {"(unknown)"}
    assert set(fitted.predict(noise, sample_rate=RATE)) <= set(KINDS)  # as nobody wants to know
    assert set(fitted.predict(held, sample_rate=RATE)) == set(KINDS)
    fitted.save(tmp_path / "a.zip")
    again = SoundClassifier.load(tmp_path / "a.zip")
    assert again.thresholds_ == fitted.thresholds_
    np.testing.assert_array_equal(
        again.predict_proba(held, sample_rate=RATE), fitted.predict_proba(held, sample_rate=RATE)
    )
    with pytest.raises(DataError, match="expected at least 20"):
        fitted.calibrate(held[:12], names[:12], sample_rate=RATE)


def test_several_labels_a_clip(tmp_path: Path) -> None:
    def mixed(n: int, first: int) -> tuple[list[np.ndarray], list[tuple[str, ...]]]:
        rng = np.random.default_rng(first)
        waves, labels = [], []
        for number in range(first, first + n):
            chosen = [kind for kind in KINDS if rng.random() < 0.5] or ["click"]
            waves.append(sum((0.5 * sound(kind, 10 * number) for kind in chosen), np.float32(0)))
            labels.append(tuple(chosen))
        return waves, labels

    clf = SoundClassifier(NOTATION, mel=MEL, training=FIT, method="supervised", device="cpu")
    waves, labels = mixed(40, 0)
    clf.fit(waves, labels, sample_rate=RATE)
    assert clf.model_.multi_label
    clf.calibrate(*mixed(40, 100), sample_rate=RATE, precision=0)
    scores = clf.predict_proba(waves, sample_rate=RATE)
    hot = clf.predict(waves, sample_rate=RATE)
    limits = np.array([clf.thresholds_[name] for name in clf.classes_])
    np.testing.assert_array_equal(hot, scores >= limits)
    silent = clf.predict_proba([np.zeros(4000, np.float32)], sample_rate=RATE)
    assert silent.max() < 0.25
    clf.save(tmp_path / "a.zip")
    loaded: SoundModel = load(tmp_path / "a.zip")
    assert loaded.decision.calibration == clf.model_.decision.calibration


def test_synthetic_noise_is_seeded_and_within_full_scale() -> None:
    kinds: dict[str, Any] = {kind: make_noise(kind, 5, 4000, RATE, 3) for kind in NOISES}
    for kind, waves in kinds.items():
        again = make_noise(kind, 5, 4000, RATE, 3)
        for wave, same in zip(waves, again, strict=True):
            np.testing.assert_array_equal(wave, same)
            assert wave.shape == (4000,)
            assert wave.dtype == np.float32
            assert np.abs(wave).max() <= 1.0
    assert not kinds["silence"][0].any()
    levels = [20 * np.log10(np.sqrt(np.mean(wave**2))) for wave in kinds["pink"]]
    assert levels[0] < -60
    assert -25 < levels[-1] < -3
    assert (np.diff(levels) > 0).all()
