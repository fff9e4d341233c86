"""What a model finds in an open recording, as scores, events and tables."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.classifier.detection.frame_scores import (
    FrameScorer,
    FrameSpan,
    Scores,
    ScoreStore,
    score_spans,
    unpacked,
)
from semisonic.classifier.detection.recordings import RecordingFile, list_recordings
from semisonic.classifier.events import EventRules, resolve_threshold
from semisonic.classifier.predict import NOTHING, predict_files
from semisonic.classifier.use_options import AUTO, EventOptions
from semisonic.core.errors import AudioError, DataError
from semisonic.core.files import csv_line
from semisonic.core.options import from_mapping
from semisonic.data.events import Events
from semisonic.data.formats.convert import write_labels
from semisonic.models.sound_model import SoundModel
from semisonic.web.recordings import OpenRecording

# What a model hears in one recording, worked out in the background, part by part.
#
# The steps are those of ``semisonic detect`` and ``semisonic predict``, with the same options, so
# the numbers are the same.


TOP = 5
WHOLE_SECONDS = 300.0
"""Recordings up to this length also get one answer for the whole, as ``predict`` gives it."""
RULES = ("threshold", "merge_gap", "min_duration", "edge")
"""Options that the page may set."""


class Analysis:
    """A model on a recording.

    Attributes
    ----------
    top : tuple of (str, float)
        The best classes over the whole recording; empty for a long or a silent one.
    is_silent : bool
        Whether the whole recording holds nothing but digital silence; False for a long one.
    progress : float
        Share that was heard.
    is_done : bool
    reason : str
        Why it ended early.
    """

    def __init__(self, model: SoundModel, sound: OpenRecording, folder: Path, device: str) -> None:
        self._model, self._sound, self._folder, self._device = model, sound, folder, device
        self.top: tuple[tuple[str, float], ...] = ()
        self.is_done, self.is_silent, self.reason = False, False, ""
        self._scorer = FrameScorer(model, device=device)
        self._lock = threading.Lock()
        self._recording: RecordingFile | None = None
        self._parts: list[FrameSpan] = []
        self._store: ScoreStore | None = None
        self._n_heard, self._is_closed = 0, False
        self._rest: Scores | None = None  # of a part that breaks off

    @property
    def progress(self) -> float:
        """Share that was heard."""
        return 1.0 if self.is_done else self._n_heard / max(1, len(self._parts))

    @property
    def frame(self) -> float:
        """Seconds from score to score."""
        return self._scorer.grid.frame

    def work(self) -> Generator[None, None, None]:
        """Hear the recording, a part a step."""
        duration = self._sound.open().duration
        if duration <= WHOLE_SECONDS:
            self.top = self._whole()
            yield
        recordings, failures = list_recordings([self._sound.path], 1)
        if failures:
            raise AudioError(self._sound.name, failures[0][1])
        recording = recordings[0]
        grid = self._scorer.grid
        with self._lock:
            self._recording = recording
            self._parts = grid.spans(recording.n_samples(grid.sample_rate))
            store = ScoreStore(self._folder, self._sound.id, len(self._model.classes))
            self._store = store
        found = score_spans(self._scorer, [(recording, part) for part in self._parts], workers=1)
        for part, (scores, reason) in zip(self._parts, found, strict=True):
            with self._lock:
                if self._is_closed:
                    return
                if reason:
                    self._rest, self.reason = scores, reason
                    break
                store.put(self._sound.id, part.number, scores)
                self._n_heard += 1
            yield
        self.reason = self.reason or recording.damage
        self.is_done = True

    def close(self) -> None:
        """Forget the scores."""
        with self._lock:
            if self._store is not None:
                self._store.close()
                self._store = None
            self._is_closed = True

    def events(self, settings: Mapping[str, Any]) -> Events:
        """The events so far.

        Parameters
        ----------
        settings : mapping
            Some of ``RULES``, as :class:`EventOptions` takes them.

        Raises
        ------
        OptionError
            When one is wrong.
        """
        threshold = resolve_threshold(self._model, settings.get("threshold", AUTO))
        options = from_mapping(EventOptions, {**settings, "threshold": threshold})
        rules = EventRules.of(self._scorer, options)
        recording = self._recording
        if recording is None:
            return Events.from_rows([])
        rows = rules.rows(self._heard(), self._sound.name, recording.duration)
        return Events.from_rows([row for row, _ in rows])

    def scores(self, start: float, end: float, n: int) -> NDArray[np.float64]:
        """The largest scores in each of ``n`` stretches of a time, shape (n, n_classes).

        Stretches that were not heard yet are NaN.
        """
        frame = self.frame
        result = np.full((n, len(self._model.classes)), np.nan)
        edges = np.linspace(start, end, n + 1) / frame
        first = 0
        for part in self._heard(int(edges[0]), int(edges[-1]) + 1):
            low, high = np.floor(edges[:-1]).astype(int), np.ceil(edges[1:]).astype(int)
            number = first
            first += len(part)
            if first <= low[0] or number >= high[-1]:
                continue
            for column in np.flatnonzero((high > number) & (low < first)):
                inside = part[max(low[column] - number, 0) : max(high[column] - number, 1)]
                if len(inside):
                    result[column] = np.fmax(result[column], inside.max(axis=0))
        return result

    def parts(self) -> Iterator[NDArray[np.float64]]:
        """Scores part by part, shape (n_frames, n_classes) each."""
        return self._heard()

    def _heard(self, first: int = 0, last: int | None = None) -> Iterator[NDArray[np.float64]]:
        """Scores part by part; those wholly outside some frames may be empty-valued."""
        for part in self._parts[: self._n_heard]:
            if part.last <= first or (last is not None and part.first >= last):
                yield np.zeros((part.last - part.first, 0))
                continue
            with self._lock:
                if self._store is None:
                    return
                found = self._store.get(self._sound.id, part.number)
            yield unpacked(found)
        if self._rest is not None:
            yield unpacked(self._rest)

    def _whole(self) -> tuple[tuple[str, float], ...]:
        top = min(TOP, len(self._model.classes))
        result = predict_files(
            self._model, [self._sound.path], top=top, device=self._device, workers=1
        )
        if result.failures:
            raise AudioError(self._sound.name, result.failures[0][1])
        row = result.rows[0]
        self.is_silent = row.reason == NOTHING
        if self.is_silent:
            return ()
        return tuple(zip(row.labels, row.scores, strict=True))


# What was heard as tables for other programs.


TABLES = ("csv", "raven", "audacity", "scores")
_SUFFIXES = {"csv": ".csv", "raven": ".Table.1.selections.txt", "audacity": ".txt"}
_FOLDERS = ("raven", "audacity")


def event_table(events: Events, kind: str, folder: Path) -> tuple[str, str]:
    """The suffix and the text of a label file of one recording's events.

    Raises
    ------
    DataError
        When there are no events, or the format cannot hold one.
    """
    if not len(events):
        raise DataError("no event was found; a lower threshold may find some")
    output = folder / "made" if kind in _FOLDERS else folder / f"made{_SUFFIXES[kind]}"
    files = write_labels(events.sorted(), output, kind)
    return _SUFFIXES[kind], files[0].read_text(encoding="utf-8", errors="surrogateescape")


def score_table(analysis: Analysis, classes: tuple[str, ...]) -> Iterator[str]:
    """Lines of a CSV of scores along time: start, end and a column per class."""
    yield csv_line(["start_time", "end_time", *classes])
    frame, number = analysis.frame, 0
    for part in analysis.parts():
        lines = []
        for row in part.tolist():
            times = (number * frame, (number + 1) * frame)
            lines.append(csv_line([f"{t:.3f}" for t in times] + [f"{score:.4f}" for score in row]))
            number += 1
        yield "".join(lines)
