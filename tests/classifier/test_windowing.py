from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from semisonic.classifier.windows import cut_clips, cut_stream
from semisonic.core.errors import OptionError
from semisonic.data.clips import Clips
from semisonic.data.windows import window_starts

lengths = st.integers(1, 400)
windows = st.integers(1, 60)
hops = st.integers(1, 60)


@given(lengths, windows)
def test_windows_without_a_hop_cover_everything(length: int, window: int) -> None:
    starts = window_starts(length, window, window)
    heard = np.zeros(length, bool)
    for start in starts:
        heard[round(start) : round(start) + window] = True
    assert starts[0] == 0
    assert heard.all()
    if len(starts) > 1:
        assert starts[-1] + window <= length
        assert np.all(np.diff(starts) > 0)


@given(st.floats(0.5, 60.0), st.floats(0.0, 0.049))
def test_a_clip_a_few_milliseconds_longer_than_the_window_is_one(
    window: float, more: float
) -> None:
    assert window_starts(window + more, window, window).tolist() == [0.0]
    assert window_starts(window + 0.06, window, window).tolist() == pytest.approx([0.0, 0.06])


@given(lengths, windows, hops, st.lists(st.integers(0, 90), max_size=12))
def test_a_stream_is_cut_as_the_whole_is_whatever_its_blocks(
    length: int, window: int, hop: int, cuts: list[int]
) -> None:
    x = np.arange(length, dtype=np.float32)
    blocks = np.split(x, np.minimum(np.cumsum(cuts), length)) if cuts else [x]
    found = list(cut_stream(blocks, window, hop))
    assert [start for start, _ in found] == window_starts(length, window, hop).astype(int).tolist()
    for start, wave in found:
        assert np.array_equal(wave, x[start : start + window])


def test_a_stream_of_a_few_milliseconds_more_has_no_window_more() -> None:
    """Half a second, at 8 kHz: the least rest is 50 ms."""
    for more, starts in ((400, [0, 4000]), (401, [0, 4000, 4401])):
        wave = np.zeros(8000 + more, np.float32)
        assert [start for start, _ in cut_stream([wave], 4000, 4000, 8000)] == starts


def test_a_stream_holds_no_more_than_a_block_and_a_window() -> None:
    held = 0

    def blocks() -> object:
        for _ in range(200):
            yield np.zeros(100, np.float32)

    for _, wave in cut_stream(blocks(), 250, 125):  # type: ignore[arg-type]
        base = wave.base if wave.base is not None else wave
        held = max(held, len(base))
    assert held <= 450


@pytest.mark.parametrize(("window", "hop"), [(0.0, 1.0), (1.0, 0.0), (1.0, -2.0)])
def test_windows_need_a_length_and_a_hop(window: float, hop: float) -> None:
    with pytest.raises(OptionError, match="expected more than 0"):
        window_starts(10.0, window, hop)


def test_long_clips_are_cut_and_short_ones_left(tmp_path: Path) -> None:
    sf.write(tmp_path / "long.wav", np.zeros(8000 * 5, np.float32), 8000)
    sf.write(tmp_path / "short.wav", np.zeros(4000, np.float32), 8000)
    (tmp_path / "text.wav").write_text("no sound", encoding="utf-8")
    clips = Clips.from_rows(
        tmp_path,
        [
            {"file": "long.wav", "labels": "a", "group": "g", "fold": 2},
            {"file": "short.wav", "labels": "b"},
            {"file": "text.wav", "labels": "b"},
            {"file": "long.wav", "labels": "b", "start_time": 1.0, "end_time": 3.0},
        ],
    )
    found = cut_clips(clips, 2.0)
    cut, source = found.clips, found.source
    long_row, part_row = clips.ids.index("long.wav"), clips.ids.index("long.wav@1.000-3.000")
    whole = source == long_row
    assert cut.start_time[whole].tolist() == [0.0, 2.0, 3.0]
    assert cut.end_time[whole].tolist() == [2.0, 4.0, 5.0]
    assert set(cut.group[whole].tolist()) == {"g"}
    assert set(cut.fold[whole].tolist()) == {2}
    assert cut.labels[int(np.flatnonzero(whole)[0])] == ("a",)
    assert cut.ids[int(np.flatnonzero(source == part_row)[0])] == "long.wav@1.000-3.000"
    assert "short.wav" in cut.ids
    assert [name for name, _ in found.failures] == ["text.wav"]


def test_a_truncated_file_has_windows_as_far_as_it_goes(tmp_path: Path) -> None:
    sf.write(tmp_path / "a.wav", np.zeros(80000, np.float32), 8000)
    content = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(content[: len(content) // 2])
    clips = Clips.from_rows(tmp_path, [{"file": "a.wav"}])
    found = cut_clips(clips, 1.0)
    assert len(found.clips) == 5
    assert not found.failures
