"""The formats that are CSV tables of many recordings: our own two, BirdNET-Analyzer, Kaleidoscope.

``csv`` has one row an event: ``file,start_time,end_time,label``, and ``score``, ``fmin_hz``,
``fmax_hz`` and ``presence`` where they are known. The column names of other tools and of published
sets are known, see :mod:`semisonic.data.tables`; other columns are passed over. Several labels in a
cell are joined by ';', as in a table of clips.

``csv-wide`` has one column per class, as OpenSoundscape has it: ``file,start_time,end_time`` and
then 1 where the class is present, 0 where it is not, and nothing or NaN where nobody knows. 1 and 0
become positive and negative events. Unknown becomes no event, as nobody listened; a row of which
nothing at all is known becomes one event without a label. An uncertain event is written as unknown.

``birdnet`` is ``Start (s),End (s),Scientific name,Common name,Confidence,File``, of all recordings
or, called ``NAME.BirdNET.results.csv``, of one. The common name is the label. ``File`` is missing
in tables of old versions, and further columns may follow it.

``kaleidoscope`` is ``cluster.csv``, ``id.csv``, and tables that others write for it. A recording is
``INDIR / FOLDER / IN FILE``; ``OFFSET`` and ``DURATION`` are seconds in it. What a person wrote in
``MANUAL ID`` counts; where it is empty, what the program found does (``AUTO ID``, ``TOP1MATCH``, or
the names that BirdNET-Analyzer writes). Kaleidoscope marks columns that can be edited with a star.
``TOP1DIST`` is a distance and no score, but where BirdNET-Analyzer wrote it. ``Fmin`` and ``Fmax``
are limits in Hz in ``cluster.csv``; in ``id.csv`` they are measures of bat pulses in kHz and are
not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np

from semisonic.core.errors import DataError
from semisonic.core.files import write_csv
from semisonic.data.clips import LABEL_SEPARATOR
from semisonic.data.events import NEGATIVE, POSITIVE, Events
from semisonic.data.formats.format import (
    BAND,
    PRESENCE,
    SCORE,
    SEMICOLON,
    TABS,
    Format,
    LabelFile,
    LabelRow,
    ParseRow,
    Writing,
    further_columns,
    label_row,
    numbers,
    table_reader,
)
from semisonic.data.tables import (
    END,
    FILE,
    LABEL,
    START,
    Head,
    TableFile,
    TableRow,
    exact,
    find_columns,
    looks_like_labels,
    minus,
    normalise,
    number,
    plus,
    read_table,
    written,
)

# One row an event.


def _long_parser(table: TableFile, label: str | None) -> ParseRow:
    columns = find_columns(table.path, table.columns)
    label = label or columns.label
    score = table.find("score", "confidence")
    low = table.find("fmin_hz", "low_freq_hz", "low_f", "freq_low_hz")
    high = table.find("fmax_hz", "high_freq_hz", "high_f", "freq_high_hz")

    def parse(where: str, row: TableRow) -> Iterator[LabelRow]:
        file = row.need(columns.file)
        values = [number(row[name], str(name)) for name in (score, low, high)]
        texts = [text.strip() for text in row[label].split(LABEL_SEPARATOR)]
        for text in [t for t in texts if t] or [""]:
            yield label_row(
                where,
                file,
                number(row[columns.start], "start"),
                number(row[columns.end], "end"),
                text,
                score=values[0],
                fmin_hz=values[1],
                fmax_hz=values[2],
                presence=row[columns.label_type],
            )

    return parse


def _write_long(events: Events, output: Path, _: Writing) -> list[Path]:
    columns = {
        "file": events.file.tolist(),
        "start_time": numbers(events.start_time),
        "end_time": numbers(events.end_time),
        "label": events.label.tolist(),
        **further_columns(events, score="score"),
        **further_columns(events, band=("fmin_hz", "fmax_hz"), presence="presence"),
    }
    write_csv(output, list(columns), zip(*columns.values(), strict=True))
    return [output]


LONG = Format(
    "csv",
    "a CSV table, one row an event",
    frozenset({SCORE, BAND, PRESENCE, TABS}),
    recognise=lambda head: looks_like_labels(tuple(head.columns)),
    read=table_reader(_long_parser),
    write=_write_long,
)


# One column per class.

_TIMES = ("file", "start_time", "end_time")
_NO_CLASSES = frozenset(
    {"unnamed_0", "index", "group", "fold", "target", "score", "presence", "label_type"}
    | {"annotator", "notes", "comment", "comments", "fmin_hz", "fmax_hz"}
)
_PRESENCE_OF = {
    **dict.fromkeys(("1", "1.0", "true"), POSITIVE),
    **dict.fromkeys(("0", "0.0", "false"), NEGATIVE),
}
_UNKNOWN = frozenset({"", "nan", "na", "none"})


def _is_wide(head: Head) -> bool:
    """Whether there are times and a file, no label, and the first rows hold 0, 1 or nothing."""
    if looks_like_labels(tuple(head.columns)) or not set(_TIMES) <= head.columns:
        return False
    if not head.columns - {"", *_TIMES} - _NO_CLASSES or len(head.lines) < 2:
        return False
    cells = [cell.strip().strip('"').lower() for cell in head.lines[1].split(head.separator)]
    return any(cell in _PRESENCE_OF or cell in _UNKNOWN for cell in cells)


def _read_wide(path: Path, label_column: str | None = None) -> LabelFile:
    """Read the table; ``label_column`` keeps one class of it."""
    table = read_table(path, unique=False, lenient=True)
    columns = find_columns(path, table.columns)
    others = {columns.file, columns.start, columns.end, *_NO_CLASSES}
    classes = {
        place: name
        for place, (name, column) in enumerate(zip(table.names, table.columns, strict=True))
        if name and column not in others and label_column in (None, name)
    }
    if not classes and len(table.rows):
        wanted = f"a column '{label_column}'" if label_column else "a column for each class"
        raise DataError(f"{path}, row 1: found {', '.join(table.names)}, expected {wanted}")

    def parse(where: str, row: TableRow) -> list[LabelRow]:
        start, end = number(row[columns.start], "start"), number(row[columns.end], "end")
        file = row.need(columns.file)
        rows = []
        for place, name in classes.items():
            text = row.at(place).strip().lower()
            if text in _UNKNOWN:
                continue
            if text not in _PRESENCE_OF:
                raise ValueError(f"found '{row.at(place)}' for '{name}', expected 1, 0 or nothing")
            rows.append(label_row(where, file, start, end, name, presence=_PRESENCE_OF[text]))
        return rows or [label_row(where, file, start, end, "")]

    result = LabelFile(path, problems=list(table.problems), classes=list(classes.values()))
    result.add(table.numbered, parse)
    return result


def _write_wide(events: Events, output: Path, _: Writing) -> list[Path]:
    """Write one row a segment, classes in alphabetical order."""
    classes = sorted(set(events.label.tolist()) - {""})
    column_of = {name: i for i, name in enumerate(classes)}
    rows: dict[tuple[str, float, float], list[str]] = {}
    columns = (events.file, events.start_time, events.end_time, events.label, events.presence)
    for file, start, end, label, presence in zip(*(c.tolist() for c in columns), strict=True):
        cells = rows.setdefault((file, start, end), [""] * len(classes))
        mark = {POSITIVE: "1", NEGATIVE: "0"}.get(presence, "")
        if label and mark:
            if cells[column_of[label]] not in ("", mark):
                raise DataError(
                    f"csv-wide: '{label}' is positive and negative in {file} from {start:g} "
                    f"to {end:g} s; a cell can hold one of them"
                )
            cells[column_of[label]] = mark
    lines = [[f, written(start), written(end), *cells] for (f, start, end), cells in rows.items()]
    write_csv(output, [*_TIMES, *classes], lines)
    return [output]


WIDE = Format(
    "csv-wide",
    "a CSV table, one column per class",
    frozenset(),
    recognise=_is_wide,
    read=_read_wide,
    write=_write_wide,
    # A label that is the name of a column with another meaning.
    refuses=lambda label: normalise(label) in {*_NO_CLASSES, *FILE, *START, *END, *LABEL},
)


# BirdNET-Analyzer.


def _birdnet_parser(table: TableFile, label: str | None) -> ParseRow:
    label = label or table.find("common_name", "scientific_name")

    def parse(where: str, row: TableRow) -> Iterator[LabelRow]:
        start, end = number(row["start_s"], "start"), number(row["end_s"], "end")
        if start is None or end is None:
            raise ValueError(f"found '{row['start_s']}' to '{row['end_s']}', expected seconds")
        score = number(row["confidence"], "confidence")
        yield label_row(where, row["file"], start, end, row[label], score=score)

    return parse


def _write_birdnet(events: Events, output: Path, writing: Writing) -> list[Path]:
    """Write one table of all recordings; a label is both its own names."""
    labels = events.label.tolist()
    columns = {
        "Start (s)": numbers(events.start_time),
        "End (s)": numbers(events.end_time),
        "Scientific name": labels,
        "Common name": labels,
        "Confidence": numbers(events.score),
        "File": [writing.path_of(file) for file in events.file.tolist()],
    }
    write_csv(output, list(columns), zip(*columns.values(), strict=True))
    return [output]


BIRDNET = Format(
    "birdnet",
    "BirdNET-Analyzer CSV",
    frozenset({SCORE, TABS, SEMICOLON}),
    recognise=lambda head: (
        {"start_s", "end_s", "confidence"} <= head.columns
        and bool({"scientific_name", "common_name"} & head.columns)
    ),
    read=table_reader(_birdnet_parser),
    write=_write_birdnet,
)


# Kaleidoscope.


def _kaleidoscope_parser(table: TableFile, label: str | None) -> ParseRow:
    by_program = table.find("auto_id", "top1match", "common_name", "scientific_name")
    score = table.find("confidence", "match_ratio")
    if score is None and {"scientific_name", "top1dist"} <= set(table.columns):
        score = "top1dist"
    has_band = "auto_id" not in table.columns

    def parse(where: str, row: TableRow) -> Iterator[LabelRow]:
        by_hand = row["manual_id"].strip() if label is None else row[label]
        start, duration = number(row["offset"], "offset"), number(row["duration"], "duration")
        folder, name = (row[c].replace("\\", "/").strip("/") for c in ("folder", "in_file"))
        if not (folder or name):
            raise ValueError("the column 'IN FILE' is empty")
        yield label_row(
            where,
            "/".join(filter(None, (folder, name))),
            start,
            None if duration is None else plus(start or Decimal(0), duration),
            by_hand or (row[by_program] if label is None else ""),
            # The score is that of the program's label.
            score=number(row[score], "score") if label or not by_hand else None,
            fmin_hz=number(row["fmin"], "Fmin") if has_band else None,
            fmax_hz=number(row["fmax"], "Fmax") if has_band else None,
        )

    return parse


def _write_kaleidoscope(events: Events, output: Path, writing: Writing) -> list[Path]:
    """Write one table; labels with a score go into TOP1MATCH, those of people into MANUAL ID."""
    n = len(events)
    paths = [file.rpartition("/") for file in events.file.tolist()]
    labels = list(zip(events.label.tolist(), np.isnan(events.score).tolist(), strict=True))
    times = [(exact(a), exact(b)) for a, b in zip(events.start_time, events.end_time, strict=True)]
    columns = {
        "INDIR": [writing.root.as_posix() if writing.root is not None else ""] * n,
        "FOLDER": [folder for folder, _, _ in paths],
        "IN FILE": [name for _, _, name in paths],
        "CHANNEL": ["0"] * n,
        "OFFSET": [written(start) for start, _ in times],
        "DURATION": [written(minus(end, start)) for start, end in times],
        **further_columns(events, band=("Fmin", "Fmax")),
        "TOP1MATCH": ["" if by_hand else label for label, by_hand in labels],
        "MANUAL ID": [label if by_hand else "" for label, by_hand in labels],
        **further_columns(events, score="confidence"),
    }
    write_csv(output, list(columns), zip(*columns.values(), strict=True))
    return [output]


KALEIDOSCOPE = Format(
    "kaleidoscope",
    "Kaleidoscope CSV",
    frozenset({SCORE, BAND, TABS, SEMICOLON}),
    recognise=lambda head: {"indir", "in_file", "offset"} <= head.columns,
    read=table_reader(_kaleidoscope_parser),
    write=_write_kaleidoscope,
)
