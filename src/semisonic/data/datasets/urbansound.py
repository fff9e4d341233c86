"""UrbanSound8K, and UrbanSound with its events beside its recordings.

Every row of the table is a clip of the result: 8 732 slices of at most 4 s. The group is ``fsID``,
the Freesound recording a slice was cut from; the ten folds are the official ones and keep the
slices of a recording together. Class names and their order come from ``class`` and ``classID``.
``start`` and ``end`` are times in that recording and say nothing about the slice's file. A name
such as ``100032-3-0-0.wav`` (recording, class number, occurrence, slice) must agree with its row,
and a file must lie in the folder of its fold. The table alone can be read too. J. Salamon, C.
Jacoby, J. P. Bello, "A Dataset and Taxonomy for Urban Sound Research", ACM Multimedia 2014.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from semisonic.audio.find import OTHER_SUFFIXES
from semisonic.core.errors import DataError
from semisonic.core.text import count_text
from semisonic.data.clips import Clips
from semisonic.data.datasets.layout import (
    DatasetPath,
    Layout,
    base_name,
    classes_by_number,
    each_once,
    locate_all_or_none,
    named_groups,
    need_rows,
    relative_names,
    whole,
)
from semisonic.data.options import ReadOptions
from semisonic.data.recording_names import known_or_given
from semisonic.data.tables import TableFile, TableRow, normalise, read_table

COLUMNS_8K = ("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class")
_NEEDED = tuple(normalise(name) for name in COLUMNS_8K if name not in ("start", "end", "salience"))
_NAME = re.compile(r"^(?P<fsid>\d+)-(?P<classid>\d+)-\d+-\d+\.\w+$")
_TABLE_8K = "UrbanSound8K.csv"
N_FOLDS = 10


def _recognise_8k(dataset: DatasetPath) -> str | None:
    """The published table: the path itself, or in the folder or its ``metadata``."""
    table = _find_table(dataset)
    if table is None:
        return None
    return f"{table.name} is the table of UrbanSound8K ({', '.join(COLUMNS_8K)})"


def _find_table(dataset: DatasetPath) -> Path | None:
    """The table of an UrbanSound8K folder, or the path itself when it is one."""
    if dataset.is_table:
        return dataset.path
    candidates = (dataset.path / "metadata" / _TABLE_8K, dataset.path / _TABLE_8K)
    return next((path for path in candidates if path.is_file()), None)


def _read_8k(dataset: DatasetPath, options: ReadOptions) -> Clips:
    """Read every clip of the table.

    Raises
    ------
    DataError
        With file and row: a missing column, a fold that is not 1 to 10, a class with two names or
        numbers, a name that contradicts its row, a clip that stands twice, files that are missing
        or lie in the folder of another fold.
    """
    path = dataset.path if dataset.is_table else _find_table(dataset)
    if path is None:
        raise DataError(
            f"{dataset.path}: not UrbanSound8K, expected metadata/{_TABLE_8K} with the columns "
            f"{', '.join(COLUMNS_8K)} beside audio/fold1 to audio/fold{N_FOLDS}"
        )
    table = read_table(path)
    need_rows(table, _NEEDED)
    each_once(table, "slice_file_name")
    classes = classes_by_number(table, table.rows, "classid", "class")
    folds = [whole(table, row, "fold", 1, N_FOLDS) for row in table.rows]
    for row in table.rows:
        _check_name(table, row)
    files = [
        f"fold{fold}/{row.values['slice_file_name']}"
        for row, fold in zip(table.rows, folds, strict=True)
    ]
    numbers = [row.number for row in table.rows]
    _check_folders(dataset, table, files)
    found = locate_all_or_none(path, files, numbers, allow_missing=options.allow_missing)
    groups = named_groups(table, table.rows, found.files, "fsid", options.group)
    rows = [
        {"file": file, "labels": row.values["class"], "group": group, "fold": fold}
        for row, file, group, fold in zip(table.rows, found.files, groups, folds, strict=True)
    ]
    notes = found.notes + _extra(dataset, table)
    return Clips.from_rows(found.root, rows, classes, "UrbanSound8K", notes)


def _check_name(table: TableFile, row: TableRow) -> None:
    """See that the name of a slice says what its row says."""
    name = row.values["slice_file_name"]
    parts = _NAME.match(name)
    if parts is None:
        raise DataError(
            f"{table.where(row)}: found the name '{name}', expected "
            "'fsID-classID-occurrence-slice.wav', such as 100032-3-0-0.wav"
        )
    for column, said in parts.groupdict().items():
        if row.values[column] != said:
            raise DataError(
                f"{table.where(row)}: {name} says {column} {said}, its row says "
                f"'{row.values[column]}'; take the table as it was published"
            )


def _check_folders(dataset: DatasetPath, table: TableFile, files: list[str]) -> None:
    """See that no listed clip lies in the folder of another fold, and only there."""
    lies_in: dict[str, list[str]] = {}
    for file in dataset.audio:
        lies_in.setdefault(base_name(file), []).append(file.rpartition("/")[0].rpartition("/")[2])
    for row, file in zip(table.rows, files, strict=True):
        folder, _, name = file.partition("/")
        found = [other for other in lies_in.get(name, []) if re.fullmatch(r"fold\d+", other)]
        if found and folder not in found:
            raise DataError(
                f"{table.where(row)}: {name} is of {folder}, but lies in {', '.join(found)}. "
                "The official folds must stay as they are; unpack the data set anew"
            )


def _extra(dataset: DatasetPath, table: TableFile) -> list[str]:
    """A note about recordings that the table does not name."""
    listed = {row.values["slice_file_name"] for row in table.rows}
    extra = [file for file in dataset.audio if base_name(file) not in listed]
    if not extra:
        return []
    shown = ", ".join(extra[:3]) + (", ..." if len(extra) > 3 else "")
    return [f"{count_text(len(extra), 'recording')} not in the table, left out: {shown}"]


URBANSOUND8K = Layout(
    "urbansound8k",
    "UrbanSound8K",
    _read_8k,
    _recognise_8k,
    paths=("folder", "table"),
    columns=tuple(map(normalise, COLUMNS_8K)),
    has_texts=True,
)


# UrbanSound: ``data/dog_bark/4912.wav`` with its events beside it in ``data/dog_bark/4912.csv``.
#
# Not UrbanSound8K, whose slices were cut from these 1 302 field recordings. A file of events has no
# header; each line is ``start,end,salience,class`` with times in seconds and salience 1 for
# foreground, 2 for background. Of a recording only the events of one class are marked, that of its
# folder. Every event becomes a clip. Files are named by their Freesound number, which is the group.
# J. Salamon, C. Jacoby, J. P. Bello, "A Dataset and Taxonomy for Urban Sound Research", ACM
# Multimedia 2014.


CLASSES = (
    "air_conditioner",
    "car_horn",
    "children_playing",
    "dog_bark",
    "drilling",
    "engine_idling",
    "gun_shot",
    "jackhammer",
    "siren",
    "street_music",
)
"""In the order of UrbanSound8K's class numbers."""

FOREGROUND, BACKGROUND = SALIENCES = ("1", "2")
EVENT_COLUMNS = ("start", "end", "salience", "class")
_EVENT_TABLE = re.compile(rf"(?:^|/)(?:{'|'.join(CLASSES)})/\d+\.csv$")
_N_SHOWN = 3


@dataclass(frozen=True)
class _Event:
    """One line of a file of events; times in seconds."""

    start: float
    end: float
    salience: str
    label: str


def _recognise_events(dataset: DatasetPath) -> str | None:
    """Numbered files of events in folders named after the ten classes."""
    tables = _tables(dataset)
    if not tables or _first_line(dataset.path / tables[0]) is None:
        return None
    return (
        f"{count_text(len(tables), 'file')} of events ({', '.join(EVENT_COLUMNS)}) beside "
        "recordings in folders of the ten classes: UrbanSound"
    )


def _read_events(
    dataset: DatasetPath,
    options: ReadOptions,
    saliences: tuple[str, ...] = SALIENCES,
    name: str = "UrbanSound",
) -> Clips:
    """Read every event of some saliences as a clip.

    Raises
    ------
    DataError
        With file and line: other than four values, a time that is no number, an unknown salience
        or class; when a recording is missing, unless missing files are allowed.
    """
    tables = _tables(dataset)
    if not tables:
        raise DataError(
            f"{dataset.path}: not UrbanSound, expected recordings and files of events such as "
            "data/dog_bark/4912.csv with lines of start,end,salience,class"
        )
    audio = {file.rpartition(".")[0]: file for file in dataset.need_audio()}
    others = {f.rpartition(".")[0] for f in relative_names(dataset.path, OTHER_SUFFIXES)}
    stems = [table.removesuffix(".csv") for table in tables]
    unread = [stem for stem in stems if stem not in audio and stem in others]
    missing = [stem for stem in stems if stem not in audio and stem not in others]
    if missing and not options.allow_missing:
        shown = ", ".join(missing[:_N_SHOWN]) + (", ..." if len(missing) > _N_SHOWN else "")
        raise DataError(
            f"{dataset.path}: {len(missing)} of {len(tables)} files of events have no recording "
            f"beside them: {shown}. Unpack the data set anew, or say --allow-missing"
        )
    rows = dict[tuple[str, float, float], dict[str, object]]()
    n_background = n_empty = 0
    for stem in stems:
        if stem not in audio:
            continue
        file = audio[stem]
        group = known_or_given([file], [stem.rpartition("/")[2]], options.group)[0]
        for event in _events(dataset.path / f"{stem}.csv"):
            n_background += event.salience == BACKGROUND
            n_empty += not event.end > event.start
            if event.end > event.start and event.salience in saliences:
                rows[file, event.start, event.end] = {
                    "file": file,
                    "start_time": event.start,
                    "end_time": event.end,
                    "labels": event.label,
                    "group": group,
                }
    if not rows:
        raise DataError(f"{dataset.path}: no event in {count_text(len(tables), 'file')} of events")
    bare = sorted(set(audio.values()) - {audio[stem] for stem in stems if stem in audio})
    found = {str(row["labels"]) for row in rows.values()}
    classes = [label for label in CLASSES if label in found]
    notes = _notes(saliences, n_background, n_empty, len(bare), len(unread), len(missing))
    return Clips.from_rows(dataset.path, rows.values(), classes, name, notes)


def _notes(
    saliences: tuple[str, ...], background: int, empty: int, bare: int, unread: int, missing: int
) -> list[str]:
    """What was left out, and what the salience of events says."""
    left = BACKGROUND not in saliences
    said = [
        (
            background,
            f"{count_text(background, 'event')} in the background (salience 2) "
            + ("left out" if left else "; --labels urbansound-foreground leaves them out"),
        ),
        (empty, f"{count_text(empty, 'event')} without a length left out"),
        (bare, f"{count_text(bare, 'recording')} without a file of events left out"),
        (unread, f"{count_text(unread, 'recording')} in a format that is not read left out"),
        (missing, f"{count_text(missing, 'recording')} missing"),
    ]
    return [text.replace(" ;", ";") for n, text in said if n]


def _tables(dataset: DatasetPath) -> list[str]:
    """The files of events below the folder, relative to it."""
    if not dataset.is_folder:
        return []
    base = dataset.path.as_posix().rstrip("/") + "/"
    names = (path.as_posix() for path in dataset.texts)
    return [name.removeprefix(base) for name in names if _EVENT_TABLE.search(name)]


def _first_line(path: Path) -> _Event | None:
    """The first event of a file, None when it is no file of events."""
    try:
        return next(_events(path), None)
    except DataError:
        return None


def _events(path: Path) -> Iterator[_Event]:
    """The lines of one file of events."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as text ({error})") from error
    for number, cells in enumerate(csv.reader(lines), start=1):
        values = [cell.strip() for cell in cells]
        if not any(values) or (number == 1 and tuple(values) == EVENT_COLUMNS):
            continue
        where = f"{path}, row {number}"
        if len(values) != len(EVENT_COLUMNS):
            raise DataError(
                f"{where}: found {len(values)} values, expected four: {', '.join(EVENT_COLUMNS)}"
            )
        start, end, salience, label = values
        try:
            times = float(start), float(end)
        except ValueError:
            raise DataError(
                f"{where}: found the times '{start}' and '{end}', expected seconds"
            ) from None
        if salience not in SALIENCES:
            raise DataError(
                f"{where}: found salience '{salience}', expected 1 (foreground) or 2 (background)"
            )
        if label not in CLASSES:
            raise DataError(
                f"{where}: found the class '{label}', expected one of {', '.join(CLASSES)}"
            )
        yield _Event(*times, salience, label)


URBANSOUND = Layout("urbansound", "UrbanSound", _read_events, _recognise_events, has_texts=True)
URBANSOUND_FOREGROUND = Layout(
    "urbansound-foreground",
    "the foreground events of UrbanSound",
    partial(_read_events, saliences=(FOREGROUND,), name="UrbanSound, foreground"),
)
