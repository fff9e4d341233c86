"""Programs of torch, eight bits, and the example that needs neither Semisonic nor torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile as sf
import torch
from export_models import ANY_LENGTH, model_of, scores_of, waves
from tiny_sounds import KINDS, MEL, RATE, sound

from semisonic.classifier import export_graph as quantizing
from semisonic.classifier.export import Parity, compare, export
from semisonic.classifier.scoring import score_clips
from semisonic.core.errors import ModelError, OptionError
from semisonic.data.datasets.load import gather
from waiting import LONG

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/onnx_without_semisonic.py"


def test_a_program_of_torch_says_what_the_model_says(tmp_path: Path) -> None:
    model, file = model_of(ANY_LENGTH), tmp_path / "m.pt2"
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
        ({"quantize": "int8", "to": "torch", "path": "m.pt2"}, "ONNX only"),
        ({"path": "m.pt2"}, r"expected a name that ends in '.onnx' or --to torch"),
        ({"path": "m.zip"}, r"expected a name that ends in '.onnx'$"),
        ({"calibrate_on": "."}, "nothing is calibrated"),
        ({"check": False, "check_on": "."}, "nothing is compared"),
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
    (folder / "a.wav").write_text("no sound")
    sf.write(folder / "b.wav", sound("hum", 1, 1.3), RATE)
    result = export(model_of(ANY_LENGTH), tmp_path / "m.onnx", check_on=folder)
    assert [name for name, _ in result.failures] == ["a.wav"]
    assert result.parity is not None
    assert result.parity.n_sounds == 1
    assert result.parity.quality is None
    with pytest.raises(ModelError, match="no sound to compare"):
        compare(model_of(ANY_LENGTH), "audio", lambda x: {}, [])


def test_the_example_says_what_prediction_says(tmp_path: Path) -> None:
    model = model_of(ANY_LENGTH)
    export(model, tmp_path / "m.onnx", check=False)
    files = []
    for number, (duration, rate) in enumerate([(0.3, RATE), (1.23, 11025), (1.02, RATE)]):
        files.append(tmp_path / f"{number}.wav")
        sf.write(files[-1], sound("sweep", number, duration), rate)
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    for name in ("semisonic", "torch"):
        (hidden / f"{name}.py").write_text("raise ImportError('not here')\n")
    done = subprocess.run(
        [sys.executable, EXAMPLE, tmp_path / "m.onnx", *files],
        check=True,
        capture_output=True,
        text=True,
        timeout=LONG,
        env={**os.environ, "PYTHONPATH": str(hidden)},
    )
    clips, _ = gather(files)
    lines = done.stdout.splitlines()
    for line, found in zip(lines, score_clips(model, clips, workers=1), strict=True):
        told = dict(part.rsplit(" ", 1) for part in line.split("\t")[1:])
        exact = dict(zip(model.classes, found.mean, strict=True))
        assert {name: float(score) for name, score in told.items()} == pytest.approx(
            exact, abs=1e-3
        )


def test_the_example_is_short_and_in_the_docs() -> None:
    assert len(EXAMPLE.read_text().splitlines()) < 40
    page = (ROOT / "docs/export.md").read_text(encoding="utf-8")
    assert "examples/onnx_without_semisonic.py" in page
