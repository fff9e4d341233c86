"""ESC-50 and ESC-10 as they are published now: ``meta/esc50.csv`` beside ``audio/``.

Class names and their order come from the columns ``category`` and ``target``, never from sorting:
a permuted list of names cannot rename a class. The group is ``src_file``, the Freesound recording.
The table alone can be read too, to look at its folds and recordings.
K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015.
"""

from __future__ import annotations

from pathlib import Path

from semisonic.base.errors import DataError
from semisonic.data.clips import Clips
from semisonic.data.readers.locate import locate_all_or_none
from semisonic.data.readers.named import classes_by_number, named_groups, whole
from semisonic.data.readers.place import Place, ReadOptions
from semisonic.data.readers.table_file import read_header, read_table

COLUMNS = ("filename", "fold", "target", "category", "esc10", "src_file", "take")
_NEEDED = frozenset(COLUMNS) - {"take"}


def recognise(place: Place) -> str | None:
    """A table with ESC-50's columns: the path itself, in the folder, or in its ``meta``."""
    table = find_table(place)
    if table is None:
        return None
    return f"{table.name} has the columns of ESC-50 ({', '.join(COLUMNS)})"


def find_table(place: Place) -> Path | None:
    """The table of an ESC-50 folder, or the path itself when it is one."""
    meta = place.path / "meta" / "esc50.csv"
    candidates = [place.path] if place.is_table else [meta, place.path / "esc50.csv"]
    for path in candidates:
        if path.is_file() and set(read_header(path)) >= _NEEDED:
            return path
    return None


def read(place: Place, options: ReadOptions) -> Clips:
    """Read all of ESC-50."""
    return _read(place, options, only_esc10=False)


def read_esc10(place: Place, options: ReadOptions) -> Clips:
    """Read the ten classes of ESC-10 out of ESC-50."""
    return _read(place, options, only_esc10=True)


def _read(place: Place, options: ReadOptions, only_esc10: bool) -> Clips:
    path = find_table(place)
    if path is None:
        raise DataError(
            f"{place.path}: not ESC-50 in its present layout, expected meta/esc50.csv with the "
            f"columns {', '.join(COLUMNS)} beside audio/. For the old layout with folders such as "
            "'101 - Dog', ask for labels 'esc-folders'"
        )
    table = read_table(path)
    kept = [row for row in table.rows if not only_esc10 or row.values["esc10"].lower() == "true"]
    if not kept:
        raise DataError(f"{path}: no rows{' with esc10 True' if only_esc10 else ''}")
    classes = classes_by_number(table, kept, "target", "category")
    files = [row.values["filename"] for row in kept]
    numbers = [row.number for row in kept]
    found = locate_all_or_none(path, files, numbers, allow_missing=options.allow_missing)
    groups = named_groups(table, kept, found.files, "src_file", options.group)
    rows = [
        {
            "file": file,
            "labels": row.values["category"],
            "group": group,
            "fold": whole(table, row, "fold", 1),
        }
        for row, file, group in zip(kept, found.files, groups, strict=True)
    ]
    name = options.name or ("ESC-10" if only_esc10 else "ESC-50")
    return Clips.from_rows(found.root, rows, classes, name, found.notes)
