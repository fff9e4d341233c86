"""Exported ONNX files: what they take, what they give, what they tell of themselves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from export_models import ANY_LENGTH, embeddings_of, model_of, scores_of, waves
from tiny_sounds import KINDS, MEL, sound

from semisonic.classifier.classifier import SoundClassifier
from semisonic.classifier.export import export
from semisonic.core.errors import ModelError, OptionError
from semisonic.features.options import MelOptions
from semisonic.models.sound_model import SoundModel


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
    assert "followed by zeros" in told["windows"]
    assert "mean over its windows" in told["windows"]
    assert MelOptions(**json.loads(told["features"])) == model.mel
    card = file.with_name("model.onnx.md").read_text()
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
    with pytest.raises(ModelError, match=r"features in dB: found \d\.\d+, expected at most 0\.05"):
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
