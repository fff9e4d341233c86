"""Scores of windows to events. No thread and no clock: a server may use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import OptionError
from semisonic.inference.live.events import END, ENDED, QUIET, START, LiveEvent
from semisonic.inference.live.options import TrackOptions
from semisonic.inference.live.scorer import WindowScores
from semisonic.inference.live.smoothing import RecentMean

_TINY = 1e-6


@dataclass
class _Open:
    """A class that is heard: since when, until when, how surely; ``id`` 0 until it is said."""

    start: float
    end: float
    best: float
    id: int = 0


class EventTracker:
    """Follows each class through the windows of a stream.

    A window speaks for the ``hop`` around its centre (the first and the last one also for the
    edges), so that an event lies where its sound was and not a clip length around it. A class
    becomes heard when its mean score (:class:`RecentMean`) reaches its threshold. It goes on
    while the score stays above the threshold less ``hysteresis``, and ends when that was not so
    for ``off_delay``; the end is where it was last above.

    Parameters
    ----------
    classes : sequence of str
    thresholds : array of float, shape (n_classes,)
    hop : float
        Seconds from window to window.
    options : TrackOptions
        ``threshold``, ``classes`` and ``background`` are not read: they are ``thresholds`` and
        ``chosen``.
    chosen : array of bool, shape (n_classes,), optional
        Classes that are followed; all by default.
    """

    def __init__(
        self,
        classes: Sequence[str],
        thresholds: NDArray[np.float64],
        hop: float,
        options: TrackOptions | None = None,
        chosen: NDArray[np.bool_] | None = None,
    ) -> None:
        if len(thresholds) != len(classes):
            raise OptionError(f"found {len(thresholds)} thresholds for {len(classes)} classes")
        self._classes, self._hop = tuple(classes), hop
        self._thresholds = np.maximum(thresholds, _TINY)  # a score of 0 is never heard
        self._options = options or TrackOptions()
        n = len(self._classes)
        self._followed = np.flatnonzero(np.ones(n, bool) if chosen is None else chosen)
        self._release = np.maximum(self._thresholds * (1 - self._options.hysteresis), _TINY)
        self._mean = RecentMean(self._options.smooth)
        self._open: dict[int, _Open] = {}
        self._last: tuple[float, float] | None = None  # ends of the last window and its extent
        self._n_events = 0

    def push(self, window: WindowScores) -> list[LiveEvent]:
        """Take the next window; the starts and ends that follow from it."""
        centre, scores = self._mean.push(window)
        half = min(self._hop, window.end_time - window.start_time) / 2
        start = window.start_time if self._last is None else centre - half
        end = centre + half
        self._last = (window.end_time, end)
        said: list[LiveEvent] = []
        for k in self._followed.tolist():
            said += self._follow(k, float(scores[k]), start, end)
        return said

    def finish(self, reason: str = ENDED) -> list[LiveEvent]:
        """End all events, as the stream does or at a gap; what comes next is a new stretch."""
        said: list[LiveEvent] = []
        for k, event in sorted(self._open.items()):
            if self._last is not None and event.end >= self._last[1] - _TINY:
                event.end = max(event.end, self._last[0])
            said += self._announced(k, event, event.best)
            if event.id:
                said.append(self._ended(k, event, reason))
        self._open.clear()
        self._mean.clear()
        self._last = None
        return said

    def _follow(self, k: int, score: float, start: float, end: float) -> list[LiveEvent]:
        event = self._open.get(k)
        if event is None:
            if score < self._thresholds[k]:
                return []
            event = self._open[k] = _Open(start, end, score)
        elif score >= self._release[k]:
            event.end, event.best = end, max(event.best, score)
        elif end - event.end >= self._options.off_delay - _TINY:
            del self._open[k]
            return [self._ended(k, event, QUIET)] if event.id else []
        return self._announced(k, event, score)

    def _announced(self, k: int, event: _Open, score: float) -> list[LiveEvent]:
        """The start of an event, once it has lasted long enough and was not said before."""
        if event.id or event.end - event.start < self._options.min_duration - _TINY:
            return []
        self._n_events += 1
        event.id = self._n_events
        return [
            LiveEvent(
                START, event.id, self._classes[k], event.start, score, float(self._thresholds[k])
            )
        ]

    def _ended(self, k: int, event: _Open, reason: str) -> LiveEvent:
        return LiveEvent(
            END, event.id, self._classes[k], event.start, event.best,
            float(self._thresholds[k]), event.end, reason,
        )  # fmt: skip
