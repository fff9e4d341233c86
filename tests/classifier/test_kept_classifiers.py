"""Simple classifiers as model files: the scores of scikit-learn's, all verbs as for networks."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.multiclass import OneVsRestClassifier
from tiny_sounds import KINDS, MEL, RATE, sound, write_kinds
from training_rows import train_rows

import semisonic
from semisonic.classifier.config import TrainConfig
from semisonic.classifier.evaluate import evaluate
from semisonic.classifier.options import (
    EvaluateOptions,
    PretrainOptions,
    TrainOptions,
)
from semisonic.classifier.predict import predict_files
from semisonic.classifier.pretrain import pretrain
from semisonic.classifier.scoring import embed_rows, score_rows
from semisonic.classifier.simple import CLASSIFIERS, fit_scores
from semisonic.classifier.train import train
from semisonic.cli.main import main
from semisonic.core.errors import ModelError, OptionError
from semisonic.features.frontend import make_extractor
from semisonic.features.options import MelOptions
from semisonic.features.statistics import mel_statistics, mfcc_statistics
from semisonic.models.model_file import load, read, save, write
from semisonic.models.notation import SIMPLE
from semisonic.models.sound_model import SoundModel, build


def features(n: int, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Log-mel features of ``n`` clips of each kind with noise on top, and their classes."""
    extract = make_extractor(MEL)
    rng = np.random.default_rng(first)
    found = [extract(sound(kind, i)) for i in range(first, first + n) for kind in KINDS]
    noisy = np.stack(found) + rng.normal(0, 12, (len(found), 1, 1, 1)) * rng.normal(
        0, 1, np.shape(found)
    )
    return noisy.astype(np.float32), np.tile(np.arange(len(KINDS)), n)


def trained(name: str, x: np.ndarray, y: np.ndarray, n_classes: int, seed: int = 3) -> SoundModel:
    return train_rows(
        x,
        y,
        np.arange(len(x)),
        [],
        TrainConfig(name, method="fitted"),
        mel=MEL,
        classes=KINDS[:n_classes],
        seed=seed,
    ).model


@pytest.mark.parametrize("name", SIMPLE)
@pytest.mark.parametrize("n_classes", [3, 2])
def test_a_file_gives_the_scores_of_the_fitted_estimator(
    name: str, n_classes: int, tmp_path: Path
) -> None:
    (x, y), (more, _) = features(12), features(9, first=50)
    used = np.flatnonzero(y < n_classes)
    save(tmp_path / "m.zip", trained(name, x[used], y[used], n_classes))
    model = load(tmp_path / "m.zip")

    rows = np.arange(len(more))
    known, new = embed_rows(model, x, used), embed_rows(model, more, rows)
    exact = fit_scores(name, known, y[used], new, n_classes=n_classes, seed=3)
    assert exact.std() > 0.1  # it says something
    np.testing.assert_allclose(score_rows(model, more, rows), exact, atol=1e-6)


@pytest.mark.parametrize("name", SIMPLE)
def test_several_labels_a_clip(name: str, tmp_path: Path) -> None:
    (x, y), (more, _) = features(12), features(9, first=50)
    target = np.zeros((len(y), 3), np.float32)
    target[np.arange(len(y)), y] = 1
    target[::2, 0] = 1
    save(tmp_path / "m.zip", trained(name, x, target, 3))
    model = load(tmp_path / "m.zip")

    rows = np.arange(len(more))
    known, new = embed_rows(model, x, np.arange(len(x))), embed_rows(model, more, rows)
    np.testing.assert_allclose(
        score_rows(model, more, rows), of_several(name, known, target, new), atol=1e-6
    )


def of_several(name: str, x: np.ndarray, target: np.ndarray, new: np.ndarray) -> np.ndarray:
    """scikit-learn's own way to several labels."""
    (estimator,) = CLASSIFIERS[name].make(3, len(x))
    answers = target.astype(int)
    if name in ("knn", "forest"):
        columns = clone(estimator).fit(x, answers).predict_proba(new)
        return np.stack([column[:, 1] for column in columns], axis=1)
    each = OneVsRestClassifier(estimator).fit(x, answers)
    if name == "svm":
        return np.asarray(1 / (1 + np.exp(-each.decision_function(new))))
    return np.asarray(each.predict_proba(new))


@pytest.mark.parametrize("name", SIMPLE)
def test_a_class_that_every_clip_has(name: str) -> None:
    x, y = features(6)
    target = np.eye(3, dtype=np.float32)[y]
    target[:, 1] = 1
    scores = score_rows(trained(name, x, target, 3), x, np.arange(len(x)))
    assert scores[:, 1].min() > 0.9
    assert np.isfinite(scores).all()


def test_the_statistics_are_those_of_numpy() -> None:
    x, _ = features(4)
    model = build("knn", MEL, KINDS, standardize="none")
    np.testing.assert_allclose(
        embed_rows(model, x, np.arange(len(x))), mel_statistics(x), atol=2e-3
    )
    one = build("knn", MEL, KINDS, standardize="none").embed(torch.from_numpy(x[:, :, :, :1]))
    np.testing.assert_allclose(one.numpy(), mel_statistics(x[:, :, :, :1]), atol=2e-3)

    wave = np.stack([sound(kind, i, 1.0) for i, kind in enumerate(KINDS)])
    options = MelOptions(input="wave", sample_rate=RATE, duration=1.0)
    model = build("svm", options, KINDS, standardize="none")
    found = embed_rows(model, wave[:, None, None], np.arange(3))
    np.testing.assert_allclose(
        found, np.stack([mfcc_statistics(one, RATE) for one in wave]), atol=2e-3
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("kinds")
    found = {"data": write_kinds(root / "data", 60), "new": write_kinds(root / "new", 3, first=80)}
    for name in ("forest", "svm"):
        found[name] = root / name
        mel = MEL if name == "forest" else MelOptions(input="wave", sample_rate=RATE, duration=0.5)
        made = train(
            TrainOptions(data=found["data"], output=found[name], model=name, mel=mel, device="cpu")
        )
        assert "a simple classifier, fitted to statistics" in made.summary()
    return found


@pytest.mark.parametrize("name", ["forest", "svm"])
def test_verbs_take_it(name: str, folders: dict[str, Path], tmp_path: Path) -> None:
    run, new = folders[name], folders["new"]
    model = load(run / "model.zip")
    assert not model.decision.is_empty  # calibrated by its validation part
    done = evaluate(EvaluateOptions(run, new, tmp_path / "e", bootstrap=100, device="cpu"))
    assert done.measurement.metrics["accuracy"] > 0.85
    assert len(predict_files(model, [new]).rows) == 9
    keep = semisonic.SoundClassifier.load(run)
    assert keep.predict([sound("hum", 99)], sample_rate=RATE).tolist() == ["hum"]


def test_on_the_command_line(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(folders["forest"])
    assert main(["info", run]) == 0
    assert "forest" in capsys.readouterr().out
    assert main(["info", "forest"]) == 0
    capsys.readouterr()
    out = str(tmp_path / "found")
    assert main(["detect", run, str(folders["new"]), "--output", out, "--device", "cpu"]) == 0
    made = str(tmp_path / "calibrated.zip")
    args = ["calibrate", run, str(folders["new"]), "--output", made, "--device", "cpu"]
    assert main([*args]) in (0, 2)  # too few clips is told, and nothing breaks
    broken = tmp_path / "broken.zip"
    broken.write_bytes((folders["forest"] / "model.zip").read_bytes()[:-5000])
    assert main(["predict", str(broken), str(folders["new"])]) == 2
    assert "damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ({"method": "fixmatch"}, "fitted at once"),
        ({"encoder": Path("synth")}, "has no encoder"),
        ({"objective": "simclr"}, "never pre-trained"),
        ({"dropout": 0.5}, "does not read it"),
    ],
)
def test_options_that_would_do_nothing(
    asked: dict[str, Any], what: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=what):
        train(
            TrainOptions(data=folders["data"], output=tmp_path / "r", model="knn", mel=MEL, **asked)
        )


def test_it_is_no_encoder(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no encoder that learns"):
        train(TrainOptions(data=folders["data"], output=tmp_path / "r", encoder=folders["forest"]))
    with pytest.raises(OptionError, match="no encoder that learns"):
        pretrain(PretrainOptions(folders["data"], tmp_path / "p", model="forest", mel=MEL))


def changed(model: SoundModel, folder: Path, name: str, table: torch.Tensor) -> Path:
    save(folder / "good.zip", model)
    content = read(folder / "good.zip")
    settings = {k: v for k, v in content.settings.items() if k not in ("format", "version")}
    write(folder / "bad.zip", settings, {**content.weights, f"head.1.{name}": table}, "card")
    return folder / "bad.zip"


def test_damaged_tables_are_refused(tmp_path: Path) -> None:
    x, y = features(6)
    forest = trained("forest", x, y, 3).head[-1]
    n = len(forest.row)
    damages = (
        ("left", torch.zeros(n, dtype=torch.int64), "leads back"),
        ("left", torch.full((n,), 10**9), "outside"),
        ("feature", torch.full((n,), -5), "outside"),
        ("row", forest.row[:-1].clone(), "do not go together"),
        ("threshold", torch.zeros(n, dtype=torch.float64), "float64"),
    )
    model = trained("forest", x, y, 3)
    for name, table, what in damages:
        with pytest.raises(ModelError, match=what):
            load(changed(model, tmp_path, name, table))
    model = trained("svm", x, y, 3)
    zeros = torch.zeros_like(model.head[-1].scale)
    with pytest.raises(ModelError, match="not positive"):
        load(changed(model, tmp_path, "scale", zeros))
    with pytest.raises(ModelError, match="n_neighbours"):
        load(changed(trained("knn", x, y, 3), tmp_path, "n_neighbours", torch.tensor(999)))


def test_bytes_that_flip(tmp_path: Path) -> None:
    x, y = features(3)
    save(tmp_path / "m.zip", trained("forest", x, y, 3))
    data = bytearray((tmp_path / "m.zip").read_bytes())
    data[len(data) // 2] ^= struct.calcsize("b")
    (tmp_path / "m.zip").write_bytes(data)
    with pytest.raises(ModelError, match="damaged"):
        load(tmp_path / "m.zip")


def test_before_it_is_fitted() -> None:
    for name in SIMPLE:
        with pytest.raises(ModelError, match="never fitted"):
            build(name, MEL, KINDS).from_features(torch.zeros(1, *MEL.shape))


@pytest.mark.slow
def test_a_file_for_others_gives_the_same_scores(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    x, y = features(6)
    x = x.astype(np.float16).astype(np.float32)  # as features are kept, and rounded in the file
    model = trained("forest", x, y, 3)
    semisonic.export(model, tmp_path / "m.onnx", input="features")
    found = onnxruntime.InferenceSession(tmp_path / "m.onnx").run(["scores"], {"features": x})[0]
    np.testing.assert_allclose(found, score_rows(model, x, np.arange(len(x))), atol=1e-3)
