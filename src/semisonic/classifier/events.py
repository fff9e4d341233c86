"""From scores along time to events: thresholds by class, and one rule for starts, gaps and ends.

The one rule of ``detect``, ``listen`` and the app. Frames belong together as long as their score
stays above the lower of two thresholds; they are an event when the score reaches the upper one
somewhere (hysteresis, as in edge detection, Canny 1986). Runs of frames that are close become one
event. Its ends are then drawn in to where the score is a share of the event's largest: overlapping
windows smear an event, and how far depends on their length, but not on how sure the model is.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.classifier.detection.frame_scores import FrameScorer
from semisonic.classifier.use_options import AUTO, EDGE_OF_FRAMES, EDGE_OF_WINDOWS, EventOptions
from semisonic.core.errors import DataError, OptionError
from semisonic.core.options import nearest
from semisonic.data.tables import read_table
from semisonic.models.sound_model import SoundModel

DEFAULT = 0.5
_log = logging.getLogger(__name__)


def thresholds_for(model: SoundModel, option: str | float) -> NDArray[np.float64]:
    """The threshold of each class, shape (n_classes,), above 0 and at most 1.

    Parameters
    ----------
    model : SoundModel
    option : str or float
        "auto", a number, or a CSV file with the columns ``label`` and ``threshold``; classes
        that do not stand in it keep what "auto" gives them.

    Raises
    ------
    OptionError
        For anything else, a threshold out of range, or a label that the model does not know.
    """
    own = model.decision.thresholds
    found = {name: own.get(name, DEFAULT) for name in model.classes}
    if str(option) == AUTO:
        if not own:
            _log.warning("the model has no thresholds of its own: %g for all classes", DEFAULT)
        return np.array(list(found.values()), np.float64)
    with suppress(ValueError):
        return np.full(len(found), _as_threshold(float(option), "option 'threshold'"))
    path = Path(str(option))
    if not path.is_file():
        raise OptionError(
            f"option 'threshold': found '{path}', expected 'auto', a number from 0 to 1, or a "
            "CSV file with the columns label and threshold"
        )
    try:
        table = read_table(path)
    except DataError as error:
        raise OptionError(f"{error}; expected a table with label and threshold") from error
    if not {"label", "threshold"} <= set(table.columns):
        raise OptionError(
            f"{path}: found the columns {', '.join(table.names)}; expected label and threshold"
        )
    for row in table.rows:
        label, where = row["label"], f"{path}, class '{row['label']}'"
        if label not in found:
            raise OptionError(f"{path}: unknown class '{label}'; {nearest(label, model.classes)}")
        try:
            found[label] = _as_threshold(float(row["threshold"].replace(",", ".")), where)
        except ValueError:
            raise OptionError(f"{where}: found {row['threshold']}, expected a number") from None
    return np.array(list(found.values()), np.float64)


def _as_threshold(number: float, where: str) -> float:
    if not 0 < number <= 1:
        raise OptionError(f"{where}: found {number}, expected a number above 0 and at most 1")
    return number


LOW = 0.5
"""The lower threshold as a share of the upper one."""
_CLOSE = 1e-6  # of a frame
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class EventRules:
    """What is an event, of each class that counts.

    Attributes
    ----------
    columns : tuple of int
    labels : tuple of str
    thresholds : ndarray of float64, shape (n,)
        The score that an event reaches somewhere.
    edge : float
        Share of its largest score that an event's first and last frame reach.
    gap, shortest : int
        Frames that may lie between two parts of one event; least frames of an event.
    frame : float
        Seconds of a frame.
    """

    columns: tuple[int, ...]
    labels: tuple[str, ...]
    thresholds: NDArray[np.float64]
    edge: float
    gap: int
    shortest: int
    frame: float

    @classmethod
    def of(cls, scorer: FrameScorer, options: EventOptions) -> EventRules:
        """The rules that the options ask for.

        Parameters
        ----------
        scorer : FrameScorer
            Its model and its grid of frames.
        options : EventOptions
            ``threshold``, ``edge``, ``merge_gap``, ``min_duration``, ``classes``, ``background``.

        Raises
        ------
        OptionError
            For an unknown class, or when no class is left.
        """
        model = scorer.model
        for name in options.classes:
            if name not in model.classes:
                raise OptionError(
                    f"option 'classes': unknown class '{name}'; {nearest(name, model.classes)}"
                )
        events = [name for name in model.classes if name not in options.background]
        labels = tuple(dict.fromkeys(options.classes or events))
        if not labels:
            raise OptionError(
                f"option 'background': all classes of the model ({', '.join(model.classes)}) are "
                "background; name those to be found with 'classes'"
            )
        columns = tuple(model.classes.index(name) for name in labels)
        thresholds = thresholds_for(model, options.threshold)[list(columns)]
        edge = options.edge
        if edge is None:
            edge = EDGE_OF_FRAMES if scorer.with_frames else EDGE_OF_WINDOWS
        frame = scorer.grid.frame
        return cls(
            columns,
            labels,
            thresholds,
            edge,
            gap=int(options.merge_gap / frame + _CLOSE),
            shortest=max(1, math.ceil(options.min_duration / frame - _CLOSE)),
            frame=frame,
        )

    def rows(self, parts: Iterable[Scores], file: str, duration: float) -> list[dict[str, Any]]:
        """The events of a recording whose scores come part by part, in the order of time.

        Parameters
        ----------
        parts : iterable of ndarray of float64, shape (n_frames, n_classes)
            Scores of consecutive frames from the start on.
        file : str
            What the rows name.
        duration : float
            Seconds; no event ends later.

        Returns
        -------
        list of dict
            Rows for :class:`semisonic.data.events.Events`, with ``mean_score`` beside.
        """
        tracker = EventTracker(self)
        events = [event for scores in parts for event in tracker.push(scores)]
        events += tracker.finish()
        label = dict(zip(self.columns, self.labels, strict=True))
        return [
            {
                "file": file,
                "start_time": round(event.first * self.frame, 3),
                "end_time": round(min(event.last * self.frame, duration), 3),
                "label": label[event.column],
                "score": event.score,
                "mean_score": event.mean,
            }
            for event in sorted(events, key=lambda one: (one.first, one.last, one.column))
            if not event.is_short
        ]


@dataclass(frozen=True)
class TrackedEvent:
    """An event in frames.

    Attributes
    ----------
    column : int
        The class.
    first, last : int
        Frames, the last exclusive.
    score, mean : float
        Largest and mean score of the frames, 0 to 1.
    is_short : bool
        Whether it is shorter than events must be: not one after all.
    """

    column: int
    first: int
    last: int
    score: float
    mean: float
    is_short: bool


class EventTracker:
    """Finds the events of all classes in scores that come part by part.

    The events do not depend on the parts. Of each class the scores of an event that is not
    over are kept, and nothing else.

    Parameters
    ----------
    rules : EventRules
    """

    def __init__(self, rules: EventRules) -> None:
        self._classes = [
            _OneClass(column, float(threshold), rules)
            for column, threshold in zip(rules.columns, rules.thresholds, strict=True)
        ]

    def push(self, scores: Scores) -> list[TrackedEvent]:
        """Take the scores of the next frames, shape (n, n_classes); give the events now over."""
        return [event for one in self._classes for event in one.push(scores[:, one.column])]

    def finish(self) -> list[TrackedEvent]:
        """There are no more frames: the events that are left."""
        return [event for one in self._classes for event in one.finish()]

    def open(self) -> list[TrackedEvent]:
        """Events that have reached their threshold and are not over, as they would end now."""
        return [event for one in self._classes for event in one.open()]


class _OneClass:
    """Finds the events of one class."""

    def __init__(self, column: int, threshold: float, rules: EventRules) -> None:
        self.column, self._threshold, self._rules = column, threshold, rules
        self._held: Scores = np.zeros(0)
        self._first = 0  # frame of the first score that is held

    def push(self, scores: Scores) -> list[TrackedEvent]:
        x = np.concatenate([self._held, scores])
        events = self._events(x, is_over=False)
        kept = len(x)
        if events and len(x) - events[-1][1] <= self._rules.gap:
            kept = events.pop()[0]
        done = [self._tracked(x, *event) for event in events]
        self._held, self._first = x[kept:], self._first + kept
        return done

    def finish(self) -> list[TrackedEvent]:
        done = self.open()
        self._first, self._held = self._first + len(self._held), np.zeros(0)
        return done

    def open(self) -> list[TrackedEvent]:
        x = self._held
        return [self._tracked(x, *event) for event in self._events(x, is_over=True)]

    def _events(self, x: Scores, *, is_over: bool) -> list[tuple[int, int]]:
        """Runs of frames, joined where they are close; an open one may still become an event."""
        above = np.concatenate([[False], x >= LOW * self._threshold, [False]])
        changes = np.flatnonzero(above[1:] != above[:-1])
        joined: list[tuple[int, int]] = []
        for a, b in changes.reshape(-1, 2).tolist():
            is_open = b == len(x) and not is_over
            if x[a:b].max() < self._threshold and not is_open:
                continue
            if joined and a - joined[-1][1] <= self._rules.gap:
                joined[-1] = joined[-1][0], b
            else:
                joined.append((a, b))
        return joined

    def _tracked(self, x: Scores, a: int, b: int) -> TrackedEvent:
        """The event with its ends drawn in."""
        top = float(x[a:b].max())
        high = np.flatnonzero(x[a:b] >= self._rules.edge * top)
        first, last = a + int(high[0]), a + int(high[-1]) + 1
        mean = float(x[first:last].mean())
        is_short = last - first < self._rules.shortest
        return TrackedEvent(
            self.column, self._first + first, self._first + last, top, mean, is_short
        )
