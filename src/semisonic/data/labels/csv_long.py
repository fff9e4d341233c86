"""A CSV table with one row an event: ``file,start_time,end_time,label`` and what else is known.

Further columns are ``score``, ``fmin_hz``, ``fmax_hz`` and ``presence``; ``annotator``, ``notes``
and others are passed over. The names of other tools and of published sets are known, see
``readers/columns.py``. Several labels in a cell are joined by ';', as in a table of clips.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from semisonic.base.files import write_csv
from semisonic.data.events import POSITIVE, Events
from semisonic.data.labels.form import BAND, PRESENCE, SCORE, TABS, Format, Writing, label_columns
from semisonic.data.labels.numbers import number, written
from semisonic.data.labels.rows import LabelFile, Marked, marked
from semisonic.data.labels.text import Head
from semisonic.data.readers.columns import Columns, find_columns, looks_like_labels
from semisonic.data.readers.table_file import Row, read_table

LABEL_SEPARATOR = ";"
_SCORES = ("score", "confidence")
_LOW = ("fmin_hz", "low_freq_hz", "low_f", "freq_low_hz")
_HIGH = ("fmax_hz", "high_freq_hz", "high_f", "freq_high_hz")


def recognise(head: Head) -> bool:
    """Whether there is a column for the file and one for the label."""
    return looks_like_labels(tuple(head.columns))


def read(path: Path, label_column: str | None = None) -> LabelFile:
    """Read the table.

    Raises
    ------
    DataError
        When it has no column for the file, or not the label column asked for.
    """
    table = read_table(path, lenient=True)
    columns = find_columns(path, table.columns)
    label = label_columns(label_column, table.names, path) or columns.label
    others = (table.find(*_SCORES), table.find(*_LOW), table.find(*_HIGH))
    result = LabelFile(path, problems=list(table.problems))
    result.add(table.numbered, lambda where, row: _parse(where, row, columns, label, others))
    return result


def write(events: Events, output: Path, writing: Writing) -> list[Path]:
    """Write the table; columns of which no event says anything are left out."""
    del writing
    columns: dict[str, list[str]] = {
        "file": events.file.tolist(),
        "start_time": [written(float(t)) for t in events.start_time],
        "end_time": [written(float(t)) for t in events.end_time],
        "label": events.label.tolist(),
    }
    for name in ("score", "fmin_hz", "fmax_hz"):
        values = getattr(events, name)
        if not np.isnan(values).all():
            columns[name] = [written(float(value)) for value in values]
    if (events.presence != POSITIVE).any():
        columns["presence"] = events.presence.tolist()
    write_csv(output, list(columns), zip(*columns.values(), strict=True))
    return [output]


def _parse(
    where: str, row: Row, columns: Columns, label: str | None, others: tuple[str | None, ...]
) -> Iterator[Marked]:
    file = row[columns.file]
    if not file.strip():
        raise ValueError(f"the column '{columns.file}' is empty")
    score, low, high = (number(row[name], str(name)) for name in others)
    texts = [text.strip() for text in row[label].split(LABEL_SEPARATOR)]
    for text in [t for t in texts if t] or [""]:
        yield marked(
            where, file, number(row[columns.start], "start"), number(row[columns.end], "end"), text,
            score=score, fmin_hz=low, fmax_hz=high, presence=row[columns.label_type],
        )  # fmt: skip


FORMAT = Format(
    "csv", "a CSV table, one row an event", frozenset({SCORE, BAND, PRESENCE, TABS}), False,
    recognise, read, write,
)  # fmt: skip
