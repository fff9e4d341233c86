from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from semisonic.cli.main import main
from semisonic.data.datasets.load import load_clips


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    for i in range(5):
        file = tmp_path / "sounds" / ("bell", "owl")[i % 2] / f"{i}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        sf.write(file, 0.1 * np.sin(np.arange(4000) * (0.1 + i)), 8000)
    return tmp_path / "sounds"


def run(*words: object) -> int:
    return main([str(word) for word in words])


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_recordings_are_packed_and_read(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    shards = tmp_path / "shards"
    words = ("data", "shards", sounds, "-o", shards, "--per-shard", 2, "--format", kind, "-q")
    assert run(*words) == 0
    assert "5 recordings in 3 shards" in capsys.readouterr().out
    assert run(*words) == 0
    assert "5 of them were there already" in capsys.readouterr().out
    assert run("data", "info", shards) == 0
    assert "owl" in capsys.readouterr().out
    store = tmp_path / "store"
    assert run("data", "build", shards, "-o", store, "--sample-rate", 4000, "-q") == 0
    assert "5 clips" in capsys.readouterr().out
    assert len(load_clips(shards).classes) == 2


def test_a_file_that_is_gone_is_listed(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "table.csv"
    table.write_text("file,label\nsounds/owl/1.wav,owl\nsounds/owl/none.wav,owl\n")
    shards = tmp_path / "shards"
    assert run("data", "shards", table, "-o", shards, "--allow-missing", "-q") == 3
    assert "none.wav: cannot be opened" in capsys.readouterr().err
    assert len(load_clips(shards)) == 1


def test_wrong_use_is_told(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("data", "shards", sounds, "-o", sounds) == 2
    assert "the folder of the recordings" in capsys.readouterr().err
    bad = tmp_path / "bad.tar"
    bad.write_bytes(b"no tar" * 1000)
    assert run("data", "info", bad) == 2
    assert "bad.tar" in capsys.readouterr().err
