"""Where the parts of an FSDKaggle set lie: Zenodo's names, Kaggle's names, unpacked once or twice.

Tools that unpack ``NAME.zip`` into a folder ``NAME`` make ``NAME/NAME``; that is found too.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from semisonic.base.errors import DataError
from semisonic.data.readers.table_file import TableFile

_N_SHOWN = 5


@dataclass(frozen=True)
class Part:
    """A part of a set.

    Attributes
    ----------
    name : str
        What its clips are called in notes.
    tables : tuple of str
        Names that its table goes by, Zenodo's first.
    folders : tuple of str
        Names that its folder goes by; Zenodo puts the name of the set in front of the first.
    columns : tuple of str
        What its table must have.
    recording : tuple of str
        Columns that may name the recording a clip comes from.
    is_test : bool
    remark : str
        Why some of its labels are uncertain, for the notes.
    """

    name: str
    tables: tuple[str, ...]
    folders: tuple[str, ...]
    columns: tuple[str, ...]
    recording: tuple[str, ...]
    is_test: bool = False
    remark: str = ""


def find_meta(edition: str, names: Sequence[str], root: Path) -> Path | None:
    """A table of a set, by one of the names it goes by."""
    meta = f"{edition}.meta"
    for folder in (root / meta, root / meta / meta, root / "meta", root):
        for name in names:
            if (folder / name).is_file():
                return folder / name
    return None


def audio_folder(edition: str, part: Part, root: Path) -> Path | None:
    """The folder with the recordings of a part."""
    zenodo = f"{edition}.{part.folders[0]}"
    for name in (zenodo, *part.folders):
        for folder in (root / name / name, root / name):
            if folder.is_dir():
                return folder
    return None


def located(
    edition: str, part: Part, root: Path, table: TableFile, *, check: bool
) -> tuple[list[str], list[bool]]:
    """The files of a table relative to the root, and whether each is there.

    Raises
    ------
    DataError
        When the folder of the part is there and some of its files are not, if ``check``.
    """
    folder = audio_folder(edition, part, root)
    names = [row.values["fname"] for row in table.rows]
    if folder is None:
        return [f"{edition}.{part.folders[0]}/{name}" for name in names], [False] * len(names)
    present = set(os.listdir(folder))
    there = [name in present for name in names]
    if check and not all(there):
        missing = [row for row, found in zip(table.rows, there, strict=True) if not found]
        shown = ", ".join(f"{row.values['fname']} (row {row.number})" for row in missing[:_N_SHOWN])
        raise DataError(
            f"{table.path}: {len(missing)} of {len(names)} files are missing: {shown}"
            f"{', ...' if len(missing) > _N_SHOWN else ''}. Looked in {folder}; unpack the archive "
            "anew, or allow missing files"
        )
    inside = folder.relative_to(root).as_posix()
    return [f"{inside}/{name}" for name in names], there


def vocabulary(path: Path, found: set[str]) -> list[str]:
    """The class names in a vocabulary, in its order: the column that knows most of those found.

    Raises
    ------
    DataError
        When it cannot be read, or knows none of them.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start})") from error
    table = [[cell.strip() for cell in line.split(",")] for line in lines]
    width = max(map(len, table), default=0)
    columns = [[line[i] for line in table if i < len(line)] for i in range(width)]
    names = max(columns, key=lambda column: len(found & set(column)), default=[])
    if not found & set(names):
        raise DataError(
            f"{path}: none of the {len(found)} labels of the tables is in it; expected a row a "
            "class. Take the file as it was published"
        )
    return list(dict.fromkeys(names))
