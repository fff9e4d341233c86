"""One model and one sound: the same scores by whatever way they are asked for."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import torch
from app_helpers import ADDRESS, LIVE, RATE, app_of, browsing, wait_for

import semisonic
from semisonic.audio.read import read
from semisonic.classifier.classifier import SoundClassifier
from semisonic.classifier.export import export
from semisonic.classifier.live.listen import listen
from semisonic.classifier.model_file import open_model
from semisonic.classifier.predict import predict_files
from semisonic.classifier.windows import features_of_wave
from semisonic.cli.main import main
from semisonic.features.frontend import make_extractor
from semisonic.features.options import MelOptions
from semisonic.models.decision import (
    TEMPERATURE,
    VECTOR,
    Calibration,
    Decision,
    OodLimit,
    UnknownRules,
)
from semisonic.models.model_file import save
from semisonic.models.sound_model import SoundModel, build

CLASSES = ("hiss", "hum", "sweep")
MEL = MelOptions(sample_rate=RATE, duration=0.5, n_fft=256, hop_length=128, n_mels=16)
CALIBRATIONS = {
    "temperature": Calibration(TEMPERATURE, (0.4,), (0.0,)),
    "vector": Calibration(VECTOR, (0.5, 1.0, 1.5), (0.3, 0.0, -0.3)),
}
CLOSE = 1e-5


@dataclass(frozen=True)
class Case:
    """A model on the disk, a sound of its length, and what it says of it."""

    folder: Path
    model: SoundModel
    expected: np.ndarray

    @property
    def file(self) -> Path:
        return self.folder / "model.zip"

    @property
    def sound(self) -> Path:
        return self.folder / "sounds" / "hum" / "a.wav"


def fitted(calibration: Calibration, *, rules: bool, multi_label: bool) -> SoundModel:
    """A network whose scores differ between classes, and a decision that changes them."""
    model = build("(4)3c-4p-gp", MEL, CLASSES, seed=2, multi_label=multi_label)
    model.frontend.standardize.mean.fill_(-45.0)
    model.frontend.standardize.std.fill_(20.0)
    with torch.no_grad():
        model.head[-1].weight.mul_(0.6)
    unknown = None
    if rules:
        rng = np.random.default_rng(0)
        n = model.statistics.out_features
        centres = (0.02 * rng.normal(size=(4, n))).astype(np.float32)
        unknown = UnknownRules(
            OodLimit(3.0, 1.0),
            OodLimit(5.0, 1.0),  # no noise
            np.full(n, 0.002, np.float32),
            centres,
            np.array([0.5, 0.2, 0.3, 0.1], np.float32),
            0.4,
            rng.normal(size=(model.neck.out_features, 2)).astype(np.float32),
            rng.normal(size=(3, 2)).astype(np.float32),
            0.5,
            0.95,
        )
    model.decision = Decision(calibration, unknown=unknown)
    return model.eval()


@pytest.fixture(
    scope="module",
    params=[
        (name, rules, several)
        for several in (False, True)
        for name, rules in (("temperature", False), ("vector", True))
    ],
    ids=lambda p: f"{p[0]}{', rules' * p[1]}{', several labels' * p[2]}",
)
def case(request, tmp_path_factory) -> Case:
    name, rules, several = request.param
    folder = tmp_path_factory.mktemp("scores")
    model = fitted(CALIBRATIONS[name], rules=rules, multi_label=several)
    save(folder / "model.zip", model)
    time_s = np.arange(round(MEL.duration * RATE)) / RATE
    wave = 0.4 * np.sin(2 * np.pi * 220 * time_s)
    wave += np.random.default_rng(1).normal(0, 0.02, len(wave))
    case = Case(folder, model, np.zeros(0))
    case.sound.parent.mkdir(parents=True)
    sf.write(case.sound, wave, RATE)
    with torch.inference_mode():
        scores, _ = model.score(torch.from_numpy(features_of(case)[None]))
        plain = model.probabilities(model.from_features(torch.from_numpy(features_of(case)[None])))
    assert np.abs(scores.numpy() - plain.numpy()).max() > 0.02, "a decision that does nothing"
    return replace(case, expected=scores[0].numpy())


def features_of(case: Case) -> np.ndarray:
    wave, _ = read(case.sound)
    return features_of_wave(wave, MEL, make_extractor(MEL))


def in_order(pairs: Any) -> np.ndarray:
    """Scores in the order of the classes."""
    found = dict(pairs)
    return np.array([found[name] for name in CLASSES])


def by_predict(case: Case) -> np.ndarray:
    (row,) = predict_files(open_model(case.file), [case.sound], top=3).rows
    return in_order(zip(row[3::2], row[4::2], strict=True))


def by_predict_proba(case: Case) -> np.ndarray:
    return SoundClassifier.load(case.file).predict_proba([case.sound])[0]


def by_evaluate(case: Case) -> np.ndarray:
    output = case.folder / "evaluate"
    command = ["evaluate", str(case.file), str(case.folder / "sounds"), "-o", str(output), "-q"]
    assert main([*command, "--bootstrap", "100"]) == 0
    with (output / "scores.csv").open() as stream:
        (row,) = csv.DictReader(stream)
    return np.array([float(row[name]) for name in CLASSES])


def by_detect(case: Case) -> np.ndarray:
    found = semisonic.detect(case.file, case.sound, times="windows", threshold=1e-6, device="cpu")
    return in_order(zip(found.events.label, found.events.score, strict=True))


def by_listen(case: Case) -> np.ndarray:
    found: list[np.ndarray] = []
    list(listen(case.file, case.sound, on_scores=lambda window, _: found.append(window.scores)))
    (scores,) = found
    return scores


def index_of(case: Case) -> Path:
    folder = case.folder / "index"
    if not folder.exists():
        assert main(["embed", str(case.file), str(case.sound), "-o", str(folder), "-q"]) == 0
    return folder


def by_embed(case: Case) -> np.ndarray:
    index = semisonic.EmbeddingIndex.open(index_of(case))
    assert index.scores is not None
    assert index.score[0] == pytest.approx(case.expected.max(), abs=1e-4)
    assert index.predicted[0] == CLASSES[case.expected.argmax()]
    return np.asarray(index.scores[0])


def by_suggest(case: Case) -> np.ndarray:
    queue = semisonic.suggest(case.file, index_of(case), 1, strategy="uncertain", device="cpu")
    return in_order(queue.rows[0].predictions)


def by_suggest_without_an_index(case: Case) -> np.ndarray:
    queue = semisonic.suggest(case.file, case.sound, 1, strategy="uncertain", device="cpu")
    return in_order(queue.rows[0].predictions)


def by_onnx(case: Case) -> np.ndarray:
    onnxruntime = pytest.importorskip("onnxruntime")
    file = case.folder / "model.onnx"
    export(case.model, file, input="features")
    session = onnxruntime.InferenceSession(file)
    return session.run(["scores"], {"features": features_of(case)[None]})[0][0]


def by_torch_program(case: Case) -> np.ndarray:
    file = case.folder / "model.pt2"
    export(case.model, file, to="torch", input="features")
    program = torch.export.load(file).module()
    return program(torch.from_numpy(features_of(case)[None]))[0][0].numpy()


WAYS = (
    by_predict,
    by_predict_proba,
    by_evaluate,
    by_detect,
    by_listen,
    by_embed,
    by_suggest,
    by_suggest_without_an_index,
    by_onnx,
    by_torch_program,
)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_way_gives_the_same_scores(case, way) -> None:
    np.testing.assert_allclose(way(case), case.expected, atol=CLOSE)


@pytest.fixture
def client(case) -> Iterator[Any]:
    pytest.importorskip("fastapi")
    folder = case.sound.parent
    app_state = app_of(model=case.file, folder=(folder,), runs=folder)
    yield from browsing(app_state)
    app_state.close()


def test_the_page_gives_the_same_scores(case, client) -> None:
    sound = client.post("/api/folders/open", json={"folder": 0, "name": "a.wav"}).json()["id"]
    facts = wait_for(client, sound)
    np.testing.assert_allclose(in_order(facts["heard"]["top"]), case.expected, atol=CLOSE)


def test_the_live_page_gives_the_same_scores(case, client) -> None:
    samples, _ = sf.read(case.sound, dtype="int16")
    with client.websocket_connect(LIVE, headers={"Origin": ADDRESS}) as socket:
        socket.send_json({"rate": RATE})
        assert socket.receive_json()["kind"] == "ready"
        socket.send_bytes(samples.astype("<i2").tobytes())
        socket.send_text("end")
        messages = [socket.receive_json()]
        while messages[-1]["kind"] != "end":
            messages.append(socket.receive_json())
    (scores,) = [one["scores"] for one in messages if one["kind"] == "scores"]
    np.testing.assert_allclose(scores, case.expected, atol=1e-4)  # four places are sent


def test_a_model_calibrated_anew_does_not_read_the_scores_of_an_index(tmp_path, capsys) -> None:
    sound = tmp_path / "a.wav"
    sf.write(sound, np.random.default_rng(0).normal(0, 0.1, 4000), RATE)
    for name in ("temperature", "vector"):
        save(tmp_path / f"{name}.zip", fitted(CALIBRATIONS[name], rules=True, multi_label=False))
    index = tmp_path / "index"
    assert main(["embed", str(tmp_path / "temperature.zip"), str(sound), "-o", str(index)]) == 0
    for name in ("temperature", "vector"):
        model = tmp_path / f"{name}.zip"
        (row,) = predict_files(open_model(model), [sound], top=3).rows
        found = semisonic.suggest(model, index, 1, strategy="uncertain", device="cpu").rows[0]
        np.testing.assert_allclose(
            in_order(found.predictions),
            in_order(zip(row[3::2], row[4::2], strict=True)),
            atol=CLOSE,
        )
    assert json.loads((index / "embedding.json").read_text(encoding="utf-8"))["rows"] == 1
