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
from pathlib import Path
from typing import Any

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
    clips, notes = _gather(table, columns, options)
    found = locate(
        path,
        [clip["file"] for clip in clips],
        [clip["row"] for clip in clips],
        allow_missing=options.allow_missing,
    )
    named = {label for clip in clips for label in clip["labels"]}
    notes += found.notes + _hints(named, options.separator)
    if columns.label is None:
        notes.append(
            f"no column for labels: found {', '.join(table.columns)}; known are "
            f"{', '.join(LABEL)}. Rename the column that holds them to 'label'"
        )
    classes = _class_order(table, columns, named, notes)
    groups = [clip["group"] for clip in clips]
    if group_column(table, columns, options.group) is None:
        # After the files were found: a bare name may lie in a folder.
        labels = [LABEL_SEPARATOR.join(clip["labels"]) for clip in clips]
        groups, told = groups_by_name(found.files, options.group, labels)
        notes += told
    rows = (
        {**clip, "file": file, "group": group or file}
        for clip, file, group in zip(clips, found.files, groups, strict=True)
    )
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
) -> tuple[list[dict[str, Any]], list[str]]:
    """The clips of a table: rows of the same file and times are one clip."""
    grouping = group_column(table, columns, options.group)
    clips: dict[tuple[Any, ...], dict[str, Any]] = {}
    joined: list[dict[str, Any]] = []
    left_out = 0
    for row in table.rows:
        try:
            clip = _clip(row, columns, options.separator)
        except ValueError as error:
            raise DataError(f"{table.where(row)}: {error}") from error
        if clip["label_type"] == NEGATIVE:
            left_out += 1
            continue
        clip["group"] = row[grouping]
        before = clips.setdefault((clip["file"], clip["start_time"], clip["end_time"]), clip)
        if before is not clip:
            _join(table, before, clip)
            joined.append(before)
    notes = []
    if left_out:
        notes.append(
            f"{count_text(left_out, 'row')} left out: their {columns.label_type} is {NEGATIVE}"
        )
    n_uncertain = sum(clip["label_type"] == UNCERTAIN for clip in clips.values())
    if n_uncertain:
        notes.append(f"{count_text(n_uncertain, 'clip')} with {UNCERTAIN} labels: they only train")
    if joined:
        some = joined[0]
        notes.append(
            f"{len(joined)} rows name a further label of a clip in another row, such as "
            f"{some['file']}: {' and '.join(some['labels'])}. Such a clip has several labels, and "
            "so may every answer of a model that learns from it; where a clip can be of one class "
            "only, remove the wrong rows"
        )
    if not clips:
        raise DataError(f"{table.path}: no row is left of {len(table.rows)}: {notes[0]}")
    return list(clips.values()), notes


def _clip(row: TableRow, columns: Columns, separator: str) -> dict[str, Any]:
    """One row as a clip, without its group; nothing but the type of a negative one."""
    label_type = row[columns.label_type].lower() or POSITIVE
    if label_type not in PRESENCES:
        raise ValueError(
            f"found '{label_type}' as {columns.label_type}, expected one of "
            f"{', '.join(PRESENCES)}, or nothing"
        )
    if label_type == NEGATIVE:
        return {"label_type": label_type}
    labels = [part.strip() for part in row[columns.label].split(separator) if part.strip()]
    if len(set(labels)) != len(labels):
        raise ValueError(f"a label stands twice in '{row[columns.label]}', expected once")
    start = _seconds(row, columns.start) or 0.0
    end = _seconds(row, columns.end)
    if start < 0 or (end is not None and end <= start):
        raise ValueError(
            f"found start {start:g} s and end {'none' if end is None else f'{end:g} s'}, "
            "expected 0 <= start < end, in seconds"
        )
    fold = row[columns.fold].removesuffix(".0") or "0"  # as pandas writes where some have none
    if row[columns.fold] and (not fold.isdecimal() or int(fold) < 1):
        raise ValueError(f"found fold '{fold}', expected a whole number from 1, or nothing")
    return {
        "row": row.number,
        "file": row.need(columns.file).replace("\\", "/"),
        "start_time": start,
        "end_time": end,
        "labels": labels,
        "fold": int(fold),
        "label_type": label_type,
    }


def _seconds(row: TableRow, column: str | None) -> float | None:
    try:
        value = number(row[column], column or "")
    except ValueError as error:
        raise ValueError(f"{error}, in seconds") from error
    return None if value is None else float(value)


def _join(table: TableFile, kept: dict[str, Any], more: dict[str, Any]) -> None:
    """Add the labels of a second row for the same clip, if it says nothing else."""
    both = f"{table.path}, rows {kept['row']} and {more['row']}: the clip {more['file']}"
    again = set(kept["labels"]) & set(more["labels"])
    if again or not more["labels"] or not kept["labels"]:
        raise DataError(
            f"{both} stands twice with the label '{next(iter(again), '')}'; remove one of the rows"
        )
    if (kept["fold"], kept["group"]) != (more["fold"], more["group"]):
        raise DataError(
            f"{both} has fold {kept['fold']} and group '{kept['group']}' in one, fold "
            f"{more['fold']} and '{more['group']}' in the other"
        )
    kept["labels"] += more["labels"]
    # What is partly uncertain cannot be measured by.
    kept["label_type"] = max(kept["label_type"], more["label_type"], key=LABEL_TYPES.index)


def _class_order(
    table: TableFile, columns: Columns, named: set[str], notes: list[str]
) -> list[str] | None:
    """The class names in the order of the table's own class numbers, if it has good ones."""
    if columns.target is None or columns.label is None:
        return None
    pairs = {(row.values[columns.target], row.values[columns.label]) for row in table.rows}
    numbers = {number: label for number, label in pairs if number.isdecimal() and label in named}
    sound = len(pairs) == len(numbers) == len(set(numbers.values())) == len(named)
    if not sound:
        notes.append(f"column '{columns.target}' is no numbering of the classes and is not used")
        return None
    return [numbers[number] for number in sorted(numbers, key=int)]


def _hints(labels: set[str], separator: str) -> list[str]:
    """A note when labels look as if another separator joined them."""
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
