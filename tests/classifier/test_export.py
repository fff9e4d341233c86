"""Exported files: what they take, what they give, and what they tell of themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import soundfile as sf
import torch
from export_models import ANY_LENGTH, embeddings_of, model_of, scores_of, waves
from tiny_sounds import KINDS, MEL, RATE, sound, write_kinds

import semisonic
from semisonic.classifier import export_graph as quantizing
from semisonic.classifier.classifier import SoundClassifier
from semisonic.classifier.export import Parity, compare, export
from semisonic.classifier.scoring import score_clips
from semisonic.core.errors import ModelError, OptionError
from semisonic.data.datasets.load import gather
from semisonic.features.options import MelOptions
from semisonic.models.sound_model import SoundModel
from waiting import LONG


def run(file: Path, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(file)
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def facts(file: Path) -> dict[str, str]:
    return onnxruntime.InferenceSession(file).get_modelmeta().custom_metadata_map


@pytest.fixture(scope="module")
def model() -> SoundModel:
    return model_of(ANY_LENGTH)


@pytest.fixture(scope="module")
def file(model: SoundModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    result = export(model, path, embeddings=True, licence="CC0-1.0")
    assert result.parity is not None
    assert result.parity.scores < 1e-3
    assert result.parity.features is not None
    assert result.parity.features < 0.02
    assert result.any_length
    return path


def test_samples_give_the_scores_and_embeddings_of_prediction(
    model: SoundModel, file: Path
) -> None:
    x = waves(model.mel)
    for batch in (x, x[:1]):
        found = run(file, audio=batch)
        assert list(found) == ["scores", "embeddings"]
        exact = scores_of(model, x)[: len(batch)]
        np.testing.assert_allclose(found["scores"], exact, atol=1e-3)
        assert np.ptp(exact) > 0.01, "a network that says the same of everything proves nothing"
        far = found["embeddings"] - embeddings_of(model, x)[: len(batch)]
        assert np.abs(far).max() < 0.01 * np.abs(found["embeddings"]).max()


def test_longer_audio_is_scored_as_a_whole(model: SoundModel, file: Path) -> None:
    x = sound("sweep", 3, 1.23)[None]
    with torch.inference_mode():
        exact = model.probabilities(model(torch.from_numpy(x))).numpy()
    np.testing.assert_allclose(run(file, audio=x)["scores"], exact, atol=1e-3)


def test_sounds_beyond_full_scale_and_silence_are_heard_as_in_prediction(
    model: SoundModel, file: Path
) -> None:
    x = np.stack([3 * waves(model.mel)[1], 0 * waves(model.mel)[0]])
    np.testing.assert_allclose(run(file, audio=x)["scores"], scores_of(model, x), atol=1e-3)


def test_the_file_tells_what_a_user_must_know(model: SoundModel, file: Path) -> None:
    told = facts(file)
    assert json.loads(told["classes"]) == list(KINDS)
    assert (told["sample_rate"], told["n_samples"]) == ("8000", "4000")
    assert (told["input"], told["licence"]) == ("audio", "CC0-1.0")
    assert "with zeros at its end" in told["windows"]
    assert "mean over its windows" in told["windows"]
    assert MelOptions(**json.loads(told["features"])) == model.mel
    card = file.with_name("model.onnx.md").read_text(encoding="utf-8")
    assert "CC0-1.0" in card
    assert "scores differ by at most" in card
    inputs = onnxruntime.InferenceSession(file).get_inputs()
    assert [(one.name, one.shape) for one in inputs] == [("audio", ["batch", "time"])]


def test_nothing_of_the_machine_is_in_the_file(file: Path) -> None:
    content = file.read_bytes()
    assert str(Path(__file__).parents[2]).encode() not in content
    assert b"site-packages" not in content
    onnx.checker.check_model(onnx.load(file), full_check=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"deltas": True, "center": False, "n_fft": 400, "win_length": 320, "preemphasis": 0.97},
        {"reference": "max", "top_db": 60.0, "peak_normalize": True, "mel_scale": "kaldi"},
        {"power": 1.0, "log_offset": 0.001},
    ],
)
def test_every_option_of_the_front_end_is_in_the_file(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    model = model_of(ANY_LENGTH, replace(MEL, **changes))
    result = export(model, tmp_path / "m.onnx")
    assert result.parity is not None
    assert result.kind == "audio"
    assert result.parity.features is not None
    assert result.parity.features < 0.02
    x = waves(model.mel)
    exact = scores_of(model, x)
    np.testing.assert_allclose(run(tmp_path / "m.onnx", audio=x)["scores"], exact, atol=1e-3)


def test_a_window_too_long_takes_features_and_several_labels_are_scored(tmp_path: Path) -> None:
    model = model_of(ANY_LENGTH, replace(MEL, n_fft=4000), multi_label=True)
    result = export(model, tmp_path / "m.onnx")
    assert result.kind == "features"
    assert "window of 4000 samples" in result.summary()
    told = facts(tmp_path / "m.onnx")
    assert (told["input"], told["labels_a_clip"]) == ("features", "several")
    x = -40 + np.random.default_rng(0).normal(0, 20, (2, *model.mel.shape))
    x = x.astype(np.float16).astype(np.float32)
    with torch.inference_mode():
        exact = model.probabilities(model.from_features(torch.from_numpy(x))).numpy()
    np.testing.assert_allclose(run(tmp_path / "m.onnx", features=x)["scores"], exact, atol=1e-5)
    with pytest.raises(OptionError, match="window of 4000 samples"):
        export(model, tmp_path / "n.onnx", input="audio")


def test_a_file_that_says_something_else_is_an_error_and_not_kept(
    model: SoundModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from semisonic.classifier import export_graph as exportable

    monkeypatch.setattr(exportable, "as_stored", lambda wave: 0.8 * wave)
    with pytest.raises(ModelError, match=r"features in dB: found \d+\.\d+, expected at most 0\.05"):
        export(model, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_model_given_is_left_as_it_is(model: SoundModel, file: Path) -> None:
    assert not model.training
    model.train()
    assert next(model.parameters()).requires_grad
    model.eval()


def test_a_classifier_exports_itself(trained: Path, tmp_path: Path) -> None:
    result = SoundClassifier.load(trained).export(tmp_path / "m.onnx")
    assert "one length" in result.summary()
    told = json.loads(facts(tmp_path / "m.onnx")["provenance"])
    assert told["training"]["clips"] > 0
    assert "hashes" not in told["training"]


ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/onnx_without_semisonic.py"


def test_a_program_of_torch_says_what_the_model_says(tmp_path: Path) -> None:
    model, file = model_of(ANY_LENGTH), tmp_path / "m.pt2"
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="No complete tensor", category=UserWarning)
        result = export(model, file, to="torch", embeddings=True)
    assert result.parity is not None
    assert result.parity.features is not None
    extra = {"semisonic.json": ""}
    program = torch.export.load(file, extra_files=extra).module()
    assert json.loads(json.loads(extra["semisonic.json"])["classes"]) == list(KINDS)
    x = waves(model.mel)
    scores, embeddings = program(torch.from_numpy(x))
    exact = scores_of(model, x)
    np.testing.assert_allclose(scores.numpy(), exact, atol=1e-3)
    assert embeddings.shape == (len(x), 16)


def test_eight_bits_are_smaller_and_tell_what_they_cost(kinds: Path, tmp_path: Path) -> None:
    mel = replace(MEL, n_mels=32)
    model, file = model_of("(32)5c-2p-(64)5c-2p-gp-16fcr", mel), tmp_path / "m.onnx"
    result = export(model, file, quantize="int8", calibrate_on=kinds)
    assert result.parity is not None
    assert result.parity.quality is not None
    assert result.parity.n_labelled == result.parity.n_sounds == 24
    assert result.parity.agreement >= 0.85
    assert "accuracy on 24 labelled sounds" in result.summary()
    whole = export(model, tmp_path / "whole.onnx", check=False)
    small, large = (one.to_frame().n_bytes.item() for one in (result, whole))
    assert small == file.stat().st_size
    assert small < 0.6 * large
    kinds_of_nodes = [node.op_type for node in onnx.load(file).graph.node]
    assert "QuantizeLinear" in kinds_of_nodes
    before = kinds_of_nodes.index("Log")  # the front end ends there
    assert "QuantizeLinear" not in kinds_of_nodes[:before]


def test_eight_bits_gone_wrong_are_not_kept(
    kinds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Parity(20, scores=0.6, mean_scores=0.2, agreement=0.4)
    monkeypatch.setattr("semisonic.classifier.export.compare", lambda *_, **__: found)
    monkeypatch.setattr("semisonic.classifier.export.CALIBRATION_CLIPS", 2)
    monkeypatch.setattr(quantizing, "OPERATORS", ("Gemm",))
    with pytest.raises(ModelError, match=r"found 0\.4, expected at least 0\.85; mean distance"):
        export(
            model_of(ANY_LENGTH),
            tmp_path / "m.onnx",
            quantize="int8",
            calibrate_on=kinds,
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"quantize": "int8"}, "'calibrate_on' is missing"),
        ({"quantize": "int8", "to": "torch", "path": "m.pt2"}, "can only be written as ONNX"),
        ({"path": "m.pt2"}, r"expected a name that ends in '.onnx' or --to torch"),
        ({"path": "m.zip"}, r"expected a name that ends in '.onnx'$"),
        ({"calibrate_on": "."}, "has no effect without --quantize"),
        ({"check": False, "check_on": "."}, "has no effect with --no-check"),
        ({"to": "tflite"}, "option 'to'"),
    ],
)
def test_options_that_contradict_each_other_are_named(
    tmp_path: Path, options: dict[str, object], text: str
) -> None:
    path = tmp_path / str(options.pop("path", "m.onnx"))
    with pytest.raises(OptionError, match=text):
        export(model_of(ANY_LENGTH), path, **options)
    assert list(tmp_path.iterdir()) == []


def test_recordings_that_cannot_be_read_are_listed(tmp_path: Path) -> None:
    folder = tmp_path / "sounds"
    folder.mkdir()
    (folder / "a.wav").write_text("no sound", encoding="utf-8")
    sf.write(folder / "b.wav", sound("hum", 1, 1.3), RATE)
    result = export(model_of(ANY_LENGTH), tmp_path / "m.onnx", check_on=folder)
    assert [name for name, _ in result.failures] == ["a.wav"]
    assert result.parity is not None
    assert result.parity.n_sounds == 1
    assert result.parity.quality is None
    with pytest.raises(ModelError, match="no sound to compare"):
        compare(model_of(ANY_LENGTH), "audio", lambda x: {}, [])


def test_the_example_answers_as_predict_does(trained: Path, tmp_path: Path) -> None:
    others = write_kinds(tmp_path / "others", 8, first=100)
    classifier = SoundClassifier.load(trained).calibrate(others)
    classifier.save(tmp_path / "m.zip")
    classifier.export(tmp_path / "m.onnx", check=False)
    model = classifier.model_
    told = facts(tmp_path / "m.onnx")
    assert json.loads(told["thresholds"]) == pytest.approx(classifier.thresholds_)
    assert json.loads(told["unknown"])["below"] == 0.5
    rng = np.random.default_rng(0)
    click = np.zeros(RATE)
    click[::400] = 1.0
    files = []
    for number, (wave, rate) in enumerate(
        [
            *((sound(kind, 90 + n, 0.7), RATE) for n, kind in enumerate(KINDS)),
            (sound("sweep", 7, 1.23), 11025),
            (np.zeros(RATE), RATE),
            (np.concatenate([sound("hum", 3, 1.0), np.zeros(RATE)]), RATE),
            (rng.normal(0, 0.1, RATE), RATE),
            (click, RATE),
        ]
    ):
        files.append(tmp_path / f"{number}.wav")
        sf.write(files[-1], wave, rate)
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    for name in ("semisonic", "torch"):
        (hidden / f"{name}.py").write_text("raise ImportError('not here')\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, EXAMPLE, tmp_path / "m.onnx", *files],
        check=True,
        capture_output=True,
        text=True,
        timeout=LONG,
        env={**os.environ, "PYTHONPATH": str(hidden)},
    )
    rows = semisonic.predict(
        tmp_path / "m.zip", files, unknown=True, threshold="auto", top=3
    ).to_frame()
    answers = [line.split("\t")[1] for line in done.stdout.splitlines()]
    assert answers == rows.label.tolist()
    assert {"(unknown)", "(silence)", "(noise)"} < set(answers)
    clips, _ = gather(files)
    for line, found in zip(
        done.stdout.splitlines(), score_clips(model, clips, workers=1), strict=True
    ):
        if not (told := dict(part.rsplit(" ", 1) for part in line.split("\t")[2:])):
            continue
        exact = dict(zip(model.classes, found.mean, strict=True))
        assert {name: float(score) for name, score in told.items()} == pytest.approx(
            exact, abs=1e-3
        )


def test_the_example_is_short_and_in_the_docs() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 50
    page = (ROOT / "docs/guides/export.md").read_text(encoding="utf-8")
    assert "examples/onnx_without_semisonic.py" in page
