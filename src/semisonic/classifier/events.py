"""From scores along time to events: thresholds of classes, and one rule for starts, gaps and ends.

``detect``, ``listen`` and the app use the same rule. Each peak that stands out of the scores around
it by more than 0.6 of its height is an event, if it reaches the threshold; short gaps do not count
as lower (for such peaks by their persistence see Edelsbrunner, Letscher and Zomorodian 2002). So
the events at a higher threshold are those at a lower one with a score that reaches it. An event is
shortened to the part where the score is at least a share of its largest: overlapping windows
lengthen an event by an amount that depends on their length, but not on the scores.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import grey_closing
from scipy.signal import find_peaks, peak_prominences

from semisonic.classifier.config import AUTO
from semisonic.classifier.detection.frame_scores import FrameScorer
from semisonic.classifier.options import EventOptions
from semisonic.core.errors import DataError, OptionError
from semisonic.core.label_names import class_name
from semisonic.core.options import nearest
from semisonic.data.tables import normalise, read_table
from semisonic.models.sound_model import SoundModel

DEFAULT = 0.5
EDGE_OF_FRAMES, EDGE_OF_WINDOWS = 0.6, 0.8
VALLEY = 0.4
"""Share of the lower of two peaks below which the score between them separates two events."""
_TIE = 1e-6  # less than the step between stored scores
_CLOSE = 1e-6  # of a frame
_log = logging.getLogger(__name__)
Scores = NDArray[np.float64]


def thresholds_for(model: SoundModel, option: str | float) -> dict[str, float]:
    """The threshold of each class, above 0 and at most 1.

    Parameters
    ----------
    model : SoundModel
    option : str or float
        "auto", a number, or a CSV file with the columns ``label`` and ``threshold``; other classes
        have the threshold of "auto".

    Raises
    ------
    OptionError
        For anything else, a threshold out of range, or a label that the model does not know.
    """
    own = model.decision.thresholds
    found = {name: own.get(name, DEFAULT) for name in model.classes}
    if str(option) == AUTO:
        if not own:
            _log.warning("the model has no thresholds: using %g for all classes", DEFAULT)
        return found
    if _is_number(option):
        return dict.fromkeys(found, _threshold(option, "option 'threshold'"))
    path = Path(str(option))
    if not path.is_file():
        raise OptionError(
            f"option 'threshold': found '{path}', expected 'auto', a number from 0 to 1, or a "
            "CSV file with the columns label and threshold"
        )
    try:
        table = read_table(path)
    except DataError as error:
        raise OptionError(
            f"{error}; expected a table with the columns label and threshold"
        ) from error
    if not {"label", "threshold"} <= set(table.columns):
        raise OptionError(
            f"{path}: found the columns {', '.join(table.names)}, expected label and threshold"
        )
    unused = [name for name in table.names if normalise(name) not in ("label", "threshold")]
    if unused:
        _log.warning("%s: columns that are not used: %s", path, ", ".join(unused))
    named = set[str]()
    for row in table.rows:
        label = class_name(row["label"])
        if label in named:
            raise OptionError(f"{path}: class '{label}' stands in two rows, expected one")
        named.add(label)
        if label not in found:
            raise OptionError(f"{path}: unknown class '{label}'; {nearest(label, model.classes)}")
        found[label] = _threshold(row["threshold"].replace(",", "."), f"{path}, class '{label}'")
    return found


def _is_number(found: str | float) -> bool:
    with suppress(ValueError):
        float(found)
        return True
    return False


def _threshold(found: str | float, where: str) -> float:
    if _is_number(found) and 0 < float(found) <= 1:
        return float(found)
    raise OptionError(f"{where}: found {found}, expected a number above 0 and at most 1")


@dataclass(frozen=True)
class EventRules:
    """The rules for events of each class.

    Attributes
    ----------
    columns : mapping of str to int
        The columns of scores, by label.
    thresholds : mapping of str to float
        The highest score that an event must reach, by label.
    edge : float
        Share of the largest score that an event's first and last frame must reach.
    gap, shortest : int
        Most frames between two parts of one event; least frames of an event.
    frame : float
        Seconds of a frame.
    """

    columns: dict[str, int]
    thresholds: dict[str, float]
    edge: float
    gap: int
    shortest: int
    frame: float

    @classmethod
    def of(cls, scorer: FrameScorer, options: EventOptions) -> EventRules:
        """The rules that the options set, on a scorer's grid of frames.

        Raises
        ------
        OptionError
            For an unknown class, or if no class is left.
        """
        classes = scorer.model.classes
        named = tuple(map(class_name, options.classes))
        for name in named:
            if name not in classes:
                raise OptionError(
                    f"option 'classes': unknown class '{name}'; {nearest(name, classes)}"
                )
        labels = named or [name for name in classes if name not in options.background]
        if not labels:
            raise OptionError(
                f"option 'background': all classes of the model ({', '.join(classes)}) are "
                "background; give the classes to find with 'classes'"
            )
        thresholds = thresholds_for(scorer.model, options.threshold)
        frame, edge = scorer.grid.frame, options.edge
        return cls(
            {name: classes.index(name) for name in labels},
            {name: thresholds[name] for name in labels},
            edge or (EDGE_OF_FRAMES if scorer.with_frames else EDGE_OF_WINDOWS),
            gap=int(options.merge_gap / frame + _CLOSE),
            shortest=max(1, math.ceil(options.min_duration / frame - _CLOSE)),
            frame=frame,
        )

    def down_to(self, lowest: float) -> EventRules:
        """The same rules, with thresholds of at most ``lowest``."""
        lower = {label: min(value, lowest) for label, value in self.thresholds.items()}
        return replace(self, thresholds=lower)

    def rows(
        self, events: Iterable[TrackedEvent], file: str, duration: float
    ) -> list[dict[str, Any]]:
        """Events of a recording, by time, without those that are too short.

        Returns
        -------
        list of dict
            Rows for :class:`semisonic.data.events.Events`, with ``mean_score`` added.
        """
        return [
            {
                "file": file,
                "start_time": round(event.first * self.frame, 3),
                "end_time": round(min(event.last * self.frame, duration), 3),
                "label": event.label,
                "score": event.score,
                "mean_score": event.mean,
            }
            for event in sorted(events)
            if not event.is_short
        ]


class TrackedEvent(NamedTuple):
    """An event in frames; events sort by time, then by class.

    Attributes
    ----------
    first, last : int
        Frames, the last exclusive.
    column : int
        The class.
    label : str
        Its name.
    score, mean : float
        Largest and mean score of the frames, 0 to 1.
    is_short : bool
        Whether it is too short to be an event.
    """

    first: int
    last: int
    column: int
    label: str
    score: float
    mean: float
    is_short: bool


def separations(x: Scores, gap: int) -> list[int]:
    """Where scores along time are to be cut so that each part holds one event.

    Two peaks are of one event if the score between them does not fall below 0.4 of the lower one.
    In other words, the peak of an event has a prominence of more than 0.6 of its score.

    Parameters
    ----------
    x : ndarray of float64, shape (n,)
        Scores, 0 to 1.
    gap : int
        Lower scores of at most so many frames between higher ones do not count.

    Returns
    -------
    list of int
        The first frames of all parts but the first.
    """
    around = gap + 2  # gaps at the ends stay
    closed = np.pad(x, around)
    if gap:
        closed = grey_closing(closed, size=gap + 1)
    # Of equal peaks the first one is the highest.
    ranked = closed - np.linspace(0, _TIE, len(closed))
    peaks = find_peaks(ranked)[0]
    prominences = peak_prominences(ranked, peaks)[0]
    peaks = peaks[prominences > (1 - VALLEY) * closed[peaks] + 2 * _TIE]
    return [a + int(closed[a:b].argmin()) - around for a, b in pairwise(peaks.tolist())]


class EventTracker:
    """Finds the events of all classes in scores that come in parts.

    The events do not depend on the parts. The tracker keeps only the scores of events that have
    not ended.

    Parameters
    ----------
    rules : EventRules
    """

    def __init__(self, rules: EventRules) -> None:
        self._rules = rules
        # Of each class the scores that are held, and the frame of the first of them.
        self._held: dict[str, tuple[int, Scores]] = dict.fromkeys(rules.columns, (0, np.zeros(0)))

    def push(self, scores: Scores) -> list[TrackedEvent]:
        """Take the scores of the next frames, shape (n, n_classes); return events that ended."""
        done: list[TrackedEvent] = []
        for label, (first, held) in self._held.items():
            x = np.concatenate([held, scores[:, self._rules.columns[label]]])
            parts, kept = self._parts(label, x), len(x)
            if parts and len(x) - parts[-1][1] <= self._rules.gap:
                kept = parts.pop()[0]
            done += self._events(label, first, x, parts)
            self._held[label] = first + kept, x[kept:]
        return done

    def open(self) -> list[TrackedEvent]:
        """Events that have reached their threshold and have not ended, as they would end now."""
        return [
            event
            for label, (first, x) in self._held.items()
            for event in self._events(label, first, x, self._parts(label, x))
        ]

    def _parts(self, label: str, x: Scores) -> list[tuple[int, int]]:
        """The parts of the frames that hold one event each, by time."""
        # No lower frame can be within an event that reaches the threshold, or join it to another.
        floor = VALLEY * self._rules.edge * self._rules.thresholds[label]
        above = np.concatenate([[False], x >= floor, [False]])
        joined: list[list[int]] = []
        for a, b in np.flatnonzero(above[1:] != above[:-1]).reshape(-1, 2).tolist():
            if joined and a - joined[-1][1] <= self._rules.gap:
                joined[-1][1] = b
            else:
                joined.append([a, b])
        return [
            (a + first, a + last)
            for a, b in joined
            for first, last in pairwise([0, *separations(x[a:b], self._rules.gap), b - a])
        ]

    def _events(
        self, label: str, begin: int, x: Scores, parts: Iterable[tuple[int, int]]
    ) -> list[TrackedEvent]:
        """The events of those parts that reach the threshold."""
        threshold = self._rules.thresholds[label]
        return [self._event(label, begin, x, a, b) for a, b in parts if x[a:b].max() >= threshold]

    def _event(self, label: str, begin: int, x: Scores, a: int, b: int) -> TrackedEvent:
        """The event of a part, shortened at both ends."""
        top = float(x[a:b].max())
        high = np.flatnonzero(x[a:b] >= self._rules.edge * top)
        first, last = a + int(high[0]), a + int(high[-1]) + 1
        mean, is_short = float(x[first:last].mean()), last - first < self._rules.shortest
        column = self._rules.columns[label]
        return TrackedEvent(begin + first, begin + last, column, label, top, mean, is_short)
