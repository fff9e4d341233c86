"""``train --generator`` from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from semisonic.audio.write import write
from semisonic.cli.main import main
from semisonic.core import progress

RATE = 8000
SMALL = [
    "--model",
    "(4)3c-2p-8fc",
    "--n-mels",
    "16",
    "--sample-rate",
    str(RATE),
    "--duration",
    "0.5",
]
QUICK = ["--method", "supervised", "--steps", "2", "--batch-size", "4", "--device", "cpu", "-q"]
MADE = ["--generator", "vae", "--generator-steps", "2", "--generated-per-class", "4"]


@pytest.fixture(autouse=True)
def quiet_again() -> Iterator[None]:
    yield
    progress.show(False)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated") / "sounds"
    rng = np.random.default_rng(0)
    for name, pitch in (("low", 300.0), ("high", 2000.0)):
        (folder / name).mkdir(parents=True)
        for i in range(5):
            tone = np.sin(
                2 * np.pi * pitch * (1 + 0.1 * rng.random()) * np.arange(RATE // 2) / RATE
            )
            write(folder / name / f"{i}.wav", 0.3 * tone.astype(np.float32), RATE)
    return folder


def test_a_model_is_trained_beside_patches(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(sounds), "-o", str(tmp_path / "run"), *SMALL, *QUICK, *MADE]) == 0
    assert "learned beside 8 patches" in capsys.readouterr().out
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["notes"]["generated"] == {"generator": "vae", "n_patches": 8}
    assert record["options"]["generated"]["generator_steps"] == 2


def test_a_bad_file_is_skipped_and_told(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = sounds / "low" / "bad.wav"
    bad.write_text("no sound", encoding="utf-8")
    try:
        status = main(["train", str(sounds), "-o", str(tmp_path / "run"), *SMALL, *QUICK, *MADE])
    finally:
        bad.unlink()
    assert status == 3
    assert "bad.wav" in (tmp_path / "run" / "bad_files.csv").read_text()


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (["--generated-ratio", "2"], "generator"),
        (["--generator", "gun"], "did you mean 'gan'"),
        ([*MADE, "--generator-pool"], "generator_pool"),
        ([*MADE, "--generated-per-class", "1"], "at least 2"),
    ],
)
def test_wrong_use_is_told(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: list[str], word: str
) -> None:
    run = str(tmp_path / "run")
    assert main(["train", str(sounds), "-o", run, *SMALL, *QUICK, *wrong]) == 2
    assert word in capsys.readouterr().err
