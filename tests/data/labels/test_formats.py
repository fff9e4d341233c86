"""Label files in each tool's own exact form."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semisonic.core.errors import DataError, OptionError
from semisonic.data.events import Events
from semisonic.data.formats.convert import write_labels
from semisonic.data.formats.read import collect_labels, read_labels
from semisonic.data.options import FORMATS

AUDACITY = (
    "1.000000\t1.000000\tThis point was clicked at 6928.456055 Hz\n"
    "\\\t6928.456055\t6928.456055\n"
    "2.000000\t2.500000\tbird, low undefined\n"
    "\\\t-1.000000\t6334.588867\n"
    "3.400000\t6.100000\tüñí κόσμε\n"
    "4.000000\t4.500000\t\n"
)
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
    "D:\\aru,site1,S4A_20240601_050000.wav,0,12.345,1.5,1200.5,2000,3100.25,2024-06-01,05:00:12,5,"
    "wren.0,0.61,1,\n"
    "D:\\aru,site1,S4A_20240601_050000.wav,0,20.1,0.3,1200,2000,3100,2024-06-01,05:00:20,5,"
    "wren.0,0.72,1,Robin\n"
)
BATS = (
    "INDIR,FOLDER,IN FILE,CHANNEL,OFFSET,DURATION,OUT FILE FS,AUTO ID*,PULSES,MATCHING,MATCH RATIO,"
    "Fmax,Fmin,MANUAL ID\n"
    "D:\\bats,night1,S4U0001.wav,0,0,5,,PIPPIP,12,10,0.83,55.1,45.1,\n"
)
LONG = (
    "file,start_time,end_time,label,score,fmin_hz,fmax_hz,presence,annotator,notes\n"
    "a.wav,0.1,2.35,owl,0.75,,,,anna,near\n"
    "b.wav,1,2,fox,,200,900.5,negative,ben,\n"
    "b.wav,3,3,,,,,uncertain,ben,\n"
)
WIDE = (
    "file,start_time,end_time,dog,Cat\na.wav,0.0,3.0,1,0\na.wav,3.0,6.0,,1.0\nb.wav,0.0,3.0,NaN,\n"
)


def save(folder: Path, name: str, text: str, *, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def rows(events: Events) -> list[tuple[object, ...]]:
    """File, times, label, score, band and presence of each event, None for NaN."""
    columns = ("file", "start_time", "end_time", "label", "score", "fmin_hz", "fmax_hz", "presence")
    return [
        tuple(None if value != value else value for value in row)
        for row in zip(*(getattr(events, name).tolist() for name in columns), strict=True)
    ]


def test_audacity(tmp_path: Path) -> None:
    save(tmp_path, "rec.WAV", "")
    events = read_labels(save(tmp_path, "rec.txt", AUDACITY))
    assert rows(events) == [
        (
            "rec.WAV",
            1.0,
            1.0,
            "This point was clicked at 6928.456055 Hz",
            None,
            6928.456055,
            6928.456055,
            "positive",
        ),
        ("rec.WAV", 2.0, 2.5, "bird, low undefined", None, None, 6334.588867, "positive"),
        ("rec.WAV", 3.4, 6.1, "üñí κόσμε", None, None, None, "positive"),
        ("rec.WAV", 4.0, 4.5, "", None, None, None, "positive"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\ufeff1\t2\tx\r\n3\t4\ty\r\n", [(1.0, 2.0, "x"), (3.0, 4.0, "y")]),
        ("0,5\t1,25\tx\n", [(0.5, 1.25, "x")]),
        ("1.5\tonly a start, as in version 1.2\n", [(1.5, 1.5, "only a start, as in version 1.2")]),
        ("1\t2\tTurdus merula, Blackbird\t0.8123\n", [(1.0, 2.0, "Turdus merula, Blackbird")]),
        ("1\t2\ta\tb\n\n", [(1.0, 2.0, "a b")]),
        ("1\t2\n", [(1.0, 2.0, "")]),
    ],
)
def test_other_forms_of_audacity(
    tmp_path: Path, text: str, expected: list[tuple[float, float, str]]
) -> None:
    save(tmp_path, "rec.wav", "")
    events = read_labels(save(tmp_path, "rec.txt", text))
    assert [row[1:4] for row in rows(events)] == expected
    if "0.8123" in text:
        assert events.score.tolist() == [0.8123]


def test_raven_lists_a_selection_once(tmp_path: Path) -> None:
    save(tmp_path, "rec.wav", "")
    found = collect_labels(save(tmp_path, "rec.Table.1.selections.txt", RAVEN))
    assert rows(found.events) == [
        ("rec.wav", 0.459636349, 2.298182, 'AMRO "song"', None, 1857.0, 4000.5, "positive"),
        ("rec.wav", 6.705283, 8.246417, "", None, 2060.1, 3971.9, "positive"),
    ]
    assert found.formats == ("raven",)
    assert any("another view" in note for note in found.notes)


def test_raven_written_by_r_or_in_windows_letters(tmp_path: Path) -> None:
    save(tmp_path, "rec.wav", "")
    header = '"Selection"\t"Begin Time (s)"\t"End Time (s)"\t"Species"\n'
    events = read_labels(save(tmp_path, "rec.txt", header + '"1"\t0.5\t1\t"Mésange ""x"""\n'))
    assert events.label.tolist() == ['Mésange "x"']
    plain = header.replace('"', "") + "1\t0.5\t1\tMésange\n"
    assert read_labels(save(tmp_path, "rec.txt", plain, encoding="cp1252")).label[0] == "Mésange"
    assert read_labels(save(tmp_path, "rec.txt", plain, encoding="utf-16")).label[0] == "Mésange"


def test_raven_over_several_recordings(tmp_path: Path) -> None:
    path = save(tmp_path, "BirdNET_SelectionTable.txt", COMBINED)
    events = read_labels(path)
    assert rows(events) == [
        ("/data/site1/rec1.wav", 0.0, 3.0, "Eurasian Blackbird", 0.8123, 0.0, 15000.0, "positive"),
        ("D:/data/site1/rec2.WAV", 3.0, 6.0, "Wren", 0.4411, 0.0, 15000.0, "positive"),
    ]
    for name in ("rec1.wav", "Rec2.wav"):
        save(tmp_path, f"audio/site1/{name}", "")
    here = read_labels(path, root=tmp_path / "audio")
    assert here.file.tolist() == ["site1/rec1.wav", "site1/Rec2.wav"]
    assert read_labels(path, label_column="Species Code").label.tolist() == ["eurbla", "wren"]


def test_raven_label_column_is_asked_for(tmp_path: Path) -> None:
    save(tmp_path, "rec.wav", "")
    text = (
        "Selection\tBegin Time (s)\tEnd Time (s)\tBird\tMood\tAvg Power (dB)\n1\t0\t1\ta\tb\t-3\n"
    )
    path = save(tmp_path, "rec.txt", text)
    with pytest.raises(DataError, match=r"Found Selection, .*Bird, Mood.*label_column"):
        read_labels(path)
    assert read_labels(path, label_column="Mood").label.tolist() == ["b"]
    with pytest.raises(DataError, match=r"no column 'Sex'.*Found Selection.*Bird"):
        read_labels(path, label_column="Sex")
    save(tmp_path, "rec.txt", text.replace("\tMood", "").replace("\tb", ""))
    assert read_labels(path).label.tolist() == ["a"]


def test_raven_times_that_may_run_over_recordings_are_refused(tmp_path: Path) -> None:
    header = "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tLabel\n"
    path = save(tmp_path, "all.txt", header + "1\t5\t6\ta.wav\tx\n2\t65\t66\tb.wav\tx\n")
    with pytest.raises(DataError, match="File Offset"):
        read_labels(path)
    # These cannot run over both recordings, so they count in each.
    save(
        tmp_path, "all.txt", header + "1\t5\t6\ta.wav\tx\n2\t9\t9.5\ta.wav\tx\n3\t6\t7\tb.wav\ty\n"
    )
    assert read_labels(path).start_time.tolist() == [5.0, 9.0, 6.0]


def test_raven_row_for_nothing_found(tmp_path: Path) -> None:
    header = COMBINED.splitlines()[0]
    line = "1\tSpectrogram 1\t1\t0\t3\t0\t15000\tnocall\tnocall\t1.0\trec.wav\t0"
    found = collect_labels(save(tmp_path, "rec.txt", f"{header}\n{line}\n"))
    assert len(found.events) == 0
    assert found.recordings == ("rec.wav",)


def test_raven_confidence_that_is_no_score(tmp_path: Path) -> None:
    header = "Begin Time (s)\tEnd Time (s)\tLabel\tConfidence\tBegin File\n"
    found = collect_labels(save(tmp_path, "r.txt", header + "0\t1\tx\thigh\ta.wav\n"))
    assert np.isnan(found.events.score).all()
    assert any("no scores from 0 to 1" in note for note in found.notes)


def test_birdnet(tmp_path: Path) -> None:
    path = save(tmp_path, "BirdNET_CombinedTable.csv", BIRDNET)
    events = read_labels(path)
    assert rows(events)[1] == (
        "/data/site1/rec1.wav",
        3.0,
        6.0,
        "Robin, European",
        0.4411,
        None,
        None,
        "positive",
    )
    assert read_labels(path, label_column="Scientific name").label[0] == "Turdus merula"
    frame = pd.read_csv(io.StringIO(BIRDNET))
    assert events.label.tolist() == frame["Common name"].tolist()
    assert events.score.tolist() == frame["Confidence"].tolist()


def test_birdnet_of_one_recording_without_its_name(tmp_path: Path) -> None:
    save(tmp_path, "rec1.wav", "")
    text = "Start (s),End (s),Scientific name,Common name,Confidence\n0,3,a,b,0.5\n"
    path = save(tmp_path, "rec1.BirdNET.results.csv", text)
    assert read_labels(path).file.tolist() == ["rec1.wav"]


def test_kaleidoscope(tmp_path: Path) -> None:
    path = save(tmp_path, "cluster.csv", CLUSTER)
    events = read_labels(path)
    file = "site1/S4A_20240601_050000.wav"
    assert rows(events) == [
        (file, 12.345, 13.845, "wren.0", None, 1200.5, 3100.25, "positive"),
        (file, 20.1, 20.4, "Robin", None, 1200.0, 3100.0, "positive"),
    ]
    assert read_labels(path, label_column="TOP1MATCH").label.tolist() == ["wren.0", "wren.0"]
    bats = read_labels(save(tmp_path, "id.csv", BATS))
    assert rows(bats) == [("night1/S4U0001.wav", 0.0, 5.0, "PIPPIP", 0.83, None, None, "positive")]


def test_kaleidoscope_as_birdnet_writes_it(tmp_path: Path) -> None:
    head = "INDIR,FOLDER,IN FILE,OFFSET,DURATION,scientific_name"
    new = f"{head},TOP1MATCH,TOP1DIST\n/data,site1,rec1.wav,3.0,3.0,Turdus,Blackbird,0.8\n"
    old = f"{head},common_name,confidence\n/data,site1,rec1.wav,3.0,3.0,Turdus,Blackbird,0.8\n"
    for text in (new, old):
        events = read_labels(save(tmp_path, "k.csv", text))
        assert rows(events)[0][1:5] == (3.0, 6.0, "Blackbird", 0.8)


def test_long_table(tmp_path: Path) -> None:
    path = save(tmp_path, "events.csv", LONG)
    events = read_labels(path)
    assert rows(events) == [
        ("a.wav", 0.1, 2.35, "owl", 0.75, None, None, "positive"),
        ("b.wav", 1.0, 2.0, "fox", None, 200.0, 900.5, "negative"),
        ("b.wav", 3.0, 3.0, "", None, None, None, "uncertain"),
    ]
    frame = pd.read_csv(io.StringIO(LONG))
    assert np.array_equal(events.end_time, frame["end_time"])
    assert np.array_equal(events.fmin_hz, frame["fmin_hz"], equal_nan=True)


@pytest.mark.parametrize(
    "text",
    [
        "recording,start_offset_s,end_offset_s,label,label_type\nr.wav,1,2,x,NEGATIVE\n",
        "filename;onset;offset;event_label\n".replace("event_label", "label;presence")
        + "r.wav;1,0;2,0;x;negative\n",
        "\ufefffile\tstart\tend\tspecies\tlabel_type\r\nr.wav\t1\t2\tx\tnegative\r\n",
    ],
)
def test_long_tables_of_others(tmp_path: Path, text: str) -> None:
    events = read_labels(save(tmp_path, "t.csv", text))
    assert rows(events) == [("r.wav", 1.0, 2.0, "x", None, None, None, "negative")]


def test_wide_table(tmp_path: Path) -> None:
    found = collect_labels(save(tmp_path, "t.csv", WIDE))
    assert found.formats == ("csv-wide",)
    assert found.classes == ("dog", "Cat")
    assert [(r[0], r[1], r[3], r[7]) for r in rows(found.events)] == [
        ("a.wav", 0.0, "dog", "positive"),
        ("a.wav", 0.0, "Cat", "negative"),
        ("a.wav", 3.0, "Cat", "positive"),
        ("b.wav", 0.0, "", "positive"),
    ]


def test_a_table_of_scores_is_not_taken_for_labels(tmp_path: Path) -> None:
    text = "file,start_time,end_time,dog\na.wav,0,3,0.93\na.wav,3,6,1\n"
    found = collect_labels(save(tmp_path, "t.csv", text), "csv-wide")
    assert len(found.events) == 1
    assert "expected 1, 0 or nothing" in found.problems[0][1]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a.wav,2,1,x,,", "row 3: found start 2 s and end 1 s"),
        ("a.wav,-1,1,x,,", "found start -1 s"),
        ("a.wav,one,1,x,,", "found 'one' as start, expected a number"),
        ("a.wav,0,1,x,87,", "the score 87, expected 0 to 1"),
        ("a.wav,0,1,x,,maybe", "found 'maybe', expected one of positive"),
        (",0,1,x,,", "the column 'file' is empty"),
        ("a.wav,0,,x,,", "the length of the recording 'a.wav' cannot be read"),
        ("a.wav,0,1,x,,,more", "found 7 values, expected 6"),
        ("a.wav,0,inf,x,,", "expected a number"),
    ],
)
def test_a_bad_row_is_named_and_the_others_are_kept(tmp_path: Path, line: str, reason: str) -> None:
    text = f"file,start_time,end_time,label,score,presence\na.wav,0,1,good,,\n{line}\n"
    path = save(tmp_path, "t.csv", text)
    found = collect_labels(path)
    assert found.events.label.tolist() == ["good"]
    assert reason in ": ".join(found.problems[0])
    assert "row 3" in found.problems[0][0]
    with pytest.raises(DataError, match="1 place cannot be used"):
        read_labels(path)


def test_unknown_formats_and_files(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="did you mean 'raven'"):
        read_labels(save(tmp_path, "t.csv", LONG), "ravn")
    with pytest.raises(DataError, match="its format is not known"):
        read_labels(save(tmp_path, "readme.txt", "Hello\n"))
    with pytest.raises(DataError, match="no such file"):
        read_labels(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no label files of a known format"):
        read_labels(save(tmp_path, "sub/x.md", "").parent)
    with pytest.raises(OptionError, match="format"):
        write_labels(Events.from_rows([]), tmp_path / "x", "excel")


def test_a_table_that_excel_saved_in_windows_letters(tmp_path: Path) -> None:
    text = "file,start_time,end_time,label\na.wav,0,1,Mésange\n"
    path = save(tmp_path, "labels.csv", text, encoding="cp1252")
    with pytest.raises(DataError, match="save the table as 'CSV UTF-8'"):
        read_labels(path)
    found = collect_labels(save(tmp_path, "good.csv", text).parent)
    assert found.events.label.tolist() == ["Mésange"]
    assert "not UTF-8" in found.problems[0][1]


def test_a_link_to_nowhere_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    save(tmp_path, "rec.wav", "")
    save(tmp_path, "rec.txt", "0\t1\tx\n")
    found = collect_labels(tmp_path)
    assert len(found.events) == 1
    assert found.notes == ["1 other text files passed over"]


def test_what_is_written_is_what_the_tools_expect(tmp_path: Path) -> None:
    events = Events.from_rows(
        [
            {
                "file": "s1/a.wav",
                "start_time": 0.1,
                "end_time": 2.25,
                "label": "owl",
                "score": 0.5,
                "fmin_hz": 100,
                "fmax_hz": 2000.5,
            },
            {"file": "b.wav", "start_time": 1e-5, "end_time": 1e-5, "label": "fox"},
        ]
    )
    audacity = write_labels(events, tmp_path / "aud", "audacity")
    assert [p.relative_to(tmp_path / "aud").as_posix() for p in audacity] == ["s1/a.txt", "b.txt"]
    assert audacity[0].read_text() == "0.1\t2.25\towl\n\\\t100.0\t2000.5\n"
    assert audacity[1].read_text() == "0.00001\t0.00001\tfox\n"
    raven = write_labels(events, tmp_path / "rav", "raven")
    assert raven[0].name == "a.Table.1.selections.txt"
    assert raven[0].read_text() == (
        "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\t"
        "Begin File\tAnnotation\tScore\n"
        "1\tSpectrogram 1\t1\t0.1\t2.25\t100.0\t2000.5\ta.wav\towl\t0.5\n"
    )
    durations = {"b.wav": 60.0, "quiet.wav": 0.1, "s1/a.wav": 30.0}
    table, listing = write_labels(
        events, tmp_path / "all.txt", "raven-combined", durations=durations
    )
    assert pd.read_csv(table, sep="\t")["Begin Time (s)"].tolist() == [1e-5, 60.2]
    assert pd.read_csv(table, sep="\t")["File Offset (s)"].tolist() == [1e-5, 0.1]
    assert listing.read_text().splitlines() == list(durations)
    with pytest.raises(OptionError, match="durations"):
        write_labels(events, tmp_path / "all.txt", "raven-combined")
    with pytest.raises(DataError, match=r"no duration for 1 recording: b\.wav"):
        write_labels(events, tmp_path / "x.txt", "raven-combined", durations={"s1/a.wav": 30.0})
    birdnet = write_labels(events, tmp_path / "b.csv", "birdnet", root=Path("/data"))[0]
    assert birdnet.read_text().splitlines()[:2] == [
        "Start (s),End (s),Scientific name,Common name,Confidence,File",
        "0.1,2.25,owl,owl,0.5,/data/s1/a.wav",
    ]
    kaleidoscope = write_labels(events, tmp_path / "k.csv", "kaleidoscope", root=Path("/data"))[0]
    assert kaleidoscope.read_text().splitlines() == [
        "INDIR,FOLDER,IN FILE,CHANNEL,OFFSET,DURATION,Fmin,Fmax,TOP1MATCH,MANUAL ID,confidence",
        "/data,s1,a.wav,0,0.1,2.15,100.0,2000.5,owl,,0.5",
        "/data,,b.wav,0,0.00001,0.00000,,,,fox,",
    ]
    assert not math.isnan(events.score[0])
    assert len(FORMATS) == 7


@pytest.mark.parametrize("form", ["audacity", "birdnet", "kaleidoscope"])
def test_what_is_not_there_is_never_written_as_if_it_were(tmp_path: Path, form: str) -> None:
    row = {"file": "a.wav", "start_time": 0, "end_time": 1, "label": "x", "presence": "negative"}
    with pytest.raises(DataError, match=r"1 of 1 events cannot be written.*negative"):
        write_labels(Events.from_rows([row]), tmp_path / "out", form)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("form", "label"),
    [("audacity", "a\tb"), ("raven", "a\nb"), ("csv", "a;b"), ("csv-wide", "group")],
)
def test_labels_that_would_break_a_file_are_refused(tmp_path: Path, form: str, label: str) -> None:
    row = {"file": "a.wav", "start_time": 0, "end_time": 1, "label": label}
    with pytest.raises(DataError, match="cannot be written"):
        write_labels(Events.from_rows([row]), tmp_path / "out", form)


def test_recordings_of_one_stem_do_not_share_a_track(tmp_path: Path) -> None:
    events = Events.from_rows(
        {"file": file, "start_time": 0, "end_time": 1, "label": file}
        for file in ("a.wav", "a.flac", "/abs/b.wav", "../c.wav")
    )
    paths = write_labels(events, tmp_path / "out", "audacity")
    assert sorted(p.relative_to(tmp_path / "out").as_posix() for p in paths) == [
        "a.flac.txt",
        "a.wav.txt",
        "abs/b.txt",
        "c.txt",
    ]
