"""FSDKaggle2018 and 2019 in the layouts of Zenodo: folders, names and columns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from layouts import by_file, is_refused, notes_say, touch, write_lines

from semisonic.data.datasets.load import describe_layout, load_clips
from semisonic.data.splits import fold_splits, label_budget
from semisonic.data.summary import describe

LICENCE = "Creative Commons 0"
CLASSES = ("Bark", "Cello", "Hi-hat")
TAGS = ("Bark", "Hi-hat", "Walk_and_footsteps", "Slam")


def sounds(folder: Path, lines: list[str]) -> None:
    touch(folder, [line.split(",")[0] for line in lines[1:]])


def train_2018() -> list[str]:
    """Twelve clips of each class, every third of them verified, each a recording of its own."""
    return ["fname,label,manually_verified,freesound_id,license"] + [
        f"{16 * c + i:08x}.wav,{label},{int(i % 3 == 0)},{1000 + 16 * c + i},{LICENCE}"
        for c, label in enumerate(CLASSES)
        for i in range(12)
    ]


def scored_2018() -> list[str]:
    return ["fname,label,usage,freesound_id,license"] + [
        f"{4096 + 16 * c + i:08x}.wav,{label},{'Private' if i else 'Public'},{5000 + 16 * c + i},x"
        for c, label in enumerate(CLASSES)
        for i in range(4)
    ]


def zenodo_2018(root: Path, train: list[str] | None = None, test: list[str] | None = None) -> Path:
    sounds(root / "FSDKaggle2018.audio_train", train_2018())
    sounds(root / "FSDKaggle2018.audio_test", scored_2018())
    meta = root / "FSDKaggle2018.meta"
    write_lines(meta / "train_post_competition.csv", train or train_2018())
    write_lines(meta / "test_post_competition_scoring_clips.csv", test or scored_2018())
    write_lines(root / "FSDKaggle2018.doc" / "README.md", ["FSDKaggle2018"])
    return root


def test_2018_keeps_the_official_split_and_the_flag(tmp_path: Path) -> None:
    root = zenodo_2018(tmp_path)
    clips = load_clips(root)
    assert clips.name == "FSDKaggle2018"
    assert (len(clips), clips.classes, clips.folds) == (48, CLASSES, [1])
    assert all(path.is_file() for path in clips.paths)
    in_test = np.char.startswith(clips.file, "FSDKaggle2018.audio_test/")
    assert (clips.fold == in_test).all()
    assert int(clips.is_verified.sum()) == 12 + 12
    assert clips.is_verified[in_test].all()
    assert by_file(clips)["FSDKaggle2018.audio_train/00000001.wav"] == "1001"
    assert notes_say(clips, "36 train clips (12 with verified labels, 24 with")
    assert "manually_verified" in describe_layout(root)
    verified = load_clips(root, labels="fsdkaggle2018-verified")
    assert (len(verified), verified.folds) == (24, [1])
    assert verified.is_verified.all()


def test_unverified_labels_only_train_and_come_last_in_a_budget(tmp_path: Path) -> None:
    clips = load_clips(zenodo_2018(tmp_path))
    (split,) = fold_splits(clips, validation=0.4, seed=3)
    assert split.fold == 1
    assert sorted(split.test.tolist()) == np.flatnonzero(clips.fold == 1).tolist()
    assert len(split.validation) > 0
    assert clips.is_verified[split.validation].all()
    assert (~clips.is_verified[split.train]).sum() == 24
    everything = np.concatenate([split.train, split.validation, split.test])
    assert sorted(everything.tolist()) == list(range(48))
    without_test = clips[clips.fold == 0]
    for split in fold_splits(without_test, n_folds=3):
        assert without_test.is_verified[split.test].all()
        assert without_test.is_verified[split.validation].all()
        assert (~without_test.is_verified[split.train]).sum() == 24

    rows = np.flatnonzero(clips.fold == 0)  # of each class 4 checked labels, 8 others
    four, six = (label_budget(clips, rows, n, seed=1) for n in (4, 6))
    assert clips.is_verified[four].all()
    assert clips.is_verified[six].sum() == 12
    assert set(four) < set(six)


def test_folders_that_were_unpacked_into_folders_of_their_name(tmp_path: Path) -> None:
    root = zenodo_2018(tmp_path)
    for folder in [path for path in root.iterdir() if path.is_dir()]:
        folder.rename(root / "moving")
        folder.mkdir()
        (root / "moving").rename(folder / folder.name)
    clips = load_clips(root)
    assert len(clips) == 48
    assert all(path.is_file() for path in clips.paths)


def test_tables_alone(tmp_path: Path) -> None:
    meta = zenodo_2018(tmp_path) / "FSDKaggle2018.meta"
    alone = tmp_path / "alone" / meta.name
    alone.parent.mkdir()
    meta.rename(alone)
    clips = load_clips(alone.parent)
    assert len(clips) == 48
    assert "no audio found; only the tables were read" in clips.notes
    (alone / "test_post_competition_scoring_clips.csv").unlink()
    touch(alone.parent, ["FSDKaggle2018.audio_test/x.wav"])
    clips = load_clips(alone.parent)
    assert clips.folds == []
    assert notes_say(clips, "no table for FSDKaggle2018.audio_test", "no test part")


def change(old: str, new: str) -> Callable[[list[str]], list[str]]:
    return lambda lines: [line.replace(old, new) for line in lines]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            change("00000003.wav,Bark,1", "00000003.wav,Bark,2"),
            "row 5: found manually_verified '2'",
        ),
        (
            change("00000003.wav,Bark", "00000003.wav,"),
            "row 5: found '' as label, expected a class",
        ),
        (
            change("00000003.wav", "0000abcd.wav"),
            r"1 of 36 files are missing: 0000abcd.wav \(row 5",
        ),
        (change("00000003.wav", "00000002.wav"), "/00000002.wav twice"),
        (
            change("Cello", "Cellar"),
            "row 6: 'Cello' is in the test table, but in no training table",
        ),
        (lambda lines: lines[:1], "a header and no rows"),
    ],
)
def test_broken_2018_tables_name_the_row(
    tmp_path: Path, broken: Callable[[list[str]], list[str]], message: str
) -> None:
    is_refused(message, zenodo_2018(tmp_path, broken(train_2018())))


def test_a_missing_column(tmp_path: Path) -> None:
    no_flag = [",".join(line.split(",")[:2]) for line in train_2018()]
    root = zenodo_2018(tmp_path, no_flag)
    is_refused(
        r"row 1: no column 'manually_verified'\. Found fname, label", root, labels="fsdkaggle2018"
    )
    is_refused(r"not FSDKaggle2019, expected FSDKaggle2019\.meta/", root, labels="fsdkaggle2019")


def test_missing_files_may_be_accepted(tmp_path: Path) -> None:
    root = zenodo_2018(tmp_path)
    (root / "FSDKaggle2018.audio_train" / "00000003.wav").unlink()
    is_refused("1 of 36 files are missing", root)
    clips = load_clips(root, allow_missing=True)
    assert len(clips) == 48
    assert "1 of 36 train files are missing" in clips.notes


def tables_2019() -> dict[str, list[str]]:
    def part(first: int, header: str, n: int, source: str) -> list[str]:
        lines = [header]
        for i in range(n):
            label = TAGS[i % 4]
            if i % 5 == 4:
                label = f'"{label},{TAGS[(i + 1) % 4]}"'
            lines.append(f"{first + i:08x}.wav,{label},{source.format(first + i)},{LICENCE}")
        return lines

    flickr = "https://www.flickr.com/video_download.gne?id={}"
    return {
        "train_curated": part(0, "fname,labels,freesound_id,license", 24, "{}"),
        "train_noisy": part(4096, "fname,labels,flickr_video_URL,license", 40, flickr),
        "test": [
            line.replace(",fs", ",Public,fs").replace("labels,", "labels,usage,")
            for line in part(8192, "fname,labels,freesound_id,license", 8, "fs{}")
        ],
    }


def zenodo_2019(root: Path, **changed: list[str]) -> Path:
    for name, lines in tables_2019().items():
        sounds(root / f"FSDKaggle2019.audio_{name}", lines)
        meta = root / "FSDKaggle2019.meta" / f"{name}_post_competition.csv"
        write_lines(meta, changed.get(name, lines), "utf-8-sig")
    # No header; the order is not alphabetical, and one class has no clip.
    words = ["Walk_and_footsteps", "Slam", "Accordion", "Hi-hat", "Bark"]
    lines = changed.get("vocabulary", [f"{i},{word},/m/{i}" for i, word in enumerate(words)])
    write_lines(root / "FSDKaggle2019.meta" / "vocabulary.csv", lines)
    return root


def test_2019_reads_several_labels_and_tells_the_parts_apart(tmp_path: Path) -> None:
    clips = load_clips(zenodo_2019(tmp_path))
    assert clips.name == "FSDKaggle2019"
    assert len(clips) == 24 + 40 + 8
    assert clips.classes == ("Walk_and_footsteps", "Slam", "Hi-hat", "Bark")
    assert clips.is_multi_label
    row = clips.file.tolist().index("FSDKaggle2019.audio_train_curated/00000004.wav")
    assert clips.labels[row] == ("Bark", "Hi-hat")
    assert clips.targets()[row].tolist() == [0, 0, 1, 1]
    noisy = np.char.find(clips.file, "train_noisy") > 0
    assert (clips.is_verified == ~noisy).all()
    assert all("flickr" in group for group in clips.group[noisy].tolist())
    assert (clips.fold == (np.char.find(clips.file, "audio_test") > 0)).all()
    (split,) = fold_splits(clips, validation=0.3)
    assert not noisy[split.validation].any()
    assert not noisy[split.test].any()
    assert noisy[split.train].sum() == 40
    assert len(split.validation) == pytest.approx(0.3 * 24, abs=2)
    found = describe(clips, fast=True)
    assert found.n_uncertain == 40
    assert sum(found.uncertain_per_class.values()) == 48, "a clip counts for each of its labels"


def test_parts_of_2019(tmp_path: Path) -> None:
    root = zenodo_2019(tmp_path)
    curated = load_clips(root, labels="fsdkaggle2019-curated")
    assert len(curated) == 24 + 8
    assert curated.is_verified.all()
    noisy = load_clips(root, labels="fsdkaggle2019-noisy")
    assert len(noisy) == 40 + 8
    (split,) = fold_splits(noisy)
    assert len(split.train) == 40
    assert len(split.validation) == 0, "noisy labels choose nothing"


def test_a_part_that_was_not_downloaded_is_left_out_and_said(tmp_path: Path) -> None:
    root = zenodo_2019(tmp_path)
    (root / "FSDKaggle2019.audio_train_noisy").rename(tmp_path / "elsewhere")
    clips = load_clips(root)
    assert len(clips) == 24 + 8
    note = "no folder FSDKaggle2019.audio_train_noisy: 40 noisy clips are left out"
    assert note in clips.notes


def test_clips_that_are_known_to_be_wrong_are_uncertain(tmp_path: Path) -> None:
    curated = [
        line.replace("00000004.wav", "1d44b0bd.wav") for line in tables_2019()["train_curated"]
    ]
    root = zenodo_2019(tmp_path, train_curated=curated)
    (root / "FSDKaggle2019.audio_train_curated" / "1d44b0bd.wav").write_bytes(b"")
    clips = load_clips(root, labels="fsdkaggle2019-curated")
    (row,) = np.flatnonzero(~clips.is_verified)
    assert clips.file[row].endswith("1d44b0bd.wav")
    assert any("README" in note and "1d44b0bd.wav" in note for note in clips.notes)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"vocabulary": ["0,Bark", "1,Hi-hat", "2,Slam"]},
            "'Walk_and_footsteps' is not in .*vocab",
        ),
        ({"vocabulary": ["0,Cat", "1,Dog"]}, "contains none of the 4 labels of the tables"),
        ({"test": ["fname,labels", '00002000.wav,"Bark,Bark"']}, "row 2: found a label twice"),
        ({"test": ["fname,labels", '00002000.wav,"Bark,"']}, "row 2: found 'Bark,' as labels"),
        (
            {"test": ["fname,labels", "00002000.wav,Meow"]},
            "row 2: 'Meow' is in the test table, but",
        ),
        ({"test": ["fname,tags", "00002000.wav,Bark"]}, "row 1: no column 'labels'"),
        ({"test": ["fname,labels", ",Bark"]}, "row 2: the fname is empty"),
    ],
)
def test_broken_2019_tables(tmp_path: Path, changed: dict[str, list[str]], message: str) -> None:
    is_refused(message, zenodo_2019(tmp_path, **changed))
