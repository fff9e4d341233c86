"""CSV tables of events: one row an event, or one column per class as OpenSoundscape has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from semisonic.core.errors import DataError
from semisonic.core.files import write_csv
from semisonic.data.events import NEGATIVE, POSITIVE, Events
from semisonic.data.formats.format import (
    BAND,
    PRESENCE,
    SCORE,
    TABS,
    Format,
    LabelFile,
    LabelRow,
    Writing,
    label_columns,
    marked,
)
from semisonic.data.tables import (
    END,
    FILE,
    LABEL,
    START,
    Columns,
    Head,
    TableRow,
    find_columns,
    looks_like_labels,
    normalise,
    number,
    read_table,
    written,
)

# A CSV table with one row an event: ``file,start_time,end_time,label`` and what else is known.
#
# Further columns are ``score``, ``fmin_hz``, ``fmax_hz`` and ``presence``; ``annotator``, ``notes``
# and others are passed over. The names of other tools and of published sets are known, see
# ``readers/columns.py``. Several labels in a cell are joined by ';', as in a table of clips.


LABEL_SEPARATOR = ";"
_SCORES = ("score", "confidence")
_LOW = ("fmin_hz", "low_freq_hz", "low_f", "freq_low_hz")
_HIGH = ("fmax_hz", "high_freq_hz", "high_f", "freq_high_hz")


def recognise_long(head: Head) -> bool:
    """Whether there is a column for the file and one for the label."""
    return looks_like_labels(tuple(head.columns))


def read_long(path: Path, label_column: str | None = None) -> LabelFile:
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
    result.add(table.numbered, lambda where, row: _parse_long(where, row, columns, label, others))
    return result


def write_long(events: Events, output: Path, writing: Writing) -> list[Path]:
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


def _parse_long(
    where: str, row: TableRow, columns: Columns, label: str | None, others: tuple[str | None, ...]
) -> Iterator[LabelRow]:
    file = row[columns.file]
    if not file.strip():
        raise ValueError(f"the column '{columns.file}' is empty")
    score, low, high = (number(row[name], str(name)) for name in others)
    texts = [text.strip() for text in row[label].split(LABEL_SEPARATOR)]
    for text in [t for t in texts if t] or [""]:
        yield marked(
            where,
            file,
            number(row[columns.start], "start"),
            number(row[columns.end], "end"),
            text,
            score=score,
            fmin_hz=low,
            fmax_hz=high,
            presence=row[columns.label_type],
        )


LONG = Format(
    "csv",
    "a CSV table, one row an event",
    frozenset({SCORE, BAND, PRESENCE, TABS}),
    False,
    recognise_long,
    read_long,
    write_long,
)


# A CSV table with one column per class, as OpenSoundscape has it.
#
# ``file,start_time,end_time`` and then 1 where the class is heard, 0 where it is not, and
# nothing or
# NaN where nobody knows. 1 and 0 become positive and negative events. Unknown becomes no event, as
# nobody listened; a row of which nothing at all is known becomes one event without a name. An
# uncertain event is written as unknown.


_TIMES = ("file", "start_time", "end_time")
_KNOWN = frozenset(
    {
        "unnamed_0",
        "index",
        "group",
        "fold",
        "target",
        "score",
        "presence",
        "label_type",
        "annotator",
        "notes",
        "comment",
        "comments",
        "fmin_hz",
        "fmax_hz",
    }
)
_HEARD = {
    "1": POSITIVE,
    "1.0": POSITIVE,
    "true": POSITIVE,
    "0": NEGATIVE,
    "0.0": NEGATIVE,
    "false": NEGATIVE,
}
_UNKNOWN = frozenset({"", "nan", "na", "none"})


def recognise_wide(head: Head) -> bool:
    """Whether there are times and a file, no label, and the first rows hold 0, 1 or nothing."""
    if looks_like_labels(tuple(head.columns)) or not set(_TIMES) <= head.columns:
        return False
    if not head.columns - {"", *_TIMES} - _KNOWN or len(head.lines) < 2:
        return False
    cells = [cell.strip().strip('"').lower() for cell in head.lines[1].split(head.separator)]
    return any(cell in _HEARD or cell in _UNKNOWN for cell in cells)


def read_wide(path: Path, label_column: str | None = None) -> LabelFile:
    """Read the table; ``label_column`` keeps one class of it.

    Raises
    ------
    DataError
        When it has no column for the file or none for a class.
    """
    table = read_table(path, unique=False, lenient=True)
    columns = find_columns(path, table.columns)
    taken = {columns.file, columns.start, columns.end, *_KNOWN}
    classes = {
        place: name
        for place, (name, column) in enumerate(zip(table.names, table.columns, strict=True))
        if name and column not in taken and label_column in (None, name)
    }
    if not classes and len(table.rows):
        wanted = f"a column '{label_column}'" if label_column else "a column for each class"
        raise DataError(f"{path}, row 1: found {', '.join(table.names)}, expected {wanted}")
    result = LabelFile(path, problems=list(table.problems), classes=list(classes.values()))
    result.add(table.numbered, lambda where, row: list(_parse_wide(where, row, columns, classes)))
    return result


def write_wide(events: Events, output: Path, writing: Writing) -> list[Path]:
    """Write the table: one row a stretch of a recording, classes in alphabetical order."""
    del writing
    classes = sorted(set(events.label.tolist()) - {""})
    column_of = {name: i for i, name in enumerate(classes)}
    rows: dict[tuple[str, float, float], list[str]] = {}
    stretches = zip(
        events.file.tolist(), events.start_time.tolist(), events.end_time.tolist(), strict=True
    )
    for i, key in enumerate(stretches):
        cells = rows.setdefault(key, [""] * len(classes))
        label, presence = str(events.label[i]), str(events.presence[i])
        said = {POSITIVE: "1", NEGATIVE: "0"}.get(presence, "")
        if label and said:
            at = column_of[label]
            if cells[at] and cells[at] != said:
                raise DataError(
                    f"csv-wide: '{label}' is positive and negative in {key[0]} from {key[1]:g} "
                    f"to {key[2]:g} s; a cell can hold one of them"
                )
            cells[at] = said
    lines = [[f, written(start), written(end), *cells] for (f, start, end), cells in rows.items()]
    write_csv(output, [*_TIMES, *classes], lines)
    return [output]


def _parse_wide(
    where: str, row: TableRow, columns: Columns, classes: dict[int, str]
) -> Iterator[LabelRow]:
    start, end = number(row[columns.start], "start"), number(row[columns.end], "end")
    file = row[columns.file]
    if not file.strip():
        raise ValueError(f"the column '{columns.file}' is empty")
    known = False
    for place, name in classes.items():
        text = row.at(place).strip().lower()
        if text in _UNKNOWN:
            continue
        if text not in _HEARD:
            raise ValueError(f"found '{row.at(place)}' for '{name}', expected 1, 0 or nothing")
        known = True
        yield marked(where, file, start, end, name, presence=_HEARD[text])
    if not known:
        yield marked(where, file, start, end, "")


def refuses(label: str) -> bool:
    """Whether a label cannot be the name of a column, as a column of that name means another."""
    return normalise(label) in {*_KNOWN, *FILE, *START, *END, *LABEL}


WIDE = Format(
    "csv-wide",
    "a CSV table, one column per class",
    frozenset(),
    False,
    recognise_wide,
    read_wide,
    write_wide,
    refuses,
)
