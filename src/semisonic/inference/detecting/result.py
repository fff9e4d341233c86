"""What ``detect`` found, and how it is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from semisonic.audio.remote import shown
from semisonic.base.result import Result
from semisonic.base.wording import counted, duration
from semisonic.data.events import Events
from semisonic.inference.detecting.origins import Origin
from semisonic.inference.detecting.truth_scores import TruthScores
from semisonic.inference.prepare import Failures
from semisonic.inference.tables import plain_table

_SHOWN = 10


if TYPE_CHECKING:
    import pandas as pd


def _naive(time: datetime) -> datetime:
    """The clock's time, so that times with a zone and without can be ordered."""
    return time.replace(tzinfo=None)


@dataclass(frozen=True)
class DetectResult(Result):
    """The answer of ``detect``.

    Attributes
    ----------
    events : Events
        By recording, in the order of time. ``score`` is an event's largest score.
    mean_scores : ndarray of float64, shape (n_events,)
        Mean score of each event, 0 to 1.
    durations : mapping of str to float
        Seconds of each recording that was heard; as far as it could be read.
    labels : tuple of str
        The classes that were looked for.
    thresholds : ndarray of float64, shape (n_labels,)
        What an event's score had to reach.
    with_frames : bool
        Whether times come from frames, or from windows.
    failures : tuple of (str, str)
        Recordings that could not be read, or not to their end, and why.
    seconds, heard : float
        Time taken, and seconds of audio heard in it; the rest was heard in an earlier run.
    files : tuple of Path
        What was written.
    truth : TruthScores or None
        Where the run was given label files to be held against.
    origins : mapping of str to Origin
        When and where each recording was made, as far as names and metadata tell.
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
    origins: Mapping[str, Origin] = field(default_factory=dict)
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
        recordings = counted(n_files, "recording")
        lines = [f"{counted(n, 'event')} in {recordings}, {duration(3600 * self.hours)} of audio"]
        if self.heard and self.seconds:
            lines[0] += f" ({self.heard / self.seconds:.0f} times faster than it plays)"
        rows = self.by_class()
        if rows:
            cells = [
                [label, count, f"{total:.1f}", f"{rate:.1f}", f"{best:.2f}"]
                for label, count, total, rate, best in rows
            ]
            headers = ["label", "events", "seconds", "per hour", "best score"]
            lines.append(plain_table(headers, cells))
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
            lines += [f"  {name}: {reason}" for name, reason in self.failures[:_SHOWN]]
        if len(self.failures) > _SHOWN:
            lines.append(f"  and {len(self.failures) - _SHOWN} more: see bad_files.csv")
        lines += [f"written: {shown(file)}" for file in self.files]
        return "\n".join(lines)
