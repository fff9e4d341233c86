"""Where the files that a table names really lie.

Tables come with names relative to the table, to an ``audio`` folder beside it, or with bare names
of files that lie somewhere below. Letter case and the two spellings of accents that Windows, macOS
and Linux disagree about are forgiven when there is no doubt which file is meant.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from semisonic.base.errors import DataError
from semisonic.base.members import is_there
from semisonic.base.wording import counted
from semisonic.data.readers.place import base_name, relative_names

_N_SHOWN = 5
_OF_A_MACHINE = re.compile(r"(?:[A-Za-z]:)?/")
"""How a whole path begins."""


@dataclass(frozen=True)
class Located:
    """The folder that holds the audio, each file relative to it, and notes."""

    root: Path
    files: list[str]
    n_missing: int = 0
    notes: list[str] = field(default_factory=list)


def locate(
    table: Path, files: Sequence[str], row_numbers: Sequence[int], *, allow_missing: bool = False
) -> Located:
    """Find the files that a table names.

    Raises
    ------
    DataError
        When files are missing, with how many, the first few with their rows, and where they were
        looked for; unless ``allow_missing``.
    """
    parent = table.parent
    roots = [f for f in (parent, parent / "audio", parent.parent / "audio") if f.is_dir()]
    present = {root: [is_there(root / file) for file in files] for root in roots}
    roots.sort(key=lambda folder: -sum(present[folder]))  # stable: the first one wins a tie
    root, found = roots[0], [[file] for file in files]
    if not all(present[root]):
        tried = [_search(folder, files, present[folder]) for folder in roots]
        best = min(range(len(roots)), key=lambda i: sum(len(hits) != 1 for hits in tried[i]))
        root, found = roots[best], tried[best]
    n_elsewhere = sum(len(hits) == 1 for hits in found) - sum(present[root])
    still = [i for i, hits in enumerate(found) if len(hits) != 1]
    names = [hits[0] if len(hits) == 1 else file for file, hits in zip(files, found, strict=True)]
    notes = []
    if n_elsewhere:
        n = counted(n_elsewhere, "file")
        notes.append(f"{n} found by name in folders below {root.name or root}")
    if still and not allow_missing:
        raise DataError(_not_found(table, files, row_numbers, found, roots))
    if still:
        notes.append(f"{len(still)} of {len(files)} files are missing; the table alone was read")
    return Located(root, names, len(still), notes)


def locate_all_or_none(
    table: Path, files: Sequence[str], row_numbers: Sequence[int], *, allow_missing: bool = False
) -> Located:
    """As :func:`locate`, for a published table: it may also be read without any of its audio.

    Raises
    ------
    DataError
        When some files are there and others are not, unless ``allow_missing``.
    """
    found = locate(table, files, row_numbers, allow_missing=True)
    if found.n_missing and found.n_missing < len(files) and not allow_missing:
        return locate(table, files, row_numbers)  # raises, naming what is missing
    return found


def _not_found(
    table: Path,
    files: Sequence[str],
    row_numbers: Sequence[int],
    found: Sequence[Sequence[str]],
    roots: Sequence[Path],
) -> str:
    """What is wrong with the names that fit no file, or more than one."""

    def shown(rows: Sequence[int]) -> str:
        named = [
            f"{files[i]} (row {row_numbers[i]})"
            + (f" fits {' and '.join(found[i][:_N_SHOWN])}" if found[i] else "")
            for i in rows[:_N_SHOWN]
        ]
        return ", ".join(named) + (", ..." if len(rows) > _N_SHOWN else "")

    missing = [i for i, hits in enumerate(found) if not hits]
    several = [i for i, hits in enumerate(found) if len(hits) > 1]
    text = f"{table}: "
    if several:
        text += (
            f"{len(several)} of {len(files)} names fit several files: {shown(several)}. Write the "
            "folder before the name. "
        )
    if missing:
        text += (
            f"{len(missing)} of {len(files)} files are missing: {shown(missing)}. Looked in "
            f"{', '.join(str(folder) for folder in roots)} and below. "
            "Names are relative to the table's folder or to an 'audio' folder beside it; "
            "correct the names, add the files, remove the rows, or say --allow-missing to leave "
            "these clips out"
        )
    return text.rstrip(". ")


def _search(root: Path, files: Sequence[str], present: Sequence[bool]) -> list[list[str]]:
    """What below ``root`` each name may mean: case, accents and folders are forgiven.

    The path of another machine, with a drive or a slash before it, counts as the bare name; where
    several files have it, those whose folders fit as well.
    """
    by_path: dict[str, set[str]] = {}
    by_name: dict[str, set[str]] = {}
    for name in relative_names(root):
        by_path.setdefault(_plain(name), set()).add(name)
        by_name.setdefault(_plain(base_name(name)), set()).add(name)
    found: list[list[str]] = []
    for file, there in zip(files, present, strict=True):
        plain = _plain(file)
        hits = {file} if there else by_path.get(plain, set())
        # A bare name may lie in any folder; a name with folders must not land elsewhere.
        if not hits and ("/" not in file or _OF_A_MACHINE.match(file)):
            hits = by_name.get(base_name(plain), set())
            fitting = {name for name in hits if plain.endswith("/" + _plain(name))}
            hits = fitting if len(fitting) == 1 else hits
        found.append(sorted(hits))
    return found


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
