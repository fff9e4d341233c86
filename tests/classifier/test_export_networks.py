"""Networks as ONNX, as small as they can be: one for each operation that they are made of."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from export_models import ANY_LENGTH, features_of, model_of, scores_of, waves

from semisonic.classifier.export import export
from semisonic.classifier.export_graph import Exportable
from semisonic.classifier.scoring import network_outputs
from semisonic.core.errors import ModelError
from semisonic.core.files import read_json
from semisonic.models.decision import Decision, OodLimit, UnknownRules
from semisonic.models.networks.staged import DESIGNS
from semisonic.models.registry import names

ROOT = Path(__file__).parents[2]

QUICK = ("(4)3cbn-2p-8fc", "crnn-lstm", "m5")
SLOW = (
    "tiny",
    "cnn2",
    "piczak-small",
    "transformer",
    "yamnet",
    "mn04",
    "aclnet-dwsc-0.125",
    ANY_LENGTH,
)
"""Those with operations that no other has; benchmarks/export_networks.py does all."""
ONE_LENGTH = {"(4)3cbn-2p-8fc", "piczak-small", "crnn-lstm"}


@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def test_a_network_as_onnx_says_what_it_says_here(name: str, tmp_path: Path) -> None:
    model = model_of(name)
    result = export(model, tmp_path / "m.onnx")
    assert result.any_length == (name not in ONE_LENGTH)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    x = waves(model.mel, 3)
    found = session.run(["scores"], {"audio": x})[0]
    np.testing.assert_allclose(found, scores_of(model, x), atol=1e-3)


@pytest.mark.slow
def test_a_rule_against_noise_takes_clips_of_any_length(tmp_path: Path) -> None:
    model = model_of("tiny")
    x = waves(model.mel, 6)
    rows = np.arange(len(x))
    n = model.statistics.out_features
    centres = network_outputs(model, features_of(model, x), rows).statistics[:2].astype(np.float32)
    noise = UnknownRules(
        OodLimit(100.0, 1.0),
        OodLimit(0.5, 0.2),
        np.full(n, 0.005, np.float32),
        0.005 * centres,
        np.ones(2, np.float32),
        0.0,
        np.zeros((model.neck.out_features, 1), np.float32),
        np.zeros((1, 1), np.float32),
    )
    model.decision = Decision(unknown=noise)
    scores = scores_of(model, x)
    assert np.abs(scores - scores_of(model_of("tiny"), x)).max() > 0.05  # the rule says something
    assert export(model, tmp_path / "m.onnx").any_length
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    np.testing.assert_allclose(session.run(["scores"], {"audio": x})[0], scores, atol=1e-3)


def test_every_network_was_written_and_says_what_it_says_here() -> None:
    """The committed result is of all networks that there are (and were), and the page tells it."""
    found = read_json(ROOT / "benchmarks/results/export_networks.json")
    assert set(found["networks"]) >= set(names())
    assert found["not_exported"] == []
    assert max(row["largest_difference"] for row in found["networks"].values()) < 1e-3
    assert "export_networks.json" in (ROOT / "docs/guides/export.md").read_text(encoding="utf-8")


def test_the_page_names_what_every_network_takes() -> None:
    page = (ROOT / "docs/guides/export.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`([\w.-]+)`", page))
    assert {"small", "tiny", "base", *names()} - set(DESIGNS) <= told


def test_a_network_that_cannot_be_traced_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(self: Exportable, x: object) -> object:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(Exportable, "forward", forward)
    with pytest.raises(ModelError, match=r"model 'tiny' cannot be exported: .*no such operator"):
        export(model_of("tiny"), tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []
