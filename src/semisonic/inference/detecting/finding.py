"""From scores along time to events: thresholds, gaps, ends, least lengths.

A stretch of frames belongs together as long as its score stays above the lower of two
thresholds; it is an event when the score reaches the upper one somewhere (hysteresis, as in
edge detection, Canny 1986). Stretches that are close become one event. Its ends are then drawn
in to where the score is a share of the event's largest: overlapping windows smear an event, and
how far depends on their length, but not on how sure the model is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LOW = 0.5
"""The lower threshold as a share of the upper one."""
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """An event in frames.

    Attributes
    ----------
    column : int
        The class.
    first, last : int
        Frames, the last exclusive.
    score, mean : float
        Largest and mean score of the frames, 0 to 1.
    """

    column: int
    first: int
    last: int
    score: float
    mean: float


class EventFinder:
    """Finds the events of one class in scores that come part by part.

    It keeps the scores of an event that is not over, and nothing else.

    Parameters
    ----------
    column : int
        The class.
    threshold : float
        The score that an event reaches somewhere.
    edge : float
        Share of its largest score that an event's first and last frame reach.
    gap, shortest : int
        Frames that may lie between stretches of one event; least frames of an event.
    """

    def __init__(self, column: int, threshold: float, edge: float, gap: int, shortest: int) -> None:
        self.column, self.threshold, self.edge = column, threshold, edge
        self.gap, self.shortest = gap, shortest
        self._held: Scores = np.zeros(0)
        self._first = 0  # frame of the first score that is held

    def feed(self, scores: Scores) -> list[Found]:
        """Take the scores of the next frames, shape (n,); give the events that are over."""
        x = np.concatenate([self._held, scores])
        events = self._events(x, is_over=False)
        kept = len(x)
        if events and len(x) - events[-1][1] <= self.gap:
            kept = events.pop()[0]
        done = [found for event in events for found in self._found(x, *event)]
        self._held, self._first = x[kept:], self._first + kept
        return done

    def finish(self) -> list[Found]:
        """The recording is over: the events that are left."""
        x = self._held
        done = [f for event in self._events(x, is_over=True) for f in self._found(x, *event)]
        self._held, self._first = np.zeros(0), self._first + len(x)
        return done

    def _events(self, x: Scores, *, is_over: bool) -> list[tuple[int, int]]:
        """Stretches, joined where they are close; one that is still open may become an event."""
        above = np.concatenate([[False], x >= LOW * self.threshold, [False]])
        changes = np.flatnonzero(above[1:] != above[:-1])
        joined: list[tuple[int, int]] = []
        for a, b in changes.reshape(-1, 2).tolist():
            is_open = b == len(x) and not is_over
            if x[a:b].max() < self.threshold and not is_open:
                continue
            if joined and a - joined[-1][1] <= self.gap:
                joined[-1] = joined[-1][0], b
            else:
                joined.append((a, b))
        return joined

    def _found(self, x: Scores, a: int, b: int) -> list[Found]:
        """The event with its ends drawn in, unless it is too short then."""
        top = float(x[a:b].max())
        high = np.flatnonzero(x[a:b] >= self.edge * top)
        first, last = a + int(high[0]), a + int(high[-1]) + 1
        if last - first < self.shortest:
            return []
        mean = float(x[first:last].mean())
        return [Found(self.column, self._first + first, self._first + last, top, mean)]
