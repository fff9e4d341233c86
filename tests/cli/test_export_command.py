"""``semisonic export`` from the command line: what it writes, says, and how it ends."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sounds import untrained


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return untrained(tmp_path_factory.mktemp("model") / "model.zip", ["rain", "dog"])


def test_it_writes_the_file_and_its_card_and_tells_its_size(model, tmp_path, tells) -> None:
    file = tmp_path / "rain.onnx"
    said = tells(0, "export", model, "-o", file, "-q").out
    assert file.is_file()
    assert (tmp_path / "rain.onnx.md").is_file()
    assert "compared: features differ by at most" in said
    assert " MB" in said


@pytest.mark.parametrize("hidden", ["onnx", "onnxscript", "onnxruntime"])
def test_without_the_extra_it_says_how_to_get_it(
    model, tmp_path, tells, monkeypatch, hidden
) -> None:
    monkeypatch.setitem(sys.modules, hidden, None)
    said = tells(2, "export", model, "-o", tmp_path / "m.onnx", "-q").err
    assert f"ONNX files need '{hidden}'" in said
    assert "pip install 'semisonic[export]'" in said
    assert list(tmp_path.iterdir()) == []
