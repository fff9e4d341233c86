"""Scores of windows to starts and ends of events. No thread and no clock: a server may use it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semisonic.inference.detecting.hearing import Listener
from semisonic.inference.detecting.score_store import packed, unpacked
from semisonic.inference.event_options import EventOptions
from semisonic.inference.live.events import END, ENDED, QUIET, START, TOO_SHORT, LiveEvent
from semisonic.inference.live.scorer import WindowScores
from semisonic.inference.tracking import EventRules, EventTracker, TrackedEvent


class LiveTracker:
    """Says when events begin and end in a stream.

    Events are those that :func:`semisonic.detect` finds in the same sound, as both put scores on
    one grid and follow them by one :class:`EventTracker`. What is said of a moment is final when
    a window came that begins behind it, so an event is told about a clip length late.

    Parameters
    ----------
    listener : Listener
        That of the scorer.
    options : EventOptions, optional
        ``hop`` and ``times`` are not read: they are the listener's.
    """

    def __init__(self, listener: Listener, options: EventOptions | None = None) -> None:
        self._listener = listener
        self._rules = EventRules.of(listener, options or EventOptions())
        self._label = dict(zip(self._rules.columns, self._rules.labels, strict=True))
        limits = self._rules.thresholds.tolist()
        self._threshold = dict(zip(self._rules.columns, limits, strict=True))
        self._n_events = 0
        self._told: dict[int, int] = {}  # number of the open event of a class, once it was told
        self._origin: float | None = None  # stream seconds of the first window of the stretch
        self._begin()

    def push(self, window: WindowScores) -> list[LiveEvent]:
        """Take the next window; the starts and ends that follow from it."""
        if self._origin is None:
            self._origin = window.start_time
        start, self._end = window.start_time - self._origin, window.end_time
        scores = window.scores if window.along is None else window.along
        if window.is_silent:
            scores = np.zeros_like(scores)  # nothing is heard in it
        self._average.add(start, window.end_time - self._origin, scores)
        return self._follow(self._average.take(self._average.frame_of(start)), QUIET)

    def finish(self, reason: str = ENDED, end_time: float | None = None) -> list[LiveEvent]:
        """End all events, as the stream does or at a gap; what comes next is a new stretch.

        Parameters
        ----------
        reason : str
            What the ends say.
        end_time : float, optional
            Where the sound ends, stream seconds; where the last window does by default.
        """
        if end_time is not None and self._origin is not None:
            self._end = max(self._end, end_time)
        said = self._follow(self._average.take(), QUIET)
        said += self._ended(self._tracker.finish(), reason)
        self._begin()
        return said

    def _begin(self) -> None:
        self._average = self._listener.average()
        self._tracker = EventTracker(self._rules)
        self._origin = None
        self._end = 0.0

    def _follow(self, scores: NDArray[np.float64], reason: str) -> list[LiveEvent]:
        over = self._tracker.push(unpacked(packed(scores)))  # as ``detect`` keeps them
        said = self._ended(over, reason)
        for event in self._tracker.open():
            if event.column not in self._told and not event.is_short:
                said.append(self._started(event))
        return said

    def _ended(self, over: list[TrackedEvent], reason: str) -> list[LiveEvent]:
        said: list[LiveEvent] = []
        for event in sorted(over, key=lambda one: (one.first, one.last, one.column)):
            if event.column not in self._told:
                if event.is_short:
                    continue
                said.append(self._started(event))
            number = self._told.pop(event.column)
            why = TOO_SHORT if event.is_short else reason
            said.append(self._live(END, number, event, why))
        return said

    def _started(self, event: TrackedEvent) -> LiveEvent:
        self._n_events += 1
        self._told[event.column] = self._n_events
        return self._live(START, self._n_events, event)

    def _live(self, kind: str, number: int, event: TrackedEvent, reason: str = "") -> LiveEvent:
        origin, frame = self._origin or 0.0, self._rules.frame
        return LiveEvent(
            kind,
            number,
            self._label[event.column],
            origin + event.first * frame,
            event.score,
            self._threshold[event.column],
            min(origin + event.last * frame, self._end) if kind == END else None,
            reason,
        )
