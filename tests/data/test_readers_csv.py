"""Reading label tables: columns, several labels, times, and errors that name the row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from layouts import by_file, is_refused, notes_say, touch, write_lines

from semisonic.core.errors import DataError
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips

FILES = ("a.wav", "b.wav", "c.wav", "sub/d.wav")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return touch(tmp_path, FILES)


def read(folder: Path, text: str, **options: object) -> Clips:
    path = folder / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return load_clips(path, **options)  # type: ignore[arg-type]


def labels(clips: Clips) -> dict[str, tuple[str, ...]]:
    return dict(zip(clips.ids, clips.labels, strict=True))


def test_all_columns(folder: Path) -> None:
    clips = read(
        folder,
        "file,label,start_time,end_time,group,fold\n"
        "a.wav,dog,0,2.5,site 1,1\na.wav,cat,2.5,,site 1,2\nb.wav,dog,,,,\n",
    )
    assert clips.ids == ["a.wav@0.000-2.500", "a.wav@2.500-nan", "b.wav"]
    assert clips.start_time.tolist() == [0.0, 2.5, 0.0]
    assert np.isnan(clips.end_time[1:]).all()
    assert clips.group.tolist() == ["site 1", "site 1", "b.wav"]
    assert clips.fold.tolist() == [1, 2, 0]


def test_several_labels_in_a_cell(folder: Path) -> None:
    clips = read(folder, 'file,label\na.wav,dog; rain\nb.wav,"drinking, sipping"\n')
    assert labels(clips)["a.wav"] == ("dog", "rain")
    assert labels(clips)["b.wav"] == ("drinking, sipping",)
    commas = read(folder, 'fname,labels\na.wav,"dog,rain"\nb.wav,dog\n', separator=",")
    assert labels(commas) == {"a.wav": ("dog", "rain"), "b.wav": ("dog",)}

    clips = read(folder, 'file,label\na.wav,"dog,rain"\nb.wav,dog\nc.wav,rain\n')
    assert notes_say(clips, "separator ','")


def test_several_labels_in_rows(folder: Path) -> None:
    text = (
        "recording,start_offset_s,end_offset_s,label,label_type\n"
        "a.wav,0,5,dog,positive\na.wav,0,5,rain,positive\n"
        "a.wav,5,10,dog,positive\nb.wav,0,5,dog,negative\nc.wav,0,5,dog,uncertain\n"
    )
    clips = read(folder, text)
    assert labels(clips) == {
        "a.wav@0.000-5.000": ("dog", "rain"),
        "a.wav@5.000-10.000": ("dog",),
        "c.wav@0.000-5.000": ("dog",),
    }
    assert notes_say(clips, "1 row left out")


def test_uncertain_labels_are_kept_as_such(folder: Path) -> None:
    text = (
        "file,label,label_type\na.wav,dog,positive\nb.wav,dog,uncertain\n"
        "c.wav,dog,\nc.wav,rain,Uncertain\nsub/d.wav,rain,negative\n"
    )
    clips = read(folder, text)
    assert clips.file.tolist() == ["a.wav", "b.wav", "c.wav"]
    assert clips.label_type.tolist() == ["positive", "uncertain", "uncertain"]
    assert clips.is_verified.tolist() == [True, False, False]
    assert clips.labels[2] == ("dog", "rain")
    assert notes_say(clips, "2 clips with uncertain labels")


@pytest.mark.parametrize(
    "header", ["filename,category", "file_name,class", "Filename , Category", "path,species"]
)
def test_known_names_of_columns(folder: Path, header: str) -> None:
    assert labels(read(folder, f"{header}\na.wav,dog\n")) == {"a.wav": ("dog",)}


def test_class_numbers_of_the_table_give_the_order(folder: Path) -> None:
    text = "file,target,category\na.wav,0,zebra\nb.wav,1,ant\nc.wav,10,bee\n"
    assert read(folder, text).classes == ("zebra", "ant", "bee")
    contradicting = "file,target,category\na.wav,0,zebra\nb.wav,0,ant\n"
    clips = read(folder, contradicting)
    assert clips.classes == ("ant", "zebra")
    assert notes_say(clips, "'target'")


def test_group_column_and_rule(folder: Path) -> None:
    text = "file,label,site\na.wav,dog,north\nb.wav,dog,north\nc.wav,dog,\n"
    assert read(folder, text).group.tolist() == ["a.wav", "b.wav", "c.wav"]
    assert read(folder, text, group="site").group.tolist() == ["north", "north", "c.wav"]
    assert read(folder, text, group=r"^(.)").group.tolist() == ["a", "b", "c"]
    named = text.replace("site", "Site name")
    assert read(folder, named, group="Site name").group.tolist() == ["north", "north", "c.wav"]


def test_group_rules_see_where_a_file_lies(folder: Path) -> None:
    """A bare name in the table may stand for a file in a folder."""
    clips = read(folder, "file,label\na.wav,dog\nd.wav,dog\n", group="folder")
    assert by_file(clips) == {"a.wav": "a.wav", "sub/d.wav": "sub"}


def test_a_table_called_as_all_are_has_the_name_of_its_folder(folder: Path) -> None:
    assert read(folder, "file,label\na.wav,dog\n").name == folder.name
    (folder / "owls.csv").write_text("file,label\na.wav,dog\n", encoding="utf-8")
    assert load_clips(folder / "owls.csv").name == "owls"


@pytest.mark.parametrize("mark", [";", "\t"])
def test_other_delimiters_and_bom(folder: Path, mark: str) -> None:
    path = write_lines(folder / "t.csv", [f"file{mark}label", f"a.wav{mark}dog"], "utf-8-sig")
    assert labels(load_clips(path)) == {"a.wav": ("dog",)}


def test_audio_folder_beside_the_table(tmp_path: Path) -> None:
    touch(tmp_path, ["audio/a.wav"])
    clips = load_clips(write_lines(tmp_path / "meta" / "t.csv", ["file,label", "a.wav,x"]))
    assert clips.root == tmp_path / "audio"
    assert clips.paths[0].is_file()


def test_case_accents_and_backslashes_are_forgiven(tmp_path: Path) -> None:
    touch(tmp_path, ["DOG.WAV", "sub/cafe\u0301.wav", "sub/x.wav"])
    clips = read(tmp_path, "file,label\ndog.wav,d\nsub\\caf\u00e9.wav,c\nsub\\x.wav,x\n")
    assert all(path.is_file() for path in clips.paths)


def test_ambiguous_names_are_not_guessed(tmp_path: Path) -> None:
    touch(tmp_path, ["one/a.wav", "two/a.wav"])
    with pytest.raises(DataError, match=r"a\.wav \(row 2\) fits one/a\.wav and two/a\.wav"):
        read(tmp_path, "file,label\na.wav,x\n")


def test_a_name_with_folders_does_not_land_elsewhere(tmp_path: Path) -> None:
    touch(tmp_path, ["a.wav", "deep/one/b.wav"])
    clips = read(tmp_path, "file,label\none/b.wav,x\n/of/a/machine/a.wav,y\n")
    assert clips.file.tolist() == ["a.wav", "deep/one/b.wav"]
    with pytest.raises(DataError, match=r"1 of 1 files are missing: one/a\.wav"):
        read(tmp_path, "file,label\none/a.wav,x\n")


def test_missing_files_are_counted_and_named(folder: Path) -> None:
    rows = "".join(f"gone{i}.wav,x\n" for i in range(7))
    with pytest.raises(DataError) as caught:
        read(folder, f"file,label\na.wav,dog\n{rows}")
    text = str(caught.value)
    assert "7 of 8 files are missing: gone0.wav (row 3), gone1.wav (row 4)" in text
    assert "gone5" not in text
    assert str(folder) in text
    clips = read(folder, f"file,label\na.wav,dog\n{rows}", allow_missing=True)
    assert len(clips) == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("file,label\n", "no rows"),
        ("name_of_it,label\na.wav,x\n", "no column for the audio file.*name_of_it"),
        ("file,label,label\na.wav,x,y\n", "'label' twice"),
        ("file,label\na.wav,x,y\n", r"row 2: found 3 values, expected 2"),
        ("file,label\na.wav,x\n,y\n", "row 3: the column 'file' is empty"),
        ("file,label,fold\na.wav,x,one\n", "row 2: found fold 'one'"),
        ("file,label,start_time\na.wav,x,1:99\n", "row 2: found '1:99' as start_time.*h:m:s"),
        ("file,label,start_time,end_time\na.wav,x,3,2\n", r"row 2: found start 3 s and end 2 s"),
        ("file,label,start_time\na.wav,x,-1\n", "row 2: found start -1 s"),
        ("file,label\na.wav,x\nb.wav,y\na.wav,x\n", "rows 2 and 4: the clip a.wav occurs twice"),
        ("file,label,fold\na.wav,x,1\na.wav,y,2\n", "rows 2 and 3.*fold 1.*fold 2"),
        ("file,label\na.wav,x;x\n", "row 2: found a label twice"),
        ('file,label\na.wav,"x\n', "broken CSV"),
        ("file,label,label_type\na.wav,x,negative\n", "none of"),
        ("file,label,label_type\na.wav,x,maybe\n", "row 2: found 'maybe' as label_type"),
    ],
)
def test_errors_name_the_place(folder: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=f"(?s)labels.csv.*{message}"):
        read(folder, text)


def test_blank_lines_do_not_shift_row_numbers(folder: Path) -> None:
    with pytest.raises(DataError, match="row 4: found fold"):
        read(folder, "file,label,fold\n\na.wav,x,1\nb.wav,x,?\n")


def test_two_tables_are_not_guessed_between(folder: Path) -> None:
    for name in ("one.csv", "two.csv"):
        (folder / name).write_text("file,label\na.wav,x\n", encoding="utf-8")
    assert not any("x" in row for row in load_clips(folder).labels)
    is_refused(r"found one\.csv, two\.csv", folder, labels="csv")
    (folder / "labels.csv").write_text("file,label\na.wav,x\n", encoding="utf-8")
    assert load_clips(folder).classes == ("x",)


def test_round_trip_through_our_own_table(folder: Path) -> None:
    text = (
        "file,label,start_time,end_time,group,fold\na.wav,dog;rain,0,2.5,g,1\n"
        "a.wav,,2.5,5,g,1\nb.wav,dog,,,h,2\n"
    )
    clips = read(folder, text)
    clips.to_frame().to_csv(folder / "again.csv", index=False)
    again = load_clips(folder / "again.csv")
    assert again.ids == clips.ids
    assert again.labels == clips.labels
    assert again.group.tolist() == clips.group.tolist()
    assert again.fold.tolist() == clips.fold.tolist()
