"""Tables in the columns of the field: the same events, whatever their names and units."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.classifier.sounds import as_sounds
from semisonic.core.errors import DataError
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import describe_layout, load_clips
from semisonic.data.formats.label_files import collect_labels, read_labels

RATE = 8000
EVENTS = [("r.wav", 2.0, 3.0, "dog"), ("r.wav", 4.5, 6.25, "cat"), ("s.wav", 1.0, 1.5, "dog")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("field")
    for name in ("r.wav", "s.wav"):
        soundfile.write(folder / name, np.zeros(RATE * 10), RATE)
    return folder


def seen(clips: Clips) -> list[tuple[Any, ...]]:
    columns = (clips.file, clips.start_time, clips.end_time)
    rows = zip(*(column.tolist() for column in columns), clips.labels, strict=True)
    return [(file, round(a, 6), round(b, 6), ";".join(labels)) for file, a, b, labels in rows]


def write(folder: Path, header: str, rows: list[tuple[Any, ...]], name: str = "t.csv") -> Path:
    mark = "\t" if name.endswith((".tsv", ".txt")) else ","
    lines = [header.replace(",", mark), *(mark.join(map(str, row)) for row in rows)]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / name


def of_events(path: Path, root: Path) -> list[tuple[Any, ...]]:
    """What ``data labels``, ``detect --truth`` and the app read."""
    found = collect_labels(path, root=root)
    assert not found.problems
    return [tuple(row) for row in found.events.iloc[:, :4].round(6).itertuples(index=False)]


def length(a: float, b: float) -> float:
    return round(b - a, 6)


TABLES = {
    "NeMo": ("audio_filepath,offset,duration,label", lambda f, a, b, x: (f, a, length(a, b), x)),
    "lhotse": ("recording,start,duration,label", lambda f, a, b, x: (f, a, length(a, b), x)),
    "BIDS": ("file,onset,duration,trial_type", lambda f, a, b, x: (f, a, length(a, b), x)),
    "DCASE": ("filename,onset,offset,event_label", lambda f, a, b, x: (f, a, b, x)),
    "DCASE few-shot": ("Audiofilename,Starttime,Endtime,label", lambda f, a, b, x: (f, a, b, x)),
    "audb": (
        "file,start,end,label",
        lambda f, a, b, x: (f, pd.Timedelta(a, "s"), pd.Timedelta(b, "s"), x),
    ),
    "crowsetta": (
        "label,onset_s,offset_s,onset_sample,offset_sample,notated_path,annot_path,sequence,annotation",
        lambda f, a, b, x: (x, a, b, int(a * RATE), int(b * RATE), f, f"{f}.txt", 0, 0),
    ),
    "crowsetta in samples": (
        "label,onset_sample,offset_sample,notated_path",
        lambda f, a, b, x: (x, int(a * RATE), int(b * RATE), f),
    ),
    "samples and their number": (
        "file,start_sample,num_samples,label",
        lambda f, a, b, x: (f, int(a * RATE), int((b - a) * RATE), x),
    ),
    "clock": (
        "file,Start [hh:mm:ss],End [hh:mm:ss],label",
        lambda f, a, b, x: (f, f"00:00:{a:05.2f}", f"00:00:{b:05.2f}", x),
    ),
    "OpenSoundscape": (
        "audio_file,annotation_file,annotation,start_time,end_time,low_f,high_f",
        lambda f, a, b, x: (f, "x.txt", x, a, b, 0.0, 1000.0),
    ),
    "CVAT": (
        "id,filename,start,stop,label,source",
        lambda f, a, b, x: (1, f, f"00:00:{a:06.3f}", f"00:00:{b:06.3f}", x, "me"),
    ),
    "Arbimon": ("recording,species,x1,x2,y1,y2", lambda f, a, b, x: (f, x, a, b, 0, 900)),
    "end and length": ("file,end,duration,label", lambda f, a, b, x: (f, b, length(a, b), x)),
    "Raven's length": (
        "Begin File,Begin Time (s),Delta Time (s),label",
        lambda f, a, b, x: (f, a, length(a, b), x),
    ),
    "Praat": ("file,tmin,tmax,label", lambda f, a, b, x: (f, a, b, x)),
    "perch": (
        "recording,start_offset_s,end_offset_s,label",
        lambda f, a, b, x: (f, a, b, x),
    ),
    "minutes": ("file,Start (min),End (min),label", lambda f, a, b, x: (f, a / 60, b / 60, x)),
    "ms": ("file,start_ms,end_ms,label", lambda f, a, b, x: (f, a * 1000, b * 1000, x)),
    "begin, end": ("file,begin,end,label", lambda f, a, b, x: (f, a, b, x)),
    "from, to": ("path,from,to,species", lambda f, a, b, x: (f, a, b, x)),
    "camel case": ("fileName,startSec,endSec,className", lambda f, a, b, x: (f, a, b, x)),
    "both lengths": (
        "file,start,end,duration,label",
        lambda f, a, b, x: (f, a, b, length(a, b), x),
    ),
    "length of the recording": (
        "file,start,end,duration,label",
        lambda f, a, b, x: (f, a, b, 10, x),
    ),
    "with units": ("file,start,end,label", lambda f, a, b, x: (f, f"{a} s", f"{b * 1000} ms", x)),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_of_the_field_give_the_same_events(folder: Path, name: str) -> None:
    header, row = TABLES[name]
    rows = [row(*event) for event in EVENTS]
    for suffix in ("csv", "tsv", "txt"):
        path = write(folder, header, rows, f"t.{suffix}")
        assert seen(load_clips(path)) == EVENTS
        assert of_events(path, folder) == EVENTS
    objects = [dict(zip(header.split(","), map(str, one), strict=True)) for one in rows]
    (folder / "t.json").write_text(json.dumps(objects), encoding="utf-8")
    (folder / "t.jsonl").write_text("\n".join(map(json.dumps, objects)), encoding="utf-8")
    for suffix in ("json", "jsonl"):
        assert seen(load_clips(folder / f"t.{suffix}")) == EVENTS
    for path in folder.glob("t.*"):
        path.unlink()


@pytest.mark.parametrize("name", TABLES)
def test_the_same_tables_as_data_frames(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    header, row = TABLES[name]
    monkeypatch.chdir(folder)
    frame = pd.DataFrame([row(*event) for event in EVENTS], columns=header.split(","))
    assert seen(as_sounds(frame).clips) == EVENTS


def test_a_frame_with_an_index_of_segments(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    frame = pd.DataFrame(EVENTS, columns=["file", "start", "end", "label"])
    frame[["start", "end"]] = frame[["start", "end"]].apply(pd.to_timedelta, unit="s")
    assert seen(as_sounds(frame.set_index(["file", "start", "end"])).clips) == EVENTS


def test_a_frame_with_a_column_for_each_class(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As OpenSoundscape's ``clip_labels`` gives it."""
    monkeypatch.chdir(folder)
    frame = pd.DataFrame(EVENTS, columns=["file", "start_time", "end_time", "x"])
    frame["cat"], frame["dog"] = frame.x == "cat", frame.x == "dog"
    frame = frame.drop(columns="x").set_index(["file", "start_time", "end_time"])
    assert seen(as_sounds(frame).clips) == EVENTS
    assert seen(as_sounds(frame.astype(int)).clips) == EVENTS


UNCLEAR = {
    "a share of the recording": ("file,Start (%),End (%),label", (20, 30), "Start"),
    "a unit that is not known": ("file,start_frame,end_frame,label", (30, 60), "start_frame"),
    "a middle": ("file,peak_time,label", (2.5,), "peak_time"),
    "a bare time": ("file,time,label", (2.5,), "'time'"),
    "an offset beside a start": ("file,start,offset,label", (2, 3), "an end or a length"),
    "a name of somebody": ("file,syllable_onset,syllable_end,label", (2, 3), "syllable_onset"),
    "two starts that disagree": ("file,start,onset,end,label", (2, 1, 3), "start.*onset"),
    "seconds and samples": ("file,start_s,end_sample,label", (2, 24000), "one unit"),
    "a unit in each row": ("file,start,end,time_unit,label", (2000, 3000, "ms"), "time_unit"),
    "a name of two letters": ("file,ts,te,label", (2, 3), "'ts' and 'te'"),
    "a date": ("file,start,end,label", ("2024-05-01", "2024-05-02"), "2024-05-01"),
}


@pytest.mark.parametrize("name", UNCLEAR)
def test_a_time_that_is_not_understood_is_named(folder: Path, name: str) -> None:
    header, times, match = UNCLEAR[name]
    path = write(folder, header, [("r.wav", *times, "dog")], "unclear.csv")
    with pytest.raises(DataError, match=match):
        load_clips(path)
    with pytest.raises(DataError, match=match):
        read_labels(path)
    with pytest.raises(DataError, match=match):
        as_sounds(pd.DataFrame([("r.wav", *times, "dog")], columns=header.split(",")))
    path.unlink()


def test_the_length_of_the_recording_is_no_length_of_a_part(folder: Path) -> None:
    rows = [("r.wav", "r.wav", 2, 10, "dog"), ("r.wav", "r.wav", 4, 10, "cat")]
    path = write(folder, "file,begin_file,start,audio_duration,label", rows, "whole.csv")
    with pytest.raises(DataError, match="no end"):
        load_clips(path)
    path.unlink()


def test_samples_are_counted_at_the_rate_that_the_table_names(folder: Path) -> None:
    rows = [("r.wav", 8000, 24000, "dog", 16000)]
    path = write(folder, "file,start_sample,end_sample,label,sample_rate", rows)
    assert of_events(path, folder) == [("r.wav", 0.5, 1.5, "dog")]


def test_starts_without_ends_are_not_joined(folder: Path) -> None:
    path = write(folder, "file,start,label", [("r.wav", 2, "dog"), ("r.wav", 4, "cat")], "ends.csv")
    with pytest.raises(DataError, match=r"no end, for several parts of r\.wav"):
        load_clips(path)
    path.unlink()


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("file,in,out,label", [("r.wav", 2, 3, "dog"), ("r.wav", 4, 5, "cat")]),
        ("file,interval,label", [("r.wav", "2-3", "dog"), ("r.wav", "4-5", "cat")]),
        ("file,position,label", [("r.wav", "0:02", "dog"), ("r.wav", "0:04", "cat")]),
    ],
)
def test_parts_in_unknown_columns_are_not_joined(
    folder: Path, header: str, rows: list[tuple[Any, ...]]
) -> None:
    path = write(folder, header, rows, "parts.csv")
    with pytest.raises(DataError, match=f"2 rows, which differ in the column '{header[5:7]}"):
        load_clips(path)
    path.unlink()


def test_columns_are_used_or_named(folder: Path) -> None:
    header = "Audiofilename,primary_label,secondary_labels,split,fold,notes"
    rows = [("r.wav", "dog", "[]", "train", 0, "far"), ("s.wav", "cat", "[]", "test", 1, "")]
    clips = load_clips(write(folder, header, rows, "named.csv"))
    assert clips.fold.tolist() == [1, 2]
    assert clips.classes == ("cat", "dog")
    unused = next(note for note in clips.notes if "not used" in note)
    assert unused.endswith("secondary_labels, split")
    assert any("counts from 0" in note for note in clips.notes)
    (folder / "named.csv").unlink()


def test_numbers_about_whole_recordings_are_no_times(folder: Path) -> None:
    header = "file,label,duration,peak_dbfs,dc_offset,x1,x2,x3,distance_to_water,bus_stop,date,time"
    rows = [("r.wav", "dog", 10, -3.5, 0.1, 1, 2, 3, 70, 1, "2024-05-01", "05:00:12")]
    clips = load_clips(write(folder, header, rows, "whole.csv"))
    assert clips.ids == ["r.wav"]
    unused = next(note for note in clips.notes if "not used" in note)
    assert unused.endswith("x1, x2, x3, distance_to_water, bus_stop, date, time")
    (folder / "whole.csv").unlink()


@pytest.mark.parametrize(
    ("header", "row", "match"),
    [
        ("file,path,label", ("r.wav", "/d/s.wav", "dog"), "r.wav.*s.wav"),
        ("file,label", ("r.wav", "0.93"), "as a program gives scores"),
    ],
)
def test_what_cannot_be_right_is_refused(
    folder: Path, header: str, row: tuple[Any, ...], match: str
) -> None:
    path = write(folder, header, [row], "wrong.csv")
    with pytest.raises(DataError, match=match):
        load_clips(path)
    path.unlink()


def test_two_columns_of_labels_that_do_not_follow_from_each_other(folder: Path) -> None:
    rows = [("r.wav", "a", "x"), ("s.wav", "a", "y"), ("r.wav", "b", "y"), ("s.wav", "b", "x")]
    path = write(folder, "file,species,call_type", rows, "two.csv")
    with pytest.raises(DataError, match="'species' or 'call_type'"):
        load_clips(path)
    assert load_clips(path, label_column="call_type").classes == ("x", "y")
    path.unlink()


def test_names_without_a_suffix(folder: Path) -> None:
    rows = [("r", 2, 1, "dog"), ("r", 4.5, 1.75, "cat"), ("s", 1, 0.5, "dog")]
    path = write(folder, "recording_id,start,duration,label", rows, "stems.csv")
    assert seen(load_clips(path)) == EVENTS
    assert of_events(path, folder) == EVENTS
    path.unlink()


def test_regions_in_a_cell_are_refused_by_name(folder: Path) -> None:
    path = folder / "studio.csv"
    region = '"[{""start"":0,""end"":4.3,""labels"":[""dog""]}]"'
    path.write_text(f"audio,id,label,annotator\nr.wav,1,{region},1\n", encoding="utf-8")
    with pytest.raises(DataError, match="Label Studio"):
        load_clips(path)
    path.unlink()


def test_nested_json_is_refused_by_name(folder: Path) -> None:
    path = folder / "cuts.jsonl"
    path.write_text('{"id": "a", "start": 0, "recording": {"sources": []}}\n', encoding="utf-8")
    with pytest.raises(DataError, match="'recording' are nested"):
        load_clips(path)
    path.unlink()


def test_classes_as_columns_of_presence(folder: Path) -> None:
    header = "Audiofilename,Starttime,Endtime,CALL,SONG"
    rows = [("r.wav", 2, 3, "POS", "NEG"), ("r.wav", 4, 5, "UNK", "NEG")]
    clips = load_clips(write(folder, header, rows, "fewshot.csv"))
    assert clips.labels == (("CALL",), ("CALL",))
    assert clips.label_type.tolist() == ["positive", "uncertain"]
    (folder / "fewshot.csv").unlink()


def recordings(folder: Path, *names: str) -> Path:
    for name in names:
        soundfile.write(folder / name, np.zeros(RATE * 10), RATE)
    return folder


@pytest.mark.parametrize("name", ["dev.tsv", "train.csv", "metadata.txt", "manifest.jsonl"])
def test_a_folder_is_read_by_its_table(tmp_path: Path, name: str) -> None:
    recordings(tmp_path, "r.wav", "s.wav")
    if name.endswith("jsonl"):
        keys = ("filename", "onset", "offset", "event_label")
        lines = [json.dumps(dict(zip(keys, event, strict=True))) for event in EVENTS]
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
    else:
        write(tmp_path, "filename,onset,offset,event_label", EVENTS, name)
    assert seen(load_clips(tmp_path)) == EVENTS
    assert name in describe_layout(tmp_path)


def test_a_table_for_each_recording(tmp_path: Path) -> None:
    recordings(tmp_path, "r.wav", "s.wav")
    write(tmp_path, "onset_s,offset_s,label", [(2, 3, "dog"), (4.5, 6.25, "cat")], "r.wav.csv")
    write(tmp_path, "onset_s,offset_s,label", [(1, 1.5, "dog")], "s.csv")
    assert seen(load_clips(tmp_path)) == EVENTS
    assert seen(load_clips(tmp_path / "s.csv")) == EVENTS[2:]


def test_a_folder_says_why_its_table_is_not_read(tmp_path: Path) -> None:
    recordings(tmp_path, "r.wav")
    write(tmp_path, "file,wetness,frame_start,frame_end", [("r.wav", "a", 3, 6)], "birds.csv")
    text = describe_layout(tmp_path)
    assert "birds.csv is not read as labels" in text
    assert "frame_start" in text
    assert any("birds.csv is not read" in note for note in load_clips(tmp_path).notes)


def test_whole_paths(tmp_path: Path, folder: Path) -> None:
    rows = [(folder / file, *more) for file, *more in EVENTS]
    path = write(tmp_path, "file,start,end,label", rows, "whole.csv")
    clips = load_clips(path)
    assert [p.name for p in clips.paths] == ["r.wav", "r.wav", "s.wav"]
    assert all(p.is_file() for p in clips.paths)
    recordings(tmp_path, "other.wav")
    names = {
        Path(tmp_path / file).resolve() for file in collect_labels(path, root=tmp_path).events.file
    }
    assert names == {folder.resolve() / "r.wav", folder.resolve() / "s.wav"}


# Any names, order and further columns.


FILES = ["file", "filename", "audio_file", "Audiofilename", "audio_filepath", "File Name"]
LABELS = ["label", "species", "annotation", "event_label", "Class", "primary_label"]
STARTS = ["start", "begin", "onset", "start_time", "Begin Time", "t_start", "from", "tmin"]
ENDS = ["end", "stop", "end_time", "End Time", "t_end", "to", "tmax", "finish"]
LENGTHS = ["duration", "dur", "length"]
UNITS = {
    "": 1,
    " (s)": 1,
    "_sec": 1,
    "_ms": 1000,
    " [ms]": 1000,
    "_samples": RATE,
    " (min)": 1 / 60,
}
OTHERS = ["weather", "split", "weiß nicht", "x", "prediction", "habitat.type", "id", "channel"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_names_of_the_field_in_any_order(folder: Path, data: st.DataObject) -> None:
    pick = data.draw
    unit = pick(st.sampled_from(sorted(UNITS)))
    by = UNITS[unit]
    is_length = pick(st.booleans())
    names = [
        pick(st.sampled_from(FILES)),
        pick(st.sampled_from(STARTS)) + unit,
        pick(st.sampled_from(LENGTHS if is_length else ENDS)) + unit,
        pick(st.sampled_from(LABELS)),
    ]
    others = pick(st.lists(st.sampled_from(OTHERS), unique=True, max_size=3))
    names += others
    order = pick(st.permutations(range(len(names))))
    rows = []
    for file, start, end, label in EVENTS:
        second = end - start if is_length else end
        row = (file, start * by, second * by, label, *(["red"] * len(others)))
        rows.append(tuple(row[i] for i in order))
    mark = pick(st.sampled_from([",", ";", "\t"]))
    path = folder / "any.csv"
    lines = [mark.join(names[i] for i in order), *(mark.join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines), encoding="utf-8")
    clips = load_clips(path)
    assert seen(clips) == EVENTS
    named = " ".join(note for note in clips.notes if "not used" in note)
    assert all(name in named for name in others if name not in ("id", "channel"))
    path.unlink()


@settings(max_examples=60, deadline=None)
@given(
    name=st.text("abcdefghij_ ()0123456789", min_size=1, max_size=12).filter(str.strip),
    values=st.lists(st.sampled_from(["1", "2.5", "x", "0:10", ""]), min_size=3, max_size=3),
)
def test_an_unknown_column_changes_nothing_in_silence(
    folder: Path, name: str, values: list[str]
) -> None:
    rows = [(*event, value) for event, value in zip(EVENTS, values, strict=True)]
    path = write(folder, f"file,start_time,end_time,label,{name}", rows, "more.csv")
    try:
        clips = load_clips(path)
    except DataError:
        return
    finally:
        path.unlink()
    assert seen(clips) == EVENTS
