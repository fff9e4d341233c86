"""Reading folders: class folders, bare recordings, and how the layout is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from layouts import by_file, is_refused, notes_say, touch

from semisonic.core.errors import DataError, OptionError
from semisonic.data.datasets.load import (
    describe_layout,
    load_clips,
    require_labels,
)


def test_class_folders(tmp_path: Path) -> None:
    touch(
        tmp_path, ["dog/b.wav", "dog/a.WAV", "cat/deep/er/c.flac", "cat/readme.txt", "bird/x.Ogg"]
    )
    clips = load_clips(tmp_path)
    assert clips.file.tolist() == ["bird/x.Ogg", "cat/deep/er/c.flac", "dog/a.WAV", "dog/b.wav"]
    assert [row[0] for row in clips.labels] == ["bird", "cat", "dog", "dog"]
    assert clips.classes == ("bird", "cat", "dog")
    assert clips.group.tolist() == clips.file.tolist()
    assert clips.folds == []
    assert clips.name == tmp_path.name
    assert all(path.is_file() for path in clips.paths)


def test_files_outside_class_folders_have_no_label(tmp_path: Path) -> None:
    touch(tmp_path, ["dog/a.wav", "loose.wav", "Unlabelled/b.wav", "unlabeled/deep/c.wav"])
    clips = load_clips(tmp_path)
    assert by_file(clips, "labels") == {
        "dog/a.wav": ("dog",),
        "loose.wav": (),
        "Unlabelled/b.wav": (),
        "unlabeled/deep/c.wav": (),
    }
    assert clips.classes == ("dog",)
    assert notes_say(clips, "3 recordings")


def test_parts_of_a_class_are_merged_and_said(tmp_path: Path) -> None:
    touch(tmp_path, ["Cat-Part1/a.wav", "Cat-Part2/b.wav", "Apartment1/c.wav", "Body-Part1/d.wav"])
    clips = load_clips(tmp_path)
    assert clips.classes == ("Apartment1", "Body-Part1", "Cat")
    assert notes_say(clips, "Cat-Part1, Cat-Part2")
    apart = load_clips(tmp_path, merge_parts=False).classes
    assert apart == ("Apartment1", "Body-Part1", "Cat-Part1", "Cat-Part2")


@pytest.mark.parametrize("labels", ["none", None])
def test_labels_none_takes_labels_away_and_keeps_recordings(
    tmp_path: Path, labels: str | None
) -> None:
    touch(tmp_path, ["001 - Dog/1-17-A.ogg", "001 - Dog/2-18-A.ogg"])
    clips = load_clips(tmp_path, labels=labels)
    assert not clips.is_labelled.any()
    assert clips.classes == ()
    assert clips.group.tolist() == ["17", "18"]
    assert clips.fold.tolist() == [1, 2]


def test_labels_files_lists_everything(tmp_path: Path) -> None:
    touch(tmp_path, ["dog/a.wav", "pool/b.wav"])
    (tmp_path / "labels.csv").write_text("file,label\ndog/a.wav,dog\n", encoding="utf-8")
    assert len(load_clips(tmp_path)) == 1
    clips = load_clips(tmp_path, labels="files")
    assert clips.file.tolist() == ["dog/a.wav", "pool/b.wav"]
    assert not clips.is_labelled.any()


def test_class_folders_of_field_recordings_may_be_sites(tmp_path: Path) -> None:
    """A scan takes the same folders for sites, so it is said how to read them so here."""
    names = [f"{site}/{site}_20240601_0{hour}3000.wav" for site in "AB" for hour in (4, 5)]
    touch(tmp_path, [*names, "A/other.wav"])
    clips = load_clips(tmp_path)
    assert clips.classes == ("A", "B")
    assert notes_say(clips, "4 of 5 names are those of field recorders; if they are sites, use")
    for labels in ("folders", "none"):  # somebody has decided
        assert not notes_say(load_clips(tmp_path, labels=labels), "field recorders")
    touch(tmp_path, [f"B/{number}.wav" for number in range(4)])
    assert not notes_say(load_clips(tmp_path), "field recorders")


def test_groups(tmp_path: Path) -> None:
    touch(tmp_path, ["dog/site1/r1_1.wav", "dog/site1/r1_2.wav", "dog/r2_1.wav", "cat/r2_2.wav"])

    def group(rule: str) -> dict[str, str]:
        return by_file(load_clips(tmp_path, group=rule))

    by_folder = group("folder")
    assert by_folder["dog/site1/r1_1.wav"] == by_folder["dog/site1/r1_2.wav"] == "dog/site1"
    by_name = group(r"/(r\d+)_\d\.wav$")
    assert by_name["dog/r2_1.wav"] == by_name["cat/r2_2.wav"] == "r2"
    assert by_name["dog/site1/r1_1.wav"] == "r1"
    is_refused(r"cat/r2_2\.wav.*does not match", tmp_path, group=r"dog/(.)")
    is_refused("no bracket", tmp_path, group="sites")
    is_refused("not a regular expression", tmp_path, group="(")


def test_group_by_folder_with_and_without_class_folders(tmp_path: Path) -> None:
    touch(tmp_path, ["dog/a.wav", "dog/b.wav", "dog/site1/c.wav", "dog/site1/d.wav"])
    clips = load_clips(tmp_path, group="folder")
    assert len(set(clips.group.tolist())) == 3
    assert notes_say(clips, "directly in a class folder: 2 recordings, each a group")

    touch(tmp_path / "pool", ["night1/a.wav", "night1/b.wav", "night2/c.wav", "d.wav"])
    clips = load_clips(tmp_path / "pool", labels="files", group="folder")
    assert clips.group.tolist() == ["d.wav", "night1", "night1", "night2"]


def test_one_recording(tmp_path: Path) -> None:
    touch(tmp_path, ["one.wav"])
    clips = load_clips(tmp_path / "one.wav")
    assert clips.paths == [tmp_path / "one.wav"]
    is_refused("one recording", tmp_path / "one.wav", labels="folders")


def test_wrong_paths_and_options(tmp_path: Path) -> None:
    is_refused("no such file or folder", tmp_path / "gone")
    none = touch(tmp_path / "none", ["a.txt", "b/c.wac"])
    is_refused(r"found no audio.*\.wav, \.flac.*1 in formats", none)
    touch(tmp_path, ["table.xlsx", "dog/a.wav"])
    is_refused(r"'\.xlsx' file", tmp_path / "table.xlsx")
    with pytest.raises(OptionError, match="did you mean 'folders'"):
        load_clips(tmp_path, labels="folder")
    is_refused("expected a table with a file and a label column", tmp_path, labels="csv")
    is_refused("expected meta/esc50", tmp_path, labels="esc50")


@pytest.mark.parametrize(
    ("files", "table", "kind"),
    [
        (["dog/a.wav"], "", "folders"),
        (["a.wav"], "", "files"),
        (["a.wav"], "file,label\na.wav,x\n", "csv"),
        (["001 - Dog bark/1-100032-A.ogg"], "", "esc-folders"),
        (["01/a.ogg", "02/b.ogg"], "", "esc-us"),
        (["01/a.ogg", "02/b.ogg"], "file,label\n01/a.ogg,x\n", "csv"),
        (["01/a.wav", "02/b.ogg"], "", "folders"),
        (["dog/a.wav"], "file,reason\ndog/a.wav,empty\n", "folders"),
    ],
)
def test_layout_is_told_and_explained(
    tmp_path: Path, files: list[str], table: str, kind: str
) -> None:
    touch(tmp_path, files)
    if table:
        (tmp_path / "table.csv").write_text(table, encoding="utf-8")
    said = describe_layout(tmp_path)
    assert f"labels '{kind}'" in said
    assert "because" in said
    assert "its labels are not used" not in said
    assert "its labels are not used" in describe_layout(tmp_path, pool=True)


def test_require_labels(tmp_path: Path) -> None:
    touch(tmp_path, ["01/a.ogg", "02/b.ogg"])
    pool = load_clips(tmp_path)
    with pytest.raises(DataError, match=r"training needs labels.*ESC-US has no labels.*pool"):
        require_labels(pool, "training")
    labelled = load_clips(tmp_path, labels="folders")
    assert require_labels(labelled) is labelled


def test_real_animals(shared_data: Path) -> None:
    clips = load_clips(shared_data / "animals")
    assert len(clips) == 875
    assert " ".join(clips.classes) == ("Aslan Esek Inek Kedi Kopek Koyun Kurbaga Kus Maymun Tavuk")
    assert np.bincount(clips.target()).tolist() == [45, 25, 75, 200, 200, 40, 35, 200, 25, 30]
