"""UrbanSound8K: exactly its folders, names and columns, and what can be wrong with them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from semisonic.base.errors import DataError
from semisonic.data import describe_layout, fold_splits, load_clips

HEADER = "slice_file_name,fsID,start,end,salience,fold,classID,class"
# Neither alphabetical nor the order in the file.
NAMES = {0: "air_conditioner", 3: "dog_bark", 6: "gun_shot", 1: "car_horn"}


def rows() -> list[str]:
    """Two recordings of each class in each fold, with two slices each."""
    found = []
    for target, name in NAMES.items():
        for fold in range(1, 11):
            for recording in (0, 1):
                fsid = 10000 + 1000 * target + 10 * fold + recording
                for piece in (0, 1):
                    file = f"{fsid}-{target}-0-{piece}.wav"
                    found.append(
                        f"{file},{fsid},{2.5 * piece},{4 + piece},1,{fold},{target},{name}"
                    )
    return found


def make(root: Path, table: list[str], *, audio: bool = True, header: str = HEADER) -> Path:
    (root / "metadata").mkdir(parents=True)
    text = "\n".join([header, *table]) + "\n"
    (root / "metadata" / "UrbanSound8K.csv").write_text(text, encoding="utf-8")
    for row in rows() if audio else []:
        cells = row.split(",")
        file = root / "audio" / f"fold{cells[5]}" / cells[0]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"not audio")
    return root


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
    for file, label, group, fold in zip(
        clips.file.tolist(), clips.labels, clips.group.tolist(), clips.fold.tolist(), strict=True
    ):
        folder, name = file.split("/")
        fsid, target, *_ = name.split("-")
        assert (folder, group, label) == (f"fold{fold}", fsid, (NAMES[int(target)],))
    assert "UrbanSound8K" in describe_layout(root)
    splits = fold_splits(clips, validation_fold="previous")
    assert [len(split.test) for split in splits] == [16] * 10
    assert set(clips.fold[splits[0].validation]) == {10}


def test_the_table_alone_and_other_places_of_it(tmp_path: Path) -> None:
    alone = make(tmp_path / "alone", rows(), audio=False)
    clips = load_clips(alone)
    assert len(clips) == 160
    assert any("table alone" in note for note in clips.notes)
    root = make(tmp_path / "flat", rows())
    (root / "metadata" / "UrbanSound8K.csv").rename(root / "UrbanSound8K.csv")
    for folder in list((root / "audio").iterdir()):
        folder.rename(root / folder.name)  # as a copy on Kaggle has it
    clips = load_clips(root)
    assert clips.name == "UrbanSound8K"
    assert all(path.is_file() for path in clips.paths)
    assert load_clips(root / "UrbanSound8K.csv").ids == clips.ids


def test_a_group_that_the_user_gives_wins(tmp_path: Path) -> None:
    root = make(tmp_path, rows())
    assert len(set(load_clips(root).group.tolist())) == 80
    assert len(set(load_clips(root, group="file").group.tolist())) == 160
    assert set(load_clips(root, group="classID").group.tolist()) == {"0", "1", "3", "6"}


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    assert len(load_clips(make(tmp_path, rows(), header="\ufeff" + HEADER))) == 160


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("9-3-0-0.wav,9,0,4,1,11,3,dog_bark", "row 162: found fold '11', .* from 1 to 10"),
        ("9-3-0-0.wav,9,0,4,1,0,3,dog_bark", "row 162: found fold '0'"),
        ("9-3-0-0.wav,9,0,4,1,,3,dog_bark", "row 162: found fold ''"),
        ("9-3-0-0.wav,9,0,4,1,1,x,dog_bark", "row 162: found classid 'x'"),
        ("9-3-0-0.wav,9,0,4,1,1,3,siren", "row 162: classid 3 is 'siren', and 'dog_bark'"),
        ("9-7-0-0.wav,9,0,4,1,1,7,dog_bark", "row 162: 'dog_bark' has classid 7, and 3"),
        ("9-3-0-0.wav,9,0,4,1,1,3,", "row 162: the class is empty"),
        ("9-6-0-0.wav,9,0,4,1,1,3,dog_bark", "row 162: 9-6-0-0.wav says classid 6, .* '3'"),
        ("8-3-0-0.wav,9,0,4,1,1,3,dog_bark", "row 162: 8-3-0-0.wav says fsid 8, .* '9'"),
        ("bark.wav,9,0,4,1,1,3,dog_bark", "row 162: found the name 'bark.wav', expected"),
        ("9-3-0-0.wav,9,0,4,1,1,3,dog_bark", r"1 of 161 files are missing: fold1/9-3-0-0\.wav"),
        (rows()[0], "rows 2 and 162: .* stands twice"),
    ],
)
def test_contradictions_name_the_row(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_clips(make(tmp_path, [*rows(), row]))


def test_a_clip_in_the_folder_of_another_fold(tmp_path: Path) -> None:
    root = make(tmp_path, rows())
    name = rows()[0].split(",")[0]
    (root / "audio" / "fold1" / name).rename(root / "audio" / "fold2" / name)
    for allow in (False, True):
        with pytest.raises(DataError, match=rf"row 2: {name} is of fold1, but lies in fold2"):
            load_clips(root, allow_missing=allow)


def test_missing_files_are_named_or_accepted(tmp_path: Path) -> None:
    root = make(tmp_path, rows())
    name = rows()[5].split(",")[0]
    next(root.rglob(name)).unlink()
    with pytest.raises(DataError, match=rf"1 of 160 files are missing: fold\d+/{name} \(row 7\)"):
        load_clips(root)
    assert len(load_clips(root, allow_missing=True)) == 160


def test_recordings_that_the_table_does_not_name_are_said(tmp_path: Path) -> None:
    root = make(tmp_path, rows())
    (root / "audio" / "fold3" / "1-1-1-1.wav").write_bytes(b"")
    clips = load_clips(root)
    assert len(clips) == 160
    assert any("1 recordings are not in the table" in note for note in clips.notes)


def test_broken_tables(tmp_path: Path) -> None:
    short = HEADER.replace(",fold", "")
    root = make(tmp_path / "column", [row.replace(",1,", ",", 1) for row in rows()], header=short)
    with pytest.raises(DataError, match=r"UrbanSound8K\.csv, row 1: no column 'fold'"):
        load_clips(root)
    with pytest.raises(DataError, match="a header and no rows"):
        load_clips(make(tmp_path / "header", []))
    root = make(tmp_path / "empty", [])
    (root / "metadata" / "UrbanSound8K.csv").write_text("")
    with pytest.raises(DataError, match=r"UrbanSound8K\.csv: empty"):
        load_clips(root)
    with pytest.raises(DataError, match=r"not UrbanSound8K, expected metadata/UrbanSound8K\.csv"):
        load_clips(tmp_path, labels="urbansound8k")
