"""``semisonic data mix``, started as people start it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from semisonic.data.datasets.load import load_clips

RATE = 8000


@pytest.fixture
def birds(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    for label in ("robin", "wren"):
        (tmp_path / "birds" / label).mkdir(parents=True)
        for i in range(2):
            wave = 0.1 * rng.standard_normal(RATE)
            soundfile.write(tmp_path / "birds" / label / f"{i}.wav", wave, RATE)
    return tmp_path / "birds"


def quick(birds: Path, output: Path) -> list[str]:
    return ["data", "mix", str(birds), "-o", str(output), "--sample-rate", "8000", "-q"]


def test_windows_are_made_and_can_be_read(birds, tmp_path, tells) -> None:
    output = tmp_path / "windows"
    answer = tells(0, quick(birds, output), "--snr-db 5,20 --copies 3")
    assert "12 windows of 2 s with sounds of 4 clips, and 6 of background" in answer.out
    clips = load_clips(output)
    assert clips.classes == ("background", "robin", "wren")
    assert len(clips) == 18


def test_bad_files_are_listed(birds, tmp_path, tells) -> None:
    (birds / "wren" / "letter.wav").write_text("dear wren", encoding="utf-8")
    quiet = tmp_path / "quiet"
    quiet.mkdir()
    soundfile.write(quiet / "a.wav", 0.01 * np.random.default_rng(1).normal(size=80000), RATE)
    (quiet / "b.wav").write_text("no sound", encoding="utf-8")
    output = tmp_path / "windows"
    answer = tells(3, quick(birds, output), "--background", quiet)
    assert "2 files could not be used" in answer.err
    assert "wren/letter.wav" in answer.err
    assert "8 windows" in answer.out
    assert "letter.wav" in (output / "bad_files.csv").read_text(encoding="utf-8")


def test_wrong_use(birds, tmp_path, tells) -> None:
    assert "would be read as clips" in tells(2, quick(birds, birds / "windows")).err
    assert (
        "found 20,5, expected the lowest and the highest"
        in tells(2, quick(birds, tmp_path / "w"), "--snr-db 20,5").err
    )
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear diary", encoding="utf-8")
    assert "choose a new or empty folder" in tells(2, quick(birds, tmp_path / "mine")).err
