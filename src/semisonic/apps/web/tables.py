"""What was heard as tables for other programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from semisonic.apps.web.analysis import Analysis
from semisonic.base.errors import DataError
from semisonic.base.files import csv_line
from semisonic.data.events import Events
from semisonic.data.labels import write_labels

TABLES = ("csv", "raven", "audacity", "scores")
_SUFFIXES = {"csv": ".csv", "raven": ".Table.1.selections.txt", "audacity": ".txt"}
_FOLDERS = ("raven", "audacity")


def event_table(events: Events, kind: str, folder: Path) -> tuple[str, str]:
    """The suffix and the text of a label file of one recording's events.

    Raises
    ------
    DataError
        When there are no events, or the format cannot hold one.
    """
    if not len(events):
        raise DataError("no event was found; a lower threshold may find some")
    output = folder / "made" if kind in _FOLDERS else folder / f"made{_SUFFIXES[kind]}"
    files = write_labels(events.sorted(), output, kind)
    return _SUFFIXES[kind], files[0].read_text(encoding="utf-8", errors="surrogateescape")


def score_table(analysis: Analysis, classes: tuple[str, ...]) -> Iterator[str]:
    """Lines of a CSV of scores along time: start, end and a column per class."""
    yield csv_line(["start_time", "end_time", *classes])
    frame, number = analysis.frame, 0
    for part in analysis.parts():
        lines = []
        for row in part.tolist():
            times = (number * frame, (number + 1) * frame)
            lines.append(csv_line([f"{t:.3f}" for t in times] + [f"{score:.4f}" for score in row]))
            number += 1
        yield "".join(lines)
