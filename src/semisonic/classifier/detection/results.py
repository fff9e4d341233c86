"""The result of ``detect``, and how it compares with marked events."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.remote import path_text
from semisonic.classifier.detection.recordings import RecordingOrigin
from semisonic.classifier.prepare import Failures
from semisonic.core.errors import DataError
from semisonic.core.text import Result, count_text, duration_text, text_table
from semisonic.data.events import POSITIVE, Events
from semisonic.data.formats.read import collect_labels
from semisonic.evaluation.events import EventCounts, EventScores, score_events, score_overlaps

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("label", "true", "found", "precision", "recall", "f1", "f1_placed")


@dataclass(frozen=True)
class TruthScores:
    """How well detected events agree with those of label files.

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
            f"compared with the labels ({count_text(c.n_true, 'event')}, "
            f"{count_text(self.n_recordings, 'recording')}): precision "
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


_SHOWN_EVENTS = 10


def _naive(time: datetime) -> datetime:
    """The clock's time, so that times with a zone and without can be ordered."""
    return time.replace(tzinfo=None)


@dataclass(frozen=True)
class DetectResult(Result):
    """The result of ``detect``.

    Attributes
    ----------
    events : Events
        By recording, in the order of time. ``score`` is an event's largest score.
    mean_scores : ndarray of float64, shape (n_events,)
        Mean score of each event, 0 to 1.
    durations : mapping of str to float
        Seconds of each recording, as far as it could be read.
    labels : tuple of str
        The classes that were looked for.
    thresholds : ndarray of float64, shape (n_labels,)
        What an event's score had to reach.
    with_frames : bool
        Whether times come from frames, or from windows.
    failures : tuple of (str, str)
        Recordings that could not be read, or not to their end, and why.
    seconds, heard : float
        Time taken, and seconds of audio scored in it; the rest was scored in an earlier run.
    files : tuple of Path
        What was written.
    truth : TruthScores or None
        The comparison with label files, if some were given.
    origins : mapping of str to RecordingOrigin
        When and where each recording was made, as far as names and metadata say.
    clips : tuple of str
        Names of the files that events were cut into, one an event, empty where that failed;
        none where nothing was to be cut.
    """

    events: Events
    mean_scores: NDArray[np.float64]
    durations: Mapping[str, float]
    labels: tuple[str, ...]
    thresholds: NDArray[np.float64]
    with_frames: bool
    failures: Failures = ()
    seconds: float = 0.0
    heard: float = 0.0
    files: tuple[Path, ...] = field(default=())
    truth: TruthScores | None = None
    origins: Mapping[str, RecordingOrigin] = field(default_factory=dict)
    clips: tuple[str, ...] = ()

    @property
    def hours(self) -> float:
        """Hours of audio in all."""
        return sum(self.durations.values()) / 3600

    def by_class(self) -> list[tuple[str, int, float, float, float]]:
        """A row per class: label, events, their seconds, events per hour, the best score.

        The most frequent first; a class without events is left out.
        """
        rows = []
        for label in self.labels:
            mine = self.events[self.events.label == label]
            if len(mine):
                total = float((mine.end_time - mine.start_time).sum())
                rate = len(mine) / self.hours
                rows.append((label, len(mine), total, rate, float(mine.score.max())))
        return sorted(rows, key=lambda row: -row[1])

    def to_frame(self) -> pd.DataFrame:
        """A row an event: recording, times, class, largest and mean score."""
        return self.events.to_frame().assign(mean_score=self.mean_scores)

    def summary(self) -> str:
        """For a terminal."""
        n, n_files = len(self.events), len(self.durations)
        recordings = count_text(n_files, "recording")
        lines = [
            f"{count_text(n, 'event')} in {recordings}, {duration_text(3600 * self.hours)} of audio"
        ]
        if self.heard and self.seconds:
            lines[0] += f" ({self.heard / self.seconds:.0f} times faster than it plays)"
        rows = self.by_class()
        if rows:
            cells = [
                [label, count, f"{total:.1f}", f"{rate:.1f}", f"{best:.2f}"]
                for label, count, total, rate, best in rows
            ]
            headers = ["label", "events", "seconds", "per hour", "best score"]
            lines.append(text_table(headers, cells, ruled=True))
        times = [one.recorded_at for one in self.origins.values() if one.recorded_at]
        if times:
            sites = {one.site for one in self.origins.values() if one.site}
            first, last = (min(times, key=_naive), max(times, key=_naive))
            lines.append(
                f"recorded: {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"
                + (f" at {len(sites)} {'site' if len(sites) == 1 else 'sites'}" if sites else "")
                + ", by the recorders' clocks"
            )
        quiet = [label for label in self.labels if label not in {row[0] for row in rows}]
        if quiet:
            lines.append(f"nothing found of: {', '.join(quiet)}")
        if self.truth is not None:
            lines.append(self.truth.summary())
        if self.failures:
            lines.append(f"{len(self.failures)} could not be read, or not to their end:")
            lines += [f"  {name}: {reason}" for name, reason in self.failures[:_SHOWN_EVENTS]]
        if len(self.failures) > _SHOWN_EVENTS:
            lines.append(f"  and {len(self.failures) - _SHOWN_EVENTS} more: see bad_files.csv")
        lines += [f"written: {path_text(file)}" for file in self.files]
        return "\n".join(lines)


_log = logging.getLogger(__name__)
_SHOWN = 3


def compare_with_labels(result: DetectResult, labels: Path) -> TruthScores:
    """Compare detected events with label files of the same recordings.

    Parameters
    ----------
    result : DetectResult
    labels : Path
        A label file or a folder of them, in any format that is known.

    Raises
    ------
    DataError
        When no label file belongs to any of the recordings.
    """
    own = {os.path.abspath(file): file for file in result.durations}
    root = Path(os.path.commonpath([os.path.dirname(file) for file in own])) if own else Path()
    collected = collect_labels(labels, root=root)
    named = {file: os.path.abspath(root / file) for file in collected.recordings}
    places = {file: own[path] for file, path in named.items() if path in own}
    if not places:
        why = f"; {collected.problems[0][1]}" if collected.problems else ""
        raise DataError(
            f"{labels}: has labels of none of the recordings, such as "
            f"{next(iter(result.durations), 'none')}{why}"
        )
    for where, reason in collected.problems[:_SHOWN]:
        _log.warning("%s: %s", where, reason)
    marked = collected.events
    marked = marked[np.isin(marked.file, list(places)) & (marked.presence == POSITIVE)]
    unknown = tuple(sorted(set(marked.label.tolist()) - set(result.labels)))
    marked = marked[np.isin(marked.label, result.labels)]
    true = replace(marked, file=np.array([places[f] for f in marked.file.tolist()], np.str_))
    files = sorted(set(places.values()))
    events = result.events[np.isin(result.events.file, files)]
    hours = sum(result.durations[file] for file in files) / 3600
    return TruthScores(
        score_overlaps(true, events, hours=hours),
        score_events(true, events, hours=hours),
        len(files),
        hours,
        unknown,
    )
