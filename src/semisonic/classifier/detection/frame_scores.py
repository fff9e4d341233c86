"""Scores along the time of long recordings: overlapping windows averaged on a grid of frames.

Windows start every ``hop``; a hop is a whole number of frames, so windows and frames stay in step
over any length. A recording is scored in spans of some minutes. Each span is scored by itself,
with the windows that reach into it from both sides: so results do not depend on the order of
scoring, and a killed run continues with the next span.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.classifier.config import AUTO
from semisonic.classifier.options import FRAMES, WINDOWS
from semisonic.classifier.scoring import evaluating, move_to_device
from semisonic.classifier.windows import stream_windows
from semisonic.core.errors import OptionError
from semisonic.core.parallel import Engine, in_order
from semisonic.data.clips import Clips
from semisonic.models.sound_model import SoundModel
from semisonic.training.devices import choose_device

SPAN = 300.0
"""Approximate length of a span, in seconds."""
HOP_SHARE = 0.25
FRAMES_A_STEP = 2
"""Frames of the grid for each frame of the network's output; one for each point of an event layer.
"""
FULL = 65_535
"""The stored value of a score of 1."""
CALL_DURATION = 300.0
"""Seconds of sound per call of another process; short recordings are scored together."""

Table = NDArray[np.float64]
Scores = NDArray[np.uint16]


class RecordingFile(NamedTuple):
    """A recording.

    Attributes
    ----------
    root : Path
    file : str
        Relative to ``root``, as the user named it.
    identity : str
        Changes if the file, or its path, does.
    duration : float
        Seconds that can be read.
    damage : str
        What is known to be missing; empty if nothing.
    """

    root: Path
    file: str
    identity: str
    duration: float
    damage: str = ""

    def n_samples(self, sample_rate: int) -> int:
        """Its length at a rate."""
        return int(self.duration * sample_rate)


class FrameSpan(NamedTuple):
    """A part of a recording: its frames, and the samples that are scored for them.

    Attributes
    ----------
    first, last : int
        Frames, the last exclusive.
    start, end : int
        Samples at the model's rate; the end may be after the end of the recording.
    """

    first: int
    last: int
    start: int
    end: int


class Grid(NamedTuple):
    """Windows and frames, in samples at the model's rate.

    Attributes
    ----------
    sample_rate : int
        Hz.
    n_window, n_hop, n_frame : int
        Lengths of a window, of the step to the next, and of a frame.
    """

    sample_rate: int
    n_window: int
    n_hop: int
    n_frame: int

    @classmethod
    def of(cls, sample_rate: int, n_window: int, hop: float, frames_per_hop: int = 1) -> Grid:
        """The grid with the hop nearest to the given one.

        Parameters
        ----------
        sample_rate : int
            Hz.
        n_window : int
            Samples.
        hop : float
            Seconds.
        frames_per_hop : int

        Raises
        ------
        OptionError
            If the hop is longer than a window, or shorter than its frames.
        """
        n_frame = round(hop * sample_rate / frames_per_hop)
        if not 1 <= n_frame * frames_per_hop <= n_window:
            raise OptionError(
                f"option 'hop': found {hop:g} s, expected more than 0 s and at most the model's "
                f"clip length, {n_window / sample_rate:g} s"
            )
        return cls(sample_rate, n_window, n_frame * frames_per_hop, n_frame)

    @property
    def frame(self) -> float:
        """Seconds of a frame."""
        return self.n_frame / self.sample_rate

    @property
    def hop(self) -> float:
        """Seconds from window to window."""
        return self.n_hop / self.sample_rate

    @property
    def frames_of_span(self) -> int:
        """Frames of a whole span."""
        per_hop = self.n_hop // self.n_frame
        return max(1, round(SPAN / self.hop)) * per_hop

    def n_frames(self, n_samples: int) -> int:
        """Frames of a recording; the last may be cut short by its end."""
        return -(-n_samples // self.n_frame)

    def spans(self, n_samples: int) -> list[FrameSpan]:
        """The spans of a recording of so many samples at the model's rate."""
        total, size = self.n_frames(n_samples), self.frames_of_span
        firsts = range(0, total, size)
        return [self.span(first, min(first + size, total), n_samples) for first in firsts]

    def span(self, first: int, last: int, n_samples: int) -> FrameSpan:
        """The span with these frames, and all windows that touch them."""
        window, hop = self.n_window, self.n_hop
        earliest = max(0, -(-(first * self.n_frame - window + 1) // hop))
        # A start from which no whole window fits would be filled up with silence.
        earliest = min(earliest, max(0, n_samples - window) // hop)
        latest = -(-last * self.n_frame // hop) - 1
        end = latest * hop + window
        if last * self.n_frame > n_samples - window:  # the window that ends with the recording
            end = max(end, n_samples)
        return FrameSpan(first, last, earliest * hop, end)


class Average:
    """The mean score of overlapping windows for each frame.

    Parameters
    ----------
    grid : Grid
    n_classes : int
    times : ndarray of float64, shape (n_points,), optional
        Times within a window, in seconds, at which it gives scores; without them, a window gives
        one score for its whole length.
    span : FrameSpan, optional
        Frames outside it are left out; by default, all frames are used.
    """

    def __init__(
        self,
        grid: Grid,
        n_classes: int,
        times: NDArray[np.float64] | None = None,
        span: FrameSpan | None = None,
    ) -> None:
        self.grid, self.times = grid, times
        self._first = 0 if span is None else span.first
        self._last = None if span is None else span.last
        self._sum = np.zeros((0, n_classes))
        self._count = np.zeros(0, np.int64)

    def add(self, start_time: float, end_time: float, scores: NDArray[np.float64]) -> None:
        """Add a window, which may not begin before the previous one.

        Parameters
        ----------
        start_time, end_time : float
            In the recording, s.
        scores : ndarray, shape (n_classes,), or (n_points, n_classes) with ``times``
        """
        low = max(self.frame_of(start_time), self._first)
        high = int(np.ceil(end_time / self.grid.frame - 1e-6))
        high = max(low, high if self._last is None else min(high, self._last))
        more = high - self._first - len(self._count)
        if more > 0:
            self._sum = np.concatenate([self._sum, np.zeros((more, self._sum.shape[1]))])
            self._count = np.concatenate([self._count, np.zeros(more, np.int64)])
        rows = slice(low - self._first, high - self._first)
        if self.times is None:
            self._sum[rows] += scores
        else:
            middles = (np.arange(low, high) + 0.5) * self.grid.frame - start_time
            columns = [np.interp(middles, self.times, column) for column in scores.T]
            self._sum[rows] += np.stack(columns, axis=1)
        self._count[rows] += 1

    def frame_of(self, start_time: float) -> int:
        """The first frame of a window."""
        return round(start_time / self.grid.frame)

    def take(self, before: int | None = None) -> NDArray[np.float64]:
        """Scores, shape (n, n_classes), of the next frames up to the last with a score.

        Parameters
        ----------
        before : int, optional
            Only frames before this one, which no later window may reach.
        """
        n = len(self._count) if before is None else before - self._first
        n = min(max(n, 0), len(self._count))
        mean: NDArray[np.float64] = self._sum[:n] / np.maximum(self._count[:n], 1)[:, None]
        self._sum, self._count, self._first = self._sum[n:], self._count[n:], self._first + n
        return mean


def packed(scores: NDArray[np.float64]) -> Scores:
    """Scores from 0 to 1 as they are stored.

    Examples
    --------
    >>> packed(np.array([0.0, 0.5, 1.0])).tolist()
    [0, 32768, 65535]
    """
    return np.rint(np.clip(scores, 0.0, 1.0) * FULL).astype(np.uint16)


def unpacked(scores: Scores) -> NDArray[np.float64]:
    """Stored scores, from 0 to 1."""
    return scores.astype(np.float64) / FULL


class WindowTable(NamedTuple):
    """The scores of a model for some windows.

    Attributes
    ----------
    whole : ndarray of float64, shape (n, n_classes)
        As ``predict`` gives them.
    along : ndarray of float64, shape (n, n_points, n_classes), or None
        With frames.
    is_noise : ndarray of bool, shape (n,)
        Windows with nothing to name, by the model's rule against noise. The rule is not used for
        an event layer, which can distinguish noise from sounds in noise.
    """

    whole: Table
    along: Table | None
    is_noise: NDArray[np.bool_]


class FrameScorer:
    """A model, and the grid of its scores.

    With frames, a window has a score for each point of its time: see
    :meth:`semisonic.models.sound_model.SoundModel.score_along_time`.

    Parameters
    ----------
    model : SoundModel
    hop : float, optional
        Seconds between windows; a quarter of the window by default.
    times : {"auto", "frames", "windows"}
    device : str

    Attributes
    ----------
    grid : Grid
    with_frames : bool

    Raises
    ------
    OptionError
        If the network gives no scores of frames, or the hop is longer than the window.
    """

    def __init__(
        self, model: SoundModel, hop: float | None = None, times: str = AUTO, device: str = "cpu"
    ) -> None:
        if times == FRAMES and model.no_points:
            raise OptionError(
                f"option 'times': found 'frames', but '{model.name}' gives no scores of frames: "
                f"{model.no_points}; use 'windows', with a smaller hop for more precise times"
            )
        self.model, self.device = model, choose_device(device)
        self.asked = hop, times
        move_to_device(self.model.eval(), self.device)
        self.with_frames = times != WINDOWS and not model.no_points
        mel = model.mel
        wanted = HOP_SHARE * mel.duration if hop is None else hop
        self._times, per_hop = None, 1
        if self.with_frames:
            self._times = times_of = model.point_times().numpy()
            step = float(times_of[1] - times_of[0]) if len(times_of) > 1 else mel.duration
            n_a_step = FRAMES_A_STEP if model.event_layer is None else 1
            per_hop = max(1, round(n_a_step * wanted / step))
        self.grid = Grid.of(mel.sample_rate, mel.n_samples, wanted, per_hop)

    def average(self, span: FrameSpan | None = None) -> Average:
        """A place for the scores of a span, or of a stream."""
        return Average(self.grid, len(self.model.classes), self._times, span)

    def scores(self, features: NDArray[np.float32]) -> WindowTable:
        """Scores of windows.

        Parameters
        ----------
        features : ndarray, shape (n, channel, mel, frame)

        Returns
        -------
        WindowTable
        """
        model = self.model
        with evaluating(model):
            x = torch.from_numpy(features).to(self.device)
            along = None
            if self.with_frames:
                whole, known, points = model.score_along_time(x)
                along = points.numpy()
            else:
                whole, known = model.score(x)
            is_noise = known.numpy() == 0.0
            if along is not None and model.event_layer is not None:
                is_noise[:] = False  # it learned from sounds in noise what is background
            return WindowTable(whole.numpy(), along, is_noise)


RecordingSpan = tuple[RecordingFile, FrameSpan]
SpanScores = tuple[Scores, str]
"""The scores of a span, shape (n_frames, n_classes), and the reason if they end early."""


def score_spans(
    scorer: FrameScorer, spans: Sequence[RecordingSpan], *, workers: int | None = None
) -> Iterator[SpanScores]:
    """Score spans of recordings, in constant memory.

    Windows are scored in groups within one span, so the scores of a span are the same, bit for
    bit, whatever was scored before.

    Parameters
    ----------
    scorer : FrameScorer
    spans : sequence of (RecordingFile, FrameSpan)
        All below one root.
    workers : int, optional
        Threads that decode.

    Yields
    ------
    scores : ndarray of uint16, shape (n_frames, n_classes)
        For each span, in order. If a span cannot be read completely, the scores up to the error.
    reason : str
        The reason if they end early, else empty.
    """
    if not spans:
        return
    grid, rows = scorer.grid, []
    for recording, span in spans:
        is_last = span.end >= recording.n_samples(grid.sample_rate)
        end: float | None = span.end / grid.sample_rate
        if is_last:
            end = None
        start = span.start / grid.sample_rate
        rows.append({"file": recording.file, "start_time": start, "end_time": end})
    clips = Clips.from_rows(spans[0][0].root, rows)
    average: Average | None = None
    for item in stream_windows(clips, scorer.model.mel, hop=grid.hop, workers=workers):
        average = average or scorer.average(spans[item.row][1])
        if len(item.times):
            whole, along, is_noise = scorer.scores(item.features)
            scores = whole if along is None else along
            scores[item.is_silent | is_noise] = 0.0
            for (start, end), one in zip(item.times.tolist(), scores, strict=True):
                average.add(start, end, one)
        if item.reason is not None:
            yield packed(average.take()), item.reason
            average = None


def score_spans_elsewhere(
    engine: Engine,
    scorer: FrameScorer,
    spans: Sequence[RecordingSpan],
    *,
    device: str = "cpu",
    workers: int | None = None,
) -> Iterator[SpanScores]:
    """As :func:`score_spans`, in other processes.

    Parameters
    ----------
    engine : Engine
    scorer : FrameScorer
        On the CPU; every worker makes its own copy.
    spans : sequence of (RecordingFile, FrameSpan)
    device : str
        Device of the workers; "auto" is the CPU.
    """
    device = "cpu" if device == "auto" else device
    make = partial(_caller, scorer.model, *scorer.asked, device)
    ends = np.cumsum([(span.last - span.first) * scorer.grid.frame for _, span in spans])
    numbered = zip((ends // CALL_DURATION).tolist(), spans, strict=True)
    tasks = ([pair for _, pair in some] for _, some in groupby(numbered, key=itemgetter(0)))
    with engine.calls(make, workers=workers, device=device) as calls:
        for found in in_order(calls, tasks):
            yield from found


def _caller(
    model: SoundModel, hop: float | None, times: str, device: str
) -> Callable[[list[RecordingSpan]], list[SpanScores]]:
    scorer = FrameScorer(model, hop, times, device)
    return lambda spans: list(score_spans(scorer, spans, workers=1))
