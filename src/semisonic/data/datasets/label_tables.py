"""Own data with tables of labels: a CSV table, label files of other tools, or a label log; each
labelled segment is a clip.

Several labels of a clip are joined with ';' (or another separator), or stand in several rows
with the same file and times. An empty label means an unlabelled clip. Other tools' column names
are known (:mod:`semisonic.data.tables`). A row whose ``label_type`` (or ``presence``) is uncertain
gives a clip of that type. A negative one says which class is absent; it is left out, and a note
counts them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from semisonic.core.errors import DataError
from semisonic.core.text import count_text
from semisonic.data.clips import LABEL_SEPARATOR, LABEL_TYPES, POSITIVE, UNCERTAIN, Clips
from semisonic.data.datasets.esc import UNVERIFIED_TABLE
from semisonic.data.datasets.layout import DatasetPath, Layout, locate
from semisonic.data.events import NEGATIVE, PRESENCES, clips_from_events, scored_note
from semisonic.data.formats.read import LabelSet, collect_labels, format_of, recognise_format
from semisonic.data.label_log import ResolvedLabels, is_log, read_log, replay
from semisonic.data.options import ReadOptions
from semisonic.data.recording_names import groups_by_name
from semisonic.data.tables import (
    LABEL,
    Columns,
    TableFile,
    TableRow,
    find_columns,
    looks_like_labels,
    normalise,
    number,
    read_header,
    read_table,
)

PREFERRED = ("labels.csv", "metadata.csv", "meta.csv", "annotations.csv")


@dataclass
class _Entry:
    """One clip while its rows are gathered."""

    row: TableRow
    file: str
    start_time: float
    end_time: float | None
    group: str
    fold: int
    labels: list[str] = field(default_factory=list)
    label_type: str = POSITIVE
    n_rows: int = 1


def _recognise_csv(dataset: DatasetPath) -> str | None:
    """A CSV file, or a folder with exactly one table of files and labels in it."""
    if dataset.is_table:
        return "a table of files"
    table = table_in(dataset)
    return f"the table {table.name} names files and labels" if table else None


def table_in(dataset: DatasetPath) -> Path | None:
    """The label table of a folder: a well-known name first, else the only one there is."""
    tables = [
        path
        for path in dataset.tables
        if path.name.lower() != UNVERIFIED_TABLE and looks_like_labels(read_header(path))
    ]
    known = {path.name.lower(): path for path in tables}
    for name in PREFERRED:
        if name in known:
            return known[name]
    return tables[0] if len(tables) == 1 else None


def _read_csv(dataset: DatasetPath, options: ReadOptions) -> Clips:
    """Read the table; find the audio beside it.

    Raises
    ------
    DataError
        With file and row: broken numbers, times or folds, a clip that stands twice, missing files.
    """
    path = dataset.path if dataset.is_table else table_in(dataset)
    if path is None:
        raise DataError(
            f"{dataset.path}: no table with a file and a label column in this folder; "
            f"found {', '.join(t.name for t in dataset.tables) or 'no CSV file'}. "
            "Give the path of the CSV file itself"
        )
    table = read_table(path)
    if not table.rows:
        raise DataError(f"{path}: a header and no rows, expected one row per clip")
    columns = find_columns(path, table.columns)
    entries, notes = _gather(table, columns, options)
    found = locate(
        path,
        [entry.file for entry in entries],
        [entry.row.number for entry in entries],
        allow_missing=options.allow_missing,
    )
    notes += found.notes + _hints(entries, options.separator)
    if columns.label is None:
        notes.append(
            f"no column for labels: found {', '.join(table.columns)}; known are "
            f"{', '.join(LABEL)}. Rename the column that holds them to 'label'"
        )
    classes = _class_order(table, columns, entries, notes)
    if group_column(table, columns, options.group) is None:
        # After the files were found: a bare name may lie in a folder.
        labels = [LABEL_SEPARATOR.join(entry.labels) for entry in entries]
        groups, told = groups_by_name(found.files, options.group, labels)
        notes += told
    else:
        groups = [entry.group for entry in entries]
    rows = [
        {
            "file": file,
            "start_time": entry.start_time,
            "end_time": entry.end_time,
            "labels": entry.labels,
            "group": group or file,
            "fold": entry.fold,
            "label_type": entry.label_type,
        }
        for entry, file, group in zip(entries, found.files, groups, strict=True)
    ]
    name = dataset.name if dataset.is_folder else _name(path)
    return Clips.from_rows(found.root, rows, classes, name, notes)


def group_column(table: TableFile, columns: Columns, group: str) -> str | None:
    """The column that names recordings; None when a rule for file names does."""
    if group == "auto":
        return columns.group
    given = (group, normalise(group))
    return next((name for name in given if name in table.columns), None)


def _name(path: Path) -> str:
    """What a table's data set is called: the folder, when the table is called as all are."""
    return path.resolve().parent.name if path.name.lower() in PREFERRED else path.stem


def _gather(
    table: TableFile, columns: Columns, options: ReadOptions
) -> tuple[list[_Entry], list[str]]:
    """The clips of a table: rows of the same file and times are one clip."""
    grouping = group_column(table, columns, options.group)
    entries: dict[tuple[str, float, float | None], _Entry] = {}
    left_out = 0
    for row in table.rows:
        label_type = _label_type(table, row, columns.label_type)
        if label_type == NEGATIVE:
            left_out += 1
            continue
        entry = _entry(table, columns, row, options.separator)
        entry.label_type = label_type
        if grouping:
            entry.group = row.values[grouping]
        key = (entry.file, entry.start_time, entry.end_time)
        if key in entries:
            _join(table, entries[key], entry)
        else:
            entries[key] = entry
    notes = []
    if left_out:
        notes.append(
            f"{count_text(left_out, 'row')} left out: their {columns.label_type} is {NEGATIVE}"
        )
    n_uncertain = sum(entry.label_type == UNCERTAIN for entry in entries.values())
    if n_uncertain:
        notes.append(f"{count_text(n_uncertain, 'clip')} with {UNCERTAIN} labels: they only train")
    joined = len(table.rows) - left_out - len(entries)
    if joined:
        some = next(e for e in entries.values() if len(e.labels) > 1 and e.n_rows > 1)
        notes.append(
            f"{joined} rows name a further label of a clip in another row, such as {some.file}: "
            f"{' and '.join(some.labels)}. Such a clip has several labels, and so may every answer "
            "of a model that learns from it; where a clip can be of one class only, remove the "
            "wrong rows"
        )
    if not entries:
        raise DataError(f"{table.path}: no row is left of {len(table.rows)}: {notes[0]}")
    return list(entries.values()), notes


def _entry(table: TableFile, columns: Columns, row: TableRow, separator: str) -> _Entry:
    file = row.values[columns.file].replace("\\", "/")
    if not file:
        raise DataError(f"{table.where(row)}: the column '{columns.file}' is empty")
    label = row.values[columns.label] if columns.label else ""
    labels = [part.strip() for part in label.split(separator) if part.strip()]
    if len(set(labels)) != len(labels):
        raise DataError(f"{table.where(row)}: a label stands twice in '{label}', expected once")
    start = _number(table, row, columns.start) or 0.0
    end = _number(table, row, columns.end)
    if start < 0 or (end is not None and end <= start):
        raise DataError(
            f"{table.where(row)}: found start {start:g} s and end "
            f"{'none' if end is None else f'{end:g} s'}, expected 0 <= start < end, in seconds"
        )
    return _Entry(row, file, start, end, "", _fold(table, row, columns.fold), labels)


def _number(table: TableFile, row: TableRow, column: str | None) -> float | None:
    if column is None:
        return None
    try:
        value = number(row[column], column)
    except ValueError as error:
        raise DataError(f"{table.where(row)}: {error}, in seconds") from error
    return None if value is None else float(value)


def _fold(table: TableFile, row: TableRow, column: str | None) -> int:
    text = row[column].removesuffix(".0")  # as pandas writes where some rows have none
    if not text:
        return 0
    if not text.isdecimal() or int(text) < 1:
        raise DataError(
            f"{table.where(row)}: found fold '{text}', expected a whole number from 1, or nothing"
        )
    return int(text)


def _label_type(table: TableFile, row: TableRow, column: str | None) -> str:
    text = row.values[column].lower() if column else ""
    if text and text not in PRESENCES:
        raise DataError(
            f"{table.where(row)}: found '{text}' as {column}, expected one of "
            f"{', '.join(PRESENCES)}, or nothing"
        )
    return text or POSITIVE


def _join(table: TableFile, kept: _Entry, more: _Entry) -> None:
    """Add the labels of a second row for the same clip, if it says nothing else."""
    both = f"rows {kept.row.number} and {more.row.number}"
    again = set(kept.labels) & set(more.labels)
    if again or not more.labels or not kept.labels:
        raise DataError(
            f"{table.path}, {both}: the clip {more.file} stands twice with the label "
            f"'{next(iter(again), '')}'; remove one of the rows"
        )
    if (kept.fold, kept.group) != (more.fold, more.group):
        raise DataError(
            f"{table.path}, {both}: the clip {more.file} has fold {kept.fold} and group "
            f"'{kept.group}' in one, fold {more.fold} and '{more.group}' in the other"
        )
    kept.labels += more.labels
    kept.n_rows += 1
    # What is partly uncertain cannot be measured by.
    kept.label_type = max(kept.label_type, more.label_type, key=LABEL_TYPES.index)


def _class_order(
    table: TableFile, columns: Columns, entries: list[_Entry], notes: list[str]
) -> list[str] | None:
    """The class names in the order of the table's own class numbers, if it has good ones."""
    if columns.target is None or columns.label is None:
        return None
    pairs = {(row.values[columns.target], row.values[columns.label]) for row in table.rows}
    named = {label for entry in entries for label in entry.labels}
    numbers = {number: label for number, label in pairs if number.isdecimal() and label in named}
    sound = len(pairs) == len(numbers) == len(set(numbers.values())) == len(named)
    if not sound:
        notes.append(f"column '{columns.target}' is no numbering of the classes and is not used")
        return None
    return [numbers[number] for number in sorted(numbers, key=int)]


def _hints(entries: list[_Entry], separator: str) -> list[str]:
    """A note when labels look as if another separator joined them."""
    labels = {label for entry in entries for label in entry.labels}
    for other in (",", "|", "/"):
        joined = [
            label
            for label in sorted(labels)
            if other in label and all(part.strip() in labels for part in label.split(other))
        ]
        if other != separator and joined:
            return [f"'{joined[0]}' looks like several labels; if so, say --separator '{other}'"]
    return []


CSV = Layout(
    "csv",
    "a table of files and labels",
    _read_csv,
    _recognise_csv,
    paths=("folder", "table"),
    has_texts=True,
)


# Label files of other tools, alone or beside their recordings: each labelled segment is a clip.


_SHOWN = 5
_COMBINED = "raven-combined"


def _recogniser(kind: str) -> Callable[[DatasetPath], str | None]:
    """Recognise label files of one format, or a folder with recordings and such files."""

    def recognise_files(dataset: DatasetPath) -> str | None:
        title = format_of(kind).title
        if not dataset.is_folder:
            return f"its columns or lines are those of {title}" if _is(dataset.path, kind) else None
        if not dataset.audio or _has_own_table(dataset):
            return None
        suffixes = (".txt",) if format_of(kind).per_recording else (".csv", ".tsv")
        for path in dataset.texts:
            if path.suffix.lower() in suffixes and _is(path, kind):
                return f"{path.name} beside the recordings is one of {title}"
        return None

    return recognise_files


def _recognise_wide(dataset: DatasetPath) -> str | None:
    """A table with times and one column of ones and zeros for each class."""
    return "it has times and a column for each class" if _is(dataset.path, "csv-wide") else None


def _reader(kind: str) -> Callable[[DatasetPath, ReadOptions], Clips]:
    """Read label files of one format."""

    def read(dataset: DatasetPath, options: ReadOptions) -> Clips:
        found = _collect(dataset, kind, options)
        if found.problems and not options.allow_missing:
            first = "; ".join(f"{where}: {reason}" for where, reason in found.problems[:_SHOWN])
            more = ", ..." if len(found.problems) > _SHOWN else ""
            raise DataError(
                f"{dataset.path}: {count_text(len(found.problems), 'place')} of "
                f"{format_of(kind).title} cannot be used: {first}{more}. Correct them, or let "
                "'semisonic data labels' write a table of the rest"
            )
        notes = [*found.notes, *(f"{where}: {reason}" for where, reason in found.problems)]
        silent = set(found.recordings) - set(found.events.file.tolist())
        if silent:
            n = count_text(len(silent), "recording")
            notes.append(
                f"no clips from {n} without any event; 'semisonic data labels --windows' makes "
                "windows without events there"
            )
        notes += scored_note(found.events)
        return clips_from_events(
            found.events,
            found.root,
            classes=found.classes or None,
            notes=notes,
            name=dataset.name,
            group=options.group,
        )

    return read


def _collect(dataset: DatasetPath, kind: str, options: ReadOptions) -> LabelSet:
    """The labels with the recordings that lie beside them, or in 'audio' beside them."""
    if options.allow_missing:
        return collect_labels(dataset.path, kind, label_column=dataset.label_column)
    folder = dataset.path if dataset.is_folder else dataset.path.parent
    candidates: list[Path] = [folder]
    if not dataset.is_folder:
        candidates += [f for f in (folder / "audio", folder.parent / "audio") if f.is_dir()]
    found: list[LabelSet] = []
    for root in candidates:
        found.append(
            collect_labels(dataset.path, kind, label_column=dataset.label_column, root=root)
        )
        if not found[-1].problems:
            break
    return min(found, key=lambda one: len(one.problems))


def _is(path: Path, kind: str) -> bool:
    form = recognise_format(path)
    if form is None:
        return False
    return form.name == kind or (kind == "raven" and form.name == _COMBINED)


def _has_own_table(dataset: DatasetPath) -> bool:
    """Whether a folder has a table of our own form, which goes before what other tools wrote."""
    table = table_in(dataset)
    return table is not None and _is(table, "csv")


def _label_files(kind: str, title: str, *columns: str, tables: bool = True) -> Layout:
    return Layout(
        kind,
        title,
        _reader(kind),
        _recogniser(kind),
        paths=("folder", "text", "table") if tables else ("folder", "text"),
        columns=columns,
        has_texts=True,
    )


BIRDNET = _label_files("birdnet", "tables of BirdNET-Analyzer", "start_s", "end_s", "confidence")
KALEIDOSCOPE = _label_files("kaleidoscope", "tables of Kaleidoscope", "indir", "in_file")
RAVEN = _label_files("raven", "selection tables of Raven", tables=False)
AUDACITY = _label_files("audacity", "label tracks of Audacity", tables=False)
CSV_WIDE = Layout(
    "csv-wide",
    "a table with a column for each class",
    _reader("csv-wide"),
    _recognise_wide,
    paths=("table",),
    columns=("file", "start_time", "end_time"),
)


# A label log: what people answered, as :class:`semisonic.labeling.label_log.LabelLog` keeps it.


_FILES_SHOWN = 3


def _recognise_log(dataset: DatasetPath) -> str | None:
    """A file whose first line is that of a log."""
    return "its first line is that of a label log" if is_log(dataset.path) else None


def _read_log(dataset: DatasetPath, options: ReadOptions) -> Clips:
    """The labels that hold: each answered segment as a clip.

    Raises
    ------
    DataError
        When recordings are missing, or a line is no entry.
    """
    found = read_log(dataset.path)
    current = ResolvedLabels(found.root, replay(found.entries), dataset.name)
    clips = current.clips(group=options.group)
    missing = sorted({str(p) for p in set(clips.paths) if not os.path.isfile(p)})
    problems = [*found.problems, *((path, "no such recording") for path in missing)]
    if problems and not options.allow_missing:
        first = "; ".join(f"{where}: {reason}" for where, reason in problems[:_FILES_SHOWN])
        raise DataError(
            f"{dataset.path}: {count_text(len(problems), 'place')} of the label log cannot be "
            f"used: {first}"
        )
    if missing:
        clips = clips[np.array([os.path.isfile(path) for path in clips.paths], np.bool_)]
    notes = [f"{count_text(len(problems), 'place')} of the log cannot be used"] if problems else []
    return clips.with_columns(notes=(*clips.notes, *notes))


LABEL_LOG = Layout("log", "a label log", _read_log, _recognise_log, paths=("log",))
