"""``detections.html``: what was found when, and the most certain events to listen to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from semisonic.audio.read import read
from semisonic.classifier.detection.recordings import by_day, by_hour, hour_table
from semisonic.classifier.detection.results import DetectResult, TruthScores
from semisonic.classifier.use_options import DetectOptions
from semisonic.core.errors import AudioError
from semisonic.core.files import write_text
from semisonic.core.text import count_text, duration_text
from semisonic.evaluation.plots.recordings import clock, hour_counts, timeline
from semisonic.evaluation.report.blocks import Player
from semisonic.evaluation.report.page import Number, Page

PAGE = "detections.html"
_MOST_TIMELINES, _MOST_PLAYERS, _MOST_ROWS, _OPEN_ROWS = 12, 40, 200, 20
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
    n = len(result.durations)
    recordings = count_text(n, "recording")
    page = Page("Sounds found", f"{recordings}, {duration_text(3600 * result.hours)} of audio")
    _top(page, result, recordings)
    _truth(page, truth)
    _classes(page, result)
    _hours(page, result)
    _timelines(page, result)
    players = list(_players(result, options, sample_rate))
    if players:
        page.section("Listen")
        page.text("The surest events of each class, with a second before and after.")
        page.players(players)
    _table(page, result)
    _method(page, result, options)
    write_text(folder / PAGE, page.html())
    return folder / PAGE


def _top(page: Page, result: DetectResult, recordings: str) -> None:
    n = len(result.events)
    events = "1 event" if n == 1 else f"{n} events"
    page.verdict(
        f"{events} in {recordings}" if n else f"Nothing was found in {recordings}",
        "A model finds what it has learned; a sound that it does not know can pass for one that "
        "it does. Listen to some events of each class before you count them.",
    )
    rows = result.by_class()
    numbers = [
        Number(str(n), "events", f"{n / result.hours:.1f} per hour" if result.hours else ""),
        Number(str(len(rows)), "classes found", f"of {len(result.labels)} looked for"),
        Number(duration_text(3600 * result.hours), "of audio", recordings),
    ]
    page.numbers(numbers)
    if result.failures:
        page.warning(
            f"{len(result.failures)} recordings could not be read, or not to their end; "
            "bad_files.csv lists them."
        )


def _truth(page: Page, truth: TruthScores | None) -> None:
    """How much of what people marked was found."""
    if truth is None:
        return
    page.section("Held against labels")
    page.text(truth.summary().partition(": ")[2] + ".")
    if truth.unknown:
        page.warning(f"Marked, and not looked for: {', '.join(truth.unknown)}.")
    two = "{:.2f}".format
    page.table(
        ["class", "marked", "found", "precision", "recall", "F1", "F1, placed"],
        truth.rows(),
        name="truth",
        note="An event is found when what was found overlaps it, each counted once. Placed: it "
        "begins within 0.2 s and ends within 0.2 s or half of its length. Recordings that nobody "
        "marked are left out.",
        formats=dict.fromkeys(("precision", "recall", "F1", "F1, placed"), two),
    )


def _classes(page: Page, result: DetectResult) -> None:
    rows = result.by_class()
    if not rows:
        return
    needed = dict(zip(result.labels, result.thresholds.tolist(), strict=True))
    page.section("Classes")
    page.table(
        ["class", "events", "seconds in all", "events per hour", "best score", "threshold"],
        [(*row, needed[row[0]]) for row in rows],
        name="classes",
        formats={
            "seconds in all": "{:.1f}".format,
            "events per hour": "{:.1f}".format,
            "best score": "{:.2f}".format,
            "threshold": "{:.2f}".format,
        },
    )


def _timelines(page: Page, result: DetectResult) -> None:
    events = result.events
    files, counts = np.unique(events.file, return_counts=True)
    if not len(files):
        return
    if len(files) > 1 and all(result.origins[str(file)].recorded_at for file in files):
        _days(page, result)
        return
    most = files[np.argsort(-counts, kind="stable")[:_MOST_TIMELINES]].tolist()
    shown = [file for file in result.durations if file in most]
    page.section("Timelines")
    if len(files) > len(shown):
        page.text(f"The {len(shown)} recordings with the most events, of {len(files)} with any.")
    labels = [row[0] for row in result.by_class()]
    for number, file in enumerate(shown, start=1):
        mine = events[events.file == file]
        heard = [label for label in labels if label in set(mine.label.tolist())]
        page.figure(
            timeline(mine, heard, result.durations[file]),
            f"{file}: {count_text(len(mine), 'event')} in {duration_text(result.durations[file])}. "
            "The surer, the darker.",
            name=f"timeline-{number}",
            alt=f"When sounds were heard in {file}",
        )


def _days(page: Page, result: DetectResult) -> None:
    """A timeline for each site and day, by the recorders' clocks."""
    days = by_day(result.events, result.origins)
    most = sorted(days, key=lambda day: -len(days[day]))[:_MOST_TIMELINES]
    page.section("Timelines")
    if len(days) > len(most):
        page.text(f"The {len(most)} days with the most events, of {len(days)} with any.")
    labels = [row[0] for row in result.by_class()]
    for number, (site, day) in enumerate(sorted(most), start=1):
        mine = days[site, day]
        heard = [label for label in labels if label in set(mine.label.tolist())]
        n = len(set(mine.file.tolist()))
        page.figure(
            timeline(mine, heard, 24 * 3600.0),
            f"{site}, {day}: {count_text(len(mine), 'event')} in {count_text(n, 'recording')}, by the "
            "recorder's clock. The surer, the darker; hours without a recording are empty, too.",
            name=f"timeline-{number}",
            alt=f"When sounds were heard at {site} on {day}",
        )


def _hours(page: Page, result: DetectResult) -> None:
    """How many events by hour of the day and site, where names or metadata tell the time."""
    hours = by_hour(result.events, result.durations, result.origins)
    labels = [row[0] for row in result.by_class()]
    if not hours or not labels:
        return
    page.section("Hours of the day")
    page.figure(
        hour_counts(labels[:_MOST_CLASSES], hour_table(hours, labels[:_MOST_CLASSES])),
        "Events by the hour in which they begin, all sites and days together, by the recorders' "
        "clocks.",
        name="hours",
        alt="Events of each class by hour of the day",
    )
    untimed = sum(one.recorded_at is None for one in result.origins.values())
    if untimed:
        page.text(
            f"{untimed} of {len(result.origins)} recordings have no time in name or metadata and "
            "are left out here."
        )
    shown = labels[:_CLASSES_IN_TABLE]
    page.table(
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
        name="hours",
        note="hours.csv has all of them."
        if len(labels) > len(shown) or len(hours) > _MOST_ROWS
        else "",
        formats={"minutes of audio": "{:.1f}".format},
        folded=len(hours) > _OPEN_ROWS,
    )


def _players(result: DetectResult, options: DetectOptions, sample_rate: int) -> Iterator[Player]:
    events, n_shown = result.events, 0
    for label, *_ in result.by_class():
        rows = np.flatnonzero(events.label == label)
        for row in rows[np.argsort(-result.mean_scores[rows], kind="stable")][: options.players]:
            if n_shown == _MOST_PLAYERS:
                return
            file = str(events.file[row])
            start, end = float(events.start_time[row]), float(events.end_time[row])
            first = max(0.0, start - _AROUND)
            last = min(end + _AROUND, first + _LONGEST, result.durations[file])
            try:
                samples, rate = read(file, sample_rate=sample_rate, start_time=first, end_time=last)
            except AudioError:
                continue
            n_shown += 1
            yield Player(
                samples,
                rate,
                label,
                f"score {events.score[row]:.2f}",
                f"{file}, {clock(start)} to {clock(end)}",
            )


def _table(page: Page, result: DetectResult) -> None:
    events = result.events
    n = min(len(events), _MOST_ROWS)
    if not n:
        return
    page.section("Events")
    page.table(
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
            for i in range(n)
        ],
        name="events",
        caption=f"{n} of {len(events)} events" if n < len(events) else f"{n} events",
        note="events.csv has all of them." if n < len(events) else "",
        formats={"score": "{:.2f}".format, "mean score": "{:.2f}".format},
        folded=n > _OPEN_ROWS,
    )


def _method(page: Page, result: DetectResult, options: DetectOptions) -> None:
    page.section("How they were found")
    events = options.events
    times = (
        "The network's answers along time, weighed by its answer to the whole window, are averaged "
        "over overlapping windows."
        if result.with_frames
        else "The network's answers to whole windows are averaged where windows overlap. Times "
        "are therefore no sharper than the windows."
    )
    page.notes(
        [
            times,
            "An event is a stretch in which the score reaches the threshold somewhere and stays "
            "above half of it. Events of a class that are close together are one. Its ends are "
            "where the score is a share of its largest.",
        ]
    )
    page.facts(
        {
            "model": str(options.model),
            "threshold": events.threshold,
            "step between windows": f"{events.hop:g} s" if events.hop else "chosen by the model",
            "largest gap within an event": f"{events.merge_gap:g} s",
            "shortest event": f"{events.min_duration:g} s",
            "time": duration_text(result.seconds),
        }
    )
