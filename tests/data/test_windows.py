"""Cutting clips into windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.audio.read import read
from semisonic.audio.write import write
from semisonic.core.errors import OptionError
from semisonic.data.clips import Clips
from semisonic.data.windows import clip_durations, windows


def one(start, end):
    """A clip whose times are known, so that no file is needed."""
    row = {"file": "a.wav", "start_time": start, "end_time": end, "labels": "x", "group": "g"}
    return Clips.from_rows("/nowhere", [row])


def spans(clips):
    return [
        (round(s, 6), round(e, 6)) for s, e in zip(clips.start_time, clips.end_time, strict=True)
    ]


@pytest.mark.parametrize(
    ("length", "duration", "hop", "expected"),
    [
        (10, 5, None, [(0, 5), (5, 10)]),
        (12, 5, None, [(0, 5), (5, 10), (7, 12)]),
        (10.3, 5, None, [(0, 5), (5, 10), (5.3, 10.3)]),
        (10.03, 5, None, [(0, 5), (5, 10.03)]),  # a rest of 30 ms
        (5, 5, None, [(0, 5)]),
        (3, 5, None, [(0, 3)]),
        (0.2, 5, None, [(0, 0.2)]),
        (7, 5, None, [(0, 5), (2, 7)]),
        (10, 5, 2.5, [(0, 5), (2.5, 7.5), (5, 10)]),
        (11, 5, 2.5, [(0, 5), (2.5, 7.5), (5, 10), (6, 11)]),
        (12, 2, 5, [(0, 2), (5, 7), (10, 12)]),
        (11.5, 2, 5, [(0, 2), (5, 7), (9.5, 11.5)]),
        (9.5, 2, 5, [(0, 2), (5, 7)]),
        (0.7, 0.1, None, [(k / 10, k / 10 + 0.1) for k in range(7)]),
    ],
)
def test_cuts(length, duration, hop, expected):
    cut = windows(one(2.0, 2.0 + length), duration, hop)
    assert np.array(spans(cut)) == pytest.approx(2.0 + np.array(expected))
    assert set(cut.group.tolist()) == {"g"}
    assert set(cut.labels) == {("x",)}


@settings(max_examples=100, deadline=None)
@given(st.floats(0.1, 60), st.floats(0.2, 10), st.floats(0.1, 10))
def test_rules(length, duration, hop):
    cut = windows(one(0.0, length), duration, hop)
    sizes = cut.end_time - cut.start_time
    assert np.diff(cut.start_time)[:-1] == pytest.approx(hop)
    assert (cut.end_time <= length + 1e-5).all()
    assert sizes == pytest.approx(np.full(len(cut), min(length, duration)), abs=0.051)
    assert len(set(cut.ids)) == len(cut) or hop < 1e-3
    # Behind the last window lies at most what is skipped between any two.
    assert length - cut.end_time[-1] <= max(0.0, hop - duration) + 1e-5


def test_lengths_come_from_headers(tmp_path):
    write(tmp_path / "long.wav", np.zeros(8000 * 11, np.float32), 8000)
    write(tmp_path / "short.wav", np.zeros(8000, np.float32), 8000)
    (tmp_path / "bad.wav").write_bytes(b"not audio")
    rows = [{"file": f} for f in ("bad.wav", "long.wav", "short.wav")]
    clips = Clips.from_rows(tmp_path, rows)
    assert clip_durations(clips) == pytest.approx([np.nan, 11.0, 1.0], nan_ok=True)
    cut = windows(clips, 4.0)
    assert cut.ids == [
        "bad.wav",
        "long.wav@0.000-4.000",
        "long.wav@4.000-8.000",
        "long.wav@7.000-nan",
        "short.wav",
    ]
    # Every window of a good file can be read as it stands.
    for file, start, end in zip(cut.paths[1:], cut.start_time[1:], cut.end_time[1:], strict=True):
        x, _ = read(file, start_time=start, end_time=None if np.isnan(end) else end)
        assert len(x) >= 8000


def test_wrong_options():
    for duration, hop in ((0.0, None), (-1.0, None), (float("nan"), None), (1.0, 0.0)):
        with pytest.raises(OptionError, match="expected more than 0"):
            windows(one(0, 10), duration, hop)


def test_nothing_to_cut():
    assert len(windows(Clips.from_rows("/nowhere", []), 5.0)) == 0
