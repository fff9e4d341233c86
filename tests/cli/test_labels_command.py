"""``semisonic data labels``, started as people start it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from calls import cli
from semisonic.data.datasets.load import load_clips
from semisonic.data.formats.label_files import read_labels
from semisonic.data.options import FORMATS

RATE = 8000
ENDS = {"audacity": "", "raven": "", "raven-combined": ".txt"}
"""How the name of what is written ends, where it is no CSV table."""


@pytest.fixture
def night(tmp_path) -> Path:
    """Three recordings of 12 s; two with label tracks, one of them empty."""
    rng = np.random.default_rng(0)
    for file in ("s1/a.WAV", "s1/quiet.wav", "s2/a.wav"):
        (tmp_path / "night" / file).parent.mkdir(parents=True, exist_ok=True)
        noise = rng.uniform(-0.1, 0.1, 12 * RATE).astype(np.float32)
        soundfile.write(tmp_path / "night" / file, noise, RATE, format="WAV")
    (tmp_path / "night/s1/a.txt").write_text(
        "1.25\t3.5\towl\n\\\t300\t900.5\n10\t11\tfox\n", encoding="utf-8"
    )
    (tmp_path / "night/s1/quiet.txt").write_text("", encoding="utf-8")
    return tmp_path / "night"


def test_from_each_format_to_each_and_back(night) -> None:
    for form in FORMATS:
        output = night.parent / f"{form}.out{ENDS.get(form, '.csv')}"
        arguments = ["--recordings", str(night), "--format", form]
        assert cli("data labels", night, "-o", output, arguments) == 0
        again = night.parent / f"{form}.again.csv"
        back = ["--recordings", str(night), "--read-as", form]
        assert cli("data labels", output, "-o", again, back) == 0
        events = read_labels(again, root=night)
        assert events.file.tolist() == ["s1/a.WAV"] * 2
        assert sorted(events.label.tolist()) == ["fox", "owl"]
        assert sorted(events.end_time.tolist()) == [3.5, 11.0]


def test_a_manifest_with_whole_paths_elsewhere(night, tmp_path, tells) -> None:
    place = tmp_path / "tables"
    place.mkdir()
    manifest = place / "manifest.csv"
    lines = ["audio_filepath,offset,duration,label,split", f"{night / 's1/a.WAV'},4,1,owl,train"]
    manifest.write_text("\n".join(lines), encoding="utf-8")
    told = tells(0, "data labels", manifest, "-o", place / "windows.csv", "--windows 3").err
    assert "not used: split" in told
    clips = load_clips(place / "windows.csv")
    labels = dict(zip(clips.start_time.tolist(), clips.labels, strict=True))
    assert labels == {0: ("background",), 3: ("owl",), 6: ("background",), 9: ("background",)}
    told = tells(0, "data info", manifest)
    assert "1.00 to 1.00 s" in told.out
    assert "not used: split" in told.err


def test_tables_of_a_folder_that_are_not_read_are_named(night, tells) -> None:
    (night / "s1" / "weather.csv").write_text("day,rain\n2024-05-01,3\n", encoding="utf-8")
    told = tells(0, "data labels", night, "-o", night.parent / "x.csv").err
    assert "weather.csv is not read as labels: row 1: no column for the audio file" in told


def test_windows_in_which_a_program_found_nothing_are_not_checked(night, tells) -> None:
    for text in night.rglob("*.txt"):
        text.unlink()
    birdnet = night / "found.BirdNET.results.csv"
    head = "Start (s),End (s),Scientific name,Common name,Confidence,File"
    birdnet.write_text(f"{head}\n3.0,6.0,Strix aluco,Tawny Owl,0.81,s1/a.WAV\n", encoding="utf-8")
    table = night.parent / "windows.csv"
    told = tells(0, "data labels", birdnet, "-o", table, "--windows 3").err
    assert "3 windows without events: of the class 'background' with uncertain labels" in told
    assert "1 event with the score of a program" in told
    with table.open(newline="") as stream:
        kind = {row["label"]: row["label_type"] for row in csv.DictReader(stream)}
    assert kind == {"Tawny Owl": "positive", "background": "uncertain"}


def test_labels_under_their_programs_own_name_get_the_way_out(night, tells) -> None:
    folder = night.parent / "one"
    folder.mkdir()
    (night / "s2" / "a.wav").rename(folder / "night.wav")
    (folder / "Label Track.txt").write_text("1.25\t3.5\towl\n", encoding="utf-8")
    told = tells(2, "data labels", folder, "-o", night / "out.csv").err
    assert "rename the labels to 'night.txt'" in told


def test_windows_to_train_on(night, tells) -> None:
    table = night.parent / "windows.csv"
    captured = tells(0, "data labels", night, "-o", table, "--windows 3")
    assert "2 events, 2 labels, 2 recordings (audacity) -> 8 windows" in captured.out
    assert "5 windows without events: of the class 'background'" in captured.err
    clips = load_clips(table)
    assert clips.classes == ("background", "fox", "owl")
    assert [row[0] for row in clips.labels].count("background") == 5
    assert len(set(clips.group.tolist())) == 2
    assert cli("data info", table) == 0
    # The same table is not read as labels when the command is given again.
    again = ["data", "labels", str(night), "-o", str(night / "windows.csv"), "--windows", "3"]
    assert cli(again) == 0
    first = (night / "windows.csv").read_bytes()
    assert cli(again) == 0
    assert (night / "windows.csv").read_bytes() == first


def test_rows_that_cannot_be_used_are_listed(night, tells) -> None:
    (night / "s2/a.txt").write_text("1\t2\towl\n9\t8\towl\n", encoding="utf-8")
    (night / "s2/lost.txt").write_text("1\t2\towl\n", encoding="utf-8")
    table = night.parent / "labels.csv"
    captured = tells(3, "data labels", night, "-o", table)
    assert "2 places could not be used" in captured.err
    assert "row 2: found start 9 s and end 8 s" in captured.err
    with (night.parent / "labels.csv.bad_rows.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 2
    assert len(read_labels(table)) == 3
    (night / "s2/a.txt").write_text("1\t2\towl\n", encoding="utf-8")
    (night / "s2/lost.txt").unlink()
    assert cli("data labels", night, "-o", table) == 0
    assert not (night.parent / "labels.csv.bad_rows.csv").exists()


def test_what_a_format_cannot_hold_is_said(night, tells) -> None:
    events = night / "events.csv"
    events.write_text(
        "file,start_time,end_time,label,score,presence\ns1/a.WAV,0,1,owl,0.9,\n"
        "s1/a.WAV,1,2,owl,,negative\n",
        encoding="utf-8",
    )
    output = night.parent / "tracks"
    captured = tells(3, "data labels", events, "-o", output, "--format audacity")
    assert "audacity does not hold: 1 scores" in captured.err
    assert "it is negative, which Audacity label tracks cannot express" in captured.err
    assert (output / "s1/a.txt").read_text(encoding="utf-8") == "0.0\t1.0\towl\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "raven", "--windows", "3"], "expected csv or csv-wide"),
        (["--hop", "3"], "found --hop without --windows"),
        (["--format", "excel"], "excel"),
        (["--windows", "0"], "at least 0.01"),
    ],
)
def test_wrong_use(night, tells, arguments, message) -> None:
    assert message in tells(2, "data labels", night, "-o", night.parent / "x", arguments).err


def test_a_column_that_is_not_there_is_named_once_with_its_table(night, tells) -> None:
    table = night / "s1" / "a.csv"
    table.write_text("file,label\na.WAV,owl\n", encoding="utf-8")
    for status, labels in ((2, table), (3, table.parent)):
        told = tells(
            status, "data labels", labels, "-o", night / "x.csv", "--label-column what"
        ).err
        assert told.count("a.csv") == 1
        assert "a.csv, row 1: no column 'what' for the labels. Found file, label" in told


def test_labels_are_not_written_over_themselves(night, tells) -> None:
    assert (
        "found the labels themselves"
        in tells(2, "data labels", night, "-o", night, "--format raven").err
    )
    assert "output is missing" in tells(2, "data labels", night).err
    lonely = night.parent / "lonely.csv"
    lonely.write_text("file,start_time,end_time,label\nelsewhere.wav,0,1,x\n", encoding="utf-8")
    tracks = night.parent / "tracks"
    assert cli("data labels", lonely, "-o", tracks, "--format audacity") == 0
    assert (tracks / "elsewhere.txt").exists()
    assert "--recordings" in tells(2, "data labels", lonely, "-o x.csv --windows 3").err
