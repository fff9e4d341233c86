"""What a model finds in an open recording, as scores, events and tables."""

from __future__ import annotations

import itertools
import math
import os
import tempfile
import threading
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.classifier.detection.detect import list_recordings
from semisonic.classifier.detection.frame_scores import FrameScorer, score_spans, unpacked
from semisonic.classifier.events import DEFAULT, EventRules, EventTracker
from semisonic.classifier.options import EventOptions
from semisonic.classifier.predict import AUTO, predict_files
from semisonic.core.errors import AudioError, OptionError
from semisonic.core.files import csv_line
from semisonic.core.options import from_mapping, nearest
from semisonic.data.events import Events, make_events
from semisonic.models.sound_model import SoundModel

# What a model hears in one recording, computed in the background, part by part.
#
# The steps are those of ``semisonic detect`` and ``semisonic predict``, with the same options, so
# the numbers are the same.


TOP = 5
WHOLE_SECONDS = 300.0
"""Recordings up to this length also get predictions for the whole, as by ``predict``."""
RULES = ("threshold", "merge_gap", "min_duration", "edge")
"""Options that the page may set."""


def event_options(
    model: SoundModel, values: Mapping[str, Any], threshold: str = AUTO, **more: float
) -> EventOptions:
    """Options from the rules that the page sets, as numbers or texts; empty ones keep defaults.

    Parameters
    ----------
    model : SoundModel
    values : mapping
        Some of ``RULES``; a threshold is "auto" or a number.
    threshold : str
        What "auto" stands for, as the option of :class:`EventOptions`.
    **more : float
        Other options of :class:`EventOptions`.

    Raises
    ------
    OptionError
        For another name, or a wrong value.
    """
    settings: dict[str, Any] = {}
    for name, value in values.items():
        if name not in RULES:
            raise OptionError(f"unknown option '{name}': {nearest(name, RULES)}")
        if value is None or value == "" or (name == "threshold" and value == AUTO):
            continue
        try:
            settings[name] = float(str(value))
        except ValueError:
            wanted = "auto or a number from 0 to 1" if name == "threshold" else "a number"
            raise OptionError(f"option '{name}': found '{value}', expected {wanted}") from None
    if "threshold" in settings:
        threshold = str(values["threshold"])
    elif threshold == AUTO and not model.decision.thresholds:
        threshold = f"{DEFAULT:g}"
    return from_mapping(EventOptions, {**settings, **more, "threshold": threshold})


class Analysis:
    """The analysis of a recording with a model.

    Attributes
    ----------
    model : SoundModel
    top : tuple of (str, float)
        The best classes over the whole recording; empty for a long or a silent one.
    is_silent : bool
        Whether the whole recording is digital silence; False for a long one.
    progress : float
        Share that was analysed.
    is_done : bool
    reason : str
        Why it ended early.
    """

    def __init__(self, model: SoundModel, path: Path, name: str, device: str) -> None:
        self.model, self._path, self._name, self._device = model, path, name, device
        self.top: tuple[tuple[str, float], ...] = ()
        self.is_done, self.is_silent, self.reason = False, False, ""
        self._scorer = FrameScorer(model, device=device)
        self._lock = threading.Lock()
        self._store = tempfile.TemporaryFile(prefix="semisonic-scores-")  # noqa: SIM115
        self._duration, self._n_frames, self._n_heard = 0.0, 1, 0

    @property
    def progress(self) -> float:
        """Share that was analysed."""
        return 1.0 if self.is_done else self._n_heard / self._n_frames

    @property
    def frame(self) -> float:
        """Seconds between scores."""
        return self._scorer.grid.frame

    def work(self) -> Generator[None, None, None]:
        """Analyse the recording, one part per step."""
        (recording,), failures = list_recordings([self._path], 1)
        if failures:
            raise AudioError(self._name, failures[0][1])
        if recording.duration <= WHOLE_SECONDS:
            self._hear_whole()
            yield
        grid = self._scorer.grid
        spans = grid.spans(recording.n_samples(grid.sample_rate))
        self._duration, self._n_frames = recording.duration, max(1, spans[-1].last if spans else 0)
        for scores, reason in score_spans(self._scorer, [(recording, s) for s in spans], workers=1):
            with self._lock:
                if self._store.closed:
                    return
                self._store.seek(0, os.SEEK_END)
                self._store.write(scores.astype("<u2").tobytes())
                self._n_heard += len(scores)
            if reason:  # it breaks off
                self.reason = reason
                break
            yield
        self.reason = self.reason or recording.damage
        self.is_done = True

    def close(self) -> None:
        """Delete the scores."""
        with self._lock:
            self._store.close()

    def events(self, options: EventOptions) -> Events:
        """The events so far, in order of time."""
        rules = EventRules.of(self._scorer, options)
        tracker = EventTracker(rules)
        found = [event for part in self.parts() for event in tracker.push(part)]
        rows = rules.rows([*found, *tracker.open()], self._name, self._duration)
        return make_events(rows).sort_values(["start_time", "end_time", "label"])

    def scores(self, start: float, end: float, n: int) -> NDArray[np.float64]:
        """The largest scores in each of ``n`` equal parts of a time span, shape (n, n_classes).

        Parts that were not analysed yet are NaN.
        """
        result = np.full((n, len(self.model.classes)), np.nan)
        edges = np.linspace(start, end, n + 1) / self.frame
        low, high = np.floor(edges[:-1]).astype(int), np.ceil(edges[1:]).astype(int)
        number = int(low[0])
        for part in self.parts(number, int(high[-1])):
            for column in np.flatnonzero((high > number) & (low < number + len(part))):
                inside = part[max(low[column] - number, 0) : high[column] - number]
                if len(inside):
                    result[column] = np.fmax(result[column], inside.max(axis=0))
            number += len(part)
        return result

    def parts(self, first: int = 0, last: int | None = None) -> Iterator[NDArray[np.float64]]:
        """Scores of the analysed frames, part by part, shape (n_frames, n_classes) each."""
        last = self._n_heard if last is None else min(last, self._n_heard)
        step, width = self._scorer.grid.frames_of_span, len(self.model.classes)
        for start in range(first, last, step):
            with self._lock:
                if self._store.closed:
                    return
                self._store.seek(2 * width * start)
                content = self._store.read(2 * width * (min(start + step, last) - start))
            yield unpacked(np.frombuffer(content, "<u2").reshape(-1, width))

    def _hear_whole(self) -> None:
        top = min(TOP, len(self.model.classes))
        result = predict_files(self.model, [self._path], top=top, device=self._device, workers=1)
        if not result.rows:
            raise AudioError(self._name, result.failures[0][1])
        _, _, _, *best = result.rows[0]
        self.is_silent = math.isnan(best[1])
        self.top = () if self.is_silent else tuple(zip(best[::2], best[1::2], strict=True))


def score_table(analysis: Analysis, classes: tuple[str, ...]) -> str:
    """A CSV of scores over time: start, end and a column per class."""
    lines, frame = [csv_line(["start_time", "end_time", *classes])], analysis.frame
    rows = itertools.chain.from_iterable(part.tolist() for part in analysis.parts())
    for number, row in enumerate(rows):
        times = f"{number * frame:.3f}", f"{(number + 1) * frame:.3f}"
        lines.append(csv_line([*times, *(f"{score:.4f}" for score in row)]))
    return "".join(lines)
