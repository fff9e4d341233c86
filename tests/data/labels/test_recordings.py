"""Label files and paths of other machines find their recordings, or say why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from semisonic.data.formats.label_files import RecordingNames, collect_labels, read_labels

FILES = (
    "site1/20240601_050000.WAV",
    "site2/20240601_050000.WAV",
    "site2/only.wav",
    "Ü/Rec1.wav",
    "a.b.wav",
    "a.wav",
    "c.flac",
    "c.wav",
)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("site1/20240601_050000.WAV", "site1/20240601_050000.WAV"),
        ("D:\\field\\Site2\\20240601_050000.wav", "site2/20240601_050000.WAV"),
        ("/mnt/usb/site2/only.wav", "site2/only.wav"),
        ("only.wav", "site2/only.wav"),
        ("U\u0308/REC1.WAV", "Ü/Rec1.wav"),
        ("./a.wav", "a.wav"),
        ("somewhere/a.wav", "a.wav"),
    ],
)
def test_paths_of_other_machines(said: str, expected: str) -> None:
    assert RecordingNames(Path("/data"), FILES).named(said) == expected


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("20240601_050000.wav", "may be any of 2 recordings: site1/20240601_050000.WAV"),
        ("site3/20240601_050000.wav", "no recording 'site3/.*with that name there is site1"),
        ("nothing.wav", "no recording 'nothing.wav' below"),
    ],
)
def test_a_path_that_fits_none_or_several_is_no_recording(said: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        RecordingNames(Path("/data"), FILES).named(said)


@pytest.mark.parametrize(
    ("label_file", "expected"),
    [
        ("a.txt", "a.wav"),
        ("a.b.txt", "a.b.wav"),
        ("a.b.Table.1.selections.txt", "a.b.wav"),
        ("a.Table.1.selections.txt", "a.wav"),
        ("c.flac.txt", "c.flac"),
        ("site1/20240601_050000.txt", "site1/20240601_050000.WAV"),
        ("labels/site2/20240601_050000.txt", "site2/20240601_050000.WAV"),
        ("annotations/ONLY.BirdNET.results.csv", "site2/only.wav"),
    ],
)
def test_label_files_by_their_names(label_file: str, expected: str) -> None:
    assert RecordingNames(Path("/data"), FILES).beside(label_file) == expected


@pytest.mark.parametrize(
    ("label_file", "reason"),
    [
        ("c.txt", "may be any of 2"),
        ("20240601_050000.txt", "may be any of 2"),
        ("x.txt", "has the"),
    ],
)
def test_label_files_without_one_recording(label_file: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        RecordingNames(Path("/data"), FILES).beside(label_file)


def test_a_folder_of_tracks(tmp_path: Path) -> None:
    for file in ("s1/a.WAV", "s1/b.wav", "s2/a.wav"):
        (tmp_path / "audio" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "audio" / file).touch()
    for name, text in {
        "s1/a.txt": "0\t1\tx\n",
        "s2/a.txt": "1\t2\ty\n",
        "s1/b.txt": "",
        "s1/lost.txt": "0\t1\tz\n",
        "s2/broken.txt": "Hello\n",
        "notes.md": "1\t2\tno\n",
    }.items():
        path = tmp_path / "labels" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for place in (tmp_path, tmp_path / "labels"):
        found = collect_labels(place, "audacity", root=tmp_path / "audio")
        assert list(zip(found.events.file.tolist(), found.events.label.tolist(), strict=True)) == [
            ("s1/a.WAV", "x"),
            ("s2/a.wav", "y"),
        ]
        # Somebody listened to b.wav, and marked nothing.
        assert found.recordings == ("s1/a.WAV", "s1/b.wav", "s2/a.wav")
        assert [reason for _, reason in found.problems] == [
            f"1 event: no recording below {tmp_path / 'audio'} has the same name as 'lost.txt'"
        ]
        assert found.notes == ["1 other text files ignored"]


def test_raven_tables_in_folders_keep_their_recordings_apart(tmp_path: Path) -> None:
    text = "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tLabel\n1\t0\t1\ta.wav\tx\n"
    for site in ("s1", "s2"):
        (tmp_path / site).mkdir()
        (tmp_path / site / "a.wav").touch()
        (tmp_path / site / "a.Table.1.selections.txt").write_text(text, encoding="utf-8")
    for root in (None, tmp_path):
        assert read_labels(tmp_path, root=root).file.tolist() == ["s1/a.wav", "s2/a.wav"]


def test_a_folder_in_several_formats_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    (tmp_path / "a.txt").write_text("0\t1\tx\n", encoding="utf-8")
    (tmp_path / "more.csv").write_text(
        "file,start_time,end_time,label\na.wav,2,3,y\n", encoding="utf-8"
    )
    found = collect_labels(tmp_path)
    assert found.events.label.tolist() == ["x", "y"]
    assert found.formats == ("audacity", "csv")
