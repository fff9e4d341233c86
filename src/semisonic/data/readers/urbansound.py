"""UrbanSound8K: ``metadata/UrbanSound8K.csv`` beside ``audio/fold1`` to ``audio/fold10``.

Every row of the table is a clip of the result: 8 732 slices of at most 4 s. The group is ``fsID``,
the Freesound recording a slice was cut from; the ten folds are the official ones and keep the
slices of a recording together. Class names and their order come from ``class`` and ``classID``.
``start`` and ``end`` are times in that recording and say nothing about the slice's file.
A name such as ``100032-3-0-0.wav`` (recording, class number, occurrence, slice) must agree with its
row, and a file must lie in the folder of its fold. The table alone can be read too.
J. Salamon, C. Jacoby, J. P. Bello, "A Dataset and Taxonomy for Urban Sound Research", ACM
Multimedia 2014.
"""

from __future__ import annotations

import re
from pathlib import Path

from semisonic.base.errors import DataError
from semisonic.base.wording import counted
from semisonic.data.clips import Clips
from semisonic.data.readers.locate import locate_all_or_none
from semisonic.data.readers.named import (
    classes_by_number,
    each_once,
    named_groups,
    need_rows,
    whole,
)
from semisonic.data.readers.place import Place, ReadOptions, base_name
from semisonic.data.readers.table_file import Row, TableFile, normalise, read_header, read_table

COLUMNS = ("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class")
_NEEDED = tuple(normalise(name) for name in COLUMNS if name not in ("start", "end", "salience"))
_NAME = re.compile(r"^(?P<fsid>\d+)-(?P<classid>\d+)-\d+-\d+\.\w+$")
_TABLE = "UrbanSound8K.csv"
N_FOLDS = 10


def recognise(place: Place) -> str | None:
    """The published table: the path itself, or in the folder or its ``metadata``."""
    table = find_table(place)
    if table is None:
        return None
    return f"{table.name} is the table of UrbanSound8K ({', '.join(COLUMNS)})"


def find_table(place: Place) -> Path | None:
    """The table of an UrbanSound8K folder, or the path itself when it is one."""
    if place.is_table:
        published = set(map(normalise, COLUMNS))
        return place.path if set(read_header(place.path)) >= published else None
    candidates = (place.path / "metadata" / _TABLE, place.path / _TABLE)
    return next((path for path in candidates if path.is_file()), None)


def read(place: Place, options: ReadOptions) -> Clips:
    """Read every clip of the table.

    Raises
    ------
    DataError
        With file and row: a missing column, a fold that is not 1 to 10, a class with two names or
        numbers, a name that contradicts its row, a clip that stands twice, files that are missing
        or lie in the folder of another fold.
    """
    path = place.path if place.is_table else find_table(place)
    if path is None:
        raise DataError(
            f"{place.path}: not UrbanSound8K, expected metadata/{_TABLE} with the columns "
            f"{', '.join(COLUMNS)} beside audio/fold1 to audio/fold{N_FOLDS}"
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
    _check_folders(place, table, files)
    found = locate_all_or_none(path, files, numbers, allow_missing=options.allow_missing)
    groups = named_groups(table, table.rows, found.files, "fsid", options.group)
    rows = [
        {"file": file, "labels": row.values["class"], "group": group, "fold": fold}
        for row, file, group, fold in zip(table.rows, found.files, groups, folds, strict=True)
    ]
    notes = found.notes + _extra(place, table)
    return Clips.from_rows(found.root, rows, classes, options.name or "UrbanSound8K", notes)


def _check_name(table: TableFile, row: Row) -> None:
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


def _check_folders(place: Place, table: TableFile, files: list[str]) -> None:
    """See that no listed clip lies in the folder of another fold, and only there."""
    lies_in: dict[str, list[str]] = {}
    for file in place.audio:
        lies_in.setdefault(base_name(file), []).append(file.rpartition("/")[0].rpartition("/")[2])
    for row, file in zip(table.rows, files, strict=True):
        folder, _, name = file.partition("/")
        found = [other for other in lies_in.get(name, []) if re.fullmatch(r"fold\d+", other)]
        if found and folder not in found:
            raise DataError(
                f"{table.where(row)}: {name} is of {folder}, but lies in {', '.join(found)}. "
                "The official folds must stay as they are; unpack the data set anew"
            )


def _extra(place: Place, table: TableFile) -> list[str]:
    """A note about recordings that the table does not name."""
    listed = {row.values["slice_file_name"] for row in table.rows}
    extra = [file for file in place.audio if base_name(file) not in listed]
    if not extra:
        return []
    shown = ", ".join(extra[:3]) + (", ..." if len(extra) > 3 else "")
    return [f"{counted(len(extra), 'recording')} not in the table, left out: {shown}"]
