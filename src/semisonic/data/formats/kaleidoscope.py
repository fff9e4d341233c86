"""The CSV tables of Kaleidoscope: cluster.csv, id.csv, and those that others write for it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np

from semisonic.core.files import write_csv
from semisonic.data.events import Events
from semisonic.data.formats.format import (
    BAND,
    SCORE,
    SEMICOLON,
    TABS,
    Format,
    LabelFile,
    LabelRow,
    Writing,
    label_columns,
    marked,
)
from semisonic.data.tables import (
    Head,
    TableFile,
    TableRow,
    exact,
    minus,
    number,
    plus,
    read_table,
    written,
)

_FOUND = ("auto_id", "top1match", "common_name", "scientific_name")
_MANUAL = "manual_id"


def recognise(head: Head) -> bool:
    """Whether the columns are those of Kaleidoscope."""
    return {"indir", "in_file", "offset"} <= head.columns


def read(path: Path, label_column: str | None = None) -> LabelFile:
    """Read the table.

    Raises
    ------
    DataError
        When the text cannot be read, or has not the label column asked for.
    """
    table = read_table(path, lenient=True)
    label = label_columns(label_column, table.names, path)
    found = table.find(*_FOUND)
    score = _score_column(table)
    has_band = "auto_id" not in table.columns
    result = LabelFile(path, problems=list(table.problems))

    def parse(where: str, row: TableRow) -> Iterator[LabelRow]:
        by_hand = row[_MANUAL].strip() if label is None else row[label]
        start, duration = number(row["offset"], "offset"), number(row["duration"], "duration")
        end = None if duration is None else plus(start or Decimal(0), duration)
        yield marked(
            where,
            _file(row),
            start,
            end,
            by_hand or (row[found] if label is None else ""),
            # The score is that of the program's label.
            score=number(row[score], "score") if label or not by_hand else None,
            fmin_hz=number(row["fmin"], "Fmin") if has_band else None,
            fmax_hz=number(row["fmax"], "Fmax") if has_band else None,
        )

    result.add(table.numbered, parse)
    return result


def write(events: Events, output: Path, writing: Writing) -> list[Path]:
    """Write one table; labels with a score go into TOP1MATCH, those of people into MANUAL ID."""
    indir = writing.root.as_posix() if writing.root is not None else ""
    has_band = not (np.isnan(events.fmin_hz) & np.isnan(events.fmax_hz)).all()
    has_score = not np.isnan(events.score).all()
    names = ["INDIR", "FOLDER", "IN FILE", "CHANNEL", "OFFSET", "DURATION"]
    names += ["Fmin", "Fmax"] * has_band + ["TOP1MATCH", "MANUAL ID"] + ["confidence"] * has_score
    rows = []
    for i, file in enumerate(events.file.tolist()):
        folder, _, name = file.rpartition("/")
        start, end = exact(events.start_time[i]), exact(events.end_time[i])
        label, score = str(events.label[i]), float(events.score[i])
        row = [indir, folder, name, "0", written(start), written(minus(end, start))]
        if has_band:
            row += [written(float(events.fmin_hz[i])), written(float(events.fmax_hz[i]))]
        row += ["", label] if np.isnan(score) else [label, ""]
        rows.append(row + [written(score)] * has_score)
    write_csv(output, names, rows)
    return [output]


def _score_column(table: TableFile) -> str | None:
    if "confidence" in table.columns:
        return "confidence"
    if "match_ratio" in table.columns:
        return "match_ratio"
    return "top1dist" if {"scientific_name", "top1dist"} <= set(table.columns) else None


def _file(row: TableRow) -> str:
    parts = (row[name].strip().replace("\\", "/").rstrip("/") for name in ("folder", "in_file"))
    inside = "/".join(part.lstrip("/") for part in parts if part)
    if not inside:
        raise ValueError("the column 'IN FILE' is empty")
    return inside


FORMAT = Format(
    "kaleidoscope",
    "Kaleidoscope CSV",
    frozenset({SCORE, BAND, TABS, SEMICOLON}),
    False,
    recognise,
    read,
    write,
)
