"""Label files as text: their beginning, their lines, and lines of cells with tabs."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from semisonic.base.errors import DataError
from semisonic.base.files import write_text
from semisonic.data.readers.table_file import HEAD_BYTES, delimiter_of, normalise, read_text


def lines_of(text: str) -> list[tuple[int, str]]:
    """The lines that hold anything, with their numbers from 1, whatever ends a line."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [(i, line) for i, line in enumerate(lines, 1) if line.strip()]


@dataclass(frozen=True)
class Head:
    """The beginning of a label file, to tell its format by."""

    suffix: str
    lines: tuple[str, ...]
    columns: frozenset[str]
    separator: str


def read_head(path: Path) -> Head | None:
    """The beginning of a label file; None when it is no text."""
    try:
        text = read_text(path, HEAD_BYTES)
    except DataError:
        return None
    lines = tuple(line for _, line in lines_of(text)[:3])
    first = lines[0] if lines else ""
    separator = delimiter_of(first)
    cells = next(csv.reader([first], delimiter=separator), [])
    return Head(path.suffix.lower(), lines, frozenset(map(normalise, cells)), separator)


def write_tabs(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write lines of cells with tabs between them, whole or not at all."""
    write_text(path, "".join("\t".join(row) + "\n" for row in rows))
