"""``semisonic embed``, ``search`` and ``map`` from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from semisonic.apps.cli.main import main
from semisonic.base import progress
from semisonic.features import MelOptions
from semisonic.models import build, save

RATE = 8000
MEL = MelOptions(sample_rate=RATE, duration=0.5, n_fft=256, hop_length=128, n_mels=16)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    yield
    progress.show(False)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model and recordings of two kinds, where the command is given."""
    save(tmp_path / "m.zip", build("(8)3c-2p-(8)3c-gp", MEL, ["a", "b"], standardize="none"))
    rng = np.random.default_rng(0)
    for kind, make in (("noise", rng.normal), ("tone", None)):
        (tmp_path / "sounds" / kind).mkdir(parents=True)
        for number in range(3):
            tone = np.sin(np.arange(RATE // 2) * (0.15 + 0.01 * number))
            wave = 0.2 * (tone if make is None else make(size=RATE // 2))
            sf.write(tmp_path / "sounds" / kind / f"{number}.wav", wave, RATE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> int:
    return main([*arguments, "-q"])


def test_from_recordings_to_a_search_and_a_map(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("embed", "m.zip", "sounds", "-o", "index") == 0
    assert "6 rows of 8 numbers, 6 recordings" in capsys.readouterr().out
    assert run("embed", "m.zip", "sounds", "-o", "index") == 0
    assert "0 embedded" in capsys.readouterr().out
    assert run("search", "index", "sounds/tone/1.wav", "-k", "2", "--other-files") == 0
    said = capsys.readouterr().out
    assert "sounds/tone/0.wav" in said
    assert "sounds/tone/2.wav" in said
    assert "noise" not in said
    assert run("search", "index", "--row", "0", "--row", "1", "-k", "1", "-o", "found") == 0
    assert "sounds/noise/2.wav" in capsys.readouterr().out
    assert (place / "found" / "report.html").is_file()
    assert run("map", "index", "--projection", "pca", "--clusters", "2") == 0
    said = capsys.readouterr().out
    assert "6 of 6 rows drawn" in said
    assert "purity 100.0 %" in said
    assert (place / "index" / "map" / "report.html").is_file()


def test_a_bad_file_gives_status_3(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "sounds" / "tone" / "bad.wav").write_text("no sound")
    assert run("embed", "m.zip", "sounds", "-o", "index") == 3
    said = capsys.readouterr()
    assert "6 rows" in said.out
    assert "bad.wav" in said.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["embed", "m.zip", "nowhere"], "nothing to embed"),
        (["embed", "no.zip", "sounds"], "no such file"),
        (["embed", "m.zip", "sounds", "--per", "file"], "window"),
        (["search", "sounds", "sounds/tone/1.wav"], "expected the folder of an index"),
        (["search", "index"], "expected the folder of an index"),
        (["map", "index", "--colour", "lable"], "did you mean 'label'"),
    ],
)
def test_wrong_use_gives_status_2(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    assert run(*arguments) == 2
    assert text in capsys.readouterr().err
