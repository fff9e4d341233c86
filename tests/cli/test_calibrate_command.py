"""``semisonic calibrate`` from the command line: what it writes, says, and how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from calls import cli


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("calibrate")
    short = ["--duration", "1", "--sample-rate", "16000", "--clips-per-recording", "1", "-q"]
    size = ["--n-classes", "3", "--clips-per-class", "15", "--n-pool", "1"]
    assert cli("data synth", root / "sounds", size, short) == 0
    front = ["--n-mels", "16", "--sample-rate", "8000", "--duration", "1"]
    arguments = ["train", str(root / "sounds" / "labels.csv"), "-o", str(root / "run"), *front]
    small = ["--model", "(8)3c-2p-(8)3c-2p-16fcr", "--method", "supervised", "--epochs", "3"]
    assert cli(arguments, small, "--test-fold 1 --device cpu -q") == 0
    return root / "run", root / "sounds"


def test_it_writes_a_model_and_ends_well(material, tmp_path, tells) -> None:
    run, sounds = material
    extra = _others(sounds, tmp_path)
    output = tmp_path / "out"
    arguments = ["calibrate", str(run), str(extra), "-o", str(output), "--device", "cpu", "-q"]
    # one file is no sound
    said = tells(3, arguments, "--method temperature").out
    assert "calibrated by 24 clips of 24 recordings: temperature" in said
    assert "1 clip could not be read" in said
    assert (output / "thresholds.csv").is_file()
    said = tells(0, "info", output / "model.zip", "-q").out
    assert "temperature" in said
    assert "calibrated on" in said
    noise = [str(sounds / "pool"), "--unknown", "--threshold", "auto", "-q"]
    assert cli("predict", output, noise) == 0


def _others(sounds: Path, folder: Path) -> Path:
    """Clips in class folders that the model has not heard, and a file that is no sound."""
    short = ["--duration", "1", "--sample-rate", "16000", "--clips-per-recording", "1", "-q"]
    size = ["--n-classes", "3", "--clips-per-class", "8", "--n-pool", "1", "--seed", "9"]
    assert cli("data synth", folder / "other", size, short) == 0
    table = folder / "other" / "labels.csv"
    lines = table.read_text().splitlines()
    first = lines[1].split(",")
    (folder / "other" / "labelled" / "bad.flac").write_text("no sound")
    row = ",".join(["labelled/bad.flac", first[1], "bad", first[3], first[1]])
    table.write_text("\n".join([*lines, row]) + "\n")
    return table


def test_clips_that_were_trained_on_give_status_2(material, tmp_path, tells) -> None:
    run, sounds = material
    table = str(sounds / "labels.csv")
    assert "cannot calibrate" in tells(2, "calibrate", run, table, "-o", tmp_path / "a", "-q").err
