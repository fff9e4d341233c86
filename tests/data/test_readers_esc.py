"""ESC-50, ESC-10 in both layouts, and ESC-US: exactly their names and columns."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from layouts import by_file, is_refused, notes_say, touch, write_lines

from semisonic.core.errors import DataError
from semisonic.data.datasets.load import describe_layout, load_clips
from semisonic.data.duplicates import check
from semisonic.data.splits import fold_splits

HEADER = "filename,fold,target,category,esc10,src_file,take"
# Alphabetical order differs from target order, and so does the order in the file.
NAMES = {0: "dog", 1: "rooster", 10: "rain", 36: "vacuum_cleaner", 38: "clock_tick"}
ESC10 = {0, 1, 10, 38}


def esc50_rows() -> list[str]:
    return [
        f"{fold}-{src}-{take}-{target}.wav,{fold},{target},{name},{target in ESC10},{src},{take}"
        for target, name in NAMES.items()
        for fold, src in enumerate(range(1001 + 10 * target, 1006 + 10 * target), 1)
        for take in "AB"
    ]


def esc50(root: Path, rows: list[str], *, audio: bool = True) -> Path:
    write_lines(root / "meta" / "esc50.csv", [HEADER, *rows])
    return touch(root, [f"audio/{row.split(',')[0]}" for row in rows] if audio else [])


def test_new_layout(tmp_path: Path) -> None:
    root = esc50(tmp_path, esc50_rows())
    clips = load_clips(root)
    assert clips.name == "ESC-50"
    assert len(clips) == 50
    assert clips.classes == tuple(NAMES.values())
    assert clips.folds == [1, 2, 3, 4, 5]
    assert clips.root == root / "audio"
    assert all(path.is_file() for path in clips.paths)
    assert "esc50.csv" in describe_layout(root)
    for clip in clips.to_frame().itertuples():
        fold, src, _, target = clip.file.removesuffix(".wav").split("-")
        assert (clip.label, clip.group, clip.fold) == (NAMES[int(target)], src, int(fold))


def test_a_group_that_the_user_gives_wins(tmp_path: Path) -> None:
    new = esc50(tmp_path / "new", esc50_rows())
    assert len(set(load_clips(new, group="file").group.tolist())) == 50
    assert set(load_clips(new, group="take").group.tolist()) == {"A", "B"}
    old = old_layout(tmp_path / "old", ["001 - Dog/2-7-A.ogg", "001 - Dog/2-7-B.ogg"])
    assert load_clips(old).group.tolist() == ["7", "7"]
    assert load_clips(old, group=r"-([AB])\.").group.tolist() == ["A", "B"]
    pool = old_layout(tmp_path / "pool", ["01/1-7-A.ogg", "02/1-7-B.ogg"])
    assert load_clips(pool).group.tolist() == ["7", "7"]
    assert load_clips(pool, group="folder").group.tolist() == ["01", "02"]


def test_order_of_rows_cannot_rename_classes(tmp_path: Path) -> None:
    rows = esc50_rows()
    mixed = random.Random(1).sample(rows, len(rows))
    one, two = (load_clips(esc50(tmp_path / str(i), r)) for i, r in enumerate((rows, mixed)))
    assert one.classes == two.classes
    assert one.labels == two.labels
    assert one.target().tolist() == two.target().tolist()


def test_esc10_part_keeps_names_and_order(tmp_path: Path) -> None:
    clips = load_clips(esc50(tmp_path, esc50_rows()), labels="esc10")
    assert clips.name == "ESC-10"
    assert clips.classes == ("dog", "rooster", "rain", "clock_tick")
    assert len(clips) == 40
    assert clips.target().max() == 3


def test_table_alone(tmp_path: Path) -> None:
    root = esc50(tmp_path, esc50_rows(), audio=False)
    for path in (root, root / "meta" / "esc50.csv"):
        clips = load_clips(path)
        assert len(clips) == 50
        assert notes_say(clips, "only the table")


def test_some_missing_audio_is_an_error(tmp_path: Path) -> None:
    root = esc50(tmp_path, esc50_rows())
    (root / "audio" / "1-1001-A-0.wav").unlink()
    is_refused(r"1 of 50 files are missing: 1-1001-A-0\.wav \(row 2\)", root)
    assert len(load_clips(root, allow_missing=True)) == 50


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1-9-A-0.wav,1,0,cat,False,9,A", "row 52: target 0 is 'cat', and 'dog' in an earlier row"),
        ("1-9-A-0.wav,1,7,dog,False,9,A", "row 52: 'dog' has target 7, and 0 in an earlier row"),
        ("1-9-A-0.wav,x,0,dog,False,9,A", "row 52: found fold 'x'"),
        ("1-9-A-0.wav,1,-1,dog,False,9,A", "row 52: found target '-1'"),
        ("1-9-A-0.wav,1,0,,False,9,A", "row 52: the category is empty"),
    ],
)
def test_contradictions_name_the_row(tmp_path: Path, row: str, message: str) -> None:
    is_refused(message, esc50(tmp_path, [*esc50_rows(), row]))


def test_real_table(shared_data: Path) -> None:
    clips = load_clips(shared_data / "esc50-meta" / "esc50.csv")
    assert len(clips) == 2000
    assert len(clips.classes) == 50
    assert clips.classes[:3] == ("dog", "rooster", "pig")
    assert clips.classes[49] == "hand_saw"
    assert len(set(clips.group.tolist())) == 1524
    assert (np.bincount(clips.fold)[1:] == 400).all()
    assert check(clips, audio=False).straddling == ("131943", "134049", "209698", "234879")
    assert len(load_clips(shared_data / "esc50-meta", labels="esc10")) == 400


def old_layout(root: Path, files: list[str]) -> Path:
    return write_lines(touch(root, files) / "README.txt", ["ESC-10"]).parent


def test_old_layout(tmp_path: Path) -> None:
    files = [
        "001 - Dog bark/1-100032-A.ogg",
        "001 - Dog bark/2-122104-A.ogg",
        "001 - Dog bark/2-122104-B.ogg",
        "310 - Drinking - sipping/5-17-A.ogg",
        "002 - Zebra/3-18-A.OGG",
    ]
    clips = load_clips(old_layout(tmp_path, files))
    assert clips.classes == ("Dog bark", "Zebra", "Drinking - sipping")
    assert clips.name == "ESC-3"
    file = "001 - Dog bark/2-122104-B.ogg"
    found = [by_file(clips, column)[file] for column in ("group", "fold", "labels")]
    assert found == ["122104", 2, ("Dog bark",)]


def test_old_layout_with_a_stray_file_or_a_number_for_two_classes(tmp_path: Path) -> None:
    files = ["001 - Dog/1-1-A.ogg", "001 - Dog/2-2-A.ogg", "001 - Dog/my dog.wav"]
    is_refused(r"my dog\.wav: not named as in ESC-50.*'folders'", old_layout(tmp_path, files))
    assert len(load_clips(tmp_path, labels="folders")) == 3
    two = ["001 - Dog/1-1-A.ogg", "001 - Cat/2-2-A.ogg"]
    is_refused("class number 001 stands for", old_layout(tmp_path / "two", two))


def test_real_esc10(shared_data: Path) -> None:
    clips = load_clips(shared_data / "esc10")
    assert clips.name == "ESC-10"
    assert len(clips) == 400
    assert clips.classes[0] == "Dog bark"
    assert clips.classes[9] == "Fire crackling"
    assert np.bincount(clips.target()).tolist() == [40] * 10
    assert (np.bincount(clips.fold)[1:] == 80).all()
    assert len(set(clips.group.tolist())) == 304


def test_esc_us_is_listed_and_refuses_labelled_use(tmp_path: Path) -> None:
    files = [f"{folder:02d}/{folder}-{i}-A.ogg" for folder in (1, 2) for i in range(3)]
    clips = load_clips(old_layout(tmp_path, files))
    assert clips.name == "ESC-US"
    assert len(clips) == 6
    assert not clips.is_labelled.any()
    assert clips.classes == ()
    with pytest.raises(DataError, match=r"ESC-US.*needs labels"):
        fold_splits(clips)


def test_esc_us_as_one_folder_with_its_table(tmp_path: Path) -> None:
    old_layout(tmp_path, ["audio/1-2-A.ogg", "audio/1-2-B.ogg", "audio/odd name.ogg"])
    (tmp_path / "ESC-US.csv").write_text("filename,tags\n1-2-A.ogg,bird;wind\n", encoding="utf-8")
    clips = load_clips(tmp_path)
    assert clips.name == "ESC-US"
    assert len(clips) == 3
    assert not clips.is_labelled.any()
    assert clips.group.tolist() == ["2", "2", "audio/odd name.ogg"]
