"""What was found, held against what people marked in the same recordings."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from semisonic.base.errors import DataError
from semisonic.data.events import POSITIVE
from semisonic.data.labels import collect_labels
from semisonic.evaluation.events import EventCounts, EventScores, score_events, score_overlaps
from semisonic.inference.detecting.result import DetectResult

COLUMNS = ("label", "true", "found", "precision", "recall", "f1", "f1_placed")
_log = logging.getLogger(__name__)
_SHOWN = 3


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
            return f"held against labels: no event is marked, {c.n_found} were found"
        text = (
            f"held against labels ({c.n_true} events, {self.n_recordings} recordings): precision "
            f"{c.precision:.2f}, recall {c.recall:.2f}, F1 {c.f1:.2f}; placed within 0.2 s: F1 "
            f"{placed.f1:.2f}; {c.false_alarms_per_hour:.1f} false alarms an hour"
        )
        if c.n_matched:
            begin, end = (float(np.median(np.abs(e))) for e in (c.onset_errors, c.offset_errors))
            text += f"; middle error of beginnings {begin:.2f} s, of ends {end:.2f} s"
        return text


def hold_against(result: DetectResult, labels: Path) -> TruthScores:
    """Score what was found by label files of the same recordings.

    Parameters
    ----------
    result : DetectResult
    labels : Path
        A label file or a folder of them, in any format that is known.

    Raises
    ------
    DataError
        When no label file speaks of any of the recordings.
    """
    own = {os.path.abspath(file): file for file in result.durations}
    root = Path(os.path.commonpath([os.path.dirname(file) for file in own])) if own else Path()
    found = collect_labels(labels, root=root)
    named = {file: os.path.abspath(root / file) for file in found.recordings}
    places = {file: own[path] for file, path in named.items() if path in own}
    if not places:
        why = f"; {found.problems[0][1]}" if found.problems else ""
        raise DataError(
            f"{labels}: speaks of none of the recordings that were heard, such as "
            f"{next(iter(result.durations), 'none')}{why}"
        )
    for where, reason in found.problems[:_SHOWN]:
        _log.warning("%s: %s", where, reason)
    marked = found.events
    marked = marked[np.isin(marked.file, list(places)) & (marked.presence == POSITIVE)]
    unknown = tuple(sorted(set(marked.label.tolist()) - set(result.labels)))
    marked = marked[np.isin(marked.label, result.labels)]
    true = replace(marked, file=np.array([places[f] for f in marked.file.tolist()], np.str_))
    heard = sorted(set(places.values()))
    events = result.events[np.isin(result.events.file, heard)]
    hours = sum(result.durations[file] for file in heard) / 3600
    return TruthScores(
        score_overlaps(true, events, hours=hours), score_events(true, events, hours=hours),
        len(heard), hours, unknown,
    )  # fmt: skip


def _row(
    name: str, c: EventCounts, placed: EventCounts
) -> tuple[str, int, int, float, float, float, float]:
    return name, c.n_true, c.n_found, c.precision, c.recall, c.f1, placed.f1
