"""Thresholds, gaps and ends, against a plain search over the whole recording."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.classifier.detection.frame_scores import Average, FrameScorer, Grid
from semisonic.classifier.events import EventRules, EventTracker
from semisonic.classifier.options import EventOptions
from semisonic.core.errors import OptionError
from semisonic.features.options import MelOptions
from semisonic.models.sound_model import build

Event = tuple[int, int, float]


def without_gaps(scores: np.ndarray, gap: int) -> np.ndarray:
    """Each frame at the highest level at which it lies in or between close frames."""
    closed = scores.copy()
    for level in np.unique(scores):
        above = np.flatnonzero(scores >= level).tolist()
        for a, b in pairwise(above):
            if b - a - 1 <= gap:
                closed[a : b + 1] = np.maximum(closed[a : b + 1], level)
    return closed


def plain(
    scores: np.ndarray, threshold: float, edge: float, gap: int, shortest: int
) -> list[Event]:
    """All at once, peak by peak."""
    closed, peaks = without_gaps(scores, gap), []
    for i, height in enumerate(closed):
        saddles = [
            closed[min(i, j) : max(i, j) + 1].min()
            for j, other in enumerate(closed)
            if other > height or (other == height and j < i)
        ]
        if max(saddles, default=0.0) < 0.4 * height:
            peaks.append(i)
    cuts = [a + int(closed[a:b].argmin()) for a, b in pairwise(peaks)]
    found = []
    for a, b in pairwise([0, *cuts, len(scores)]):
        top = scores[a:b].max(initial=0.0)
        if top < threshold:
            continue
        high = a + np.flatnonzero(scores[a:b] >= edge * top)
        first, last = int(high[0]), int(high[-1]) + 1
        if last - first >= shortest:
            found.append((first, last, float(top)))
    return found


def events_of(
    scores: list[float], threshold: float, gap: int = 0, edge: float = 0.6
) -> list[Event]:
    """The events in the scores of one class."""
    tracker = EventTracker(EventRules({"a": 0}, {"a": threshold}, edge, gap, 1, 1.0))
    found = [*tracker.push(np.array(scores)[:, None]), *tracker.open()]
    return [(one.first, one.last, one.score) for one in found]


def test_a_dip_below_two_fifths_of_the_lower_peak_separates_two_events() -> None:
    assert events_of([0, 0.9, 0.33, 0.8, 0], 0.5) == [(1, 4, 0.9)]
    assert events_of([0, 0.9, 0.31, 0.8, 0], 0.5) == [(1, 2, 0.9), (3, 4, 0.8)]
    assert events_of([0, 0.9, 0.31, 0.8, 0], 0.5, gap=1) == [(1, 4, 0.9)]
    assert events_of([0, 0.9, 0.31, 0.3, 0.8, 0], 0.5, gap=1) == [(1, 2, 0.9), (4, 5, 0.8)]


quantized = st.lists(st.integers(0, 20).map(lambda n: n / 20), max_size=60)


@settings(max_examples=300, deadline=None)
@given(quantized, st.integers(0, 4), st.sampled_from([0.1, 0.6, 1.0]))
def test_events_at_a_higher_threshold_are_those_whose_score_reaches_it(
    scores: list[float], gap: int, edge: float
) -> None:
    lowest = events_of(scores, 0.05, gap, edge)
    for threshold in (0.2, 0.5, 0.7, 0.95):
        expected = [one for one in lowest if one[2] >= threshold]
        assert events_of(scores, threshold, gap, edge) == expected


def rules_of(**options: float) -> EventRules:
    """The rules of a model without thresholds, for frames of half a second."""
    mel = MelOptions(sample_rate=8000, duration=1.0, n_fft=256, hop_length=128, n_mels=16)
    scorer = FrameScorer(build("(2)3c-4p-gp", mel, ("a",)), 0.5, "windows")
    return EventRules.of(scorer, EventOptions(**options))


def test_events_are_as_long_as_asked_and_end_with_the_recording() -> None:
    """Frames of half a second; the last event reaches beyond the 6.2 s of the recording."""
    rules = rules_of(min_duration=0.6, merge_gap=0.0)
    tracker = EventTracker(rules)
    scores = [0.9, 0.0, 0.9, 0.9, 0.0, 0.9, 0.9, 0.9, 0.0, 0.0, 0.0, 0.9, 0.9]
    found = [*tracker.push(np.array(scores)[:, None]), *tracker.open()]
    rows = rules.rows(found, "a.wav", 6.2)
    times = [(row["start_time"], row["end_time"]) for row in rows]
    assert times == [(1.0, 2.0), (2.5, 4.0), (5.5, 6.2)]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 1.0]), max_size=60),
    st.lists(st.integers(0, 60), max_size=6),
    st.sampled_from([0.2, 0.5, 0.7]),
    st.sampled_from([0.1, 0.6, 1.0]),
    st.integers(0, 5),
    st.integers(1, 4),
)
def test_parts_of_any_size_give_what_the_whole_gives(
    values: list[float], cuts: list[int], threshold: float, edge: float, gap: int, shortest: int
) -> None:
    scores = np.array(values)
    table = np.zeros((len(scores), 5))
    table[:, 4] = scores
    rules = EventRules({"a": 1, "b": 4}, dict.fromkeys("ab", threshold), edge, gap, shortest, 1.0)
    tracker = EventTracker(rules)
    found = []
    for part in np.split(table, sorted(cuts)):
        found += tracker.push(part)
        for one in tracker.open():
            assert one.score >= threshold
            assert not found or one.first >= found[-1].last
    found += tracker.open()
    assert [(f.first, f.last, f.score) for f in found if not f.is_short] == plain(
        scores, threshold, edge, gap, shortest
    )
    for one in found:
        assert one.column == 4
        assert one.mean == pytest.approx(scores[one.first : one.last].mean())


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 400),
    st.integers(2, 50),
    st.integers(1, 5),
    st.integers(1, 8),
    st.integers(1, 60),
)
def test_every_frame_of_every_part_is_heard_by_all_windows_that_touch_it(
    n_samples: int, n_window: int, n_frame: int, per_hop: int, part_frames: int
) -> None:
    from semisonic.classifier.windows import cut_stream

    if n_frame * per_hop > n_window:
        return
    grid = Grid(1, n_window, n_frame * per_hop, n_frame)
    wave = np.arange(n_samples, dtype=np.float32)
    whole = Average(grid, 1)
    for start, window in cut_stream([wave], n_window, grid.n_hop):
        whole.add(start, start + len(window), np.array([float(start)]))
    expected = whole.take()
    joined = []
    total = grid.n_frames(n_samples)
    size = part_frames * per_hop
    for first in range(0, total, size):
        part = grid.span(first, min(first + size, total), n_samples)
        average = Average(grid, 1, span=part)
        for start, window in cut_stream([wave[part.start : part.end]], n_window, grid.n_hop):
            begin = part.start + start
            average.add(begin, begin + len(window), np.array([float(begin)]))
        joined.append(average.take())
    np.testing.assert_allclose(np.concatenate(joined), expected)
    stream, taken = Average(grid, 1), []
    for start, window in cut_stream([wave], n_window, grid.n_hop):
        stream.add(start, start + len(window), np.array([float(start)]))
        taken.append(stream.take(stream.frame_of(start)))
    np.testing.assert_allclose(np.concatenate([*taken, stream.take()]), expected)


def test_points_within_a_window_are_joined_by_lines() -> None:
    grid = Grid.of(100, 400, 1.0, 10)
    average = Average(grid, 1, np.array([0.5, 1.5, 2.5, 3.5]))
    average.add(0.0, 4.0, np.array([[0.0], [1.0], [0.0], [1.0]]))
    mean = average.take()[:, 0]
    assert mean[:5] == pytest.approx(np.zeros(5))
    assert mean[9] == pytest.approx(0.45)
    assert mean[14:16] == pytest.approx([0.95, 0.95])
    assert mean[-1] == 1.0


def test_a_hop_that_cannot_be() -> None:
    for hop in (4.1, 0.001):
        with pytest.raises(OptionError, match="option 'hop'"):
            Grid.of(100, 400, hop, 10)
