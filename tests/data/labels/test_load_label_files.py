"""Label files of other tools are data sets like any other."""

from __future__ import annotations

from pathlib import Path

import pytest

from semisonic.core.errors import DataError
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import describe_layout, load_clips
from semisonic.data.options import LABEL_CHOICES

RAVEN = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)"
    "\tSpecies\n1\tSpectrogram 1\t1\t0.5\t2.25\t1000\t4000\towl\n"
    "2\tSpectrogram 1\t1\t3\t4\t1000\t4000\tfox\n"
)
BIRDNET = (
    "Start (s),End (s),Scientific name,Common name,Confidence,File\n"
    "0.0,3.0,Strix aluco,owl,0.8,/data/site/A.wav\n3.0,6.0,Vulpes,fox,0.4,/data/site/A.wav\n"
)
KALEIDOSCOPE = (
    "INDIR,FOLDER,IN FILE,CHANNEL,OFFSET,DURATION,TOP1MATCH*,TOP1DIST,MANUAL ID\n"
    "/data,site,a.WAV,0,0.5,1.75,x,0.1,owl\n/data,site,a.WAV,0,3,1,fox,0.2,\n"
)
WIDE = "file,start_time,end_time,owl,fox\nsite/a.WAV,0,3,1,0\nsite/a.WAV,3,6,,1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for file in ("site/a.WAV", "site/b.wav"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(b"not audio")
    return tmp_path


def save(folder: Path, name: str, text: str) -> Path:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def found(clips: Clips) -> list[tuple[str, tuple[str, ...]]]:
    return list(zip(clips.ids, clips.labels, strict=True))


TWO = [("site/a.WAV@0.500-2.250", ("owl",)), ("site/a.WAV@3.000-4.000", ("fox",))]
THREE = [("site/a.WAV@0.000-3.000", ("owl",)), ("site/a.WAV@3.000-6.000", ("fox",))]


@pytest.mark.parametrize(
    ("kind", "name", "text", "expected"),
    [
        ("raven", "site/a.Table.1.selections.txt", RAVEN, TWO),
        ("audacity", "site/a.txt", "0.5\t2.25\towl\n3\t4\tfox\n", TWO),
        ("birdnet", "BirdNET_CombinedTable.csv", BIRDNET, THREE),
        ("birdnet", "site/a.BirdNET.results.csv", BIRDNET, THREE),
        ("kaleidoscope", "cluster.csv", KALEIDOSCOPE, TWO),
    ],
)
def test_a_folder_with_label_files(
    folder: Path, kind: str, name: str, text: str, expected: list[tuple[str, tuple[str, ...]]]
) -> None:
    path = save(folder, name, text)
    save(folder, "readme.txt", "Recorded in June.\n")
    for labels in ("auto", kind):
        clips = load_clips(folder, labels=labels)
        assert found(clips) == expected
        assert clips.root == folder
        assert clips.classes == ("fox", "owl")
    assert f"labels '{kind}'" in describe_layout(folder)
    assert kind in LABEL_CHOICES
    has_scores = any("with the score of a program" in note for note in clips.notes)
    assert has_scores == (kind == "birdnet")
    if "/" not in name:
        assert found(load_clips(path)) == expected


def test_wide_table(folder: Path) -> None:
    clips = load_clips(save(folder, "labels.csv", WIDE))
    assert found(clips) == THREE
    assert clips.classes == ("owl", "fox")


def test_labels_are_taken_away_on_request(folder: Path) -> None:
    save(folder, "site/a.txt", "0.5\t2.25\towl\n")
    clips = load_clips(folder, labels="none")
    assert clips.ids == ["site/a.WAV@0.500-2.250"]
    assert not clips.is_labelled.any()


def test_own_table_goes_before_label_files(folder: Path) -> None:
    save(folder, "site/a.txt", "0.5\t2.25\towl\n")
    save(folder, "labels.csv", "file,label\nsite/a.WAV,dog\n")
    assert load_clips(folder).classes == ("dog",)
    assert load_clips(folder, labels="audacity").classes == ("owl",)


def test_class_folders_with_other_texts_stay_class_folders(folder: Path) -> None:
    save(folder, "site/licence.txt", "CC0\n")
    save(folder, "site/numbers.txt", "1\n2\n")
    assert load_clips(folder).classes == ("site",)


def test_missing_recordings_and_bad_rows_are_named(folder: Path) -> None:
    save(folder, "site/a.txt", "0.5\t2.25\towl\n")
    save(folder, "site/c.txt", "0.5\t2.25\towl\nbroken\n")
    with pytest.raises(DataError, match=r"2 places of Audacity.*row 2: found 'broken'.*c\.txt"):
        load_clips(folder)


def test_a_recording_in_which_nothing_was_marked_is_spoken_of(folder: Path) -> None:
    save(folder, "site/a.txt", "0.5\t2.25\towl\n")
    save(folder, "site/b.txt", "")
    clips = load_clips(folder)
    assert set(clips.file.tolist()) == {"site/a.WAV"}
    assert any("no clips from 1 recording without events" in note for note in clips.notes)


def test_a_text_that_is_no_label_file(folder: Path) -> None:
    with pytest.raises(DataError, match="neither a label track of Audacity nor a table"):
        load_clips(save(folder, "site/a.txt", "Hello\n"))


def test_the_choices_of_the_command_line_are_the_layouts_and_formats_there_are() -> None:
    """They are written down a second time, as their readers need numpy."""
    from semisonic.data.datasets.load import LAYOUTS, PARTS
    from semisonic.data.formats.label_files import BY_NAME
    from semisonic.data.options import FORMATS

    assert ("auto", "none", *(one.kind for one in (*LAYOUTS, *PARTS))) == LABEL_CHOICES
    assert tuple(BY_NAME) == FORMATS


def test_the_label_column_can_be_named(folder: Path) -> None:
    save(folder, "site/a.txt", "Begin Time (s)\tEnd Time (s)\tBird\tMood\n0\t1\towl\tsad\n")
    with pytest.raises(DataError, match=r"which column has the labels.*Bird, Mood"):
        load_clips(folder)
    assert load_clips(folder, label_column="Bird").classes == ("owl",)
