"""Every verb reads labelled data alike, and says what is odd about them and what to do."""

from __future__ import annotations

import shutil
from dataclasses import fields
from pathlib import Path

import pytest

from calls import cli
from semisonic.classifier.options import (
    CalibrateOptions,
    EvaluateOptions,
    FindRateOptions,
    PretrainOptions,
    SuspectsOptions,
    TrainOptions,
)
from semisonic.data.datasets.load import load_clips
from semisonic.data.options import ReadOptions
from semisonic.experiments.options import CurveOptions, RunOptions, TuneOptions
from sounds import FRONT_END, write_sounds

TRAIN = (
    "--method supervised --model (4)3c-2p-8fc --epochs 1 --batch-size 8 --device cpu "
    f"--precision fp32 --group file -q {FRONT_END}"
)


@pytest.fixture
def sounds(tmp_path) -> Path:
    """Class folders of eight sounds of half a second each."""
    write_sounds(tmp_path / "sounds", kinds=("loud", "soft"))
    return tmp_path / "sounds"


def table(folder: Path, rows: list[str], encoding: str = "utf-8") -> Path:
    path = folder / "labels.csv"
    path.write_text("\n".join(rows) + "\n", encoding=encoding)
    return path


def named(folder: Path, prefix: str = "") -> list[str]:
    """A row for each sound; the label is its folder."""
    return [
        f"{prefix}{kind}/{kind}{number}.wav,{kind}"
        for kind in ("loud", "soft")
        for number in range(8)
    ]


@pytest.mark.parametrize(
    "options",
    [
        TrainOptions,
        FindRateOptions,
        PretrainOptions,
        EvaluateOptions,
        CalibrateOptions,
        SuspectsOptions,
        RunOptions,
        CurveOptions,
        TuneOptions,
    ],
)
def test_all_verbs_with_labelled_data_have_the_options_of_reading(options) -> None:
    default = {field.name: field.default for field in fields(options)}
    reading = {field.name: field.default for field in fields(ReadOptions)}
    assert reading.items() <= default.items()


def test_missing_files_are_left_out_where_that_is_said(sounds, tmp_path, tells) -> None:
    path = table(sounds, ["file,label", *named(sounds), "loud/gone.wav,loud"])
    command = ["train", str(path), "-o", str(tmp_path / "run"), *TRAIN.split()]
    assert "--allow-missing" in tells(2, command).err
    told = tells(3, command, "--allow-missing")
    assert "1 clip could not be read" in told.out
    assert "gone.wav" in told.out


def test_labels_are_parted_as_said(sounds, tmp_path) -> None:
    rows = [f"{row}|{'even' if i % 2 else 'odd'}" for i, row in enumerate(named(sounds))]
    path = table(sounds, ["file,label", *rows])
    command = ["train", str(path), "-o", str(tmp_path / "run"), "--separator", "|", *TRAIN.split()]
    assert cli(command) == 0
    from semisonic import SoundClassifier

    found = SoundClassifier.load(tmp_path / "run" / "model.zip")
    assert list(found.classes_) == ["even", "loud", "odd", "soft"]


def test_files_that_no_one_reads_are_counted_by_info_and_train(sounds, tmp_path, tells) -> None:
    for name in ("a.wac", "b.WAC", "c.w4v"):
        (sounds / "loud" / name).write_bytes(b"not read")
    said = "3 files left out, in formats that cannot be read: .wac (2), .w4v (1); convert it to WAV"
    assert said in tells(0, "data info", sounds).err
    assert said in tells(0, "train", sounds, "-o", tmp_path / "run", TRAIN).out


def test_classes_that_differ_by_case_are_named(sounds, tells) -> None:
    rows = named(sounds)
    path = table(sounds, ["file,label", *rows[:4], *(row[:-4] + "Loud" for row in rows[4:8])])
    assert "'Loud' and 'loud'" in tells(0, "data info", path).err


def test_a_table_without_labels_names_its_columns(sounds, tmp_path, capsys, tells) -> None:
    path = table(sounds, ["wav,what is it", *named(sounds)])
    assert cli("data info", path) == 0
    said = "no column for labels: found wav, what is it; expected one of label, labels, category"
    assert said in capsys.readouterr().err
    told = tells(2, "train", path, "-o", tmp_path / "run", TRAIN).err
    assert said in told
    assert f"run 'semisonic app --folder {sounds}'" in told


def test_a_file_with_two_labels_is_said_to_make_several(sounds, tells) -> None:
    path = table(sounds, ["file,label", *named(sounds), "loud/loud3.wav,soft"])
    told = tells(0, "data info", path).err
    assert "such as loud/loud3.wav: loud and soft" in told
    assert "remove the wrong rows" in told


def test_parts_beyond_the_end_are_found_by_info_and_named_once_by_train(
    sounds, tmp_path, tells
) -> None:
    rows = [f"{row},0,{500 + i if i % 4 == 0 else 0.5}" for i, row in enumerate(named(sounds))]
    path = table(sounds, ["file,label,start,end", *rows])
    told = tells(3, "data info", path)
    assert "loud/loud0.wav@0.000-500.000: the clip reaches beyond the end" in told.out + told.err
    assert "which is 0.50 s long" in told.out + told.err
    (line,) = [
        one
        for one in tells(3, "train", path, "-o", tmp_path / "run", TRAIN).out.splitlines()
        if "not be read" in one
    ]
    assert line.startswith("4 clips could not be read, 4 of them like loud/loud0.wav@0.000-500.000")
    assert "the recording is 0.500 s long" in line


def test_tables_of_other_machines_are_read(sounds) -> None:
    rows = [row.replace("/", "\\") for row in named(sounds, prefix="C:/old/place/")]
    path = table(sounds, ["file,label", *rows], encoding="utf-16")
    clips = load_clips(path)
    assert len(clips) == 16
    assert all(file.is_file() for file in clips.paths)
    assert all(
        labels == (str(file.parent.name),)
        for file, labels in zip(clips.paths, clips.labels, strict=True)
    )
    shutil.copy(sounds / "loud" / "loud1.wav", sounds / "soft" / "loud1.wav")
    assert load_clips(path).file.tolist() == clips.file.tolist()  # the folder tells which


def test_a_name_that_fits_two_files_is_not_called_missing(sounds, tmp_path, tells) -> None:
    shutil.copy(sounds / "loud" / "loud1.wav", sounds / "soft" / "loud1.wav")
    path = table(sounds, ["file,label", "loud1.wav,loud", "soft2.wav,soft"])
    told = tells(2, "train", path, "-o", tmp_path / "run", TRAIN).err
    assert "1 of 2 files are missing or fit several" in told
    assert "loud1.wav (row 2) fits loud/loud1.wav and soft/loud1.wav" in told
    assert "missing:" not in told
