"""Precision, recall and false alarms of events by threshold, and a threshold for each class.

Events at a higher threshold are those at a lower one whose score reaches it
(:mod:`semisonic.classifier.events`), so one table of found events serves all thresholds. A choice
is measured on other parts of the recordings than those that it was made on: cross-fitting, as for
the thresholds of clips (:mod:`semisonic.evaluation.calibration`). Parts are whole recordings if
these are at least five, else stretches of time, so that one annotated recording is enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semisonic.data.events import POSITIVE, Events
from semisonic.evaluation.events import EventCounts, match, overlapping

THRESHOLDS = np.array([*np.arange(0.05, 0.96, 0.05).round(2).tolist(), 0.97, 0.99])
LOWEST = float(THRESHOLDS[0])
ALL = "(all)"
"""Instead of a label: all classes together."""
SHARES = ["precision", "recall", "f1", "false_alarms_per_hour"]
COUNTS = ["annotated", "detected", "matched"]
COLUMNS = ["label", "threshold", *COUNTS, *SHARES]
N_PARTS = 5
LEAST_EVENTS = 10
"""True events of a class that a choice needs, in more than one part."""
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class ThresholdChoice:
    """A threshold for each class, and how well thresholds that are chosen this way do.

    Attributes
    ----------
    thresholds : mapping of str to float
        By label, without classes of too few true events.
    common : float or None
        The threshold of all other classes, chosen for all classes together; None if the events of
        all classes are too few.
    too_few : tuple of str
        The other classes that occur or were found.
    missed : tuple of str
        Classes for which no threshold has few enough false alarms; they have the highest.
    held_out : EventCounts
        All parts together, each with the thresholds that were chosen on the others; without the
        errors of times.
    """

    thresholds: Mapping[str, float]
    common: float | None
    too_few: tuple[str, ...]
    missed: tuple[str, ...]
    held_out: EventCounts

    def of(self, label: str, otherwise: float) -> float:
        """The threshold of a class; ``otherwise`` if none could be chosen."""
        return self.thresholds.get(label, otherwise if self.common is None else self.common)


@dataclass(frozen=True)
class ThresholdCounts:
    """Counts of true and found events, by part of the recordings, class and threshold.

    Attributes
    ----------
    classes : tuple of str
        Those with a true or a found event.
    n_true : ndarray of int64, shape (part, class)
    n_found, n_matched : ndarray of int64, shape (part, class, threshold)
        At each of ``THRESHOLDS``.
    hours : ndarray of float64, shape (part,)
        Hours of audio.
    """

    classes: tuple[str, ...]
    n_true: Counts
    n_found: Counts
    n_matched: Counts
    hours: NDArray[np.float64]

    @property
    def table(self) -> pd.DataFrame:
        """A row for each class and threshold, with ``COLUMNS``; first all classes together."""
        every = range(len(self.classes))
        kinds = [(ALL, [*every]), *((self.classes[c], [c]) for c in every)]
        rows = []
        for label, chosen in kinds:
            for k, threshold in enumerate(THRESHOLDS.tolist()):
                one = self._counts(chosen, [k] * len(chosen))
                shares = one.precision, one.recall, one.f1, one.false_alarms_per_hour
                counts = one.n_true, one.n_found, one.n_matched
                rows.append((label, threshold, *counts, *shares))
        return pd.DataFrame(rows, columns=COLUMNS)

    def best(self) -> pd.DataFrame:
        """The row of each class with the highest F1; without classes of no true event."""
        table = self.table[self.table.label != ALL]
        table = table[table.annotated > 0].reset_index(drop=True)
        n, k = len(THRESHOLDS), self._best(np.arange(N_PARTS), None)[0]
        rows = [row * n + k[self.classes.index(c)] for row, c in enumerate(table.label[::n])]
        return table.iloc[rows].reset_index(drop=True)

    def choose(self, max_false_alarms: float | None = None) -> ThresholdChoice:
        """The threshold of each class with the highest F1; classes of few events have one together.

        Parameters
        ----------
        max_false_alarms : float, optional
            Only thresholds of at most so many false alarms per hour of a class.
        """
        every, classes = np.arange(N_PARTS), list(range(len(self.classes)))
        true = np.column_stack([self.n_true, self.n_true.sum(axis=1)])
        *enough, together = (true.sum(axis=0) >= LEAST_EVENTS) & ((true > 0).sum(axis=0) > 1)
        few = tuple(
            name for name, is_enough in zip(self.classes, enough, strict=True) if not is_enough
        )
        held_out = EventCounts(0, 0, 0, hours=float(self.hours.sum()))
        if not together:
            return ThresholdChoice({}, None, few, (), held_out)
        best, reached = self._best(every, max_false_alarms)
        for part in every.tolist():
            others = self._best(every[every != part], max_false_alarms)[0]
            mine = np.where(enough, others[:-1], others[-1]).tolist()
            held_out = _sum(held_out, self._counts(classes, mine, [part]))
        return ThresholdChoice(
            {self.classes[c]: float(THRESHOLDS[best[c]]) for c in classes if enough[c]},
            float(THRESHOLDS[best[-1]]),
            few,
            tuple(self.classes[c] for c in classes if not reached[c if enough[c] else -1]),
            held_out,
        )

    def _best(self, parts: Counts, most: float | None) -> tuple[Counts, NDArray[np.bool_]]:
        """The number of the best threshold, and whether it has few enough false alarms.

        By class; the last one is that of all classes together.
        """
        true = _with_sum(self.n_true[parts].sum(axis=0)[:, None])
        found, matched = (_with_sum(x[parts].sum(axis=0)) for x in (self.n_found, self.n_matched))
        f1 = 2 * matched / np.maximum(true + found, 1)
        if most is None:
            is_few = np.ones(f1.shape, np.bool_)
        else:
            hours = float(self.hours[parts].sum())
            n_classes = np.array([*[1] * len(self.classes), len(self.classes)])[:, None]
            is_few = found - matched <= most * hours * n_classes
        f1 = np.where(is_few, f1, -1.0)
        f1[~is_few.any(axis=1), -1] = 0.0
        is_best = f1 >= f1.max(axis=1, keepdims=True)
        # Of equal ones that in the middle, which is farthest from worse ones.
        middle = [int(np.flatnonzero(row)[(row.sum() - 1) // 2]) for row in is_best]
        return np.array(middle, np.int64), np.asarray(is_few.any(axis=1))

    def _counts(
        self, classes: list[int], thresholds: list[int], parts: list[int] | None = None
    ) -> EventCounts:
        """The counts of some classes, each at its threshold."""
        rows = np.arange(N_PARTS) if parts is None else np.array(parts)
        found, matched = (x[rows][:, classes, thresholds] for x in (self.n_found, self.n_matched))
        n_true = int(self.n_true[rows][:, classes].sum())
        hours = float(self.hours[rows].sum())
        return EventCounts(n_true, int(found.sum()), int(matched.sum()), hours=hours)


def _with_sum(counts: Counts) -> Counts:
    """Rows of classes, and their sum as the last one."""
    return np.concatenate([counts, counts.sum(axis=0, keepdims=True)])


def _sum(a: EventCounts, b: EventCounts) -> EventCounts:
    return EventCounts(
        a.n_true + b.n_true, a.n_found + b.n_found, a.n_matched + b.n_matched, hours=a.hours
    )


def count_by_threshold(
    true: Events, found: Events, durations: Mapping[str, float]
) -> ThresholdCounts:
    """Count found events at all thresholds; they match true ones if they overlap in time.

    Parameters
    ----------
    true, found : Events
        Their files must have the same names. Only positive events count.
    durations : mapping of str to float
        Seconds of each recording that was annotated, by file; in this order they are divided into
        parts of about the same length.
    """
    true, found = true[true.presence == POSITIVE], found[found.presence == POSITIVE]
    classes = tuple(sorted({*true.label.tolist(), *found.label.tolist()}))
    size = len(classes), len(THRESHOLDS)
    n_true = np.zeros((N_PARTS, len(classes)), np.int64)
    n_found, n_matched = np.zeros((N_PARTS, *size), np.int64), np.zeros((N_PARTS, *size), np.int64)
    for c, label in enumerate(classes):
        a_of, b_of = (
            dict(list(x[x.label == label].groupby("file", sort=False))) for x in (true, found)
        )
        for file in sorted({*a_of, *b_of}):
            a, b = a_of.get(file, true[:0]), b_of.get(file, found[:0])
            of_a, of_b = (_parts(_middles(x), file, durations) for x in (a, b))
            n_true[:, c] += np.bincount(of_a, minlength=N_PARTS)
            allowed, scores = overlapping(a, b), b.score.to_numpy(np.float64)
            for k, threshold in enumerate(THRESHOLDS.tolist()):
                kept = np.flatnonzero(scores >= threshold)
                columns = match(a, b.iloc[kept], allowed[:, kept])[1]
                n_found[:, c, k] += np.bincount(of_b[kept], minlength=N_PARTS)
                n_matched[:, c, k] += np.bincount(of_b[kept][columns], minlength=N_PARTS)
    seconds = np.full(N_PARTS, sum(durations.values()) / N_PARTS)
    if len(durations) >= N_PARTS:
        seconds = np.zeros(N_PARTS)
        for file, duration in durations.items():
            seconds[_parts(np.zeros(1), file, durations)] += duration
    return ThresholdCounts(classes, n_true, n_found, n_matched, seconds / 3600)


def _middles(events: Events) -> NDArray[np.float64]:
    return (events.start_time + events.end_time).to_numpy(np.float64) / 2


def _parts(seconds: NDArray[np.float64], file: str, durations: Mapping[str, float]) -> Counts:
    """The part of each time in a recording, 0 to 4."""
    files = list(durations)
    before = sum(durations[one] for one in files[: files.index(file)])
    if len(files) >= N_PARTS:  # a recording is in one part
        seconds = np.full(len(seconds), durations[file] / 2)
    share = (before + seconds) / max(sum(durations.values()), 1e-9)
    return np.clip(share * N_PARTS, 0, N_PARTS - 1).astype(np.int64)
