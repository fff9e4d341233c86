"""``detections.html``: events along time, and those with the highest scores to listen to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semisonic.audio.player import Player, clip_player
from semisonic.classifier.detection.results import (
    TRUTH_COLUMNS,
    UNNAMED,
    DetectResult,
    TruthScores,
)
from semisonic.classifier.options import EventOptions
from semisonic.core.files import write_text
from semisonic.core.text import count_text, duration_text
from semisonic.evaluation.event_thresholds import SHARES
from semisonic.evaluation.plots.recordings import (
    clock,
    event_threshold_plot,
    hour_counts,
    timeline,
)
from semisonic.evaluation.plots.style import CLASS_COLOURS
from semisonic.evaluation.report.document import Number, Report, Verdict

PAGE = "detections.html"
_MOST_TIMELINES, _MOST_PLAYERS, _MOST_ROWS = 12, 40, 200
_MOST_CLASSES, _CLASSES_IN_TABLE = 24, 6
_AROUND, _LONGEST = 1.0, 8.0  # seconds before and after an event, and in all, of a player


def write_page(
    folder: Path,
    result: DetectResult,
    model: Path,
    events: EventOptions,
    sample_rate: int,
) -> Path:
    """Write the page into a run folder; its size is limited."""
    n, recordings = len(result.events), count_text(len(result.recordings), "recording")
    report = Report(
        "detect.j2",
        "Sounds found",
        f"{recordings}, {duration_text(3600 * result.hours)} of audio",
        result=result,
        model=model,
        events=events,
        truth=result.truth,
        n_events=n,
        n_listed=min(n, _MOST_ROWS),
    )
    classes = result.by_class()
    report.verdict = Verdict(
        f"{count_text(n, 'event')} in {recordings}" if n else f"Nothing was found in {recordings}",
        "A model can mistake an unknown sound for one of its classes. Listen to some events of "
        "each class before you count them.",
    )
    report.numbers = [
        Number(str(n), "events", f"{n / result.hours:.1f} per hour" if result.hours else ""),
        Number(str(len(classes)), "classes found", f"of {len(result.thresholds)} searched for"),
        Number(duration_text(3600 * result.hours), "of audio", recordings),
    ]
    if result.failures:
        report.warnings.append(
            f"{count_text(len(result.failures), 'recording')} could not be read completely; "
            "bad_files.csv lists them."
        )
    if result.background:
        report.warnings.append(
            f"Not searched for, as background: {', '.join(result.background)}. To find them, give "
            "--classes."
        )
    if result.truth is not None:
        report.table(
            "truth",
            TRUTH_COLUMNS,
            result.truth.rows(),
            formats=dict.fromkeys(TRUTH_COLUMNS[4:], "{:.2f}".format),
        )
        _add_thresholds(report, result.truth)
    one, two = "{:.1f}".format, "{:.2f}".format
    labels = classes.label.tolist()
    report.frame(
        "classes",
        classes.assign(threshold=[result.thresholds[label] for label in labels]),
        formats={"seconds": one, "per_hour": one, "best_score": two, "threshold": two},
    )
    _add_hours(report, result, labels)
    _add_timelines(report, result, labels)
    report.players("events", _players(result, labels, sample_rate))
    shown = result.to_frame()[["file", "start_time", "end_time", "label", "score", "mean_score"]]
    report.frame(
        "events",
        shown.head(_MOST_ROWS).rename(columns={"start_time": "from", "end_time": "to"}),
        formats={"from": clock, "to": clock, "score": two, "mean_score": two},
    )
    write_text(folder / PAGE, report.html())
    return folder / PAGE


def _add_thresholds(report: Report, truth: TruthScores) -> None:
    """How well the events agree with the labels at other thresholds."""
    best = truth.by_threshold.best().sort_values("annotated", ascending=False, kind="stable")
    if best.empty:
        return
    labels = best.label.tolist()
    report.figure("thresholds", event_threshold_plot(truth.by_threshold.table, labels))
    two, one = "{:.2f}".format, "{:.1f}".format
    formats = {"threshold": two, **dict.fromkeys(SHARES[:3], two), SHARES[-1]: one}
    report.frame("best_thresholds", best, formats=formats)
    texts = [] if truth.chosen is None else truth.choice_texts(truth.chosen)
    report.values |= {
        "n_lines": min(len(labels), len(CLASS_COLOURS)),
        "n_classes": len(labels),
        "choice": [f"{text[0].upper()}{text[1:]}." for text in texts],
    }


def _add_hours(report: Report, result: DetectResult, labels: list[str]) -> None:
    """Number of events by hour of the day and site, if names or metadata give the time."""
    hours = result.by_hour(labels)
    if not hours or not labels:
        return
    shown, per_hour = labels[:_CLASSES_IN_TABLE], np.zeros((len(labels), 24))
    for _, hour, _, counts in hours:
        per_hour[:, hour] += counts
    report.figure("hours", hour_counts(labels[:_MOST_CLASSES], per_hour[:_MOST_CLASSES]))
    report.table(
        "hours",
        ["site", "hour", "minutes of audio", *shown],
        [
            (site, f"{hour:02d}:00", seconds / 60, *counts[: len(shown)])
            for site, hour, seconds, counts in hours[:_MOST_ROWS]
        ],
        formats={"minutes of audio": "{:.1f}".format},
    )
    report.values |= {
        "n_untimed": sum(time is None for time in result.recordings.recorded_at),
        "hours_cut": len(labels) > len(shown) or len(hours) > _MOST_ROWS,
    }


def _add_timelines(report: Report, result: DetectResult, labels: list[str]) -> None:
    """A timeline for each recording, or for each site and day if the time is known."""
    table = result.events
    is_timed = table.file.nunique() > 1 and bool(table.recorded_at.notna().all())
    if is_timed:
        days = [moment.date() for moment in table.recorded_at]
        start = [
            (moment - moment.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()
            for moment in table.recorded_at
        ]
        table = table.assign(start_time=start, end_time=start + table.end_time - table.start_time)
        keys = [table.site.replace("", UNNAMED), pd.Series(days, dtype=object)]
        groups = {f"{site}, {day}": part for (site, day), part in table.groupby(keys)}
    else:
        groups = {str(file): part for file, part in table.groupby("file", sort=False)}
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


def _players(result: DetectResult, labels: list[str], sample_rate: int) -> Iterator[Player]:
    """The event with the highest score of each class."""
    n_shown = 0
    ordered = result.events.sort_values("mean_score", ascending=False, kind="stable")
    for label in labels:
        for event in ordered[ordered.label == label].head(1).to_dict("records"):
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
