"""Raven selection tables, one per recording or one over many.

Separated by tabs, with Raven's own column names. Where a table runs over several recordings,
``Begin Time (s)`` counts from the start of the first one, and ``File Offset (s)`` says where in its
own recording (``Begin Path`` or ``Begin File``) a selection begins; that is what is read.

Raven writes a selection once for each view and channel; it is read once, from the spectrogram.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np

from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import write_text
from semisonic.core.text import count_text
from semisonic.data.events import Events
from semisonic.data.formats.format import (
    BAND,
    PRESENCE,
    SCORE,
    SEMICOLON,
    Format,
    LabelFile,
    LabelRow,
    Writing,
    by_recording,
    further_columns,
    label_column_of,
    label_row,
    numbers,
    track_paths,
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
    write_tabs,
    written,
)

BEGIN, END = "begin_time_s", "end_time_s"
LABEL_NAMES = (
    "annotation",
    "annotations",
    "label",
    "labels",
    "species",
    "common_name",
    "species_code",
    "class",
    "call_type",
    "sound_type",
    "type",
    "tag",
    "tags",
    "id",
)
"""What people call their label column, in order of preference."""

_SCORES = ("score", "confidence")
_OWN_COLUMNS = frozenset(
    {
        "selection",
        "view",
        "channel",
        "begin_file",
        "end_file",
        "begin_path",
        "end_path",
        "begin_date",
        "end_date",
        "begin_clock_time",
        "end_clock_time",
        "begin_date_time",
        "length_frames",
        "presence",
        "notes",
        "comments",
        "comment",
        "annotator",
        "scientific_name",
        *_SCORES,
    }
)
_EMPTY = "nocall"
"""BirdNET-Analyzer writes one row of this name for a recording in which it found nothing."""


def _recognise(head: Head) -> bool:
    """Whether the columns are those of a selection table."""
    times = {BEGIN, END} <= head.columns
    return times and (head.separator == "\t" or "selection" in head.columns)


def _read(path: Path, label_column: str | None = None) -> LabelFile:
    """Read a selection table.

    Raises
    ------
    DataError
        When times are missing, when the label column is not there or not to be told from others,
        or when times over several recordings cannot be told from times in each.
    """
    table = read_table(path, lenient=True)
    missing = [name for name in (BEGIN, END) if name not in table.columns]
    if missing:
        raise DataError(
            f"{path}, row 1: no column 'Begin Time (s)' or 'End Time (s)'. "
            f"Found {', '.join(table.names)}"
        )
    label = label_column_of(label_column, table) or _label_column(path, table)
    result = LabelFile(path, problems=list(table.problems))
    if label is None:
        result.notes["no column for labels: events without a name"] = 0
    selections = list(_selections(table, label))
    if len(selections) < len(table.rows):
        again = len(table.rows) - len(selections)
        result.notes["rows show a selection in another view or channel"] = again
    rows = [(i, row) for i, row in selections if not _is_empty(row)]
    result.without_events = [_file(row) for _, row in selections if _is_empty(row)]
    has_offset = "file_offset_s" in table.columns
    if not has_offset:
        _check_times(path, rows)
    score = _score_column(rows, table, result)
    result.add(rows, lambda where, row: _parse(where, row, label, score))
    return result


def _label_column(path: Path, table: TableFile) -> str | None:
    """The column of labels: of a usual name, else the only one that is none of Raven's own."""
    usual = table.find(*LABEL_NAMES)
    if usual:
        return usual
    others = [
        column
        for name, column in zip(table.names, table.columns, strict=True)
        if column and column not in _OWN_COLUMNS and "(" not in name
    ]
    if len(others) > 1:
        raise DataError(
            f"{path}, row 1: which column holds the labels? Found {', '.join(table.names)}. "
            "Name it: 'semisonic data labels' has --label-column, Python has label_column="
        )
    return others[0] if others else None


def _selections(table: TableFile, label: str | None) -> Iterator[tuple[int, TableRow]]:
    """Each selection once, as the spectrogram view of it where there is one."""
    kept: dict[tuple[str, ...], tuple[int, TableRow]] = {}
    for i, row in table.numbered:
        same = tuple(row[c] for c in ("selection", BEGIN, END, "begin_path", "begin_file", label))
        key = same if row["selection"].strip() else (*same, str(i))
        if key not in kept or (
            "spectro" in row["view"].lower() and "spectro" not in kept[key][1]["view"].lower()
        ):
            kept[key] = (i, row)
    yield from sorted(kept.values(), key=lambda pair: pair[0])


def _is_empty(row: TableRow) -> bool:
    return row["common_name"].strip() == row["species_code"].strip() == _EMPTY


def _file(row: TableRow) -> str:
    return row["begin_path"].strip() or row["begin_file"].strip()


def _check_times(path: Path, rows: Iterable[tuple[int, TableRow]]) -> None:
    """Refuse times that may be over several recordings or in each of them."""
    first: dict[str, Decimal] = {}
    last: dict[str, Decimal] = {}
    for _, row in rows:
        try:
            begin = number(row[BEGIN], "begin") or Decimal(0)
        except ValueError:
            continue  # reported with its row
        file = _file(row)
        first[file] = min(begin, first.get(file, begin))
        last[file] = max(begin, last.get(file, begin))
    spans = sorted((first[file], last[file]) for file in first)
    apart = all(a[1] <= b[0] for a, b in pairwise(spans))
    if len(spans) > 1 and apart:
        raise DataError(
            f"{path}: selections of {len(spans)} recordings without the column 'File Offset (s)', "
            "so 'Begin Time (s)' may count in each recording or over all of them. Add the "
            "measurement File Offset in Raven and save the table again"
        )


def _score_column(
    rows: list[tuple[int, TableRow]], table: TableFile, result: LabelFile
) -> str | None:
    """The column of scores from 0 to 1, if it holds such."""
    column = table.find(*_SCORES)
    if column is None:
        return None
    try:
        values = [number(row[column], column) for _, row in rows]
    except ValueError:
        values = [Decimal(-1)]
    if all(value is None or 0 <= value <= 1 for value in values):
        return column
    result.notes[f"the column '{column}' holds no scores from 0 to 1 and is not used"] = 0
    return None


def _parse(where: str, row: TableRow, label: str | None, score: str | None) -> Iterator[LabelRow]:
    begin, end = number(row[BEGIN], "begin"), number(row[END], "end")
    if begin is None or end is None:
        raise ValueError(f"found begin '{row[BEGIN]}' and end '{row[END]}', expected seconds")
    offset = number(row["file_offset_s"], "file offset")
    if offset is not None:
        begin, end = offset, plus(offset, minus(end, begin))
    yield label_row(
        where,
        _file(row),
        begin,
        end,
        row[label],
        score=number(row[score], "score"),
        fmin_hz=number(row["low_freq_hz"], "low frequency"),
        fmax_hz=number(row["high_freq_hz"], "high frequency"),
        presence=row["presence"],
    )


_HOLDS = frozenset({BAND, PRESENCE, SCORE, SEMICOLON})
_FIRST = ("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)")


def _write(events: Events, output: Path, _: Writing) -> list[Path]:
    """Write ``NAME.Table.1.selections.txt`` for each recording, in a tree like the recordings'."""
    paths = track_paths(events, output, RAVEN.suffix)
    for file, its in by_recording(events):
        name = [file.rpartition("/")[2]] * len(its)
        times = [(exact(a), exact(b)) for a, b in zip(its.start_time, its.end_time, strict=True)]
        _write_table(paths[file], its, times, {"Begin File": name})
    return list(paths.values())


def _write_combined(events: Events, output: Path, writing: Writing) -> list[Path]:
    """Write one table over all recordings, and beside it the list of files that Raven opens.

    ``Begin Time (s)`` counts from the start of the first recording in ``durations``.
    """
    if writing.durations is None:
        raise OptionError(
            "raven-combined: found no durations, expected the length of each recording in seconds, "
            "as its times run over all of them"
        )
    begins = _begins(writing.durations)
    unknown = sorted(set(events.file.tolist()) - set(begins))
    if unknown:
        n = count_text(len(unknown), "recording")
        raise DataError(f"raven-combined: no duration for {n}: {unknown[0]}")
    order = np.argsort([float(begins[file]) for file in events.file.tolist()], kind="stable")
    its = events[order.astype(np.int64)] if len(events) else events
    files = its.file.tolist()
    times = [
        (plus(begins[file], exact(a)), plus(begins[file], exact(b)))
        for file, a, b in zip(files, its.start_time, its.end_time, strict=True)
    ]
    more = {
        "Begin Path": [writing.path_of(file) for file in files],
        "File Offset (s)": numbers(its.start_time),
    }
    _write_table(output, its, times, more)
    listing = output.with_name(f"{output.stem}.list.txt")
    write_text(listing, "".join(f"{writing.path_of(file)}\n" for file in begins))
    return [output, listing]


def _begins(durations: Mapping[str, float]) -> dict[str, Decimal]:
    """When each recording begins, all played one after the other."""
    begins, at = {}, Decimal(0)
    for file, duration in durations.items():
        begins[file] = at
        at = plus(at, exact(duration))
    return begins


def _write_table(
    path: Path,
    events: Events,
    times: Sequence[tuple[Decimal, Decimal]],
    more: Mapping[str, Sequence[str]],
) -> None:
    """Write one table; columns of which no event says anything are left out."""
    columns: dict[str, Sequence[str]] = {
        **further_columns(events, band=("Low Freq (Hz)", "High Freq (Hz)")),
        **more,
        "Annotation": events.label.tolist(),
        **further_columns(events, score="Score", presence="Presence"),
    }
    rows = [
        [
            str(i + 1),
            "Spectrogram 1",
            "1",
            *map(written, times[i]),
            *(c[i] for c in columns.values()),
        ]
        for i in range(len(events))
    ]
    write_tabs(path, [[*_FIRST, *columns], *rows])


def _recognise_combined(head: Head) -> bool:
    return _recognise(head) and "file_offset_s" in head.columns and "begin_path" in head.columns


RAVEN = Format(
    "raven",
    "Raven selection tables",
    _HOLDS,
    _recognise,
    _read,
    _write,
    per_recording=True,
    suffix=".Table.1.selections.txt",
)
COMBINED = Format(
    "raven-combined",
    "a Raven selection table over several recordings",
    _HOLDS,
    _recognise_combined,
    _read,
    _write_combined,
    suffix=".txt",
)
