"""``detections.html``: what was found when, and the most certain events to listen to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from semisonic.classifier.detection.recordings import by_day, by_hour, hour_table
from semisonic.classifier.detection.results import DetectResult, TruthScores
from semisonic.classifier.use_options import DetectOptions
from semisonic.core.files import write_text
from semisonic.core.text import count_text, duration_text
from semisonic.data.events import Events
from semisonic.evaluation.plots.recordings import clock, hour_counts, timeline
from semisonic.evaluation.report.document import Number, Player, Report, Verdict, clip_player

PAGE = "detections.html"
_MOST_TIMELINES, _MOST_PLAYERS, _MOST_ROWS = 12, 40, 200
_MOST_CLASSES, _CLASSES_IN_TABLE = 24, 6
_AROUND, _LONGEST = 1.0, 8.0  # seconds heard before and after an event, and in all


def write_page(
    folder: Path,
    result: DetectResult,
    options: DetectOptions,
    sample_rate: int,
    truth: TruthScores | None = None,
) -> Path:
    """Write the page into a run folder; its size is bounded whatever was found."""
    n, recordings = len(result.events), count_text(len(result.durations), "recording")
    report = Report(
        "detect.j2",
        "Sounds found",
        f"{recordings}, {duration_text(3600 * result.hours)} of audio",
        result=result,
        options=options,
        truth=truth,
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
        Number(str(len(rows)), "classes found", f"of {len(result.labels)} looked for"),
        Number(duration_text(3600 * result.hours), "of audio", recordings),
    ]
    if result.failures:
        report.warnings.append(
            f"{len(result.failures)} recordings could not be read, or not to their end; "
            "bad_files.csv lists them."
        )
    if truth is not None:
        report.table(
            "truth",
            ["class", "marked", "found", "precision", "recall", "F1", "F1, placed"],
            truth.rows(),
            formats=dict.fromkeys(("precision", "recall", "F1", "F1, placed"), "{:.2f}".format),
        )
    needed = dict(zip(result.labels, result.thresholds.tolist(), strict=True))
    report.table(
        "classes",
        ["class", "events", "seconds in all", "events per hour", "best score", "threshold"],
        [(*row, needed[row[0]]) for row in rows],
        formats={
            **dict.fromkeys(("seconds in all", "events per hour"), "{:.1f}".format),
            **dict.fromkeys(("best score", "threshold"), "{:.2f}".format),
        },
    )
    labels = [row[0] for row in rows]
    _add_hours(report, result, labels)
    _add_timelines(report, result, labels)
    report.players("events", _players(result, options, sample_rate))
    _add_events(report, result)
    write_text(folder / PAGE, report.html())
    return folder / PAGE


def _add_hours(report: Report, result: DetectResult, labels: list[str]) -> None:
    """How many events by hour of the day and site, where names or metadata tell the time."""
    hours = by_hour(result.events, result.durations, result.origins)
    if not hours or not labels:
        return
    most = labels[:_MOST_CLASSES]
    report.figure("hours", hour_counts(most, hour_table(hours, most)))
    shown = labels[:_CLASSES_IN_TABLE]
    report.table(
        "hours",
        ["site", "hour", "minutes of audio", *shown],
        [
            (
                one.site,
                f"{one.hour:02d}:00",
                one.seconds / 60,
                *(one.counts.get(label, 0) for label in shown),
            )
            for one in hours[:_MOST_ROWS]
        ],
        formats={"minutes of audio": "{:.1f}".format},
    )
    report.values |= {
        "n_untimed": sum(one.recorded_at is None for one in result.origins.values()),
        "hours_cut": len(labels) > len(shown) or len(hours) > _MOST_ROWS,
    }


def _add_timelines(report: Report, result: DetectResult, labels: list[str]) -> None:
    """A timeline for each recording; for each site and day where the recorders told the time."""
    events = result.events
    files, counts = np.unique(events.file, return_counts=True)
    is_timed = len(files) > 1 and all(result.origins[str(file)].recorded_at for file in files)
    shown: list[dict[str, Any]] = []

    def add(mine: Events, duration: float, name: str, where: str) -> None:
        found = [label for label in labels if label in set(mine.label.tolist())]
        report.figure(f"timeline-{len(shown) + 1}", timeline(mine, found, duration))
        n_files = len(set(mine.file.tolist()))
        shown.append(
            {
                "name": name,
                "where": where,
                "duration": duration,
                "n_events": len(mine),
                "n_files": n_files,
            }
        )

    days = by_day(events, result.origins) if is_timed else {}
    if is_timed:
        most_days = sorted(days, key=lambda day: -len(days[day]))[:_MOST_TIMELINES]
        for site, day in sorted(most_days):
            add(days[site, day], 24 * 3600.0, f"{site}, {day}", f"at {site} on {day}")
    else:
        most = files[np.argsort(-counts, kind="stable")[:_MOST_TIMELINES]].tolist()
        for file in result.durations:
            if file in most:
                add(events[events.file == file], result.durations[file], file, f"in {file}")
    report.values |= {
        "timelines": shown,
        "by_day": is_timed,
        "n_timelines": len(days) if is_timed else len(files),
    }


def _players(result: DetectResult, options: DetectOptions, sample_rate: int) -> Iterator[Player]:
    """The surest events of each class."""
    events, n_shown = result.events, 0
    for label, *_ in result.by_class():
        rows = np.flatnonzero(events.label == label)
        for row in rows[np.argsort(-result.mean_scores[rows], kind="stable")][: options.players]:
            if n_shown == _MOST_PLAYERS:
                return
            file = str(events.file[row])
            start, end = float(events.start_time[row]), float(events.end_time[row])
            first = max(0.0, start - _AROUND)
            player = clip_player(
                file,
                first,
                min(end + _AROUND, result.durations[file]),
                label,
                f"score {events.score[row]:.2f}",
                f"{file}, {clock(start)} to {clock(end)}",
                sample_rate=sample_rate,
                longest=_LONGEST,
            )
            if player is not None:
                n_shown += 1
                yield player


def _add_events(report: Report, result: DetectResult) -> None:
    events = result.events
    report.table(
        "events",
        ["recording", "from", "to", "label", "score", "mean score"],
        [
            (
                str(events.file[i]),
                clock(float(events.start_time[i])),
                clock(float(events.end_time[i])),
                str(events.label[i]),
                float(events.score[i]),
                float(result.mean_scores[i]),
            )
            for i in range(min(len(events), _MOST_ROWS))
        ],
        formats={"score": "{:.2f}".format, "mean score": "{:.2f}".format},
    )
