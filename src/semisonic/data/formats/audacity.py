r"""Audacity label tracks: ``start TAB end TAB label``, one file a recording.

A label with a band of frequencies has a second line, ``\ TAB low TAB high`` in Hz, -1 for a bound
that was not drawn. A point has equal times; the oldest files have points only, without an end.
BirdNET-Analyzer adds a fourth cell with its confidence, which Audacity passes over.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from semisonic.data.events import Events
from semisonic.data.formats.format import (
    BAND,
    SEMICOLON,
    Format,
    LabelFile,
    LabelRow,
    Writing,
    by_recording,
    label_row,
    track_paths,
)
from semisonic.data.tables import Head, lines_of, number, read_text, write_tabs, written

_CONTINUED = "\\"
_UNDRAWN = Decimal(-1)


def _recognise(head: Head) -> bool:
    """Whether the first line begins with a time and a tab."""
    if head.suffix != ".txt" or not head.lines or "\t" not in head.lines[0]:
        return False
    return _number_or_none(head.lines[0].split("\t")[0]) is not None


def _read(path: Path, label_column: str | None = None) -> LabelFile:
    """Read a label track; it has no columns to choose from."""
    del label_column
    track = LabelFile(path)
    joined: list[tuple[int, tuple[str, str]]] = []
    for i, line in lines_of(read_text(path)):
        if not line.startswith(_CONTINUED):
            joined.append((i, (line, "")))
        elif not joined:
            track.problems.append((f"{path}, row {i}", "frequencies without a label before them"))
        elif not joined[-1][1][1]:
            # Lines of this kind may follow in future versions; Audacity passes over them too.
            joined[-1] = (joined[-1][0], (joined[-1][1][0], line))
    track.add(joined, _parse)
    return track


def _write(events: Events, output: Path, _: Writing) -> list[Path]:
    """Write a track for each recording that has events, in a tree like that of the recordings."""
    paths = track_paths(events, output, AUDACITY.suffix)
    for file, its in by_recording(events):
        _write_track(its, paths[file])
    return list(paths.values())


def _write_track(events: Events, path: Path) -> None:
    lines: list[list[str]] = []
    for row in range(len(events)):
        times = (events.start_time[row], events.end_time[row])
        lines.append([*map(written, times), str(events.label[row])])
        band = [float(events.fmin_hz[row]), float(events.fmax_hz[row])]
        if not all(map(math.isnan, band)):
            lines.append([_CONTINUED, *(written(-1.0 if math.isnan(f) else f) for f in band)])
    write_tabs(path, lines)


def _parse(where: str, lines: tuple[str, str]) -> Iterator[LabelRow]:
    first, second = lines
    cells = first.split("\t")
    start = number(cells[0], "start")
    if start is None:
        raise ValueError(
            f"found '{first.strip()}', expected start, end and label with tabs between"
        )
    end = _number_or_none(cells[1]) if len(cells) > 1 else None
    texts = cells[1:] if end is None else cells[2:]
    score = _number_or_none(texts[-1]) if len(texts) > 1 else None
    if score is not None and 0 <= score <= 1:
        texts = texts[:-1]
    else:
        score = None
    label = " ".join(text.strip() for text in texts if text.strip())
    low, high = _band(second)
    yield label_row(
        where,
        "",
        start,
        start if end is None else end,
        label,
        score=score,
        fmin_hz=low,
        fmax_hz=high,
    )


def _band(line: str) -> tuple[Decimal | None, Decimal | None]:
    if not line:
        return None, None
    cells = line.split("\t")
    if len(cells) < 3:
        raise ValueError(f"found '{line.strip()}', expected a backslash and two frequencies")
    low, high = (number(cell, "frequency") for cell in cells[1:3])
    return (None if low == _UNDRAWN else low), (None if high == _UNDRAWN else high)


def _number_or_none(text: str) -> Decimal | None:
    try:
        return number(text, "number")
    except ValueError:
        return None


AUDACITY = Format(
    "audacity",
    "Audacity label tracks",
    frozenset({BAND, SEMICOLON}),
    _recognise,
    _read,
    _write,
    per_recording=True,
    suffix=".txt",
)
