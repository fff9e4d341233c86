"""Where the files that a table names really lie.

Tables come with names relative to the table, to an ``audio`` folder beside it, or with bare names
of files that lie somewhere below. Letter case and the two spellings of accents that Windows, macOS
and Linux disagree about are forgiven when there is no doubt which file is meant.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from semisonic.base.errors import DataError
from semisonic.base.members import is_there
from semisonic.data.readers.place import base_name, relative_names

_N_SHOWN = 5


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
    root, placed, n_elsewhere = roots[0], list[str | None](files), 0
    if not all(present[root]):
        tried = [_search(folder, files, present[folder]) for folder in roots]
        best = min(range(len(roots)), key=lambda i: tried[i][0].count(None))
        root, (placed, n_elsewhere) = roots[best], tried[best]
    still = [i for i, place in enumerate(placed) if place is None]
    names = [file if place is None else place for file, place in zip(files, placed, strict=True)]
    notes = []
    if n_elsewhere:
        notes.append(f"{n_elsewhere} files found by name in folders below {root.name or root}")
    if still and not allow_missing:
        shown = ", ".join(f"{files[i]} (row {row_numbers[i]})" for i in still[:_N_SHOWN])
        raise DataError(
            f"{table}: {len(still)} of {len(files)} files are missing: {shown}"
            f"{', ...' if len(still) > _N_SHOWN else ''}. Looked in "
            f"{', '.join(str(folder) for folder in roots)} and below. "
            "Names are relative to the table's folder or to an 'audio' folder beside it; "
            "correct the names, add the files, or remove the rows"
        )
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


def _search(
    root: Path, files: Sequence[str], present: Sequence[bool]
) -> tuple[list[str | None], int]:
    """Look below ``root`` for files not present, forgiving case, accents and folders if unique."""
    by_path: dict[str, set[str]] = {}
    by_name: dict[str, set[str]] = {}
    for name in relative_names(root):
        by_path.setdefault(_plain(name), set()).add(name)
        by_name.setdefault(_plain(base_name(name)), set()).add(name)
    placed: list[str | None] = []
    for file, there in zip(files, present, strict=True):
        # A bare name may lie in any folder; a name with folders must not land elsewhere.
        loose = by_name.get(_plain(file), set()) if "/" not in file else set()
        hits = {file} if there else by_path.get(_plain(file), set()) or loose
        placed.append(next(iter(hits)) if len(hits) == 1 else None)
    n_found = sum(place is not None for place in placed) - sum(present)
    return placed, n_found


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
