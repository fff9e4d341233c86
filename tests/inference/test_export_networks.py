"""Every family of networks as ONNX, at sizes as small as they take."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from export_models import ANY_LENGTH, model_of, scores_of, waves

from semisonic.base.errors import ModelError
from semisonic.inference import export
from semisonic.inference.exporting.exportable import Exportable
from semisonic.models import names
from semisonic.models.designs import DESIGNS

QUICK = (
    "(4)3cbn-2p-8fc", "tiny", "piczak-small", "cnn2", "crnn-lstm", "m5", "fold",
)  # fmt: skip
SLOW = (
    "excite", "frequency-norm", "preactivation", "inverted", "broadcast", "temporal",
    "attention", "salient", "rows", "cnn3", "crnn-gru", "transformer", "vgg", "resnet", "yamnet",
    "panns-mobilenet", "mn04", "m11", "aclnet-dwsc-0.125", "aclnet-sc-0.125", ANY_LENGTH,
)  # fmt: skip
ONE_LENGTH = {"(4)3cbn-2p-8fc", "piczak-small", "crnn-lstm", "crnn-gru"}


@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def test_a_network_as_onnx_says_what_it_says_here(name: str, tmp_path: Path) -> None:
    model = model_of(name)
    result = export(model, tmp_path / "m.onnx", speed=False)
    assert bool(result.fixed) == (name in ONE_LENGTH), result.fixed
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    x = waves(model.mel, 3)
    found = session.run(["scores"], {"audio": x})[0]
    np.testing.assert_allclose(found, scores_of(model, x), atol=1e-3)


def test_the_page_names_what_every_network_takes() -> None:
    page = (Path(__file__).parents[2] / "docs/export.md").read_text(encoding="utf-8")
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
