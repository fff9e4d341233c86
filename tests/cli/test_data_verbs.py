"""The verbs about recordings, started as people start them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from calls import cli

RATE = 8000


def noise(file: Path, seed: int, seconds: float = 1.0) -> None:
    """A recording unlike any other: noise with a melody of its own."""
    rng = np.random.default_rng(seed)
    steps = np.repeat(rng.uniform(200, 3000, int(seconds * 20)), RATE // 20)
    wave = 0.3 * np.sin(2 * np.pi * np.cumsum(steps) / RATE)
    wave += 0.05 * rng.standard_normal(len(steps))
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, wave.astype(np.float32), RATE)


@pytest.fixture
def birds(tmp_path) -> Path:
    """Six recordings of two classes."""
    folder = tmp_path / "birds"
    for i, name in enumerate(["robin/a.wav", "robin/b.WAV", "robin/c.wav", "wren/d.flac"]):
        noise(folder / name, i)
    noise(folder / "wren" / "2024" / "e.ogg", 5, 2.0)
    noise(folder / "wren" / "f.wav", 6)
    return folder


def test_info_counts_in_words_and_as_json(birds, tells) -> None:
    text = tells(0, "data info", birds).out
    for word in ("6", "robin", "wren", "8000"):
        assert word in text
    found = json.loads(tells(0, "data info", birds, "--json").out)
    assert found["n_clips"] == 6
    assert set(found["classes"]) == {"robin", "wren"}


def test_info_on_a_place_where_nothing_is(tmp_path, tells) -> None:
    assert "no such file or folder" in tells(2, "data info", tmp_path / "nowhere").err
    assert str(tmp_path) in tells(2, "data info", tmp_path).err


def test_a_clean_set_passes_the_check(birds, tells) -> None:
    assert "recordings in several folds: none" in tells(0, "data check", birds).out


def test_check_finds_a_copy_with_another_label(birds, tells) -> None:
    shutil.copy(birds / "robin" / "a.wav", birds / "wren" / "z.wav")
    text = tells(3, "data check", birds).out
    assert "robin/a.wav and wren/z.wav" in text
    assert "DIFFERENT LABELS" in text
    assert cli("data check", birds, "--no-audio") == 0


def test_check_finds_a_clip_in_the_pool(birds, tmp_path, capsys, tells) -> None:
    pool = tmp_path / "pool"
    noise(pool / "new.wav", 9)
    arguments = ["data", "check", str(birds), "--unlabelled", str(pool), "--json"]
    assert cli(arguments) == 0
    capsys.readouterr()
    shutil.copy(birds / "wren" / "f.wav", pool / "old.wav")
    found = json.loads(tells(3, arguments).out)
    (pair,) = found["duplicates"]
    assert (pair["kind"], pair["first"], pair["second"]) == ("identical", "wren/f.wav", "old.wav")
    assert pair["same_labels"], "a clip without a label contradicts nothing"
    assert not found["ok"]


def test_check_names_the_recordings_of_esc50_that_stand_in_two_folds(shared_data, tells) -> None:
    table = shared_data / "esc50-meta" / "esc50.csv"
    answer = tells(3, "data check", table, "--json")
    assert json.loads(answer.out)["straddling"] == ["131943", "134049", "209698", "234879"]
    assert "only the table was read" in answer.err


def test_synth_makes_a_set_that_info_reads(tmp_path, capsys, tells) -> None:
    folder = tmp_path / "sounds"
    arguments = ["data", "synth", str(folder), "--n-classes", "3", "--clips-per-class", "5"]
    arguments += ["--clips-per-recording", "1", "--n-pool", "4", "--seed", "3"]
    assert "15 clips of 3 classes" in tells(0, arguments).out
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}
    assert cli(arguments) == 0
    assert before == {f: f.stat().st_mtime_ns for f in folder.rglob("*") if f.is_file()}
    capsys.readouterr()
    found = json.loads(tells(0, "data info", folder / "labels.csv", "--json").out)
    assert found["n_clips"] == 15
    assert cli("data info", folder / "pool", "--json") == 0


def test_clips_without_a_recording_are_spoken_of_once(birds, tells) -> None:
    for group in ("auto", "copies"):
        told = tells(0, "data info", birds, "--group", group).err
        assert told.count("counts as its own") == 1


def test_what_is_counted_has_its_name(birds, tells) -> None:
    assert re.search(r"^recordings +\d+$", tells(0, "data info", birds).out, re.MULTILINE)
    by_folder = tells(0, "data info", birds, "--group folder").out
    assert re.search(r"^groups +\d+$", by_folder, re.MULTILINE)
    assert "class  clips  groups" in by_folder


def test_options_of_reading_reach_the_reader(birds, tells) -> None:
    assert (
        json.loads(tells(0, "data info", birds, "--json --group", [r"^(\w+)/"]).out)["n_recordings"]
        == 2
    )
    assert json.loads(tells(0, "data info", birds, "--labels none --json").out)["classes"] == []
    assert "did you mean 'folders'?" in tells(2, "data info", birds, "--labels fodlers").err
