"""What a verb writes over: its own, unchanged output, and nothing else."""

from __future__ import annotations

import csv
import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from calls import cli
from semisonic.classifier import predict as predict_verb
from semisonic.classifier import scoring as predicting

FORMULA = '=HYPERLINK("http://evil","x")'


def tree(folder: Path) -> dict[str, str]:
    """The hash of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


FILES = {
    "predict": "predict model.zip sounds",
    "export": "export model.zip",
    "suggest": "suggest model.zip sounds -n 2",
    "project suggest": "project suggest project -n 2",
    "data labels": "data labels track.txt",
}
"""Verbs that write one file."""

FOLDERS = {
    "scan": "scan sounds",
    "train": "train sounds",
    "pretrain": "pretrain sounds",
    "find-rate": "find-rate sounds",
    "evaluate": "evaluate model.zip sounds",
    "calibrate": "calibrate model.zip sounds",
    "detect": "detect model.zip sounds",
    "embed": "embed encoder.zip sounds",
    "search": "search index --row 0",
    "map": "map index",
    "suspects": "suspects sounds",
    "curve": "curve sounds",
    "run": "run demo",
    "tune": "tune tune-demo",
    "project new": "project new sounds --encoder model.zip",
    "data mix": "data mix sounds/../labels.csv",
    "data labels": "data labels track.txt --format audacity --recordings sounds",
}
"""Verbs that write a folder."""

TARGETS = {
    "a recording that is read": "sounds/noise/noise0.wav",
    "a model": "model.zip",
    "a table of somebody": "labels.csv",
}


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("command", [*FILES.values(), *FOLDERS.values()], ids=[*FILES, *FOLDERS])
def test_nothing_else_is_written_over(command, target, place, tells) -> None:
    before = tree(place)
    said = tells(2, command, "-o", target, "-q").err
    assert str(Path(target)) in said
    assert "output" in said
    assert tree(place) == before


@pytest.mark.parametrize("command", FILES.values(), ids=FILES)
def test_a_folder_is_no_file(command, place, tells) -> None:
    before = tree(place)
    assert "'foreign'" in tells(2, command, "-o foreign -q").err
    assert tree(place) == before


@pytest.mark.parametrize(
    "command", [command for name, command in FOLDERS.items() if name != "data labels"]
)
def test_a_folder_of_something_else_is_left_alone(command, place, tells) -> None:
    before = tree(place)
    assert "contains 'thesis.txt'" in tells(2, command, "-o foreign -q").err
    assert tree(place) == before


def test_the_synthetic_set_takes_no_other_place(place) -> None:
    before = tree(place)
    for target in (*TARGETS.values(), "foreign"):
        assert cli("data synth", target, "-q") == 2
    assert tree(place) == before


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (FILES["predict"], "x.xlsx"),
        (FILES["predict"], "table"),
        (FILES["predict"], "new.wav"),
        (FILES["suggest"], "x.xlsx"),
        (FILES["data labels"], "x.tsv"),
        (FILES["export"], "x.zip"),
        (FILES["predict"], "labels.csv/x.csv"),
    ],
)
def test_a_kind_of_file_that_is_not_written_is_refused(command, name, place, tells) -> None:
    before = tree(place)
    assert f"found '{Path(name)}'" in tells(2, command, "-o", name, "-q").err
    assert tree(place) == before


@pytest.mark.parametrize("command", [FILES["predict"], FILES["data labels"], FILES["suggest"]])
def test_a_verb_writes_over_its_own_file_until_somebody_changes_it(command, place, tells) -> None:
    arguments = [*command.split(), "-o", "x.csv", "-q"]
    if "labels" in command:
        arguments += ["--recordings", "sounds"]
        (place / "sounds" / "track.wav").write_bytes(
            (place / "sounds" / "tone" / "tone0.wav").read_bytes()
        )
    table = place / "x.csv"
    assert cli(arguments) == 0
    first = table.read_bytes()
    assert cli(arguments) == 0
    assert table.read_bytes() == first
    changed = first + b"corrected,by,hand\n"
    table.write_bytes(changed)
    assert "changed since" in tells(2, arguments).err
    assert table.read_bytes() == changed
    assert cli("embed encoder.zip sounds", "-o x.csv -q") == 2


def test_an_export_that_finds_a_full_disk_names_its_file(place, monkeypatch, tells) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("torch.export.save", full)
    said = tells(2, "export model.zip --to torch -o out.pt2 -q").err
    assert "out.pt2: cannot be written (No space left on device). Make room on the disk" in said
    assert not (place / "out.pt2").exists()


def interrupted_after(n: int, scored: list[int]) -> Callable[..., Iterator[predicting.ClipScores]]:
    """``score_clips`` that stops as by Ctrl-C; what it gave is added to ``scored``."""

    def score(*args: object, **options: object) -> Iterator[predicting.ClipScores]:
        for number, one in enumerate(predicting.score_clips(*args, **options)):  # type: ignore[arg-type]
            if number == n:
                raise KeyboardInterrupt
            scored.append(one.row)
            yield one

    return score


@pytest.mark.parametrize("windows", [[], ["--windows", "--hop", "0.1"]])
def test_predict_goes_on_where_it_was_interrupted(windows, place, monkeypatch, tells) -> None:
    monkeypatch.setattr(predicting, "BLOCK_CLIPS", 2)
    (place / "sounds" / "noise" / "noise0.wav").write_text("broken", encoding="utf-8")
    command = ["predict", "model.zip", "sounds", *windows]
    assert cli(command, "-o whole.csv") == 3
    scored: list[int] = []
    monkeypatch.setattr(predict_verb, "score_clips", interrupted_after(5, scored))
    assert "The same command continues where it stopped" in tells(130, command, "-o parts.csv").err
    assert not (place / "parts.csv").exists()
    assert scored == [0, 1, 2, 3, 4]
    scored.clear()
    monkeypatch.setattr(predict_verb, "score_clips", interrupted_after(99, scored))
    assert cli(command, "-o parts.csv") == 3
    assert scored == [4, 5, 6, 7]  # whole blocks are not done again
    assert (place / "parts.csv").read_bytes() == (place / "whole.csv").read_bytes()
    assert not [path for path in place.iterdir() if "journal" in path.name]


def test_predict_does_not_take_answers_of_other_settings(place, monkeypatch) -> None:
    monkeypatch.setattr(predicting, "BLOCK_CLIPS", 2)
    command = ["predict", "model.zip", "sounds", "-o", "x.csv", "-q"]
    with monkeypatch.context() as patch:
        patch.setattr(predict_verb, "score_clips", interrupted_after(5, []))
        assert cli(command) == 130
    wave, rate = sf.read(place / "sounds" / "noise" / "noise1.wav")
    sf.write(place / "sounds" / "noise" / "noise1.wav", np.concatenate([wave, -wave]), rate)
    assert cli(command) == 0
    with (place / "x.csv").open(newline="") as stream:
        ends = [row["end_time"] for row in csv.DictReader(stream)]
    assert ends[:3] == ["0.500", "1.000", "0.500"]
    with monkeypatch.context() as patch:
        patch.setattr(predict_verb, "score_clips", interrupted_after(5, []))
        assert cli(command) == 130
    assert cli(command, "--top 1") == 0
    assert (place / "x.csv").read_text(encoding="utf-8").splitlines()[
        0
    ] == "file,start_time,end_time,label,score"


def test_no_cell_is_a_formula_and_all_are_read_back(place) -> None:
    os.rename(place / "sounds" / "noise" / "noise0.wav", place / "sounds" / "@noise.wav")
    os.chdir(place / "sounds")
    assert cli("predict ../formula.zip @noise.wav -o x.csv -q") == 0
    options = ["--threshold", "0.01", "--format", "csv,birdnet,kaleidoscope,csv-wide"]
    assert cli("detect ../formula.zip @noise.wav -o d", options, "-q") == 0
    tables = [place / "sounds" / "x.csv", *(place / "sounds" / "d").rglob("*.csv")]
    assert len(tables) >= 5
    for table in tables:
        with table.open(newline="") as stream:
            cells = [cell for row in csv.reader(stream) for cell in row]
        assert not [cell for cell in cells if cell.startswith(("=", "@", "+"))], table
    assert cli("data labels d/events.csv -o again.csv -q") == 0
    assert cli("data labels again.csv -o back.csv -q") == 0
    from semisonic.data.formats.label_files import read_labels

    events = read_labels(place / "sounds" / "back.csv")
    assert FORMULA in events.label.tolist()
    assert set(events.file.tolist()) == {"@noise.wav"}


def test_a_recording_of_a_very_long_name_does_not_stop_the_others(place, tells) -> None:
    long = "n" * 240 + ".wav"
    for name in (long, "short.wav"):
        shutil.copy(place / "sounds" / "tone" / "tone0.wav", place / "foreign" / name)
    (place / "foreign" / "events.csv").write_text(
        f"file,start_time,end_time,label\n{long},0.1,0.2,a\nshort.wav,0.1,0.2,b\n",
        encoding="utf-8",
    )
    command = "data labels foreign/events.csv -o tables --format"
    assert "its recording is too long" in tells(3, command, "raven").err
    assert [path.name for path in (place / "tables").iterdir() if path.suffix] == [
        "short.Table.1.selections.txt"
    ]


def test_a_recording_that_is_too_short_has_one_reason(place, tells) -> None:
    sf.write(place / "foreign" / "short.wav", [0.5, -0.5], 44100)
    reason = "too short: 0.0454 ms (samples: 2)"
    assert reason in tells(3, "predict model.zip foreign/short.wav").out
