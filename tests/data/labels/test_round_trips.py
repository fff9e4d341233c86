"""What is written is read back exactly, in every format, for what the format can hold."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.data.events import Events, make_events
from semisonic.data.formats.label_files import read_labels, write_labels
from semisonic.data.options import FORMATS
from semisonic.data.tables import number, written

SCORES = {"csv", "raven", "raven-combined", "birdnet", "kaleidoscope"}
BANDS = {"csv", "raven", "raven-combined", "kaleidoscope", "audacity"}
PRESENCES = {"csv", "raven", "raven-combined"}
SEMICOLONS = set(FORMATS) - {"csv", "csv-wide"}
FILES = ("a.wav", "site 1/b.WAV", "site 1/ü.flac", "x.y.wav")

seconds = st.floats(0, 1e6, allow_subnormal=False) | st.sampled_from([0.0, 0.1, 1 / 3, 2e-7])
hertz = st.floats(0, 250e3, allow_subnormal=False)
words = st.text(st.characters(exclude_categories=("C", "Z")) | st.just(" "), max_size=12).map(
    str.strip
)


@st.composite
def event_tables(draw: st.DrawFn, form: str) -> Events:
    """Events as a format can hold them."""
    label = words if form in SEMICOLONS else words.map(lambda text: text.replace(";", ""))
    rows = []
    for _ in range(draw(st.integers(0, 8))):
        start, end = sorted((draw(seconds), draw(seconds)))
        low, high = sorted((draw(hertz), draw(hertz)))
        row = {"file": draw(st.sampled_from(FILES)), "start_time": start, "end_time": end}
        row["label"] = draw(label).strip()
        if form in SCORES:
            row["score"] = draw(st.none() | st.floats(0, 1, allow_subnormal=False))
        if form in BANDS:
            row["fmin_hz"] = draw(st.sampled_from([None, low]))
            row["fmax_hz"] = draw(st.sampled_from([None, high]))
        if form in PRESENCES:
            row["presence"] = draw(st.sampled_from(["positive", "negative", "uncertain"]))
        rows.append(row)
    return make_events(rows)


def by_file(events: Events) -> Events:
    """In order of recordings, as formats with one file a recording give them back."""
    return events.sort_values("file", kind="stable")


def equal(a: Events, b: Events) -> bool:
    return bool(a.reset_index(drop=True).equals(b.reset_index(drop=True)))


@pytest.mark.parametrize("form", [name for name in FORMATS if name != "csv-wide"])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_events_come_back_exactly(form: str, data: st.DataObject) -> None:
    events = data.draw(event_tables(form))
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "recordings"
        for file in FILES:
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).touch()
        output = Path(name) / ("out" if form in ("audacity", "raven") else "out.txt")
        durations = dict.fromkeys(FILES, 0.1)
        paths = write_labels(events, output, form, root=root, durations=durations)
        if not len(events) and form in ("audacity", "raven"):
            assert paths == []
            return
        again = read_labels(output, form, root=root)
        if len(events) and any(events.label.tolist()):
            assert equal(again, read_labels(output, root=root))  # the format told by its content
    events, again = by_file(events), by_file(again)
    if form.startswith("raven"):  # a selection has limits in frequency
        assert (again.fmax_hz >= again.fmin_hz).all()
        events = events.assign(fmin_hz=events.fmin_hz.fillna(0.0))
        again["fmax_hz"] = again.fmax_hz.mask(events.fmax_hz.isna().to_numpy())
    assert equal(again, events)


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_wide_tables_hold_what_is_there_and_what_is_not(data: st.DataObject) -> None:
    events = data.draw(event_tables("csv-wide"))
    names = data.draw(
        st.lists(
            st.sampled_from(["dog", "Dog", "a,b", "é"]), min_size=len(events), max_size=len(events)
        )
    )
    said = data.draw(
        st.lists(
            st.sampled_from(["positive", "negative"]), min_size=len(events), max_size=len(events)
        )
    )
    events = make_events(
        {**row, "label": label, "presence": presence}
        for row, label, presence in zip(events.to_dict("records"), names, said, strict=True)
    ).drop_duplicates(["file", "start_time", "end_time", "label"])
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "wide.csv"
        write_labels(events, path, "csv-wide")
        again = read_labels(path, "csv-wide")
        if len(events):
            assert equal(again, read_labels(path))
            frame = pd.read_csv(path)
            assert set(frame.columns) >= {"file", "start_time", "end_time", *names}
    columns = ["file", "start_time", "end_time", "label", "presence"]
    order = [sorted(e[columns].itertuples(index=False, name=None)) for e in (events, again)]
    assert order[0] == order[1]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_keep_every_digit(value: float) -> None:
    text = written(value)
    assert "e" not in text.lower()
    assert float(text) == value
    read = number(text, "x")
    assert read is not None
    assert float(read) == value
