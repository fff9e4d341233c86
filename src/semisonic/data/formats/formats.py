"""The formats of label files: how each is recognised, read, and written.

``csv`` has one row per event: ``file,start_time,end_time,label`` and, if known, ``score``,
``fmin_hz``, ``fmax_hz`` and ``presence``. Column names of other tools and of published sets are
recognised, see :mod:`semisonic.data.columns`; other columns are named in a note. Without a column
of files, a table belongs to the recording with its name. Several labels in a cell are joined by
';', as in a table of clips.

``csv-wide`` has one column per class, as in OpenSoundscape: ``file,start_time,end_time`` and then
1 if the class is present, 0 if it is not, and an empty cell or NaN if unknown. 1 and 0 become
positive and negative events. Unknown cells become no event; a row with unknown cells only becomes
one event without a label. An uncertain event is written as unknown.

``birdnet`` is ``Start (s),End (s),Scientific name,Common name,Confidence,File``, of all recordings
or, called ``NAME.BirdNET.results.csv``, of one. The common name is the label. ``File`` is missing
in tables of old versions, and other columns may follow it.

``kaleidoscope`` is ``cluster.csv``, ``id.csv``, and tables that others write for it. A recording is
``INDIR / FOLDER / IN FILE``; ``OFFSET`` and ``DURATION`` are seconds in it. The label is ``MANUAL
ID``, written by a person, or if that is empty the label of the program (``AUTO ID``,
``TOP1MATCH``, or the names that BirdNET-Analyzer writes). Kaleidoscope marks editable columns with
a star. ``TOP1DIST`` is a distance and not a score, unless BirdNET-Analyzer wrote it. ``Fmin`` and
``Fmax`` are limits in Hz in ``cluster.csv``; in ``id.csv`` they are measures of bat pulses in kHz
and are not read.

``raven`` is Raven's selection table, one per recording: separated by tabs, with Raven's column
names. Raven writes a selection once for each view and channel; it is read once, from the
spectrogram. Limits in frequency are always written, as crowsetta and OpenSoundscape need them.
``raven-combined`` runs over several recordings: ``Begin Time (s)`` counts from the start of the
first one, and ``File Offset (s)`` is the start of a selection in its own recording (``Begin Path``
or ``Begin File``), which is read.

``audacity`` is a label track, ``start TAB end TAB label``, one per recording. A label with a band
of frequencies has a second line, ``\\ TAB low TAB high`` in Hz, -1 for a bound that was not drawn.
A point has equal times; the oldest files have points only, without an end. BirdNET-Analyzer adds a
fourth cell with its confidence, which Audacity ignores.
"""

from __future__ import annotations

import csv
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from semisonic.audio.read import probe
from semisonic.core.errors import AudioError, DataError, OptionError
from semisonic.core.files import write_csv, write_text
from semisonic.core.label_names import class_name, labels_of
from semisonic.core.text import count_text
from semisonic.data.columns import (
    Columns,
    find_columns,
    has_files,
    is_known,
    looks_like_labels,
    unused_note,
)
from semisonic.data.events import NEGATIVE, POSITIVE, UNCERTAIN, Events, event_fault
from semisonic.data.tables import (
    EXACT,
    Head,
    Table,
    TableRow,
    exact,
    lines_of,
    normalise,
    number,
    read_table,
    read_text,
    written,
)

T = TypeVar("T")
Row = dict[str, Any]
"""An event as :func:`make_events` takes it, and ``where`` it stands. ``file`` is the recording as
the label file calls it, empty where it names none; ``end_time`` is NaN for "to its end"."""
Parse = Callable[[TableRow], Iterable[Row]]

SCORE, BAND, PRESENCE, TABS, SEMICOLON = "score", "band", "presence", "tabs", "semicolon"
"""What a format may hold besides file, times and label."""
_NAME_BYTES = 255  # that the name of a file may have on the usual file systems


@dataclass
class LabelFile:
    """The content of a label file.

    Attributes
    ----------
    rows : list of dict
        In the order of the file.
    problems : list of (where, reason)
        Rows that cannot be used.
    notes : dict of str to int
        Decisions that users should know, with the number of rows; 0 for no number.
    without_events : list of str
        Recordings in it without events.
    classes : list of str
        The classes in the order of the file, if it has one.
    """

    path: Path
    rows: list[Row] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    without_events: list[str] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)

    def add(self, lines: Iterable[tuple[int, T]], parse: Callable[[T], Iterable[Row]]) -> None:
        """Parse lines into rows; impossible ones (ValueError) become problems."""
        for line_number, line in lines:
            where = f"{self.path}, row {line_number}"
            try:
                self.rows += [{"where": where, **row} for row in parse(line)]
            except ValueError as error:
                self.problems.append((where, str(error)))


class Format(NamedTuple):
    """One format.

    Attributes
    ----------
    name, title : str
        Its names in options and in messages.
    holds : frozenset of str
        Some of the constants of this module.
    recognise : callable
        Whether the beginning of a file has this format.
    read : callable
        Takes a file and the name of the label column, and returns its rows.
    write : callable
        Writes events to a file or a folder, with the root of the recordings and their durations,
        if known; returns the paths written.
    per_recording : bool
        Whether it writes one file per recording to a folder.
    suffix : str
        Suffix of its file, or of the file of each recording.
    """

    name: str
    title: str
    holds: frozenset[str]
    recognise: Callable[[Head], bool]
    read: Callable[[Path, str | None], LabelFile]
    write: Callable[[Events, Path, Path | None, Mapping[str, float]], list[Path]]
    per_recording: bool = False
    suffix: str = ".csv"


_NUMBERS = ["start_time", "end_time", "score", "fmin_hz", "fmax_hz"]


def _event(cells: Mapping[str, str | Decimal], *, timed: bool = False) -> Row:
    """An event from the texts of its columns; ValueError if it is impossible.

    With ``timed``, start and end are required; otherwise the default is the whole recording.
    """
    row: Row = {name: float(number(str(cells.get(name, "")), name)) for name in _NUMBERS}
    missing = [name for name in ("start_time", "end_time") if math.isnan(row[name])]
    if missing and timed:
        raise ValueError(f"found '{cells[missing[0]]}' as {missing[0]}, expected seconds")
    row["start_time"] = 0.0 if "start_time" in missing else row["start_time"]
    row["file"] = str(cells["file"]).strip().replace("\\", "/")
    row["label"] = class_name(str(cells["label"]))
    row["presence"] = str(cells.get("presence", "")).strip().lower() or POSITIVE
    ended = {"end_time": row["start_time"]} if "end_time" in missing else {}
    if reason := event_fault(row | ended):
        raise ValueError(reason)
    return row


def _read_table(
    path: Path,
    label_column: str | None,
    parser: Callable[[Table, str, LabelFile], Parse],
) -> LabelFile:
    """Read a table; ``parser`` gets it and the label column that the user named, if any."""
    table = read_table(path, lenient=True)
    label = normalise(label_column or "")
    if label_column is not None and label not in table.columns:
        found = ", ".join(table.names)
        raise DataError(f"{path}, row 1: no column '{label_column}' for the labels. Found {found}")
    result = LabelFile(path, problems=list(table.problems))
    parse = parser(table, label, result)
    result.add(((row.number, row) for row in table.rows), parse)
    return result


def _texts(events: Events) -> pd.DataFrame:
    """The columns of events as text; empty columns are left out."""
    texts = events.astype(dict.fromkeys(_NUMBERS, object))
    texts[_NUMBERS] = texts[_NUMBERS].map(written)
    unsaid = [
        group for group in (["score"], ["fmin_hz", "fmax_hz"]) if not texts[group].any(axis=None)
    ]
    if (texts["presence"] == POSITIVE).all():
        unsaid.append(["presence"])
    return texts.drop(columns=[name for group in unsaid for name in group])


def _write_csv(output: Path, table: Mapping[Any, Any]) -> list[Path]:
    write_csv(output, list(table), zip(*table.values(), strict=True))
    return [output]


def _renamed(texts: pd.DataFrame, **names: str) -> dict[str, list[str]]:
    """The existing ones of some columns, under other names."""
    return {name: texts[own].tolist() for own, name in names.items() if own in texts}


def _write_tabs(path: Path, rows: Iterable[Iterable[str]]) -> None:
    write_text(path, "".join("\t".join(row) + "\n" for row in rows))


def _whole(root: Path | None, file: str) -> str:
    """The path of a recording for other programs: below the root if one is given."""
    return file if root is None else (root / file).as_posix()


def _write_each(
    write: Callable[[Path, Events], None], events: Events, folder: Path, ending: str
) -> list[Path]:
    """Write a file for each recording with events, in folders like those of the recordings."""
    paths = _track_paths(events, folder, ending)
    for file, its in events.groupby("file", sort=False):
        write(paths[str(file)], its)
    return list(paths.values())


def _track_paths(events: Events, folder: Path, ending: str) -> dict[str, Path]:
    """The path of the label file of each recording below ``folder``.

    Recordings of one folder that differ only in suffix or case keep their suffix.

    Raises
    ------
    DataError
        When two recordings would get the same label file.
    """
    places = {}
    for file in events["file"].unique().tolist():
        path = PurePath(file)  # a drive of Windows would lead out of the folder, as a root would
        parts = [part for part in path.parts if part not in (path.anchor, "..", ".")]
        places[file] = PurePosixPath(*parts)
    stems = Counter(place.with_suffix("").as_posix().casefold() for place in places.values())
    paths: dict[str, Path] = {}
    taken: set[str] = set()
    for file, place in places.items():
        alone = stems[place.with_suffix("").as_posix().casefold()] == 1
        path = folder / place.parent / ((place.stem if alone else place.name) + ending)
        if path.as_posix().casefold() in taken:
            raise DataError(f"{folder}: two recordings would get the label file {path}: {file}")
        taken.add(path.as_posix().casefold())
        paths[file] = path
    return paths


# csv: one row an event.


def _long_parser(table: Table, label: str, result: LabelFile) -> Parse:
    columns = find_columns(
        f"{table.path}, row 1", table.names, table.rows, label=label, needs_file=False
    )
    if not columns.file and not columns.is_timed:
        raise DataError(
            f"{table.path}, row 1: no column for the recording, and none for times. Found "
            f"{', '.join(table.names)}"
        )
    result.notes |= dict.fromkeys(unused_note(columns), 0)
    others = ("score", "fmin_hz", "fmax_hz")

    def parse(row: TableRow) -> Iterator[Row]:
        if columns.file:
            row.need(columns.file)
        times = columns.times(row)
        cells: dict[str, str | Decimal] = {own: row[getattr(columns, own)] for own in others}
        cells |= {"file": row[columns.file], "presence": row[columns.label_type]}
        cells |= {"start_time": times.start, "end_time": times.end}
        for label in labels_of(row[columns.label]) or [""]:
            yield {**_event({**cells, "label": str(label)}), "in_samples": times.in_samples}

    return parse


_LONG = Format(
    "csv",
    "a CSV table, one row per event",
    frozenset({SCORE, BAND, PRESENCE, TABS}),
    recognise=lambda head: looks_like_labels(head.columns),
    read=lambda path, label: _read_table(path, label, _long_parser),
    write=lambda events, output, *_: _write_csv(output, _texts(events).to_dict("list")),
)


# csv-wide: one column per class.


_TIMES = ("file", "start_time", "end_time")
_PRESENCE_OF = {
    **dict.fromkeys(("1", "1.0", "true", "pos"), POSITIVE),
    **dict.fromkeys(("0", "0.0", "false", "neg"), NEGATIVE),
    **dict.fromkeys(("", "nan", "na", "none"), ""),
    "unk": UNCERTAIN,
}
"""What the cells of classes mean; POS, NEG and UNK are those of DCASE's few-shot task."""


def _is_wide(head: Head) -> bool:
    """Whether there is a file and no label, and the first rows have 0, 1 or nothing in classes."""
    if looks_like_labels(head.columns) or not has_files(head.columns) or len(head.lines) < 2:
        return False
    names = next(csv.reader([head.lines[0]], delimiter=head.separator), [])
    rows = csv.reader(head.lines[1:], delimiter=head.separator)
    places = [i for i, name in enumerate(names) if name.strip() and not is_known(name)]
    cells = [row[i].strip().lower() if i < len(row) else "" for row in rows for i in places]
    if set(_TIMES) <= head.columns:  # our own form, or OpenSoundscape's
        return any(cell in _PRESENCE_OF for cell in cells)
    return any(cells) and all(cell in _PRESENCE_OF for cell in cells)


def _read_wide(path: Path, label_column: str | None) -> LabelFile:
    """Read the table; ``label_column`` keeps one class of it."""
    table = read_table(path, unique=False, lenient=True)
    columns = find_columns(f"{path}, row 1", table.names, table.rows)
    others = set(map(normalise, columns.unused))
    classes = {
        place: name
        for place, (name, column) in enumerate(zip(table.names, table.columns, strict=True))
        if name and (not column or column in others) and label_column in (None, name)
    }
    if not classes and table.rows:
        wanted = f"a column '{label_column}'" if label_column else "a column for each class"
        raise DataError(f"{path}, row 1: found {', '.join(table.names)}, expected {wanted}")

    def parse(row: TableRow) -> list[Row]:
        times = columns.times(row)
        cells: dict[str, str | Decimal] = {"file": row.need(columns.file)}
        cells |= {"start_time": times.start, "end_time": times.end}
        rows = []
        for place, name in classes.items():
            text = row.cells[place] if place < len(row.cells) else ""
            presence = _PRESENCE_OF.get(text.strip().lower())
            if presence is None:
                raise ValueError(
                    f"found '{text}' for '{name}', expected 1, 0 or nothing, or POS, NEG or UNK "
                    "(a number between 0 and 1 is a score of a program, and no label)"
                )
            if presence:
                rows.append(_event({**cells, "label": name, "presence": presence}))
        rows = rows or [_event({**cells, "label": ""})]
        return [{**one, "in_samples": times.in_samples} for one in rows]

    result = LabelFile(path, problems=list(table.problems), classes=list(classes.values()))
    result.add(((row.number, row) for row in table.rows), parse)
    return result


def _write_wide(events: Events, output: Path, *_: object) -> list[Path]:
    """Write one row per segment, classes in alphabetical order."""
    marks = events.assign(mark=events["presence"].map({POSITIVE: "1", NEGATIVE: "0"}))
    named = marks[(marks["label"] != "") & marks["mark"].notna()]
    named = named.drop_duplicates([*_TIMES, "label", "mark"])
    for event in named[named.duplicated([*_TIMES, "label"])].to_dict("records"):
        raise DataError(
            f"csv-wide: '{event['label']}' is positive and negative in {event['file']} from "
            f"{event['start_time']:g} to {event['end_time']:g} s; a cell can hold only one of them"
        )
    classes = sorted(set(events["label"]) - {""})
    wide = named.pivot(index=list(_TIMES), columns="label", values="mark")
    segments = pd.MultiIndex.from_frame(events[list(_TIMES)].drop_duplicates())
    table = wide.reindex(index=segments, columns=classes).fillna("").reset_index()
    table[["start_time", "end_time"]] = table[["start_time", "end_time"]].map(written)
    return _write_csv(output, table.to_dict("list"))


_WIDE = Format(
    "csv-wide",
    "a CSV table, one column per class",
    frozenset({PRESENCE}),
    recognise=_is_wide,
    read=_read_wide,
    write=_write_wide,
)


# BirdNET-Analyzer.


def _birdnet_parser(table: Table, label: str, _: LabelFile) -> Parse:
    label = label or table.find("common_name", "scientific_name")
    columns = {"start_time": "start_s", "end_time": "end_s", "score": "confidence"}
    columns |= {"file": "file", "label": label}
    return lambda row: [_event({own: row[c] for own, c in columns.items()}, timed=True)]


def _write_birdnet(
    events: Events, output: Path, root: Path | None, _: Mapping[str, float]
) -> list[Path]:
    """Write one table of all recordings; a label is both its own names."""
    texts = _texts(events)
    columns = {
        "Start (s)": texts["start_time"],
        "End (s)": texts["end_time"],
        "Scientific name": texts["label"],
        "Common name": texts["label"],
        "Confidence": texts.get("score", [""] * len(events)),
        "File": [_whole(root, file) for file in texts["file"]],
    }
    return _write_csv(output, columns)


_BIRDNET = Format(
    "birdnet",
    "BirdNET-Analyzer CSV",
    frozenset({SCORE, TABS, SEMICOLON}),
    recognise=lambda head: (
        {"start_s", "end_s", "confidence"} <= head.columns
        and bool({"scientific_name", "common_name"} & head.columns)
    ),
    read=lambda path, label: _read_table(path, label, _birdnet_parser),
    write=_write_birdnet,
)


# Kaleidoscope.


def _kaleidoscope_parser(table: Table, label: str, _: LabelFile) -> Parse:
    by_program = table.find("auto_id", "top1match", "common_name", "scientific_name")
    score = table.find("confidence", "match_ratio")
    if not score and {"scientific_name", "top1dist"} <= set(table.columns):
        score = "top1dist"
    # In a table of bats, Fmin and Fmax are measures of pulses.
    band = {} if "auto_id" in table.columns else {"fmin_hz": "fmin", "fmax_hz": "fmax"}

    def parse(row: TableRow) -> Iterator[Row]:
        start, duration = number(row["offset"], "offset"), number(row["duration"], "duration")
        folder, name = (row[c].replace("\\", "/").strip("/") for c in ("folder", "in_file"))
        if not (folder or name):
            raise ValueError("the column 'IN FILE' is empty")
        by_hand = row[label or "manual_id"]
        is_by_program = not (by_hand or label)
        yield _event(
            {
                "file": "/".join(filter(None, (folder, name))),
                "start_time": start,
                "end_time": EXACT.add(Decimal(0) if start.is_nan() else start, duration),
                "label": row[by_program] if is_by_program else by_hand,
                # The score is that of the program's label.
                "score": row[score] if label or is_by_program else "",
                **{own: row[column] for own, column in band.items()},
            }
        )

    return parse


def _write_kaleidoscope(
    events: Events, output: Path, root: Path | None, _: Mapping[str, float]
) -> list[Path]:
    """Write one table; labels with a score go into TOP1MATCH, those of people into MANUAL ID."""
    n, texts, by_hand = len(events), _texts(events), events["score"].isna()
    paths = texts["file"].str.rpartition("/") if n else pd.DataFrame(columns=[0, 1, 2])
    times = zip(events["start_time"], events["end_time"], strict=True)
    columns = {
        "INDIR": [root.as_posix() if root is not None else ""] * n,
        "FOLDER": paths[0],
        "IN FILE": paths[2],
        "CHANNEL": ["0"] * n,
        "OFFSET": texts["start_time"],
        "DURATION": [written(EXACT.subtract(exact(end), exact(start))) for start, end in times],
        **_renamed(texts, fmin_hz="Fmin", fmax_hz="Fmax"),
        "TOP1MATCH": texts["label"].mask(by_hand, ""),
        "MANUAL ID": texts["label"].where(by_hand, ""),
        **_renamed(texts, score="confidence"),
    }
    return _write_csv(output, columns)


_KALEIDOSCOPE = Format(
    "kaleidoscope",
    "Kaleidoscope CSV",
    frozenset({SCORE, BAND, TABS, SEMICOLON}),
    recognise=lambda head: {"indir", "in_file", "offset"} <= head.columns,
    read=lambda path, label: _read_table(path, label, _kaleidoscope_parser),
    write=_write_kaleidoscope,
)


# Raven.


_SELECTIONS = ".Table.1.selections.txt"
_HIGHEST_HZ = 24000.0
"""The upper limit of an event without one, if its recording cannot be read."""
_BEGIN, _END, _OFFSET = "begin_time_s", "end_time_s", "file_offset_s"
_LABEL_NAMES = (
    *("annotation", "annotations", "label", "labels", "species", "common_name", "species_code"),
    *("class", "call_type", "sound_type", "type", "tag", "tags", "id"),
)
"""Usual names of the label column, in order of preference."""
_OWN_COLUMNS = frozenset(
    {"selection", "view", "channel", "begin_file", "end_file", "begin_path", "end_path"}
    | {"begin_date", "end_date", "begin_clock_time", "end_clock_time", "begin_date_time"}
    | {"length_frames", "presence", "notes", "comments", "comment", "annotator"}
    | {"scientific_name", "score", "confidence"}
)


def _is_raven(head: Head) -> bool:
    """Whether the columns are those of a selection table."""
    times = {_BEGIN, _END} <= head.columns
    return times and (head.separator == "\t" or "selection" in head.columns)


def _raven_parser(table: Table, label: str, result: LabelFile) -> Parse:
    """Analyse a selection table as a whole.

    Raises
    ------
    DataError
        When times are missing, when the label column is missing or not clear, or when times over
        several recordings cannot be distinguished from times in each.
    """
    if not {_BEGIN, _END} <= set(table.columns):
        raise DataError(
            f"{table.path}, row 1: no column 'Begin Time (s)' or 'End Time (s)'. "
            f"Found {', '.join(table.names)}"
        )
    label = label or _raven_labels(table)
    if not label:
        result.notes["no column for labels: events without a name"] = 0
    unused = tuple(name for column, name in _of_the_user(table) if column != label)
    result.notes |= dict.fromkeys(unused_note(Columns(unused=unused)), 0)
    chosen: dict[tuple[str, ...], TableRow] = {}  # each selection once, from the spectrogram
    for row in table.rows:
        same = tuple(row[c] for c in ("selection", _BEGIN, _END, "begin_path", "begin_file", label))
        key = same if row["selection"] else (*same, str(row.number))
        if key not in chosen or (
            "spectro" in row["view"].lower() and "spectro" not in chosen[key]["view"].lower()
        ):
            chosen[key] = row
    if again := len(table.rows) - len(chosen):
        result.notes["rows repeat a selection in another view or channel"] = again
    # BirdNET-Analyzer writes a row for a recording without any event.
    empty = [r for r in chosen.values() if r["common_name"] == r["species_code"] == "nocall"]
    result.without_events = list(map(_raven_file, empty))
    kept = {row.number: row for row in chosen.values() if row not in empty}
    if _OFFSET not in table.columns:
        _check_times(table.path, kept.values())
    score = table.find("score", "confidence")
    if score and not all(_is_score(row[score]) for row in kept.values()):
        result.notes[
            f"the column '{score}' does not contain scores from 0 to 1 and is not used"
        ] = 0
        score = ""

    columns = {"start_time": _BEGIN, "end_time": _END, "label": label, "score": score}
    columns |= {"fmin_hz": "low_freq_hz", "fmax_hz": "high_freq_hz", "presence": "presence"}

    def parse(row: TableRow) -> Iterator[Row]:
        if row.number not in kept:
            return
        cells: dict[str, str | Decimal] = {own: row[column] for own, column in columns.items()}
        offset = number(row[_OFFSET], "file offset")
        if not offset.is_nan():
            duration = EXACT.subtract(number(row[_END], "end"), number(row[_BEGIN], "begin"))
            cells |= {"start_time": offset, "end_time": EXACT.add(offset, duration)}
        yield _event({**cells, "file": _raven_file(row)}, timed=True)

    return parse


def _raven_file(row: TableRow) -> str:
    return row["begin_path"] or row["begin_file"]


def _of_the_user(table: Table) -> list[tuple[str, str]]:
    """The columns that are not Raven's, normalised and as they are written."""
    return [
        (column, name)
        for name, column in zip(table.names, table.columns, strict=True)
        if column and column not in _OWN_COLUMNS and "(" not in name
    ]


def _raven_labels(table: Table) -> str:
    """The column of labels: one with a usual name, else the only one that is not Raven's."""
    usual = table.find(*_LABEL_NAMES)
    others = [column for column, _ in _of_the_user(table)]
    if len(others) > 1 and not usual:
        raise DataError(
            f"{table.path}, row 1: which column has the labels? Found "
            f"{', '.join(table.names)}. Name it with --label-column of 'semisonic data labels', "
            "or label_column= in Python"
        )
    return usual or "".join(others)


def _check_times(path: Path, rows: Iterable[TableRow]) -> None:
    """Raise an error for times that may count over several recordings or in each of them."""
    begins: dict[str, list[Decimal]] = defaultdict(list)
    for row in rows:
        try:
            begin = number(row[_BEGIN], "begin")
        except ValueError:
            continue  # reported with its row
        begins[_raven_file(row)].append(Decimal(0) if begin.is_nan() else begin)
    spans = sorted((min(times), max(times)) for times in begins.values())
    if len(spans) > 1 and all(a[1] <= b[0] for a, b in pairwise(spans)):
        raise DataError(
            f"{path}: found selections of {len(spans)} recordings without the column 'File "
            "Offset (s)', so 'Begin Time (s)' may count from each recording or over all of them. "
            "Add the measurement File Offset in Raven and save the table again"
        )


def _is_score(text: str) -> bool:
    try:
        value = number(text, "score")
    except ValueError:
        return False
    return value.is_nan() or 0 <= value <= 1


def _full_band(events: Events, root: Path | None) -> Events:
    """Events with limits in frequency, as other readers of these tables refuse one without.

    Without a limit, an event reaches from 0 Hz to half the sample rate of its recording.
    """
    highest = {}
    for file in events["file"].unique().tolist():
        try:
            highest[file] = probe(_whole(root, file)).sample_rate / 2
        except AudioError:
            highest[file] = _HIGHEST_HZ
    low = events["fmin_hz"].fillna(0.0)
    high = events["fmax_hz"].fillna(events["file"].map(highest).astype(float))
    return events.assign(fmin_hz=low, fmax_hz=np.maximum(low, high))


def _write_selections(
    path: Path,
    events: Events,
    begins: Iterable[Decimal] | None = None,
    *,
    root: Path | None = None,
    **more: list[str],
) -> None:
    """Write one table; ``begins`` is added to all times."""
    events = _full_band(events, root)
    n, texts = len(events), _texts(events)
    shifts = [Decimal(0)] * n if begins is None else begins
    moved = {
        name: [
            written(EXACT.add(shift, exact(time)))
            for shift, time in zip(shifts, events[name], strict=True)
        ]
        for name in ("start_time", "end_time")
    }
    columns = {
        "Selection": [str(i + 1) for i in range(n)],
        "View": ["Spectrogram 1"] * n,
        "Channel": ["1"] * n,
        "Begin Time (s)": moved["start_time"],
        "End Time (s)": moved["end_time"],
        **_renamed(texts, fmin_hz="Low Freq (Hz)", fmax_hz="High Freq (Hz)"),
        **(more or {"Begin File": [file.rpartition("/")[2] for file in texts["file"]]}),
        "Annotation": texts["label"],
        **_renamed(texts, score="Score", presence="Presence"),
    }
    _write_tabs(path, [list(columns), *zip(*columns.values(), strict=True)])


def _write_combined(
    events: Events, output: Path, root: Path | None, durations: Mapping[str, float]
) -> list[Path]:
    """Write one table over all recordings, and beside it the list of files for Raven.

    ``Begin Time (s)`` counts from the start of the first recording in ``durations``.
    """
    if not durations and len(events):
        raise OptionError(
            "raven-combined: found no durations, expected the length of each recording in "
            "seconds, as times run over all recordings"
        )
    ends = accumulate(map(exact, durations.values()), EXACT.add, initial=Decimal(0))
    begins = dict(zip(durations, ends, strict=False))
    if unknown := sorted(set(events["file"]) - set(begins)):
        n = count_text(len(unknown), "recording")
        raise DataError(f"raven-combined: no duration for {n}: {unknown[0]}")
    its = events.sort_values(
        "file", key=lambda files: files.map(begins).astype(float), kind="stable"
    )
    more = {
        "Begin Path": [_whole(root, file) for file in its["file"]],
        "File Offset (s)": list(map(written, its["start_time"])),
    }
    _write_selections(output, its, [begins[file] for file in its["file"]], root=root, **more)
    listing = output.with_name(f"{output.stem}.list.txt")
    write_text(listing, "".join(f"{_whole(root, file)}\n" for file in begins))
    return [output, listing]


_RAVEN = Format(
    "raven",
    "Raven selection tables",
    frozenset({BAND, PRESENCE, SCORE, SEMICOLON}),
    _is_raven,
    partial(_read_table, parser=_raven_parser),
    lambda events, folder, root, _: _write_each(
        partial(_write_selections, root=root), events, folder, _SELECTIONS
    ),
    per_recording=True,
    suffix=_SELECTIONS,
)
_COMBINED = Format(
    "raven-combined",
    "a Raven selection table over several recordings",
    _RAVEN.holds,
    lambda head: _is_raven(head) and {_OFFSET, "begin_path"} <= head.columns,
    _RAVEN.read,
    _write_combined,
    suffix=".txt",
)


# Audacity.


_CONTINUED = "\\"


def _read_audacity(path: Path, _: str | None) -> LabelFile:
    """Read a label track; it has no columns to choose from."""
    track = LabelFile(path)
    lines: list[tuple[int, list[str]]] = []
    for i, line in lines_of(read_text(path)):
        if not line.startswith(_CONTINUED):
            lines.append((i, [line]))
        elif not lines:
            track.problems.append((f"{path}, row {i}", "frequencies without a label before them"))
        else:  # lines of this kind may follow in future versions; Audacity passes over them too
            lines[-1][1].append(line)
    track.add(lines, _parse_label)
    return track


def _parse_label(lines: list[str]) -> Iterator[Row]:
    start, *texts = lines[0].split("\t")
    if number(start, "start").is_nan():
        found = lines[0].strip()
        raise ValueError(f"found '{found}', expected start, end and label, separated by tabs")
    end = texts.pop(0) if texts and _is_number(texts[0]) else start
    has_score = len(texts) > 1 and _is_number(texts[-1]) and _is_score(texts[-1])
    score = texts.pop() if has_score else ""
    low = high = ""
    if len(lines) > 1:
        band = lines[1].split("\t")[1:3]
        if len(band) < 2:
            found = lines[1].strip()
            raise ValueError(f"found '{found}', expected a backslash and two frequencies")
        low, high = ("" if number(text, "frequency") == -1 else text for text in band)
    label = " ".join(text.strip() for text in texts if text.strip())
    times = {"start_time": start, "end_time": end, "fmin_hz": low, "fmax_hz": high}
    yield _event({"file": "", "label": label, "score": score, **times})


def _is_number(text: str) -> bool:
    try:
        return not number(text, "number").is_nan()
    except ValueError:
        return False


def _write_track(path: Path, events: Events) -> None:
    """Write a label track; a band of frequencies is a line of its own."""
    lines: list[list[str]] = []
    for row in events.to_dict("records"):
        lines.append([written(row["start_time"]), written(row["end_time"]), row["label"]])
        band = [written(row["fmin_hz"]), written(row["fmax_hz"])]
        if any(band):
            lines.append([_CONTINUED, *(text or "-1.0" for text in band)])
    _write_tabs(path, lines)


def _is_audacity(head: Head) -> bool:
    """Whether the first line begins with a time and a tab."""
    first = head.lines[0] if head.lines else ""
    is_text = head.suffix == ".txt" and "\t" in first
    return is_text and _is_number(first.split("\t")[0])


_AUDACITY = Format(
    "audacity",
    "Audacity label tracks",
    frozenset({BAND, SEMICOLON}),
    _is_audacity,
    _read_audacity,
    lambda events, folder, *_: _write_each(_write_track, events, folder, ".txt"),
    per_recording=True,
    suffix=".txt",
)


BY_NAME = {
    form.name: form
    for form in (_LONG, _WIDE, _AUDACITY, _RAVEN, _COMBINED, _BIRDNET, _KALEIDOSCOPE)
}
# The more special ones first: a table of BirdNET has a file and a label, too.
TRIED = (_KALEIDOSCOPE, _BIRDNET, _COMBINED, _RAVEN, _LONG, _WIDE, _AUDACITY)


def unwritable(events: Events, form: Format) -> dict[int, tuple[str, str]]:
    """The events that a format cannot hold, by row, with place and reason."""
    marks = "\n\r\x00" + ("" if TABS in form.holds else "\t")
    marks_of_label = marks + ("" if SEMICOLON in form.holds else ";")
    paths = _track_paths(events, Path(), form.suffix) if form.per_recording else {}
    lengths = {f: len(path.name.encode("utf-8", "surrogatepass")) for f, path in paths.items()}

    def reason(event: Mapping[Any, Any]) -> str:
        file, label, presence = event["file"], event["label"], event["presence"]
        if lengths.get(file, 0) > _NAME_BYTES:
            return (
                "the name of its recording is too long: the label file's would have "
                f"{lengths[file]} bytes, expected {_NAME_BYTES} at most; rename the recording"
            )
        bad = [m for m in marks_of_label if m in label] + [m for m in marks if m in file]
        if bad:
            return f"its label or file contains {bad[0]!r}, which {form.title} cannot hold"
        if form is _WIDE and is_known(label):
            return f"'{label}' means something else in {form.title}"
        if presence != POSITIVE and PRESENCE not in form.holds:
            return f"it is {presence}, which {form.title} cannot express"
        return ""

    found = {}
    for row, event in enumerate(events.to_dict("records")):
        if why := reason(event):
            times = f"{event['start_time']:g} to {event['end_time']:g} s"
            found[row] = (f"{event['file']}, {times}, '{event['label']}'", why)
    return found


def losses(events: Events, form: Format) -> list[str]:
    """A text on what a format leaves out of the events; empty for nothing."""
    n_scores = int(events["score"].notna().sum())
    n_bands = int(events[["fmin_hz", "fmax_hz"]].notna().any(axis=1).sum())
    n_uncertain = int((events["presence"] == UNCERTAIN).sum()) if form is _WIDE else 0
    lost = [f"{n_scores} scores"] if n_scores and SCORE not in form.holds else []
    if n_bands and BAND not in form.holds:
        lost.append(f"{n_bands} frequency limits")
    if n_uncertain:
        lost.append(f"the difference between uncertain and unknown ({n_uncertain} events)")
    return [f"{form.name} does not hold: {text}" for text in lost]
