"""The CSV tables of BirdNET-Analyzer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from semisonic.core.files import write_csv
from semisonic.data.events import Events
from semisonic.data.formats.format import (
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
from semisonic.data.tables import Head, TableRow, number, read_table, written

_HEADER = ("Start (s)", "End (s)", "Scientific name", "Common name", "Confidence", "File")


def recognise(head: Head) -> bool:
    """Whether the columns are those of BirdNET-Analyzer."""
    return {"start_s", "end_s", "confidence"} <= head.columns and bool(
        {"scientific_name", "common_name"} & head.columns
    )


def read(path: Path, label_column: str | None = None) -> LabelFile:
    """Read the table.

    Raises
    ------
    DataError
        When the text cannot be read, or has not the label column asked for.
    """
    table = read_table(path, lenient=True)
    names = table.find("common_name", "scientific_name")
    label = label_columns(label_column, table.names, path) or names
    result = LabelFile(path, problems=list(table.problems))
    result.add(table.numbered, lambda where, row: _parse(where, row, label))
    return result


def write(events: Events, output: Path, writing: Writing) -> list[Path]:
    """Write one table of all recordings; a label is both its own names."""
    rows = (
        [
            written(float(start)),
            written(float(end)),
            label,
            label,
            written(float(score)),
            writing.path_of(file),
        ]
        for file, start, end, label, score in zip(
            events.file.tolist(),
            events.start_time,
            events.end_time,
            events.label.tolist(),
            events.score,
            strict=True,
        )
    )
    write_csv(output, _HEADER, rows)
    return [output]


def _parse(where: str, row: TableRow, label: str | None) -> Iterator[LabelRow]:
    start, end = number(row["start_s"], "start"), number(row["end_s"], "end")
    if start is None or end is None:
        raise ValueError(f"found '{row['start_s']}' to '{row['end_s']}', expected seconds")
    score = number(row["confidence"], "confidence")
    yield marked(where, row["file"], start, end, row[label], score=score)


FORMAT = Format(
    "birdnet",
    "BirdNET-Analyzer CSV",
    frozenset({SCORE, TABS, SEMICOLON}),
    False,
    recognise,
    read,
    write,
)
