"""What is exported is read by the programs that people use: crowsetta, OpenSoundscape, pandas."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import crowsetta
import numpy as np
import pandas as pd
import pytest
import soundfile

from calls import cli

RATE = 32000
EVENTS = [("one.wav", 0.0, 1.0, "owl"), ("one.wav", 2.0, 3.5, "fox"), ("two.wav", 1.0, 2.0, "owl")]


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """Recordings and a table of their events, in whole seconds as people write them."""
    for name in ("one.wav", "two.wav"):
        soundfile.write(tmp_path / name, np.zeros(RATE * 4), RATE)
    lines = ["file,start_time,end_time,label", *(",".join(map(str, row)) for row in EVENTS)]
    (tmp_path / "events.csv").write_text("\n".join(lines).replace(".0", ""), encoding="utf-8")
    return tmp_path


def export(night: Path, form: str, name: str) -> Path:
    output = night / "exports" / name
    output.parent.mkdir(exist_ok=True)
    assert cli("data labels", night / "events.csv", "-o", output, f"--format {form}") == 0
    return output


def boxes(path: Path) -> list[tuple[Any, ...]]:
    """The selections of a Raven table as crowsetta gives them."""
    found = crowsetta.formats.bbox.Raven.from_file(path).to_bbox()
    return [(b.onset, b.offset, b.low_freq, b.high_freq, b.label) for b in found]


def boxed_annotations(path: Path) -> pd.DataFrame:
    """A Raven table as OpenSoundscape's BoxedAnnotations reads it, or by its documented rule."""
    try:
        from opensoundscape import BoxedAnnotations
    except ImportError:
        # from_raven_files renames these columns and needs all of them, as numbers.
        names = {"Begin Time (s)": "start_time", "End Time (s)": "end_time"}
        names |= {"Low Freq (Hz)": "low_f", "High Freq (Hz)": "high_f"}
        frame = pd.read_csv(path, delimiter="\t").rename(columns=names, errors="raise")
        frame = frame.rename(columns={"Annotation": "annotation"}, errors="raise")
        assert (frame[list(names.values())].dtypes == np.float64).all()
        return frame
    return BoxedAnnotations.from_raven_files([path], "Annotation").df


def test_selection_tables(night: Path) -> None:
    folder = export(night, "raven", "raven")
    one, two = (folder / f"{name}.Table.1.selections.txt" for name in ("one", "two"))
    assert boxes(one) == [(0.0, 1.0, 0.0, RATE / 2, "owl"), (2.0, 3.5, 0.0, RATE / 2, "fox")]
    assert boxes(two) == [(1.0, 2.0, 0.0, RATE / 2, "owl")]
    frame = boxed_annotations(one)
    assert frame.start_time.tolist() == [0.0, 2.0]
    assert frame.end_time.tolist() == [1.0, 3.5]
    assert frame.high_f.tolist() == [RATE / 2] * 2
    assert frame.annotation.tolist() == ["owl", "fox"]


def test_a_selection_table_over_several_recordings(night: Path) -> None:
    path = export(night, "raven-combined", "all.txt")
    assert boxes(path)[2] == (5.0, 6.0, 0.0, RATE / 2, "owl")  # after the 4 s of the first
    assert boxed_annotations(path).annotation.tolist() == ["owl", "fox", "owl"]


def test_limits_that_were_drawn_are_kept(night: Path) -> None:
    (night / "events.csv").write_text(
        "file,start_time,end_time,label,low_f,high_f\none.wav,0,1,owl,500,900\n"
        "one.wav,1,2,owl,700,\none.wav,2,3,owl,,20000\n",
        encoding="utf-8",
    )
    path = export(night, "raven", "raven") / "one.Table.1.selections.txt"
    assert [box[2:4] for box in boxes(path)] == [(500, 900), (700, RATE / 2), (0, 20000)]


def test_label_tracks(night: Path) -> None:
    path = export(night, "audacity", "tracks") / "one.txt"
    track = crowsetta.formats.seq.AudSeq.from_file(path)
    assert track.start_times.tolist() == [0.0, 2.0]
    assert track.end_times.tolist() == [1.0, 3.5]
    assert track.labels.tolist() == ["owl", "fox"]


@pytest.mark.parametrize(
    ("form", "columns"),
    [
        ("csv", ("file", "start_time", "end_time", "label")),
        ("birdnet", ("File", "Start (s)", "End (s)", "Common name")),
    ],
)
def test_tables_with_pandas(night: Path, form: str, columns: tuple[str, ...]) -> None:
    frame = pd.read_csv(export(night, form, "table.csv"))
    rows = frame[list(columns)].to_numpy(object).tolist()
    assert [(Path(file).name, *more) for file, *more in rows] == EVENTS


def test_kaleidoscope_and_a_column_for_each_class_with_pandas(night: Path) -> None:
    frame = pd.read_csv(export(night, "kaleidoscope", "id.csv"))
    assert frame["IN FILE"].tolist() == [row[0] for row in EVENTS]
    assert frame["OFFSET"].tolist() == [row[1] for row in EVENTS]
    assert frame["DURATION"].tolist() == [row[2] - row[1] for row in EVENTS]
    assert frame["MANUAL ID"].tolist() == [row[3] for row in EVENTS]
    wide = pd.read_csv(export(night, "csv-wide", "wide.csv"))
    assert wide["owl"].sum() == 2
    assert wide["fox"].sum() == 1


def test_every_export_is_read_back_by_semisonic(night: Path) -> None:
    from semisonic.data.formats.label_files import read_labels

    forms = ("csv", "csv-wide", "audacity", "raven", "raven-combined", "birdnet", "kaleidoscope")
    for form in forms:
        path = export(night, form, f"{form}.txt" if form == "raven-combined" else f"{form}.csv")
        events = read_labels(path, root=night)
        rows = events.iloc[:, :4].sort_values(["file", "start_time"]).to_numpy(object).tolist()
        assert [(Path(file).name, *more) for file, *more in rows] == EVENTS, form


def test_tables_of_the_app(night: Path) -> None:
    from semisonic.data.formats.label_files import read_labels
    from semisonic.web.downloads import label_file

    events = read_labels(night / "events.csv").iloc[:2]
    suffix, content = label_file(events, "raven", night)
    (night / f"app{suffix}").write_bytes(content)
    assert boxes(night / f"app{suffix}")[1] == (2.0, 3.5, 0.0, RATE / 2, "fox")
    header = next(csv.reader(content.decode().splitlines(), delimiter="\t"))
    assert {"Low Freq (Hz)", "High Freq (Hz)"} <= set(header)
