"""UrbanSound8K and UrbanSound: exactly their folders, names and columns, and what can be wrong."""

from __future__ import annotations

import random
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from layouts import is_refused, notes_say, touch, write_lines

from semisonic.cli.main import main
from semisonic.data.datasets.load import describe_layout, load_clips
from semisonic.data.splits import fold_splits

HEADER = "slice_file_name,fsID,start,end,salience,fold,classID,class"
# Neither alphabetical nor the order in the file.
NAMES = {0: "air_conditioner", 3: "dog_bark", 6: "gun_shot", 1: "car_horn"}


def rows() -> list[str]:
    """Two recordings of each class in each fold, with two slices each."""
    return [
        f"{fsid}-{target}-0-{piece}.wav,{fsid},{2.5 * piece},{4 + piece},1,{fold},{target},{name}"
        for target, name in NAMES.items()
        for fold in range(1, 11)
        for fsid in (10000 + 1000 * target + 10 * fold + recording for recording in (0, 1))
        for piece in (0, 1)
    ]


def make(root: Path, table: list[str], *, audio: bool = True, header: str = HEADER) -> Path:
    write_lines(root / "metadata" / "UrbanSound8K.csv", [header, *table])
    cells = [row.split(",") for row in rows() if audio]
    return touch(root, [f"audio/fold{cell[5]}/{cell[0]}" for cell in cells])


def test_every_row_is_a_clip_with_class_recording_and_fold(tmp_path: Path) -> None:
    table = rows()
    random.Random(0).shuffle(table)
    root = make(tmp_path, table)
    clips = load_clips(root)
    assert clips.name == "UrbanSound8K"
    assert len(clips) == len(table) == 160
    assert clips.classes == ("air_conditioner", "car_horn", "dog_bark", "gun_shot")
    assert clips.folds == list(range(1, 11))
    assert all(path.is_file() for path in clips.paths)
    assert clips.ids == clips.file.tolist(), "start and end are no times of the slice"
    for clip in clips.to_frame().itertuples():
        folder, name = clip.file.split("/")
        fsid, target, *_ = name.split("-")
        assert (folder, clip.group, clip.label) == (f"fold{clip.fold}", fsid, NAMES[int(target)])
    assert "UrbanSound8K" in describe_layout(root)
    splits = fold_splits(clips, validation_fold="previous")
    assert [len(split.test) for split in splits] == [16] * 10
    assert set(clips.fold[splits[0].validation]) == {10}


def test_the_table_alone_and_other_places_of_it(tmp_path: Path) -> None:
    alone = make(tmp_path / "alone", rows(), audio=False)
    clips = load_clips(alone)
    assert len(clips) == 160
    assert notes_say(clips, "only the table")
    root = make(tmp_path / "flat", rows())
    (root / "metadata" / "UrbanSound8K.csv").rename(root / "UrbanSound8K.csv")
    for folder in list((root / "audio").iterdir()):
        folder.rename(root / folder.name)  # as a copy on Kaggle has it
    clips = load_clips(root)
    assert clips.name == "UrbanSound8K"
    assert all(path.is_file() for path in clips.paths)
    assert load_clips(root / "UrbanSound8K.csv").ids == clips.ids


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("9-3-0-0.wav,9,0,4,1,11,3,dog_bark", "row 162: found fold '11', .* from 1 to 10"),
        ("9-3-0-0.wav,9,0,4,1,0,3,dog_bark", "row 162: found fold '0'"),
        ("9-3-0-0.wav,9,0,4,1,1,3,dog_bark", r"1 of 161 files are missing: fold1/9-3-0-0\.wav"),
        (rows()[0], "found the clip fold1/10010-0-0-0.wav twice"),
    ],
)
def test_contradictions_name_the_row(tmp_path: Path, row: str, message: str) -> None:
    is_refused(message, make(tmp_path, [*rows(), row]))


def test_what_lies_elsewhere_than_the_table_says(tmp_path: Path) -> None:
    root = make(tmp_path, rows())
    (root / "audio" / "fold3" / "1-1-1-1.wav").write_bytes(b"")
    clips = load_clips(root)
    assert len(clips) == 160
    assert notes_say(clips, "1 recording not in the table")
    name = rows()[0].split(",")[0]
    (root / "audio" / "fold1" / name).rename(root / "audio" / "fold2" / name)
    is_refused(rf"1 of 160 files are missing: fold1/{name}", root)


def test_broken_tables(tmp_path: Path) -> None:
    short = HEADER.replace(",fold", "")
    root = make(tmp_path / "column", [row.replace(",1,", ",", 1) for row in rows()], header=short)
    is_refused(r"UrbanSound8K\.csv, row 1: no column 'fold'", root)
    is_refused(
        r"not UrbanSound8K, expected metadata/UrbanSound8K\.csv", tmp_path, labels="urbansound8k"
    )


# UrbanSound itself: recordings with the times of their events, in folders of the classes.

EVENTS = {
    "dog_bark/4912.wav": "0.500000,3.250000,1,dog_bark\n7.1,7.9,2,dog_bark\n",
    "dog_bark/7389.mp3": "12.0,16.5,1,dog_bark\n",
    "air_conditioner/13230.aif": "0,29.9,2,air_conditioner\n",
    "street_music/14384.flac": "3.25,44.0,1,street_music\n",
    "siren/4912.wav": "20,31,1,siren\n",
}


def make_urbansound(root: Path, events: dict[str, str] | None = None) -> Path:
    """``UrbanSound`` as it is unpacked: recording, Freesound's words about it, and its events."""
    for name, text in (EVENTS if events is None else events).items():
        file = touch(root / "UrbanSound" / "data", [name]) / name
        file.with_suffix(".json").write_text(f'{{"id": {file.stem}}}', encoding="utf-8")
        file.with_suffix(".csv").write_text(text, encoding="utf-8")
    for name in ("UrbanSound_README.txt", "FREESOUNDCREDITS.txt"):
        (root / "UrbanSound" / name).write_text("UrbanSound\n", encoding="utf-8")
    return root / "UrbanSound"


@pytest.mark.parametrize("where", ["", "data", ".."])
def test_urbansound_has_a_clip_for_each_event(tmp_path: Path, where: str) -> None:
    root = make_urbansound(tmp_path) / where
    assert "UrbanSound" in describe_layout(root)
    clips = load_clips(root)
    assert clips.name == "UrbanSound"
    assert clips.classes == ("air_conditioner", "dog_bark", "siren", "street_music")
    assert all(path.is_file() for path in clips.paths)
    columns = ["file", "label", "start_time", "end_time", "group"]
    found = clips.to_frame()[columns].itertuples(index=False, name=None)
    assert {(Path(file).name, *rest) for file, *rest in found} == {
        ("4912.wav", "dog_bark", 0.5, 3.25, "4912"),
        ("4912.wav", "dog_bark", 7.1, 7.9, "4912"),
        ("7389.mp3", "dog_bark", 12.0, 16.5, "7389"),
        ("13230.aif", "air_conditioner", 0.0, 29.9, "13230"),
        ("14384.flac", "street_music", 3.25, 44.0, "14384"),
        ("4912.wav", "siren", 20.0, 31.0, "4912"),
    }, "one Freesound recording in two classes is one group"
    assert notes_say(clips, "2 events in the background")


def test_urbansound_s_foreground_can_be_asked_for(tmp_path: Path) -> None:
    clips = load_clips(make_urbansound(tmp_path), labels="urbansound-foreground")
    assert len(clips) == 4
    assert "air_conditioner" not in clips.classes
    assert notes_say(clips, "left out")


def test_urbansound_is_told_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = {"dog_bark/4912.wav": "0.5,1.5,1,dog_bark\n", "siren/14.wav": "0,1,1,siren\n"}
    root = make_urbansound(tmp_path, events)
    for name in events:
        sf.write(root / "data" / name, np.zeros(16000), 8000)
    assert main(["data", "info", str(root)]) == 0
    said = capsys.readouterr().out
    assert "UrbanSound" in said
    assert re.search(r"^dog_bark +1 +1$", said, re.MULTILINE)
    assert re.search(r"^siren +1 +1$", said, re.MULTILINE)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1.0,2.0,1", r"dog_bark.9\.csv, row 1: found 3 values, expected four"),
        ("one,2.0,1,dog_bark", r"dog_bark.9\.csv, row 1: found the times 'one' and '2\.0'"),
        ("1.0,2.0,3,dog_bark", r"dog_bark.9\.csv, row 1: found salience '3', expected 1 "),
        ("1.0,2.0,1,dog", r"dog_bark.9\.csv, row 1: found the class 'dog', expected one of air_"),
    ],
)
def test_broken_events_of_urbansound_name_file_and_row(
    tmp_path: Path, line: str, message: str
) -> None:
    root = make_urbansound(tmp_path, {**EVENTS, "dog_bark/9.wav": line + "\n"})
    is_refused(message, root)


def test_recordings_of_urbansound_that_are_left_out_are_said(tmp_path: Path) -> None:
    root = make_urbansound(tmp_path, {**EVENTS, "siren/8.wac": "1,2,1,siren\n3,3,1,siren\n"})
    (root / "data" / "siren" / "77.wav").write_bytes(b"")
    with (root / "data" / "siren" / "4912.csv").open("a", encoding="utf-8") as stream:
        stream.write("40.5,40.5,1,siren\n")
    assert notes_say(
        load_clips(root),
        "1 recording without a file of events left out",
        "1 recording in a format that cannot be read left out",
        "1 event without a length left out",
    )
    (root / "data" / "dog_bark" / "7389.mp3").unlink()
    is_refused("1 of 6 files of events have no recording", root)
    assert len(load_clips(root, allow_missing=True)) == 5


def test_a_part_of_the_real_urbansound8k(shared_data: Path) -> None:
    place = shared_data / "urbansound8k_part"
    if not place.is_dir():
        pytest.skip(f"no recordings of UrbanSound8K in {place}")
    clips = load_clips(place)
    assert clips.folds == [1, 2, 10]
    assert len(clips.classes) == 10
    assert all(path.is_file() for path in clips.paths)
    folds = clips.to_frame().groupby("group")["fold"]
    assert (folds.nunique() == 1).all(), "a recording stands in one fold"
