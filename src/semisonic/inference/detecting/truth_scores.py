"""How well found events are those that people marked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semisonic.base.wording import counted
from semisonic.evaluation.events import EventCounts, EventScores

COLUMNS = ("label", "true", "found", "precision", "recall", "f1", "f1_placed")


@dataclass(frozen=True)
class TruthScores:
    """How well found events are the true ones.

    Attributes
    ----------
    noticed : EventScores
        A pair is any overlap in time.
    placed : EventScores
        A pair begins within 0.2 s, and ends within 0.2 s or half of the true length.
    n_recordings : int
        Recordings that somebody marked; others are left out.
    hours : float
        Of these.
    unknown : tuple of str
        Labels of marked events that were not looked for; they are left out.
    """

    noticed: EventScores
    placed: EventScores
    n_recordings: int
    hours: float
    unknown: tuple[str, ...]

    def rows(self) -> list[tuple[str, int, int, float, float, float, float]]:
        """Label, true and found events, precision, recall, F1, F1 of those placed well."""
        return [
            _row(name, counts, self.placed.by_class[name])
            for name, counts in self.noticed.by_class.items()
        ]

    def summary(self) -> str:
        """A line for the terminal."""
        c, placed = self.noticed.overall, self.placed.overall
        if not c.n_true:
            return f"compared with the labels: no event is marked, {c.n_found} were found"
        text = (
            f"compared with the labels ({counted(c.n_true, 'event')}, "
            f"{counted(self.n_recordings, 'recording')}): precision "
            f"{c.precision:.2f}, recall {c.recall:.2f}, F1 {c.f1:.2f}; placed within 0.2 s: F1 "
            f"{placed.f1:.2f}; {c.false_alarms_per_hour:.1f} false alarms per hour"
        )
        if c.n_matched:
            begin, end = (float(np.median(np.abs(e))) for e in (c.onset_errors, c.offset_errors))
            text += f"; median error of onsets {begin:.2f} s, of ends {end:.2f} s"
        return text


def _row(
    name: str, c: EventCounts, placed: EventCounts
) -> tuple[str, int, int, float, float, float, float]:
    return name, c.n_true, c.n_found, c.precision, c.recall, c.f1, placed.f1
