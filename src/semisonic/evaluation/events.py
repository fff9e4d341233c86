"""Compare found events with true events: event by event, and by segments.

Paper: Mesaros, Heittola and Virtanen, "Metrics for polyphonic sound event detection", Applied
Sciences 2016. An event is found when one of its class begins within a collar of its beginning and,
if ends count, ends within a collar of its end, at least so long or a share of the true length. Each
event counts once: as many pairs as possible are made, as the authors' toolbox (sed_eval) does in
its mode "optimal", here with the least sum of errors among those. By segments, time is cut into
pieces of one length, and a class is active in a segment when an event of it overlaps it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from semisonic.core.errors import OptionError
from semisonic.data.events import POSITIVE, Events

ONSET_COLLAR = 0.2
OFFSET_SHARE = 0.5
_EventRule = Callable[[Events, Events], NDArray[np.bool_]]
_SLACK = 1e-9  # s, so that an error of exactly a collar is within it


@dataclass(frozen=True)
class EventCounts:
    """Counts of true and found events of a class, or of all classes.

    Attributes
    ----------
    n_true, n_found, n_matched : int
        True events, events found, and pairs of them.
    onset_errors, offset_errors : ndarray of float64, shape (n_matched,)
        Found less true time, s: above 0 is late.
    hours : float
        Hours of audio; 0 if not known.
    """

    n_true: int
    n_found: int
    n_matched: int
    onset_errors: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    offset_errors: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    hours: float = 0.0

    @property
    def precision(self) -> float:
        """Share of the found events that are true, 0 to 1; NaN if none was found."""
        return self.n_matched / self.n_found if self.n_found else float("nan")

    @property
    def recall(self) -> float:
        """Share of the true events that were found, 0 to 1; NaN if there are none."""
        return self.n_matched / self.n_true if self.n_true else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 0 to 1; NaN if there are no events at all."""
        total = self.n_true + self.n_found
        return 2 * self.n_matched / total if total else float("nan")

    @property
    def false_alarms_per_hour(self) -> float:
        """False events per hour of audio; NaN if the hours are not known."""
        return (self.n_found - self.n_matched) / self.hours if self.hours else float("nan")


@dataclass(frozen=True)
class EventScores:
    """Counts of all classes together, and of each."""

    overall: EventCounts
    by_class: Mapping[str, EventCounts]

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes that occur or were found."""
        values = [counts.f1 for counts in self.by_class.values()]
        return float(np.mean(values)) if values else float("nan")


def score_events(
    true: Events,
    found: Events,
    *,
    onset_collar: float = ONSET_COLLAR,
    offset_collar: float | None = ONSET_COLLAR,
    offset_share: float = OFFSET_SHARE,
    hours: float = 0.0,
) -> EventScores:
    """Compare event by event: which were found, and with what errors in time.

    Parameters
    ----------
    true, found : Events
        Their files must have the same names. Only positive events count.
    onset_collar : float
        Largest error of a beginning, s.
    offset_collar : float, optional
        Largest error of an end, s; None: ends do not count.
    offset_share : float
        An end may be off by this share of the true length, if that is more.
    hours : float
        Hours of audio, for false alarms per hour.

    Returns
    -------
    EventScores

    Raises
    ------
    OptionError
        For a collar or share below 0.
    """
    for name, value in (
        ("onset_collar", onset_collar),
        ("offset_collar", offset_collar or 0.0),
        ("offset_share", offset_share),
        ("hours", hours),
    ):
        if not value >= 0:
            raise OptionError(f"option '{name}': found {value:g}, expected 0 or more")

    def may_pair(a: Events, b: Events) -> NDArray[np.bool_]:
        (a_start, a_end), (b_start, b_end) = _times(a), _times(b)
        within = np.abs(b_start - a_start[:, None]) <= onset_collar + _SLACK
        if offset_collar is not None:
            length = (a_end - a_start)[:, None]
            offset = np.abs(b_end - a_end[:, None])
            within &= offset <= np.maximum(offset_collar, offset_share * length) + _SLACK
        return np.asarray(within, np.bool_)

    return _scored(true, found, may_pair, hours)


def score_overlaps(true: Events, found: Events, *, hours: float = 0.0) -> EventScores:
    """As :func:`score_events`, but events match if they overlap in time at all."""

    return _scored(true, found, overlapping, hours)


def overlapping(a: Events, b: Events) -> NDArray[np.bool_]:
    """Which events overlap in time, shape (len(a), len(b))."""
    (a_start, a_end), (b_start, b_end) = _times(a), _times(b)
    begin, end = np.maximum(a_start[:, None], b_start), np.minimum(a_end[:, None], b_end)
    return np.asarray(end > begin, np.bool_)


def match(
    true: Events, found: Events, allowed: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair rows one to one: as many as possible, with the least sum of errors.

    Parameters
    ----------
    true, found : Events
        Of one file and class.
    allowed : ndarray of bool, shape (len(true), len(found))

    Returns
    -------
    rows, columns : ndarray of int64, shape (n_pairs,)
    """
    if not allowed.any():
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    pairs = zip(_times(true), _times(found), strict=True)
    error = sum(np.abs(b - a[:, None]) for a, b in pairs)
    # A pair that is not allowed costs more than all that are allowed together.
    forbidden = 1.0 + float(error[allowed].max()) * min(allowed.shape) * 2
    rows, columns = linear_sum_assignment(np.where(allowed, error, forbidden))
    kept = allowed[rows, columns]
    return rows[kept].astype(np.int64), columns[kept].astype(np.int64)


def _times(events: Events) -> NDArray[np.float64]:
    """Starts and ends, shape (2, n)."""
    return events[["start_time", "end_time"]].to_numpy(np.float64).T


def _scored(true: Events, found: Events, may_pair: _EventRule, hours: float) -> EventScores:
    true, found = true[true.presence == POSITIVE], found[found.presence == POSITIVE]
    by_class = {}
    for label in sorted({*true.label.tolist(), *found.label.tolist()}):
        a, b = true[true.label == label], found[found.label == label]
        onset, offset = [np.zeros(0)], [np.zeros(0)]
        for file in sorted({*a.file.tolist(), *b.file.tolist()}):
            x, y = a[a.file == file], b[b.file == file]
            rows, columns = match(x, y, may_pair(x, y))
            early, late = _times(y)[:, columns] - _times(x)[:, rows]
            onset.append(early)
            offset.append(late)
        early, late = np.concatenate(onset), np.concatenate(offset)
        by_class[label] = EventCounts(len(a), len(b), len(early), early, late, hours)
    return EventScores(_sum(by_class.values(), hours), by_class)


def _sum(parts: Iterable[EventCounts], hours: float = 0.0) -> EventCounts:
    counts = list(parts)
    return EventCounts(
        sum(one.n_true for one in counts),
        sum(one.n_found for one in counts),
        sum(one.n_matched for one in counts),
        np.concatenate([np.zeros(0), *(one.onset_errors for one in counts)]),
        np.concatenate([np.zeros(0), *(one.offset_errors for one in counts)]),
        hours,
    )


SEGMENT = 1.0
_EDGE = 1e-6  # of a segment: an event that ends where a segment begins does not overlap it


def score_segments(true: Events, found: Events, *, segment: float = SEGMENT) -> EventScores:
    """Count active segments instead of events.

    Parameters
    ----------
    true, found : Events
        Their files must have the same names. Only positive events count.
    segment : float
        Length of a segment, s.

    Returns
    -------
    EventScores
        ``n_true``, ``n_found`` and ``n_matched`` are segments; there are no errors of times.

    Raises
    ------
    OptionError
        For a length of 0 or less.
    """
    if not segment > 0:
        raise OptionError(f"option 'segment': found {segment:g} s, expected more than 0 s")
    true, found = true[true.presence == POSITIVE], found[found.presence == POSITIVE]
    by_class = {}
    for label in sorted({*true.label.tolist(), *found.label.tolist()}):
        a = _active(true[true.label == label], segment)
        b = _active(found[found.label == label], segment)
        by_class[label] = EventCounts(len(a), len(b), len(a & b))
    return EventScores(_sum(by_class.values()), by_class)


def _active(events: Events, segment: float) -> set[tuple[str, int]]:
    """The segments that some events of one class overlap."""
    first: NDArray[np.int64] = np.floor(events.start_time / segment + _EDGE).astype(np.int64)
    last: NDArray[np.int64] = np.ceil(events.end_time / segment - _EDGE).astype(np.int64)
    return {
        (str(file), number)
        for file, a, b in zip(events.file, first.tolist(), last.tolist(), strict=True)
        for number in range(a, max(b, a + 1))
    }
