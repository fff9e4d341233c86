"""Read any path that a user names as a table of clips."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from semisonic.audio.find import advice
from semisonic.audio.remote import files_at, local_copy, path_text, url_of
from semisonic.core.errors import AudioError, DataError, OptionError
from semisonic.core.files import path_from
from semisonic.core.label_names import LABEL_SEPARATOR, labels_of, name_fault
from semisonic.core.options import nearest
from semisonic.core.text import count_text, first_few
from semisonic.data.clips import LABEL_TYPES, POSITIVE, UNCERTAIN, Clips
from semisonic.data.columns import (
    LABEL,
    Columns,
    find_columns,
    has_files,
    has_labels,
    looks_like_labels,
    unused_note,
)
from semisonic.data.datasets.layout import (
    TABLE_SUFFIXES,
    DatasetPath,
    Layout,
    first_folder,
    locate,
)
from semisonic.data.datasets.published import ESC, PARTS, PUBLISHED, UNVERIFIED_TABLE
from semisonic.data.events import (
    NEGATIVE,
    PRESENCES,
    clips_from_events,
    scored_note,
    scored_text,
)
from semisonic.data.formats.label_files import (
    NAMED_TABLES,
    LabelSet,
    collect_labels,
    format_of,
    rate_of,
    recognise_format,
    why_unread,
)
from semisonic.data.label_log import ResolvedLabels, is_log, read_log
from semisonic.data.options import LABEL_CHOICES, ReadOptions
from semisonic.data.recording_names import groups_by_name, read_names, recorders_note
from semisonic.data.recordings import COPIES, known_recordings
from semisonic.data.tables import (
    Table,
    TableRow,
    normalise,
    read_head,
    read_table,
)

_log = logging.getLogger(__name__)


# A CSV table of files and labels: each labelled segment is a clip.
#
# Several labels of a clip are joined with ';' (or another separator), or stand in several rows with
# the same file and times. An empty label means an unlabelled clip. Other tools' column names are
# known (:mod:`semisonic.data.columns`). A row whose ``label_type`` (or ``presence``) is uncertain
# gives a clip of that type. A negative one says which class is absent; it is left out, and a note
# counts them.


_PREFERRED = ("labels.csv", "metadata.csv", "meta.csv", "annotations.csv")


def _table_in(dataset: DatasetPath) -> Path | None:
    """The path itself, or the label table of a folder: the well-known or the only one."""
    if not dataset.is_folder:
        is_one = dataset.kind == "table" or (dataset.kind in ("text", "log") and _is_csv(dataset))
        return dataset.path if is_one else None
    tables = _tables_in(dataset)
    usual = [tables[name] for name in _PREFERRED if name in tables]
    return next(iter(usual or (tables.values() if len(tables) == 1 else ())), None)


def _tables_in(dataset: DatasetPath) -> dict[str, Path]:
    """The tables directly in a folder that name recordings and labels, by lower-case name."""
    return {
        path.name.lower(): path
        for path in dataset.tables
        if path.name.lower() != UNVERIFIED_TABLE
        and has_files(read_head(path).columns)
        and _is(path, "csv")
    }


def _is_csv(dataset: DatasetPath) -> bool:
    return not is_log(dataset.path) and _is(dataset.path, "csv")


def _own_tables(dataset: DatasetPath) -> Iterator[Path]:
    """Tables of times and labels that belong to the recording with their name."""
    for path in dataset.texts:
        if (
            path.suffix.lower() in TABLE_SUFFIXES
            and _is(path, "csv")
            and not has_files(read_head(path).columns)
        ):
            yield path


def _recognise_csv(dataset: DatasetPath) -> str | None:
    """Recognise a table, or a folder with one table, or with one for each recording."""
    table = _table_in(dataset)
    if table is not None:
        if not dataset.is_folder:
            return "it is a table"
        return f"the table {table.name} names files and labels"
    own = next(_own_tables(dataset), None) if dataset.audio else None
    return f"{own.name} beside the recordings has times and labels" if own else None


def _not_read(dataset: DatasetPath) -> list[str]:
    """Why the tables of a folder are not read as labels, a text for each."""
    tables = _tables_in(dataset)
    if len(tables) > 1:
        names = ", ".join(path.name for path in tables.values())
        return [f"found {names}, which all name files and labels; give the path of one of them"]
    reasons: list[str] = []
    for path in dataset.tables:
        columns = read_head(path).columns
        is_table = (
            path.suffix.lower() in TABLE_SUFFIXES or has_files(columns) or has_labels(columns)
        )
        if is_table and path.name.lower() != UNVERIFIED_TABLE and len(reasons) < NAMED_TABLES:
            why = why_unread(path) or "expected the columns file and label"
            reasons.append(f"{path.name} is not read as labels: {why}")
    return reasons


def _read_csv(dataset: DatasetPath, options: ReadOptions) -> Clips:
    """Read the table; find the audio beside it."""
    path = _table_in(dataset)
    if path is None and next(_own_tables(dataset), None):
        return _read_files(dataset, options, kind="csv")
    if path is None:
        why = "; ".join(_not_read(dataset)) or "found no table in this folder"
        raise DataError(
            f"{dataset.path}: {why}; expected a table with a file and a label column. Give the "
            "path of the table itself"
        )
    table = read_table(path)
    if not table.rows:
        raise DataError(f"{path}: found a header and no rows, expected one row per clip")
    if not has_files(table.columns) and looks_like_labels(table.columns):
        return _read_files(dataset, options, kind="csv")  # of the recording with its name
    own = normalise(dataset.label_column or "")
    if own and own not in table.columns:
        raise DataError(
            f"{path}, row 1: no column '{dataset.label_column}' for the labels. Found "
            f"{', '.join(table.names)}"
        )
    columns = find_columns(f"{path}, row 1", table.names, table.rows, label=own)
    if options.group != "auto":  # a column of the table, or a rule for file names
        group = table.find(options.group, normalise(options.group))
        unused = tuple(name for name in columns.unused if normalise(name) != group)
        columns = replace(columns, group=group, unused=unused)
    clips, notes = _join_rows(table, columns, options.separator)
    root, files, found_notes = locate(
        path,
        [clip["file"] for clip in clips],
        [clip["row"] for clip in clips],
        allow_missing=options.allow_missing,
    )
    for clip, file in zip(clips, files, strict=True):
        if clip.pop("in_samples"):
            by = rate_of(root / file)
            times = {n: clip[n] for n in ("start_time", "end_time") if clip[n] is not None}
            clip |= {name: time / by for name, time in times.items()}
    named = {label for clip in clips for label in clip["labels"]}
    notes += found_notes
    for mark in {",", "|", "/"} - {options.separator}:
        joined = [
            label
            for label in named
            if mark in label and named.issuperset(map(str.strip, label.split(mark)))
        ]
        if joined:
            what = f"'{min(joined)}' looks like several labels"
            notes.append(f"{what}; if so, use --separator '{mark}'")
    if not columns.label:
        notes.append(
            f"no column for labels: found {', '.join(table.names)}; expected one of "
            f"{', '.join(LABEL)}. Rename the column of labels to 'label'"
        )
    notes += unused_note(columns)
    if scored := sum(bool(row[columns.score]) for row in table.rows) if columns.score else 0:
        notes.append(scored_text(scored, "row"))
    classes = _class_order(table, columns, named)
    if columns.target and columns.label and classes is None:
        notes.append(f"column '{columns.target}' does not number the classes and is not used")
    groups = [clip["group"] for clip in clips]
    if not columns.group:
        # After the files were found: a bare name may lie in a folder.
        labels = [LABEL_SEPARATOR.join(clip["labels"]) for clip in clips]
        groups, group_notes = groups_by_name(files, options.group, labels)
        notes += group_notes
    rows = (
        {**clip, "file": file, "group": group or file}
        for clip, file, group in zip(clips, files, groups, strict=True)
    )
    name = path.stem  # or the folder's, when the table is called as all are
    if dataset.is_folder or path.name.lower() in _PREFERRED:
        name = path.resolve().parent.name
    return Clips.from_rows(root, rows, classes, name, notes)


def _join_rows(
    table: Table, columns: Columns, separator: str
) -> tuple[list[dict[str, Any]], list[str]]:
    """The clips of a table, and notes; rows with the same file and times are one clip."""
    clips: dict[tuple[Any, ...], dict[str, Any]] = {}
    joined: list[dict[str, Any]] = []
    n_negative = 0
    first_fold = int(not any(_fold_text(row, columns) == "0" for row in table.rows))
    for row in table.rows:
        try:
            clip = _clip(row, columns, separator, first_fold)
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
    if not first_fold:
        notes.append(f"the column '{columns.fold}' counts from 0: fold 0 is read as fold 1, and on")
    if n_negative:
        kind = columns.label_type
        notes.append(f"{count_text(n_negative, 'row')} left out: their {kind} is {NEGATIVE}")
    if not clips:
        raise DataError(f"{table.path}: none of {len(table.rows)} rows is left: {notes[0]}")
    if n_uncertain := sum(clip["label_type"] == UNCERTAIN for clip in clips.values()):
        notes.append(
            f"{count_text(n_uncertain, 'clip')} with {UNCERTAIN} labels: used for training only"
        )
    if joined:
        notes.append(
            f"{len(joined)} rows give another label to the clip of an earlier row, such as "
            f"{joined[0]['file']}: {' and '.join(joined[0]['labels'])}. These clips have several "
            "labels, so a model that learns from them may answer with several; if a clip can "
            "have only one class, remove the wrong rows"
        )
    return list(clips.values()), notes


def _fold_text(row: TableRow, columns: Columns) -> str:
    return row[columns.fold].removesuffix(".0")  # as pandas writes where some have none


def _clip(row: TableRow, columns: Columns, separator: str, first_fold: int) -> dict[str, Any]:
    """One row as a clip; ValueError if it is impossible."""
    kind = row[columns.label_type].lower() or POSITIVE
    if kind not in PRESENCES:
        expected = f"one of {', '.join(PRESENCES)}, or nothing"
        raise ValueError(f"found '{kind}' as {columns.label_type}, expected {expected}")
    text = row[columns.label]
    labels = list(map(str, labels_of(text, separator)))
    if labels and len(labels) < sum(bool(part.strip()) for part in text.split(separator)):
        raise ValueError(f"found a label twice in '{text}', expected once")
    if fault := next(filter(None, map(name_fault, labels)), ""):
        raise ValueError(fault)
    times = columns.times(row)
    start, end = float(times.start), float(times.end)
    start = 0.0 if np.isnan(start) else start
    if start < 0 or end <= start:
        raise ValueError(f"found start {start:g} s and end {end:g} s, expected 0 <= start < end")
    fold = _fold_text(row, columns)
    if fold and (not fold.isdecimal() or int(fold) < first_fold):
        raise ValueError(f"found fold '{fold}', expected a whole number from 1, or nothing")
    return {
        "row": row.number,
        "file": row.need(columns.file).replace("\\", "/"),
        "start_time": start,
        "end_time": None if np.isnan(end) else end,
        "in_samples": times.in_samples,
        "labels": labels,
        "fold": int(fold) + 1 - first_fold if fold else 0,
        "label_type": kind,
        "group": row[columns.group],
    }


def _join(path: Path, kept: dict[str, Any], more: dict[str, Any]) -> None:
    """Add the labels of a second row for the same clip, if the rest is equal."""
    both = f"{path}, rows {kept['row']} and {more['row']}: the clip {more['file']}"
    again = set(kept["labels"]) & set(more["labels"])
    if again or not more["labels"] or not kept["labels"]:
        raise DataError(
            f"{both} occurs twice with the label '{next(iter(again), '')}'; remove one of them"
        )
    if (kept["fold"], kept["group"]) != (more["fold"], more["group"]):
        raise DataError(
            f"{both} has fold {kept['fold']} and group '{kept['group']}' in one row, fold "
            f"{more['fold']} and group '{more['group']}' in the other"
        )
    kept["labels"] += more["labels"]
    # What is partly uncertain cannot be measured by.
    kept["label_type"] = max(kept["label_type"], more["label_type"], key=LABEL_TYPES.index)


def _class_order(table: Table, columns: Columns, named: set[str]) -> list[str] | None:
    """The class names in the order of the table's class numbers, if these are consistent."""
    pairs = {(row[columns.target], row[columns.label]) for row in table.rows}
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
    if not dataset.is_folder:
        is_one = dataset.kind in ("table", "text", "log") and _is(dataset.path, kind)
        return f"its columns or lines are those of {form.title}" if is_one else None
    if not (dataset.texts and dataset.audio):
        return None
    if _table_in(dataset) is not None:
        return None  # a table of our own form goes before what other tools wrote
    if kind == "csv-wide":
        wide = [path for path in dataset.tables if _is(path, kind)]
        if len(wide) != 1 or _recognise_class_folders(dataset):
            return None
        return f"{wide[0].name} beside the recordings is {form.title}"
    suffixes = (".txt",) if form.per_recording else (".csv", ".tsv")
    for path in dataset.texts:
        if path.suffix.lower() in suffixes and _is(path, kind):
            return f"{path.name} beside the recordings is one of the {form.title}"
    return None


def _read_files(dataset: DatasetPath, options: ReadOptions, *, kind: str) -> Clips:
    """Read label files of one format; recordings are beside them, or in 'audio' beside them."""
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
        cure = "Correct them, or write a table of the rest with 'semisonic data labels'"
        raise _unusable(dataset.path, found.problems, format_of(kind).title, cure)
    notes = [*found.notes, *map(": ".join, found.problems)]
    silent = set(found.recordings) - set(found.events.file.tolist())
    if silent:
        n = count_text(len(silent), "recording")
        notes.append(
            f"no clips from {n} without events; 'semisonic data labels --windows' makes windows "
            "without events from them"
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
    """Recognise a file whose first line is that of a log."""
    is_one = dataset.kind == "log" and is_log(dataset.path)
    return "its first line is that of a label log" if is_one else None


def _read_log(dataset: DatasetPath, options: ReadOptions) -> Clips:
    """The valid labels: each answered segment as a clip."""
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


# Folders of recordings: class folders, and recordings without labels.
#
# Folders inside a class folder may be nested at will. Files directly in the root, and those in
# a folder called ``unlabelled`` (or ``unlabeled``), stand in the table without a label.


_UNLABELLED_FOLDERS = frozenset({"", "unlabelled", "unlabeled"})
_PART = re.compile(r"^(?P<stem>.*\S)[\s._-]+part[\s._-]*\d+$", re.IGNORECASE)


def _recognise_class_folders(dataset: DatasetPath) -> str | None:
    """Recognise a folder with recordings in first-level folders."""
    folders = {first_folder(file) for file in dataset.audio} - {""}
    if all(folder.lower() in _UNLABELLED_FOLDERS for folder in folders):
        return None
    return f"recordings in {count_text(len(folders), 'folder')} named after their class"


def _read_class_folders(dataset: DatasetPath, options: ReadOptions) -> Clips:
    """List the recordings; label each with its first-level folder.

    Folders such as ``Cat-Part1``, ``Cat-Part2`` are one class; a single folder that ends in
    ``Part1`` keeps its name.
    """
    files = dataset.need_audio()
    folders = [first_folder(file) for file in files]
    parts: dict[str, set[str]] = defaultdict(set)
    for name in set(folders):
        if name.lower() not in _UNLABELLED_FOLDERS:
            found = _PART.match(name) if options.merge_parts else None
            parts[found["stem"] if found else name].add(name)
    label_of: dict[str, str] = {}
    notes = []
    for stem, names in sorted(parts.items()):
        label_of |= {name: stem if len(names) > 1 else name for name in names}
        if len(names) > 1:
            notes.append(f"the folders {', '.join(sorted(names))} are one class, {stem}")
    labels = [label_of.get(folder, "") for folder in folders]
    groups, group_notes = groups_by_name(files, options.group, labels, class_folders=True)
    notes += group_notes
    if bare := labels.count(""):
        notes.append(f"without a label: {count_text(bare, 'recording')} outside class folders")
    alone = sum(file == group for file, group in zip(files, groups, strict=True))
    if options.group == "folder" and alone:
        notes.append(
            f"directly in a class folder: {count_text(alone, 'recording')}, each a group of its own"
        )
    rows = (
        {"file": file, "labels": label, "group": group}
        for file, label, group in zip(files, labels, groups, strict=True)
    )
    return Clips.from_rows(dataset.path, rows, name=dataset.name, notes=notes)


def _recognise_recordings(dataset: DatasetPath) -> str | None:
    """Recognise an audio file, or a folder with recordings in it and no class folders."""
    if dataset.kind == "recording":
        return "one recording"
    if dataset.audio and not any("/" in file for file in dataset.audio):
        n = count_text(len(dataset.audio), "recording")
        return f"{n} directly in the folder, no subfolders, no table of labels"
    return None


def _list_files(dataset: DatasetPath, options: ReadOptions) -> Clips:
    """List every recording below the folder; none gets a label."""
    if dataset.kind == "recording":
        path = Path(os.path.abspath(dataset.path))
        return Clips.from_rows(path.parent, [{"file": path.name}], name=dataset.name)
    files = dataset.need_audio()
    groups, notes = groups_by_name(files, options.group)
    rows = ({"file": file, "group": of} for file, of in zip(files, groups, strict=True))
    return Clips.from_rows(dataset.path, rows, name=dataset.name, notes=notes)


# All layouts, and one function for any data set, which can say why it reads it as it does.


_FILES = Layout("files", "recordings without labels", _list_files, _recognise_recordings)
# In the order in which they are tried: the more special ones first.
LAYOUTS = (
    *(LABEL_LOG, *PUBLISHED, *LABEL_FILES[:3], CSV, *LABEL_FILES[3:], *ESC),
    Layout("folders", "a folder of class folders", _read_class_folders, _recognise_class_folders),
    _FILES,
)
_WITHOUT_TABLE = ("folders", "files")
"""Layouts that read no table, so that it must be said why those beside the recordings are not."""
_BY_KIND = {layout.kind: layout for layout in (*LAYOUTS, *PARTS)}


def load_clips(
    path: str | os.PathLike[str],
    *,
    labels: str | None = "auto",
    name: str | None = None,
    group: str = "auto",
    separator: str = ";",
    merge_parts: bool = True,
    allow_missing: bool = False,
    label_column: str | None = None,
) -> Clips:
    """Read a data set as a table of clips. Audio is opened only to search for copies.

    Parameters
    ----------
    path : path
        A folder, a CSV or TSV table, a label track, a selection table, a label log, or one
        recording.
    labels : str
        Source of the labels, one of ``LABEL_CHOICES``: "folders", "csv", "raven" and other label
        files (:mod:`semisonic.data.formats`), the name of a data set or of a part of one, such as
        "fsdkaggle2019-curated". "auto" chooses by the layout (see :func:`describe_layout`). "none"
        (or None) reads as "auto" and then drops the labels; recordings and folds stay known, so
        that test audio can be kept out of a pool. "files" lists every recording and ignores label
        files.
    name : str, optional
        Name of the data set in reports; by default its own or that of the folder.
    group : str
        What identifies a recording: "auto" (the data set, else each file), "file", "folder",
        "site" or "day" (from names of field recordings), a column of the table, or a regular
        expression whose first bracket matches the recording. "copies" is "auto" with clips of the
        same sound as one recording: all are decoded and compared.
    separator : str
        Separator between several labels in a table cell.
    merge_parts : bool
        Whether folders such as ``Cat-Part1`` and ``Cat-Part2`` are one class.
    allow_missing : bool
        Whether a table may name missing files.
    label_column : str, optional
        The column of labels in a table or a selection table, if it has no usual name.

    Returns
    -------
    Clips
        Sorted by file and start time; ``notes`` has what users should know.

    Raises
    ------
    DataError
        When the path does not exist, contains no audio, or does not fit its layout.
    OptionError
        When ``labels`` is not one of the choices.

    Examples
    --------
    >>> clips = load_clips("labelled")
    >>> len(clips), clips.classes
    (28, ('noise', 'tone'))
    """
    if not separator:
        raise OptionError("separator: found nothing, expected a character such as ';'")
    wanted = "none" if labels is None else labels
    if wanted not in LABEL_CHOICES:
        raise OptionError(f"labels: found '{wanted}'; {nearest(wanted, LABEL_CHOICES)}")
    dataset = _dataset_at(path, label_column)
    rule = "auto" if group == COPIES else group
    options = ReadOptions(
        group=rule, separator=separator, merge_parts=merge_parts, allow_missing=allow_missing
    )
    layout = _detect(dataset)[0] if wanted in ("auto", "none") else _BY_KIND[wanted]
    if dataset.kind == "recording" and layout.kind != "files":
        raise DataError(
            f"{dataset.path}: found one recording, expected a folder or a table for '{wanted}'"
        )
    clips = layout.read(dataset, options)
    if name:
        clips = clips.with_columns(name=name)
    if group == COPIES:
        found = known_recordings(clips, group)
        clips = found.clips.with_columns(notes=(*clips.notes, *found.notes))
    more = [*_more_notes(dataset, clips.classes)]
    if wanted == "auto" and layout.kind in _WITHOUT_TABLE:
        more += _not_read(dataset)
    is_folders = wanted == "auto" and layout.kind == "folders"
    if is_folders and (why := recorders_note(read_names(dataset.audio))):
        more.append(
            f"folders are read as classes, although {why}; if they are sites, use --labels none "
            "(scan reads them as sites)"
        )
    clips = clips.with_columns(notes=(*clips.notes, *more))
    for note in clips.notes:
        _log.info("%s: %s", clips.name, note)
    return clips.without_labels() if wanted == "none" else clips


def _more_notes(dataset: DatasetPath, classes: Sequence[str]) -> Iterator[str]:
    """Notes on recordings in unreadable formats, and on classes with nearly the same name."""
    counts = Counter(PurePosixPath(name).suffix.lower() for name in dataset.unread)
    if counts:
        formats = ", ".join(f"{suffix} ({many})" for suffix, many in counts.most_common())
        n = count_text(counts.total(), "file")
        what = "; or ".join(sorted({advice(suffix) for suffix in counts}))
        yield f"{n} left out, in formats that cannot be read: {formats}; {what}"
    spellings = defaultdict(list)
    for name in classes:
        spellings[" ".join(name.casefold().split())].append(f"'{name}'")
    same = [" and ".join(names) for names in spellings.values() if len(names) > 1]
    if same:
        yield (
            f"classes that differ only in case or spaces: {'; '.join(same)}; if they are one "
            "class, give them one name"
        )


def describe_layout(path: str | os.PathLike[str], *, pool: bool = False) -> str:
    """A sentence that says how "auto" reads a path, and why.

    Parameters
    ----------
    path
        A data set.
    pool
        Whether it is a pool, whose labels are not used; then the sentence says so.

    Raises
    ------
    DataError
        When the path does not exist or contains nothing readable.
    """
    dataset = _dataset_at(path)
    layout, reason = _detect(dataset)
    if layout.kind in _WITHOUT_TABLE:
        reason = "; ".join([reason, *_not_read(dataset)])
    unused = "; its labels are not used, as it is a pool" if pool else ""
    return f"{path}: read as {layout.title} (labels '{layout.kind}'), because: {reason}{unused}"


def layout_kind(path: str | os.PathLike[str]) -> str:
    """The one of ``LABEL_CHOICES`` that "auto" uses; raises as :func:`describe_layout`."""
    return _detect(_dataset_at(path))[0].kind


def require_labels(clips: Clips, purpose: str = "this") -> Clips:
    """Return the clips if any of them has a label.

    Raises
    ------
    DataError
        When the table is empty or no clip has a label, as with ESC-US.
    """
    if len(clips) and clips.is_labelled.any():
        return clips
    notes = f" ({'; '.join(clips.notes)})" if clips.notes else ""
    raise DataError(
        f"'{clips.name}' in {clips.root}: {purpose} needs labels, found "
        f"{count_text(len(clips), 'clip')} without any label{notes}. Expected a folder of class "
        "folders, or a CSV table with the columns 'file' and 'label'. To label the clips, run "
        f"'semisonic app --folder {clips.root}'; to use them without labels, give them as the "
        "pool (--unlabelled)"
    )


def _dataset_at(path: str | os.PathLike[str], label_column: str | None = None) -> DatasetPath:
    dataset = DatasetPath(Path(path), label_column)
    if not dataset.path.exists():
        raise DataError(f"{dataset.path}: no such file or folder; check the spelling of the path")
    if not dataset.kind:
        raise DataError(
            f"{dataset.path}: found a '{dataset.path.suffix or 'nameless'}' file, expected a "
            "folder with recordings, a CSV or TSV table, a label file, a label log, or a recording"
        )
    return dataset


def _detect(dataset: DatasetPath) -> tuple[Layout, str]:
    for layout in LAYOUTS:
        reason = layout.recognise(dataset)
        if reason is not None:
            return layout, reason
    why = "" if dataset.is_folder else why_unread(dataset.path)
    why = f" ({why})" if why else ""
    if dataset.kind == "log":
        raise DataError(
            f"{dataset.path}: neither a label log nor a table in JSON{why}. "
            'Expected a first line as LabelLog writes it, or objects such as {"file": "a.wav", '
            '"label": "dog"}'
        )
    if dataset.kind in ("table", "text"):
        raise DataError(
            f"{dataset.path}: neither a label track of Audacity nor a table of a known form{why}. "
            "Expected times and labels with tabs between them, or "
            "columns with names"
        )
    dataset.need_audio()
    n = count_text(len(dataset.audio), "recording")
    return _FILES, f"{n}, and no labels for them"


# What a user names: files, folders, tables and URLs as one list of clips.


_TABLES = (".csv", ".tsv")
Failures = tuple[tuple[str, str], ...]


def gather(
    paths: Iterable[str | os.PathLike[str]],
    folder: Path | None = None,
    *,
    labels: str = "files",
    group: str = "auto",
    purpose: str = "read",
) -> tuple[Clips, Failures]:
    """The clips of the given paths; no audio is opened.

    Parameters
    ----------
    paths : iterable of path
        Recordings, folders, URLs, tables of clips, files of labels, logs of answers.
    folder : Path, optional
        The folder that file names start from; without it they keep the paths given, so that they
        can be opened from the current folder.
    labels, group : str
        How folders and tables are read: see :func:`load_clips`. With "files", clips have no
        labels, and a folder means all recordings below it.
    purpose : str
        A verb for the error's message.

    Returns
    -------
    clips : Clips
        Sorted, without duplicates.
    failures : tuple of (str, str)
        Paths that do not exist or contain nothing, with the reason.

    Raises
    ------
    DataError
        When nothing is found.
    """
    tables: list[Clips] = []
    failures: list[tuple[str, str]] = []
    for path in map(Path, paths):
        try:
            tables.append(_clips_of(path, labels, group))
        except DataError as error:
            name = url_of(path) or str(path)
            failures.append((name, str(error).removeprefix(f"{name}: ")))
    if not tables:
        text = "; ".join(map(": ".join, failures[:3])) or "no file was given"
        raise DataError(f"nothing to {purpose}: {text}")
    return named_from(folder, tables), tuple(failures)


def _clips_of(path: Path, labels: str, group: str) -> Clips:
    of_tables = "none" if labels == "files" else labels
    if url := url_of(path):
        return _clips_at(url, of_tables, group)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    kind = DatasetPath(path).kind
    if kind in ("folder", "table", "text", "log"):
        labels = labels if kind == "folder" else of_tables
        return load_clips(path, labels=labels, group=group, allow_missing=True)
    if labels == "files" and group == "auto":  # whatever its name is
        return Clips.from_rows(path.parent, [{"file": path.name}])
    return load_clips(path, labels="files", group=group)


def _clips_at(url: str, labels: str, group: str) -> Clips:
    """Recordings at a URL, without labels, or those of a table there, with its files beside it."""
    if Path(url).suffix.lower() not in _TABLES:
        return Clips.from_rows(Path(), [{"file": file} for file in files_at(url)], name=url)
    try:
        copy = local_copy(Path(url))
    except AudioError as error:
        raise DataError(str(error)) from error
    found = load_clips(copy.path, labels=labels, group=group, allow_missing=True)
    folder = url.rpartition("/")[0]
    rows = found.rows()
    for row in rows:
        file = url_of(row["file"]) or f"{folder}/{row['file']}"
        own = row["group"] == row["file"]  # a file is its own recording
        row |= {"file": file, "group": file if own else row["group"]}
    return Clips.from_rows(Path(), rows, found.classes, url, found.notes)


def named_from(folder: Path | None, tables: Iterable[Clips]) -> Clips:
    """Clips of several tables as one, named from a folder and sorted; each clip once.

    A group named after a file gets the new name of this file in all rows, so that clips of one
    group stay together.

    Parameters
    ----------
    folder : Path or None
        The new root; None keeps the given paths.
    tables : iterable of Clips
        Each with its own root.
    """
    root = Path() if folder is None else folder.resolve()

    def rename(path: Path) -> str:
        return path_text(path) if folder is None else name_from(root, path)

    rows: dict[tuple[str, float, float | None], dict[str, Any]] = {}
    classes: dict[str, None] = {}
    for clips in tables:
        classes |= dict.fromkeys(clips.classes)
        new_name = {file: rename(clips.root / file) for file in set(clips.file.tolist())}
        for row in clips.rows():
            name, end = new_name[row["file"]], row["end_time"]
            own = {"file": name, "group": new_name.get(row["group"], row["group"])}
            rows[name, row["start_time"], end if end == end else None] = row | own
    return Clips.from_rows(root, rows.values(), classes=tuple(classes), name="recordings")


def name_from(root: Path, file: Path) -> str:
    """A file relative to a folder; a URL is not changed.

    Parameters
    ----------
    root, file : Path

    Examples
    --------
    >>> name_from(Path("runs/index"), Path("sounds/a.wav"))
    '../../sounds/a.wav'
    """
    url = url_of(file)
    if url is not None:
        return url
    return path_from(file, root)


def name_here(file: Path) -> str:
    """A file as one would type it in the working folder: whole where it lies outside."""
    name = name_from(Path(), file)
    return Path(os.path.abspath(file)).as_posix() if name.startswith("..") else name
