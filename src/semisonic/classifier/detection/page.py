"""``detections.html``: what was found when, and the most certain events to listen to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semisonic.classifier.detection.recordings import UNNAMED, by_hour
from semisonic.classifier.detection.results import TRUTH_COLUMNS, DetectResult
from semisonic.classifier.use_options import DetectOptions
from semisonic.core.files import write_text
from semisonic.core.text import count_text, duration_text
from semisonic.evaluation.plots.recordings import clock, hour_counts, timeline
from semisonic.evaluation.report.document import Number, Player, Report, Verdict, clip_player

PAGE = "detections.html"
_MOST_TIMELINES, _MOST_PLAYERS, _MOST_ROWS = 12, 40, 200
_MOST_CLASSES, _CLASSES_IN_TABLE = 24, 6
_AROUND, _LONGEST = 1.0, 8.0  # seconds before and after an event, and in all, of a player


def write_page(
    folder: Path, result: DetectResult, options: DetectOptions, sample_rate: int
) -> Path:
    """Write the page into a run folder; its size is bounded whatever was found."""
    n, recordings = len(result.events), count_text(len(result.recordings), "recording")
    report = Report(
        "detect.j2",
        "Sounds found",
        f"{recordings}, {duration_text(3600 * result.hours)} of audio",
        result=result,
        options=options,
        truth=result.truth,
        n_events=n,
        n_listed=min(n, _MOST_ROWS),
    )
    rows = result.by_class()
    report.verdict = Verdict(
        f"{count_text(n, 'event')} in {recordings}" if n else f"Nothing was found in {recordings}",
        "A model finds what it has learned; a sound that it does not know can pass for one that "
        "it does. Listen to some events of each class before you count them.",
    )
    report.numbers = [
        Number(str(n), "events", f"{n / result.hours:.1f} per hour" if result.hours else ""),
        Number(str(len(rows)), "classes found", f"of {len(result.thresholds)} looked for"),
        Number(duration_text(3600 * result.hours), "of audio", recordings),
    ]
    if result.failures:
        report.warnings.append(
            f"{len(result.failures)} recordings could not be read, or not to their end; "
            "bad_files.csv lists them."
        )
    if result.truth is not None:
        report.table(
            "truth",
            TRUTH_COLUMNS,
            result.truth.rows(),
            formats=dict.fromkeys(TRUTH_COLUMNS[3:], "{:.2f}".format),
        )
    one, two = "{:.1f}".format, "{:.2f}".format
    report.table(
        "classes",
        ["class", "events", "seconds in all", "events per hour", "best score", "threshold"],
        [(*row, result.thresholds[row[0]]) for row in rows],
        formats={
            "seconds in all": one,
            "events per hour": one,
            "best score": two,
            "threshold": two,
        },
    )
    labels, frame = [row[0] for row in rows], result.to_frame()
    _add_hours(report, result, frame, labels)
    _add_timelines(report, result, frame, labels)
    report.players("events", _players(result, frame, labels, options.players, sample_rate))
    shown = frame.head(_MOST_ROWS)
    report.table(
        "events",
        ["recording", "from", "to", "label", "score", "mean score"],
        zip(
            shown.file,
            shown.start_time.map(clock),
            shown.end_time.map(clock),
            *(shown[name].tolist() for name in ("label", "score", "mean_score")),
            strict=True,
        ),
        formats={"score": two, "mean score": two},
    )
    write_text(folder / PAGE, report.html())
    return folder / PAGE


def _add_hours(
    report: Report, result: DetectResult, frame: pd.DataFrame, labels: list[str]
) -> None:
    """How many events by hour of the day and site, where names or metadata tell the time."""
    hours = by_hour(frame, result.recordings)
    if not hours or not labels:
        return
    most, shown = labels[:_MOST_CLASSES], labels[:_CLASSES_IN_TABLE]
    per_hour = np.zeros((len(most), 24))
    for _, hour, _, counts in hours:
        per_hour[:, hour] += [counts[label] for label in most]
    report.figure("hours", hour_counts(most, per_hour))
    report.table(
        "hours",
        ["site", "hour", "minutes of audio", *shown],
        [
            (site, f"{hour:02d}:00", seconds / 60, *(counts[label] for label in shown))
            for site, hour, seconds, counts in hours[:_MOST_ROWS]
        ],
        formats={"minutes of audio": "{:.1f}".format},
    )
    report.values |= {
        "n_untimed": sum(time is None for time in result.recordings.recorded_at),
        "hours_cut": len(labels) > len(shown) or len(hours) > _MOST_ROWS,
    }


def _add_timelines(
    report: Report, result: DetectResult, frame: pd.DataFrame, labels: list[str]
) -> None:
    """A timeline for each recording; for each site and day where the recorders told the time."""
    is_timed = frame.file.nunique() > 1 and all(moment is not None for moment in frame.recorded_at)
    if is_timed:
        midnight = [
            moment.replace(hour=0, minute=0, second=0, microsecond=0)
            for moment in frame.recorded_at
        ]
        shift = [
            (moment - day).total_seconds()
            for moment, day in zip(frame.recorded_at, midnight, strict=True)
        ] - frame.start_time
        frame = frame.assign(start_time=frame.start_time + shift, end_time=frame.end_time + shift)
        keys = [
            frame.site.replace("", UNNAMED),
            pd.Series([day.date() for day in midnight], dtype=object),
        ]
        groups = {f"{site}, {day}": part for (site, day), part in frame.groupby(keys)}
    else:
        groups = {str(file): part for file, part in frame.groupby("file", sort=False)}
    most = sorted(groups, key=lambda name: -len(groups[name]))[:_MOST_TIMELINES]
    shown: list[dict[str, Any]] = []
    for name in sorted(most) if is_timed else [name for name in groups if name in most]:
        part = groups[name]
        duration = 24 * 3600.0 if is_timed else result.durations[name]
        found = [label for label in labels if (part.label == label).any()]
        report.figure(f"timeline-{len(shown) + 1}", timeline(part, found, duration))
        site, _, day = name.rpartition(", ")
        shown.append(
            {
                "name": name,
                "where": f"at {site} on {day}" if is_timed else f"in {name}",
                "duration": duration,
                "n_events": len(part),
                "n_files": part.file.nunique(),
            }
        )
    report.values |= {"timelines": shown, "by_day": is_timed, "n_timelines": len(groups)}


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _players(
    result: DetectResult, frame: pd.DataFrame, labels: list[str], n_each: int, sample_rate: int
) -> Iterator[Player]:
    """The most certain events of each class."""
    n_shown = 0
    ordered = frame.sort_values("mean_score", ascending=False, kind="stable")
    for label in labels:
        for event in ordered[ordered.label == label].head(n_each).pipe(_records):
            if n_shown == _MOST_PLAYERS:
                return
            file, start, end = event["file"], event["start_time"], event["end_time"]
            player = clip_player(
                file,
                max(0.0, start - _AROUND),
                min(end + _AROUND, result.durations[file]),
                label,
                f"score {event['score']:.2f}",
                f"{file}, {clock(start)} to {clock(end)}",
                sample_rate=sample_rate,
                longest=_LONGEST,
            )
            if player is not None:
                n_shown += 1
                yield player
