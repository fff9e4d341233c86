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
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from semisonic.core.errors import DataError
from semisonic.core.text import count_text, first_few
from semisonic.data.clips import LABEL_SEPARATOR, LABEL_TYPES, POSITIVE, UNCERTAIN, Clips
from semisonic.data.datasets.layout import DatasetPath, Layout, locate
from semisonic.data.datasets.published import UNVERIFIED_TABLE
from semisonic.data.events import NEGATIVE, PRESENCES, clips_from_events, scored_note
from semisonic.data.formats.label_files import LabelSet, collect_labels, format_of, recognise_format
from semisonic.data.label_log import ResolvedLabels, is_log, read_log
from semisonic.data.options import ReadOptions
from semisonic.data.recording_names import groups_by_name
from semisonic.data.tables import (
    COLUMNS,
    Table,
    TableRow,
    find_columns,
    looks_like_labels,
    normalise,
    number,
    read_head,
    read_table,
)

_PREFERRED = ("labels.csv", "metadata.csv", "meta.csv", "annotations.csv")


def _table_in(dataset: DatasetPath) -> Path | None:
    """The path itself, or the label table of a folder: of a well-known name, else the only one."""
    if dataset.kind == "table":
        return dataset.path
    tables = {
        path.name.lower(): path
        for path in dataset.tables
        if path.name.lower() != UNVERIFIED_TABLE and looks_like_labels(read_head(path).columns)
    }
    usual = [tables[name] for name in _PREFERRED if name in tables]
    return next(iter(usual or (tables.values() if len(tables) == 1 else ())), None)


def _recognise_csv(dataset: DatasetPath) -> str | None:
    """A CSV file, or a folder with exactly one table of files and labels in it."""
    table = _table_in(dataset)
    if dataset.kind == "table" or table is None:
        return "a table of files" if table else None
    return f"the table {table.name} names files and labels"


def _read_csv(dataset: DatasetPath, options: ReadOptions) -> Clips:
    """Read the table; find the audio beside it."""
    path = _table_in(dataset)
    if path is None:
        raise DataError(
            f"{dataset.path}: no table with a file and a label column in this folder; "
            f"found {', '.join(t.name for t in dataset.tables) or 'no CSV file'}. "
            "Give the path of the CSV file itself"
        )
    table = read_table(path)
    if not table.rows:
        raise DataError(f"{path}: a header and no rows, expected one row per clip")
    columns = find_columns(f"{path}, row 1", table.columns)
    if options.group != "auto":  # a column of the table, or a rule for file names
        columns["group"] = table.find(options.group, normalise(options.group))
    clips, notes = _join_rows(table, columns, options.separator)
    root, files, told = locate(
        path,
        [clip["file"] for clip in clips],
        [clip["row"] for clip in clips],
        allow_missing=options.allow_missing,
    )
    named = {label for clip in clips for label in clip["labels"]}
    notes += told
    for mark in {",", "|", "/"} - {options.separator}:
        joined = [
            label
            for label in named
            if mark in label and named.issuperset(map(str.strip, label.split(mark)))
        ]
        if joined:
            what = f"'{min(joined)}' looks like several labels"
            notes.append(f"{what}; if so, say --separator '{mark}'")
    if not columns["label"]:
        notes.append(
            f"no column for labels: found {', '.join(table.columns)}; known are "
            f"{', '.join(COLUMNS['label'])}. Rename the column that holds them to 'label'"
        )
    classes = _class_order(table, columns, named)
    if columns["target"] and columns["label"] and classes is None:
        notes.append(f"column '{columns['target']}' is no numbering of the classes and is not used")
    groups = [clip["group"] for clip in clips]
    if not columns["group"]:
        # After the files were found: a bare name may lie in a folder.
        labels = [LABEL_SEPARATOR.join(clip["labels"]) for clip in clips]
        groups, told = groups_by_name(files, options.group, labels)
        notes += told
    rows = (
        {**clip, "file": file, "group": group or file}
        for clip, file, group in zip(clips, files, groups, strict=True)
    )
    name = path.stem  # or the folder's, when the table is called as all are
    if dataset.is_folder or path.name.lower() in _PREFERRED:
        name = path.resolve().parent.name
    return Clips.from_rows(root, rows, classes, name, notes)


def _join_rows(
    table: Table, columns: dict[str, str], separator: str
) -> tuple[list[dict[str, Any]], list[str]]:
    """The clips of a table, and notes: rows of the same file and times are one clip."""
    clips: dict[tuple[Any, ...], dict[str, Any]] = {}
    joined: list[dict[str, Any]] = []
    n_negative = 0
    for row in table.rows:
        try:
            clip = _clip(row, columns, separator)
        except ValueError as error:
            raise DataError(f"{row.where}: {error}") from error
        if clip["label_type"] == NEGATIVE:
            n_negative += 1
            continue
        before = clips.setdefault((clip["file"], clip["start_time"], clip["end_time"]), clip)
        if before is not clip:
            _join(table.path, before, clip)
            joined.append(before)
    notes = []
    if n_negative:
        kind = columns["label_type"]
        notes.append(f"{count_text(n_negative, 'row')} left out: their {kind} is {NEGATIVE}")
    if not clips:
        raise DataError(f"{table.path}: no row is left of {len(table.rows)}: {notes[0]}")
    if n_uncertain := sum(clip["label_type"] == UNCERTAIN for clip in clips.values()):
        notes.append(f"{count_text(n_uncertain, 'clip')} with {UNCERTAIN} labels: they only train")
    if joined:
        notes.append(
            f"{len(joined)} rows name a further label of a clip in another row, such as "
            f"{joined[0]['file']}: {' and '.join(joined[0]['labels'])}. Such a clip has several "
            "labels, and so may every answer of a model that learns from it; where a clip can be "
            "of one class only, remove the wrong rows"
        )
    return list(clips.values()), notes


def _clip(row: TableRow, columns: dict[str, str], separator: str) -> dict[str, Any]:
    """One row as a clip; ValueError when it is impossible."""
    text = {own: row[column] for own, column in columns.items()}
    kind = text["label_type"].lower() or POSITIVE
    if kind not in PRESENCES:
        expected = f"one of {', '.join(PRESENCES)}, or nothing"
        raise ValueError(f"found '{kind}' as {columns['label_type']}, expected {expected}")
    labels = [part.strip() for part in text["label"].split(separator) if part.strip()]
    if len(set(labels)) != len(labels):
        raise ValueError(f"a label stands twice in '{text['label']}', expected once")
    try:
        start, end = (float(number(text[own], columns[own])) for own in ("start_time", "end_time"))
    except ValueError as error:
        raise ValueError(f"{error}, in seconds") from error
    start = 0.0 if np.isnan(start) else start
    if start < 0 or end <= start:
        raise ValueError(f"found start {start:g} s and end {end:g} s, expected 0 <= start < end")
    fold = text["fold"].removesuffix(".0")  # as pandas writes where some have none
    if fold and (not fold.isdecimal() or int(fold) < 1):
        raise ValueError(f"found fold '{fold}', expected a whole number from 1, or nothing")
    return {
        "row": row.number,
        "file": row.need(columns["file"]).replace("\\", "/"),
        "start_time": start,
        "end_time": None if np.isnan(end) else end,
        "labels": labels,
        "fold": int(fold or 0),
        "label_type": kind,
        "group": text["group"],
    }


def _join(path: Path, kept: dict[str, Any], more: dict[str, Any]) -> None:
    """Add the labels of a second row for the same clip, if it says nothing else."""
    both = f"{path}, rows {kept['row']} and {more['row']}: the clip {more['file']}"
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


def _class_order(table: Table, columns: dict[str, str], named: set[str]) -> list[str] | None:
    """The class names in the order of the table's own class numbers, if it has good ones."""
    pairs = {(row[columns["target"]], row[columns["label"]]) for row in table.rows}
    numbers = {number: label for number, label in pairs if number.isdecimal() and label in named}
    if not len(pairs) == len(numbers) == len(set(numbers.values())) == len(named):
        return None
    return [numbers[number] for number in sorted(numbers, key=int)]


# Label files of other tools, alone or beside their recordings: each labelled segment is a clip.


def _is(path: Path, kind: str) -> bool:
    form = recognise_format(path)
    return form is not None and form.name.removesuffix("-combined") == kind


def _recognise_files(dataset: DatasetPath, *, kind: str) -> str | None:
    """Recognise label files of one format, or a folder with recordings and such files."""
    form = format_of(kind)
    if dataset.kind in ("table", "text"):
        is_one = _is(dataset.path, kind)
        return f"its columns or lines are those of {form.title}" if is_one else None
    if not (dataset.texts and dataset.audio) or kind == "csv-wide":
        return None
    table = _table_in(dataset)
    if table is not None and _is(table, "csv"):
        return None  # a table of our own form goes before what other tools wrote
    suffixes = (".txt",) if form.per_recording else (".csv", ".tsv")
    for path in dataset.texts:
        if path.suffix.lower() in suffixes and _is(path, kind):
            return f"{path.name} beside the recordings is one of {form.title}"
    return None


def _read_files(dataset: DatasetPath, options: ReadOptions, *, kind: str) -> Clips:
    """Read label files of one format; recordings lie beside them, or in 'audio' beside them."""
    here = dataset.path if dataset.is_folder else dataset.path.parent
    near = [] if dataset.is_folder else [here / "audio", here.parent / "audio"]
    roots = [here, *(folder for folder in near if folder.is_dir())]
    tried: list[LabelSet] = []
    for root in [None] if options.allow_missing else roots:
        tried.append(
            collect_labels(dataset.path, kind, label_column=dataset.label_column, root=root)
        )
        if not tried[-1].problems:
            break
    found = min(tried, key=lambda one: len(one.problems))
    if found.problems and not options.allow_missing:
        cure = "Correct them, or let 'semisonic data labels' write a table of the rest"
        raise _unusable(dataset.path, found.problems, format_of(kind).title, cure)
    notes = [*found.notes, *map(": ".join, found.problems)]
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


def _unusable(path: Path, problems: list[tuple[str, str]], title: str, cure: str) -> DataError:
    n, reasons = count_text(len(problems), "place"), list(map(": ".join, problems))
    return DataError(f"{path}: {n} of {title} cannot be used: {first_few(reasons)}. {cure}")


# A label log: what people answered, as :class:`semisonic.labeling.label_log.LabelLog` keeps it.


def _recognise_log(dataset: DatasetPath) -> str | None:
    """A file whose first line is that of a log."""
    is_one = dataset.kind == "log" and is_log(dataset.path)
    return "its first line is that of a label log" if is_one else None


def _read_log(dataset: DatasetPath, options: ReadOptions) -> Clips:
    """The labels that hold: each answered segment as a clip."""
    found = read_log(dataset.path)
    current = ResolvedLabels(found.root, found.entries, dataset.name)
    clips = current.clips(group=options.group)
    there = np.array([os.path.isfile(path) for path in clips.paths], np.bool_)
    missing = sorted({str(clips.paths[row]) for row in np.flatnonzero(~there)})
    problems = [*found.problems, *((path, "no such recording") for path in missing)]
    if problems and not options.allow_missing:
        raise _unusable(dataset.path, problems, "the label log", "Correct them, or leave them out")
    notes = [f"{count_text(len(problems), 'place')} of the log cannot be used"] if problems else []
    return clips[there].with_columns(notes=(*clips.notes, *notes))


LABEL_LOG = Layout("log", "a label log", _read_log, _recognise_log)
CSV = Layout("csv", "a table of files and labels", _read_csv, _recognise_csv)
LABEL_FILES = tuple(
    Layout(kind, title, partial(_read_files, kind=kind), partial(_recognise_files, kind=kind))
    for kind, title in {
        "birdnet": "tables of BirdNET-Analyzer",
        "kaleidoscope": "tables of Kaleidoscope",
        "csv-wide": "a table with a column for each class",
        "raven": "selection tables of Raven",
        "audacity": "label tracks of Audacity",
    }.items()
)
