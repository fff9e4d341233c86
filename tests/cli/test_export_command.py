"""``semisonic export`` from the command line: what it writes, says, and how it ends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from semisonic.cli.main import main
from semisonic.core import progress
from semisonic.features.options import MelOptions


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    yield
    progress.show(False)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from semisonic.models.model_file import save
    from semisonic.models.sound_model import build

    mel = MelOptions(sample_rate=8000, duration=0.5, n_fft=256, hop_length=128, n_mels=16)
    file = tmp_path_factory.mktemp("model") / "model.zip"
    save(file, build("(4)3c-2p-8fc", mel, ["rain", "dog"], standardize="none"))
    return file


def test_it_writes_the_file_and_its_card_and_tells_its_size(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rain.onnx"
    assert main(["export", str(model), "-o", str(file), "-q"]) == 0
    said = capsys.readouterr().out
    assert file.is_file()
    assert (tmp_path / "rain.onnx.md").is_file()
    assert "compared: on 8 sounds" in said
    assert " MB" in said


def test_a_bad_recording_gives_status_3(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import numpy as np
    import soundfile as sf

    folder = tmp_path / "sounds"
    folder.mkdir()
    (folder / "bad.wav").write_text("no sound")
    sf.write(folder / "good.wav", np.random.default_rng(0).normal(0, 0.1, 6000), 8000)
    arguments = ["-o", str(tmp_path / "m.pt2"), "--to", "torch", "--check-on", str(folder)]
    assert main(["export", str(model), *arguments, "-q"]) == 3
    assert "bad.wav" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--to", "onix"], "did you mean 'onnx'"),
        (["--quantize", "int8"], "calibrate_on"),
        (["--check-on", "nowhere"], "nowhere"),
    ],
)
def test_wrong_use_gives_status_2(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], text: str
) -> None:
    assert main(["export", str(model), "-o", str(tmp_path / "m.onnx"), *more, "-q"]) == 2
    assert text in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("hidden", ["onnx", "onnxscript", "onnxruntime"])
def test_without_the_extra_it_says_what_to_install(
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    hidden: str,
) -> None:
    monkeypatch.setitem(sys.modules, hidden, None)
    assert main(["export", str(model), "-o", str(tmp_path / "m.onnx"), "-q"]) == 2
    said = capsys.readouterr().err
    assert f"ONNX files need '{hidden}'" in said
    assert "pip install 'semisonic[export]'" in said
    assert list(tmp_path.iterdir()) == []
