"""Label files in each tool's own exact form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from semisonic.core.errors import DataError, OptionError
from semisonic.data.events import Events, make_events
from semisonic.data.formats.label_files import collect_labels, read_labels, write_labels
from semisonic.data.options import FORMATS
from systems import LINKS

Save = Callable[..., Path]
RAVEN = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)"
    "\tAnnotation\n"
    '1\tWaveform 1\t1\t0.459636349\t2.298182\t0.0\t24000.0\tAMRO "song"\n'
    '1\tSpectrogram 1\t1\t0.459636349\t2.298182\t1857.000\t4000.5\tAMRO "song"\n'
    "2\tSpectrogram 1\t1\t6.705283000\t8.246417\t2060.1\t3971.9\t\n"
)
COMBINED = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)"
    "\tCommon Name\tSpecies Code\tConfidence\tBegin Path\tFile Offset (s)\n"
    "1\tSpectrogram 1\t1\t0.0\t3.0\t0\t15000\tEurasian Blackbird\teurbla\t0.8123\t"
    "/data/site1/rec1.wav\t0.0\n"
    "2\tSpectrogram 1\t1\t63.0\t66.0\t0\t15000\tWren\twren\t0.4411\t"
    "D:\\data\\site1\\rec2.WAV\t3.0\n"
)
BIRDNET = (
    "Start (s),End (s),Scientific name,Common name,Confidence,File\n"
    "0.0,3.0,Turdus merula,Eurasian Blackbird,0.8123,/data/site1/rec1.wav\n"
    '3.0,6.0,Erithacus rubecula,"Robin, European",0.4411,/data/site1/rec1.wav\n'
)
CLUSTER = (
    "INDIR,FOLDER,IN FILE,CHANNEL,OFFSET,DURATION,Fmin,Fmean,Fmax,DATE,TIME,HOUR,TOP1MATCH*,"
    "TOP1DIST,VOCALIZATIONS,MANUAL ID*\n"
    "D:\\aru,site1,S4A.wav,0,12.345,1.5,1200.5,2000,3100.25,2024-06-01,05:00:12,5,wren.0,0.61,1,\n"
    "D:\\aru,site1,S4A.wav,0,20.1,0.3,1200,2000,3100,2024-06-01,05:00:20,5,wren.0,0.72,1,Robin\n"
)
BATS = (
    "INDIR,FOLDER,IN FILE,CHANNEL,OFFSET,DURATION,OUT FILE FS,AUTO ID*,PULSES,MATCHING,MATCH RATIO,"
    "Fmax,Fmin,MANUAL ID\nD:\\bats,night1,S4U.wav,0,0,5,,PIPPIP,12,10,0.83,55.1,45.1,\n"
)
OF_BIRDNET = "INDIR,FOLDER,IN FILE,OFFSET,DURATION,scientific_name"
LONG = (
    "file,start_time,end_time,label,score,fmin_hz,fmax_hz,presence,annotator,notes\n"
    "a.wav,0.1,2.35,owl,0.75,,,,anna,near\n"
    "b.wav,1,2,fox,,200,900.5,negative,ben,\n"
    "b.wav,3,3,,,,,uncertain,ben,\n"
)
WIDE = (
    "file,start_time,end_time,dog,Cat\na.wav,0.0,3.0,1,0\na.wav,3.0,6.0,,1.0\nb.wav,0.0,3.0,NaN,\n"
)
TRACK = (
    "1.000000\t1.000000\tThis point\n\\\t6928.456055\t6928.456055\n"
    "2.000000\t2.500000\tbird, low undefined\n\\\t-1.000000\t6334.588867\n"
    "3.400000\t6.100000\tüñí κόσμε\n4.000000\t4.500000\t\n"
)
N = None
READ: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
    "rec.txt": (
        TRACK,
        [
            ("rec.WAV", 1.0, 1.0, "This point", N, 6928.456055, 6928.456055, "positive"),
            ("rec.WAV", 2.0, 2.5, "bird, low undefined", N, N, 6334.588867, "positive"),
            ("rec.WAV", 3.4, 6.1, "üñí κόσμε", N, N, N, "positive"),
            ("rec.WAV", 4.0, 4.5, "", N, N, N, "positive"),
        ],
    ),
    "rec.Table.1.selections.txt": (  # a selection is listed once
        RAVEN,
        [
            ("rec.WAV", 0.459636349, 2.298182, 'AMRO "song"', N, 1857.0, 4000.5, "positive"),
            ("rec.WAV", 6.705283, 8.246417, "", N, 2060.1, 3971.9, "positive"),
        ],
    ),
    "BirdNET_SelectionTable.txt": (
        COMBINED,
        [
            ("/data/site1/rec1.wav", 0.0, 3.0, "Eurasian Blackbird", 0.8123, 0.0, 15e3, "positive"),
            ("D:/data/site1/rec2.WAV", 3.0, 6.0, "Wren", 0.4411, 0.0, 15e3, "positive"),
        ],
    ),
    "BirdNET_CombinedTable.csv": (
        BIRDNET,
        [
            ("/data/site1/rec1.wav", 0.0, 3.0, "Eurasian Blackbird", 0.8123, N, N, "positive"),
            ("/data/site1/rec1.wav", 3.0, 6.0, "Robin, European", 0.4411, N, N, "positive"),
        ],
    ),
    "rec.BirdNET.results.csv": (  # an old version, without the recording's name
        "Start (s),End (s),Scientific name,Common name,Confidence\n0,3,a,b,0.5\n",
        [("rec.WAV", 0.0, 3.0, "b", 0.5, N, N, "positive")],
    ),
    "cluster.csv": (
        CLUSTER,
        [
            ("site1/S4A.wav", 12.345, 13.845, "wren.0", N, 1200.5, 3100.25, "positive"),
            ("site1/S4A.wav", 20.1, 20.4, "Robin", N, 1200.0, 3100.0, "positive"),
        ],
    ),
    "id.csv": (BATS, [("night1/S4U.wav", 0.0, 5.0, "PIPPIP", 0.83, N, N, "positive")]),
    "k1.csv": (
        f"{OF_BIRDNET},TOP1MATCH,TOP1DIST\n/data,site1,r.wav,3.0,3.0,Turdus,Blackbird,0.8\n",
        [("site1/r.wav", 3.0, 6.0, "Blackbird", 0.8, N, N, "positive")],
    ),
    "k2.csv": (
        f"{OF_BIRDNET},common_name,confidence\n/data,site1,r.wav,3.0,3.0,Turdus,Blackbird,0.8\n",
        [("site1/r.wav", 3.0, 6.0, "Blackbird", 0.8, N, N, "positive")],
    ),
    "long.csv": (
        LONG,
        [
            ("a.wav", 0.1, 2.35, "owl", 0.75, N, N, "positive"),
            ("b.wav", 1.0, 2.0, "fox", N, 200.0, 900.5, "negative"),
            ("b.wav", 3.0, 3.0, "", N, N, N, "uncertain"),
        ],
    ),
    "perch.csv": (
        "recording,start_offset_s,end_offset_s,label,label_type\nr.wav,1,2,x,NEGATIVE\n",
        [("r.wav", 1.0, 2.0, "x", N, N, N, "negative")],
    ),
    "dcase.csv": (
        "filename;onset;offset;label;presence\nr.wav;1,0;2,0;x;negative\n",
        [("r.wav", 1.0, 2.0, "x", N, N, N, "negative")],
    ),
    "tabs.csv": (
        "\ufefffile\tstart\tend\tspecies\tlabel_type\r\nr.wav\t1\t2\tx\tnegative\r\n",
        [("r.wav", 1.0, 2.0, "x", N, N, N, "negative")],
    ),
    "wide.csv": (
        WIDE,
        [
            ("a.wav", 0.0, 3.0, "dog", N, N, N, "positive"),
            ("a.wav", 0.0, 3.0, "Cat", N, N, N, "negative"),
            ("a.wav", 3.0, 6.0, "Cat", N, N, N, "positive"),
            ("b.wav", 0.0, 3.0, "", N, N, N, "positive"),
        ],
    ),
}


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write a label file beside the recording rec.WAV."""
    (tmp_path / "rec.WAV").touch()

    def write(name: str, text: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode(encoding))
        return path

    return write


def rows(events: Events) -> list[tuple[object, ...]]:
    """The values of each event, None for NaN."""
    return [tuple(None if v != v else v for v in row.values()) for row in events.to_dict("records")]


@pytest.mark.parametrize("name", READ)
def test_each_format_is_told_and_read(save: Save, name: str) -> None:
    text, expected = READ[name]
    assert rows(read_labels(save(name, text))) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\ufeff1\t2\tx\r\n3\t4\ty\r\n", [(1.0, 2.0, "x", None), (3.0, 4.0, "y", None)]),
        ("0,5\t1,25\tx\n", [(0.5, 1.25, "x", None)]),
        (
            "1.5\tonly a start, as in version 1.2\n",
            [(1.5, 1.5, "only a start, as in version 1.2", None)],
        ),
        (
            "1\t2\tTurdus merula, Blackbird\t0.8123\n",
            [(1.0, 2.0, "Turdus merula, Blackbird", 0.8123)],
        ),
        ("1\t2\ta\tb\n\n", [(1.0, 2.0, "a b", None)]),
        ("1\t2\n", [(1.0, 2.0, "", None)]),
    ],
)
def test_other_forms_of_audacity(
    save: Save, text: str, expected: list[tuple[float, float, str]]
) -> None:
    assert [row[1:5] for row in rows(read_labels(save("rec.txt", text)))] == expected


def test_notes_formats_and_classes_are_told(save: Save) -> None:
    found = collect_labels(save("rec.txt", RAVEN))
    assert found.formats == ("raven",)
    assert any("another view" in note for note in found.notes)
    header = "Begin Time (s)\tEnd Time (s)\tLabel\tConfidence\tBegin File\n"
    found = collect_labels(save("r.txt", header + "0\t1\tx\thigh\ta.wav\n"))
    assert np.isnan(found.events.score).all()
    assert any("does not contain scores from 0 to 1" in note for note in found.notes)
    line = "1\tSpectrogram 1\t1\t0\t3\t0\t15000\tnocall\tnocall\t1.0\trec.wav\t0"
    found = collect_labels(save("r.txt", f"{COMBINED.splitlines()[0]}\n{line}\n"))
    assert (len(found.events), found.recordings) == (0, ("rec.wav",))
    found = collect_labels(save("t.csv", WIDE))
    assert (found.formats, found.classes) == (("csv-wide",), ("dog", "Cat"))


def test_raven_written_by_r_or_in_windows_letters(save: Save) -> None:
    header = '"Selection"\t"Begin Time (s)"\t"End Time (s)"\t"Species"\n'
    events = read_labels(save("rec.txt", header + '"1"\t0.5\t1\t"Mésange ""x"""\n'))
    assert events.label.tolist() == ['Mésange "x"']
    plain = header.replace('"', "") + "1\t0.5\t1\tMésange\n"
    for encoding in ("cp1252", "utf-16"):
        assert read_labels(save("rec.txt", plain, encoding)).label.tolist() == ["Mésange"]


def test_the_label_column_can_be_named(save: Save) -> None:
    path = save("table.txt", COMBINED)
    assert read_labels(path, label_column="Species Code").label.tolist() == ["eurbla", "wren"]
    path = save("table.csv", BIRDNET)
    assert read_labels(path, label_column="Scientific name").label[0] == "Turdus merula"
    path = save("cluster.csv", CLUSTER)
    assert read_labels(path, label_column="TOP1MATCH").label.tolist() == ["wren.0", "wren.0"]
    text = "Begin Time (s)\tEnd Time (s)\tBird\tMood\tAvg Power (dB)\n0\t1\ta\tb\t-3\n"
    path = save("rec.txt", text)
    with pytest.raises(DataError, match=r"Found Begin Time.*Bird, Mood.*label_column"):
        read_labels(path)
    assert read_labels(path, label_column="Mood").label.tolist() == ["b"]
    with pytest.raises(DataError, match=r"no column 'Sex'.*Found Begin Time.*Bird"):
        read_labels(path, label_column="Sex")
    save("rec.txt", text.replace("\tMood", "").replace("\tb", ""))
    assert read_labels(path).label.tolist() == ["a"]


def test_raven_times_that_may_run_over_recordings_are_refused(save: Save) -> None:
    header = "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tLabel\n"
    with pytest.raises(DataError, match="File Offset"):
        read_labels(save("all.txt", header + "1\t5\t6\ta.wav\tx\n2\t65\t66\tb.wav\tx\n"))
    # These cannot run over both recordings, so they count in each.
    text = header + "1\t5\t6\ta.wav\tx\n2\t9\t9.5\ta.wav\tx\n3\t6\t7\tb.wav\ty\n"
    assert read_labels(save("all.txt", text)).start_time.tolist() == [5.0, 9.0, 6.0]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a.wav,2,1,x,,", "row 3: found start 2 s and end 1 s"),
        ("a.wav,-1,1,x,,", "found start -1 s"),
        ("a.wav,one,1,x,,", "found 'one' as start_time, expected a number"),
        ("a.wav,0,1,x,87,", "the score 87, expected 0 to 1"),
        ("a.wav,0,1,x,,maybe", "found 'maybe', expected one of positive"),
        (",0,1,x,,", "the column 'file' is empty"),
        ("a.wav,0,,x,,", "the length of the recording 'a.wav' cannot be read"),
        ("a.wav,0,1,x,,,more", "found 7 values, expected 6"),
        ("a.wav,0,inf,x,,", "expected a number"),
    ],
)
def test_a_bad_row_is_named_and_the_others_are_kept(save: Save, line: str, reason: str) -> None:
    text = f"file,start_time,end_time,label,score,presence\na.wav,0,1,good,,\n{line}\n"
    path = save("t.csv", text)
    found = collect_labels(path)
    assert found.events.label.tolist() == ["good"]
    assert reason in ": ".join(found.problems[0])
    assert "row 3" in found.problems[0][0]
    with pytest.raises(DataError, match="1 place cannot be used"):
        read_labels(path)


def test_what_is_no_label_file(save: Save, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="did you mean 'raven'"):
        read_labels(save("t.csv", LONG), "ravn")
    with pytest.raises(DataError, match="found an unknown format"):
        read_labels(save("readme.txt", "Hello\n"))
    with pytest.raises(DataError, match="no such file"):
        read_labels(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no label files of a known format"):
        read_labels(save("sub/x.md", "").parent)
    with pytest.raises(OptionError, match="format"):
        write_labels(make_events([]), tmp_path / "x", "excel")
    # A table of scores holds no labels.
    text = "file,start_time,end_time,dog\na.wav,0,3,0.93\na.wav,3,6,1\n"
    found = collect_labels(save("t.csv", text), "csv-wide")
    assert len(found.events) == 1
    assert "expected 1, 0 or nothing" in found.problems[0][1]


@LINKS
def test_files_of_a_folder_that_cannot_be_read(save: Save, tmp_path: Path) -> None:
    text = "file,start_time,end_time,label\na.wav,0,1,Mésange\n"
    path = save("labels.csv", text, "cp1252")  # as Excel saves it
    with pytest.raises(DataError, match="save the table as 'CSV UTF-8'"):
        read_labels(path)
    save("good.csv", text)
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    found = collect_labels(tmp_path)
    assert found.events.label.tolist() == ["Mésange"]
    assert "not UTF-8" in found.problems[0][1]
    assert found.notes == ["1 other text files ignored"]


OWL = {"file": "s1/a.wav", "start_time": 0.1, "end_time": 2.25, "label": "owl", "score": 0.5}
EVENTS = make_events(
    [
        OWL | {"fmin_hz": 100, "fmax_hz": 2000.5},
        {"file": "b.wav", "start_time": 1e-5, "end_time": 1e-5, "label": "fox"},
    ]
)
SELECTIONS = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)"
WRITTEN = {
    "audacity": {
        "s1/a.txt": "0.1\t2.25\towl\n\\\t100.0\t2000.5\n",
        "b.txt": "0.00001\t0.00001\tfox\n",
    },
    "raven": {
        "s1/a.Table.1.selections.txt": f"{SELECTIONS}\tLow Freq (Hz)\tHigh Freq (Hz)\t"
        "Begin File\tAnnotation\tScore\n"
        "1\tSpectrogram 1\t1\t0.1\t2.25\t100.0\t2000.5\ta.wav\towl\t0.5\n",
        "b.Table.1.selections.txt": f"{SELECTIONS}\tLow Freq (Hz)\tHigh Freq (Hz)\t"
        "Begin File\tAnnotation\n"
        "1\tSpectrogram 1\t1\t0.00001\t0.00001\t0.0\t24000.0\tb.wav\tfox\n",
    },
    "birdnet": {
        "x.csv": "Start (s),End (s),Scientific name,Common name,Confidence,File\n"
        "0.1,2.25,owl,owl,0.5,/data/s1/a.wav\n0.00001,0.00001,fox,fox,,/data/b.wav\n"
    },
    "kaleidoscope": {
        "x.csv": "INDIR,FOLDER,IN FILE,CHANNEL,OFFSET,DURATION,Fmin,Fmax,TOP1MATCH,MANUAL ID,"
        "confidence\n"
        "/data,s1,a.wav,0,0.1,2.15,100.0,2000.5,owl,,0.5\n/data,,b.wav,0,0.00001,0.00000,,,,fox,\n"
    },
}


@pytest.mark.parametrize("form", WRITTEN)
def test_what_is_written_is_what_the_tools_expect(tmp_path: Path, form: str) -> None:
    name = "" if form in ("audacity", "raven") else "x.csv"
    paths = write_labels(EVENTS, tmp_path / name, form, root=Path("/data"))
    found = {
        path.relative_to(tmp_path).as_posix(): path.read_text(encoding="utf-8") for path in paths
    }
    assert found == WRITTEN[form]
    assert len(FORMATS) == 7


def test_the_score_of_a_program_is_no_score_of_a_label_by_hand(tmp_path: Path) -> None:
    (tmp_path / "cluster.csv").write_text(
        "INDIR,FOLDER,IN FILE,OFFSET,DURATION,TOP1MATCH,confidence,MANUAL ID\n"
        "/data,,a.wav,0,1,fox,0.9,owl\n/data,,a.wav,1,1,fox,0.8,\n",
        encoding="utf-8",
    )
    events = read_labels(tmp_path / "cluster.csv")
    assert events["label"].tolist() == ["owl", "fox"]
    np.testing.assert_equal(events["score"].tolist(), [np.nan, 0.8])


def test_times_of_raven_run_over_all_recordings(tmp_path: Path) -> None:
    durations = {"b.wav": 60.0, "quiet.wav": 0.1, "s1/a.wav": 30.0}
    output = tmp_path / "all.txt"
    table, listing = write_labels(EVENTS, output, "raven-combined", durations=durations)
    frame = pd.read_csv(table, sep="\t")
    assert frame["Begin Time (s)"].tolist() == [1e-5, 60.2]
    assert frame["File Offset (s)"].tolist() == [1e-5, 0.1]
    assert listing.read_text(encoding="utf-8").splitlines() == list(durations)
    with pytest.raises(OptionError, match="durations"):
        write_labels(EVENTS, output, "raven-combined")
    with pytest.raises(DataError, match=r"no duration for 1 recording: b\.wav"):
        write_labels(EVENTS, output, "raven-combined", durations={"s1/a.wav": 30.0})


@pytest.mark.parametrize(
    ("form", "change", "reason"),
    [
        *(
            (form, {"presence": "negative"}, "negative")
            for form in ("audacity", "birdnet", "kaleidoscope")
        ),
        *(
            (form, {"label": label}, "1 of 1 events cannot be written")
            for form, label in {
                "raven": "a\nb",
                "csv": "a;b",
                "csv-wide": "group",
            }.items()
        ),
    ],
)
def test_what_a_format_cannot_hold_is_refused(
    tmp_path: Path, form: str, change: dict[str, str], reason: str
) -> None:
    with pytest.raises(DataError, match=reason):
        write_labels(make_events([OWL | change]), tmp_path / "out", form)
    assert not (tmp_path / "out").exists()


def test_recordings_of_one_stem_do_not_share_a_track(tmp_path: Path) -> None:
    files = ("a.wav", "a.flac", "/abs/b.wav", "../c.wav")
    events = make_events(OWL | {"file": file} for file in files)
    paths = write_labels(events, tmp_path, "audacity")
    found = sorted(path.relative_to(tmp_path).as_posix() for path in paths)
    assert found == ["a.flac.txt", "a.wav.txt", "abs/b.txt", "c.txt"]
