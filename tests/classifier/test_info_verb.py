from __future__ import annotations

from pathlib import Path

import pytest

from semisonic.classifier.info import info
from semisonic.core.errors import ModelError
from semisonic.features.options import MelOptions


def test_a_run_and_its_model_are_told(trained: Path) -> None:
    text = info(str(trained)).summary()
    assert "hiss, hum, sweep" in text
    assert "done" in text
    assert "trained on" in text
    model = info(str(trained / "model.zip"))
    assert model.facts["network"].startswith("(8)3c")
    assert "8000 Hz" in model.summary()


def test_an_architecture_is_told() -> None:
    seed = MelOptions(sample_rate=44100, n_fft=12288, hop_length=6144, n_mels=28)
    result = info("(64)5c-2p-(64)3c-2p-(64)3c-2p-128fc-50fc", mel=seed)
    assert "180,402 (75,520 encoder)" in result.summary()
    assert "64 x 3 x 4 (channel" in result.summary()
    values = result.to_dict()
    assert values["parameters"] == {"network": 180_402, "encoder": 75_520}
    assert values["code"] == (64, 3, 4)
    assert values["input"]["n_mels"] == 28
    assert "small" in info("small").title


def test_without_a_path_the_machine_is_told() -> None:
    result = info()
    assert result.title == "this machine"
    assert "version of torch" in result.facts


def test_what_is_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no file or folder of this name"):
        info("smal")
    with pytest.raises(ModelError, match="not a run folder"):
        info(str(tmp_path))
    (tmp_path / "a.zip").write_text("x", encoding="utf-8")
    with pytest.raises(ModelError):
        info(str(tmp_path / "a.zip"))
