"""The result of ``detect``, and its comparison with annotated events.

Times are those of the recorder's clock, from file names and metadata, and are not converted to
another time zone. Metadata take precedence over names, as in ``semisonic scan``.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from semisonic.audio.remote import path_text, url_of
from semisonic.audio.wave_texts import wave_texts
from semisonic.classifier.prepare import Failures
from semisonic.core.errors import DataError
from semisonic.core.html import Result
from semisonic.core.text import count_text, duration_text, first_few, text_table
from semisonic.data.events import POSITIVE, Events, make_events, with_files
from semisonic.data.formats.label_files import collect_labels
from semisonic.data.recording_names import RecorderInfo, read_names, read_texts, site_of
from semisonic.evaluation.event_thresholds import (
    ALL,
    COUNTS,
    LEAST_EVENTS,
    SHARES,
    ThresholdChoice,
    ThresholdCounts,
    count_by_threshold,
)
from semisonic.evaluation.events import EventScores, score_events, score_overlaps

_log = logging.getLogger(__name__)
_SHOWN_FAILURES, _SHOWN_PROBLEMS = 10, 3
UNNAMED = "unnamed site"
COLUMNS = ["file", "start_time", "end_time", "label", "score", "mean_score", "recorded_at", "site"]
_SHOWN_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_SHOWN_CLASSES = 20
_HEADERS = ["label", "threshold", *COUNTS, "precision", "recall", "F1", "false per hour"]
TRUTH_COLUMNS = ("label", *COUNTS, "precision", "recall", "f1", "f1_placed")


def recording_table(
    durations: Mapping[str, float], given: Iterable[str | os.PathLike[str]] = ()
) -> pd.DataFrame:
    """When and where recordings were made, from names and metadata.

    Parameters
    ----------
    durations : mapping of str to float
        Seconds of each recording.
    given : iterable of path
        The folders that were searched for them. A folder below can name a site, as in a scan; so
        can several folders that were given.

    Returns
    -------
    DataFrame
        By ``file``: ``duration``, ``recorded_at`` (a datetime, with a zone only if it is known, or
        None) and ``site`` (empty if it is not known).
    """
    searched = sorted(map(_levels, given), key=len, reverse=True)
    parts = [_levels(file) for file in durations]
    places = [
        next((one for one in searched if one == of[: len(one)] != of), of[:-1]) for of in parts
    ]
    # Folders above all of them name no site.
    levels = zip(*places, strict=False)
    n_shared = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))
    names = ["/".join(one[n_shared:]) for one in parts]
    rows = []
    for file, name, named in zip(durations, names, read_names(names), strict=True):
        own = RecorderInfo()
        with suppress(OSError):
            own = read_texts(wave_texts(file))
        site = site_of(name, named) or own.device
        rows.append((durations[file], own.recorded_at or named.recorded_at, site))
    index = pd.Index(list(durations), dtype=object, name="file")
    table = pd.DataFrame(rows, index, ["duration", "recorded_at", "site"], dtype=object)
    return table.astype({"duration": np.float64})


def _levels(place: str | os.PathLike[str]) -> list[str]:
    """The folders of a path or URL, and its name."""
    return (url_of(place) or os.path.abspath(place).replace(os.sep, "/")).rstrip("/").split("/")


def placed_events(rows: Sequence[Mapping[str, Any]], recordings: pd.DataFrame) -> Events:
    """Rows of :meth:`semisonic.classifier.events.EventRules.rows`, with time and site.

    Parameters
    ----------
    rows : sequence of mapping
    recordings : DataFrame
        Of :func:`recording_table`.
    """
    events = make_events(rows).assign(mean_score=np.array([row["mean_score"] for row in rows]))
    origins = recordings.loc[events.file]
    moments = [
        None if began is None else began + timedelta(seconds=start)
        for began, start in zip(origins.recorded_at, events.start_time.tolist(), strict=True)
    ]
    return events.assign(recorded_at=pd.Series(moments, dtype=object), site=origins.site.to_numpy())


@dataclass(frozen=True)
class TruthScores:
    """The agreement of detected events with label files.

    Attributes
    ----------
    noticed : EventScores
        Events match if they overlap in time.
    placed : EventScores
        Events match if they begin within 0.2 s and end within 0.2 s or half of the true length.
    n_recordings : int
        Recordings that were annotated; others are left out.
    unknown : tuple of str
        Labels of annotated events that were not searched for; they are left out.
    by_threshold : ThresholdCounts
        What is noticed at other thresholds.
    chosen : ThresholdChoice or None
        Chosen thresholds, if asked for.
    """

    noticed: EventScores
    placed: EventScores
    n_recordings: int
    unknown: tuple[str, ...]
    by_threshold: ThresholdCounts
    chosen: ThresholdChoice | None = None

    def choose(self, max_false_alarms: float | None = None) -> TruthScores:
        """The same with a chosen threshold for each class; see :class:`ThresholdCounts`."""
        return replace(self, chosen=self.by_threshold.choose(max_false_alarms))

    def rows(self) -> list[tuple[str | int | float, ...]]:
        """A row per class, with :data:`TRUTH_COLUMNS`."""
        return [
            (name, c.n_true, c.n_found, c.n_matched, c.precision, c.recall, c.f1, placed.f1)
            for (name, c), placed in zip(
                self.noticed.by_class.items(), self.placed.by_class.values(), strict=True
            )
        ]

    def summary(self) -> str:
        """A line for the terminal."""
        c = self.noticed.overall
        if not c.n_true:
            return (
                "compared with the labels: they have no event, "
                f"{count_text(c.n_found, 'event')} found"
            )
        text = (
            f"compared with the labels ({count_text(c.n_true, 'event')}, "
            f"{count_text(self.n_recordings, 'recording')}): precision {c.precision:.2f}, recall "
            f"{c.recall:.2f}, F1 {c.f1:.2f}; placed within 0.2 s: F1 {self.placed.overall.f1:.2f}; "
            f"{c.false_alarms_per_hour:.1f} false alarms per hour"
        )
        if c.n_matched:
            begin, end = (float(np.median(np.abs(e))) for e in (c.onset_errors, c.offset_errors))
            text += f"; median error of onsets {begin:.2f} s, of ends {end:.2f} s"
        return text

    def summary_by_threshold(self) -> str:
        """Tables and sentences for the terminal: other thresholds, and those that were chosen."""
        table, best = self.by_threshold.table, self.by_threshold.best()
        overall = table[(table.label == ALL) & np.isin(table.threshold, _SHOWN_THRESHOLDS)]
        shown = best.sort_values("annotated", ascending=False, kind="stable")[:_SHOWN_CLASSES]
        texts = []
        if self.unknown:
            names = first_few(self.unknown, _SHOWN_CLASSES)
            texts.append(f"annotated, but not searched for: {names}")
        if len(overall):
            texts.append(text_table(_HEADERS, _cells(overall), ruled=True))
        if len(shown):
            texts += [
                "the threshold of each class with the highest F1 in these recordings:",
                text_table(_HEADERS, _cells(shown), ruled=True),
            ]
        if len(best) > len(shown):
            texts.append(f"and {len(best) - len(shown)} more classes: see by_threshold.csv")
        if self.chosen is not None:
            texts += self.choice_texts(self.chosen)
        return "\n".join(texts)

    def choice_texts(self, chosen: ThresholdChoice) -> list[str]:
        """Sentences about the chosen thresholds, and what they are worth."""
        if chosen.common is None:
            return [
                f"no thresholds chosen, as the labels have fewer than {LEAST_EVENTS} events, or "
                "all of them close together; those of this run are kept"
            ]
        c = chosen.held_out
        texts = [
            f"chosen thresholds, each tested on parts of the recordings that it was not chosen on "
            f"({count_text(c.n_true, 'event')}): precision {c.precision:.2f}, recall "
            f"{c.recall:.2f}, F1 {c.f1:.2f}; {c.false_alarms_per_hour:.1f} false alarms per hour"
        ]
        if c.f1 < self.noticed.overall.f1:
            texts.append(
                "they are worse than those of this run: more annotated events would make the "
                "choice better"
            )
        if chosen.too_few:
            texts.append(
                f"{chosen.common:g} is the threshold of classes with fewer than {LEAST_EVENTS} "
                "events, or all of them close together: "
                f"{first_few(chosen.too_few, _SHOWN_CLASSES)}"
            )
        if chosen.missed:
            texts.append(
                "more false alarms per hour than wanted at every threshold: "
                f"{first_few(chosen.missed, _SHOWN_CLASSES)}"
            )
        return texts


def _cells(table: pd.DataFrame) -> list[list[str]]:
    """Rows of ``_HEADERS``, for the terminal."""
    digits = {"threshold": 2, **dict.fromkeys(COUNTS, 0), **dict.fromkeys(SHARES[:3], 2)}
    columns = [table.label.tolist()]
    for name, n in [*digits.items(), (SHARES[-1], 1)]:
        columns.append(["" if np.isnan(x) else f"{x:.{n}f}" for x in table[name].tolist()])
    return [list(row) for row in zip(*columns, strict=True)]


@dataclass(frozen=True)
class DetectResult(Result):
    """The result of ``detect``.

    Attributes
    ----------
    events : DataFrame
        By recording and time; see :mod:`semisonic.data.events`. ``score`` is the largest score of
        an event; further columns are ``mean_score``, ``recorded_at``, ``site``, and ``clip``, the
        file of its sound (empty if that failed), if asked for.
    recordings : DataFrame
        By ``file``: ``duration`` in seconds that could be read, and ``recorded_at`` and ``site``,
        if known.
    thresholds : mapping of str to float
        The classes that were searched for, and the score that an event had to reach.
    with_frames : bool
        Whether times come from frames or from windows.
    failures : tuple of (str, str)
        Recordings that could not be read completely, and why.
    seconds, scored_seconds : float
        Time taken, and seconds of audio scored in this run; the rest was scored earlier.
    files : tuple of Path
        The files that were written.
    truth : TruthScores or None
        The comparison with label files, if some were given.
    candidates : Events or None
        Events of lower scores too, if there is a comparison.
    background : tuple of str
        Classes of the model that were not searched for, as they are called like background.
    """

    events: Events
    recordings: pd.DataFrame
    thresholds: Mapping[str, float]
    with_frames: bool
    failures: Failures = ()
    seconds: float = 0.0
    scored_seconds: float = 0.0
    files: tuple[Path, ...] = ()
    truth: TruthScores | None = None
    candidates: Events | None = None
    background: tuple[str, ...] = ()

    @property
    def durations(self) -> dict[str, float]:
        """Seconds of each recording."""
        return {str(file): float(value) for file, value in self.recordings.duration.items()}

    @property
    def hours(self) -> float:
        """Total hours of audio."""
        return float(self.recordings.duration.sum()) / 3600

    def by_class(self) -> pd.DataFrame:
        """A row per class: number of events, their seconds, events per hour, highest score.

        The most frequent first; a class without events is left out.
        """
        frame = self.events.assign(seconds=self.events.end_time - self.events.start_time)
        found = frame.groupby("label").agg(
            events=("file", "size"), seconds=("seconds", "sum"), best_score=("score", "max")
        )
        found = found.reindex([label for label in self.thresholds if label in found.index])
        found.insert(2, "per_hour", found.events / self.hours)
        return found.sort_values("events", ascending=False, kind="stable").reset_index()

    def by_hour(self, labels: Sequence[str]) -> list[tuple[str, int, float, list[int]]]:
        """Audio and events by site and hour of the day, over all days.

        Returns
        -------
        list of (str, int, float, list of int)
            Site, hour, seconds of audio, and the number of events of each class that began then;
            empty if no time is known.
        """
        seconds: Counter[tuple[str, int]] = Counter()
        for duration, began, site in self.recordings.itertuples(index=False):
            at = 0.0
            while began is not None and at < duration:
                moment = began + timedelta(seconds=at)
                to_next = 3600 - (moment.minute * 60 + moment.second + moment.microsecond / 1e6)
                part = min(to_next, duration - at)
                seconds[site or UNNAMED, moment.hour] += part
                at += part
        timed = self.events[self.events.recorded_at.notna()]
        hours = (moment.hour for moment in timed.recorded_at)
        counts = Counter(zip(timed.site.replace("", UNNAMED), hours, timed.label, strict=True))
        return [
            (*key, float(seconds[key]), [counts[*key, label] for label in labels])
            for key in sorted(seconds)
        ]

    def to_frame(self) -> pd.DataFrame:
        """A row per event: recording, times, class, largest and mean score, date and site."""
        return self.events[[*COLUMNS, *self.events.columns.intersection(["clip"])]]

    def _html_parts(self) -> Iterable[Markup]:
        from semisonic.audio.player import N_EXAMPLES, part_players
        from semisonic.core.html import FIGURE_DPI, facts, frame_table, note, picture, problems
        from semisonic.data.show import parts_of_frame
        from semisonic.evaluation.plots.recordings import timeline
        from semisonic.evaluation.report.document import figure_png

        events, classes = self.events, self.by_class()
        audio = duration_text(3600 * self.hours)
        recordings = count_text(len(self.recordings), "recording")
        yield facts(
            {"events": len(events), "sound": f"{recordings}, {audio}"}
            | ({} if self.truth is None else {"truth": self.truth.summary()})
        )
        if len(events):
            yield frame_table(classes, most=_SHOWN_CLASSES)
            file = events.file.value_counts().index[0]  # the recording with most events
            names = classes.label.tolist()[:_SHOWN_CLASSES]
            figure = timeline(events[events.file == file], names, self.durations[str(file)])
            yield note(f"events in {file}")
            yield picture(figure_png(figure, FIGURE_DPI), f"Events along time in {file}")
            columns = ["file", "start_time", "end_time", "label", "score"]
            yield frame_table(events[columns])
            best = events.sort_values("score", ascending=False, kind="stable")
            yield part_players(parts_of_frame(best.drop_duplicates("label").head(N_EXAMPLES)))
        yield problems(self.failures)

    def summary(self) -> str:
        """For a terminal."""
        n, n_files = len(self.events), len(self.recordings)
        recordings = count_text(n_files, "recording")
        lines = [
            f"{count_text(n, 'event')} in {recordings}, {duration_text(3600 * self.hours)} of audio"
        ]
        if self.scored_seconds and self.seconds:
            speed = self.scored_seconds / self.seconds
            lines[0] += f" ({speed:.0f} times faster than it plays)"
        classes = self.by_class()
        if len(classes):
            cells = [
                [label, n, f"{total:.1f}", f"{rate:.1f}", f"{best:.2f}"]
                for label, n, total, rate, best in classes.itertuples(index=False)
            ]
            headers = ["label", "events", "seconds", "per hour", "best score"]
            lines.append(text_table(headers, cells, ruled=True))
        # By the clocks alone, so that times with a zone and without can be ordered.
        times = [
            (began.replace(tzinfo=None), timedelta(seconds=duration))
            for duration, began, _ in self.recordings.itertuples(index=False)
            if began is not None
        ]
        if times:
            first, last = min(t for t, _ in times), max(t + length for t, length in times)
            end = f"{last:%H:%M}" if last.date() == first.date() else f"{last:%Y-%m-%d %H:%M}"
            n_sites = len(set(self.recordings.site) - {""})
            lines.append(
                f"recorded: {first:%Y-%m-%d %H:%M} to {end}"
                + (f" at {count_text(n_sites, 'site')}" if n_sites else "")
                + ", by the recorders' clocks"
            )
        quiet = [label for label in self.thresholds if label not in set(classes.label)]
        if quiet:
            lines.append(f"no events of: {', '.join(quiet)}")
        if self.background:
            lines.append(
                f"not searched for, as background: {', '.join(self.background)} (to find them, "
                "give --classes)"
            )
        if self.truth is not None:
            lines += [self.truth.summary(), self.truth.summary_by_threshold()]
        if self.failures:
            lines.append(
                f"{count_text(len(self.failures), 'recording')} could not be read completely:"
            )
            lines += [f"  {name}: {reason}" for name, reason in self.failures[:_SHOWN_FAILURES]]
        if len(self.failures) > _SHOWN_FAILURES:
            lines.append(f"  and {len(self.failures) - _SHOWN_FAILURES} more: see bad_files.csv")
        return "\n".join([*lines, *(f"written: {path_text(file)}" for file in self.files)])


def compare_with_labels(result: DetectResult, labels: Path) -> TruthScores:
    """Compare detected events with label files of the same recordings.

    Parameters
    ----------
    result : DetectResult
    labels : Path
        A label file or a folder of label files, in any known format.

    Raises
    ------
    DataError
        If no label file belongs to any of the recordings.
    """
    own = {os.path.abspath(file): file for file in result.durations}
    root = Path(os.path.commonpath([os.path.dirname(file) for file in own])) if own else Path()
    collected = collect_labels(labels, root=root)
    named = {file: os.path.abspath(root / file) for file in collected.recordings}
    places = {file: own[path] for file, path in named.items() if path in own}
    if not places:
        why = f"; {collected.problems[0][1]}" if collected.problems else ""
        raise DataError(
            f"{labels}: found no labels for any of the recordings, expected labels for files "
            f"such as {next(iter(own.values()), 'none')}{why}"
        )
    for note in collected.notes:
        _log.info("%s: %s", labels, note)
    for where, reason in collected.problems[:_SHOWN_PROBLEMS]:
        _log.warning("%s: %s", where, reason)
    marked = collected.events
    marked = marked[np.isin(marked.file, list(places)) & (marked.presence == POSITIVE)]
    unknown = tuple(sorted(set(marked.label.tolist()) - set(result.thresholds)))
    marked = marked[np.isin(marked.label, list(result.thresholds))]
    true = with_files(marked, (places[file] for file in marked.file))
    files = sorted(set(places.values()))
    events = result.events[np.isin(result.events.file, files)]
    durations = {file: result.durations[file] for file in files}
    hours = sum(durations.values()) / 3600
    wide = result.events if result.candidates is None else result.candidates
    return TruthScores(
        score_overlaps(true, events, hours=hours),
        score_events(true, events, hours=hours),
        len(files),
        unknown,
        count_by_threshold(true, wide[np.isin(wide.file, files)], durations),
    )
