"""Label files as text: decoded, and cut into rows that know their line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from semisonic.base.errors import DataError
from semisonic.base.files import write_text
from semisonic.data.readers.table_file import HEAD_BYTES, delimiter_of, normalise, read_text


@dataclass(frozen=True)
class Row:
    """The cells of a row by normalised column name, and by place; missing cells are empty."""

    cells: dict[str, str]
    values: tuple[str, ...]

    def at(self, place: int) -> str:
        """The text of a cell by its place."""
        return self.values[place] if place < len(self.values) else ""

    def __getitem__(self, column: str | None) -> str:
        """The text of a cell; empty for a column that the table does not have."""
        return self.cells.get(column, "") if column else ""


@dataclass(frozen=True)
class Table:
    """A table with a header: column names as written, normalised, and numbered rows."""

    names: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[int, Row], ...]
    problems: tuple[tuple[str, str], ...] = ()

    def find(self, *names: str) -> str | None:
        """The first of these columns that the table has."""
        return next((name for name in names if name in self.columns), None)


def lines_of(text: str) -> list[tuple[int, str]]:
    """The lines that hold anything, with their numbers from 1, whatever ends a line."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [(i, line) for i, line in enumerate(lines, 1) if line.strip()]


def read_table(path: Path, *, unique: bool = True) -> Table:
    """Read a table with a header, separated by comma, semicolon or tab.

    Quotes are part of the text in a table separated by tabs, unless its header is quoted: Raven
    writes none, R does. A row with too many cells is a problem of that row alone.

    Raises
    ------
    DataError
        When the text cannot be read, is empty, or a column stands twice.
    """
    text = read_text(path)
    first = text.lstrip("\r\n").partition("\n")[0]
    separator = delimiter_of(first)
    raw = separator == "\t" and not first.startswith('"')
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        quoting=csv.QUOTE_NONE if raw else csv.QUOTE_MINIMAL,
    )
    try:
        lines = [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
    except csv.Error as error:
        raise DataError(f"{path}, row {reader.line_num}: broken table ({error})") from error
    if not lines:
        raise DataError(f"{path}: empty, expected a header and rows")
    names = tuple(name.strip() for name in lines[0][1])
    columns = tuple(map(normalise, names))
    named = [column for column in columns if column]
    for column in named if unique else ():
        if named.count(column) > 1:
            raise DataError(f"{path}, row 1: the column '{column}' stands twice, expected once")
    rows, problems = [], []
    for number, cells in lines[1:]:
        if any(cell.strip() for cell in cells[len(columns) :]):
            reason = f"found {len(cells)} values, expected {len(columns)} ({', '.join(names)})"
            problems.append((f"{path}, row {number}", reason))
            continue
        by_name = dict(zip(reversed(columns), reversed(_padded(cells, columns)), strict=True))
        rows.append((number, Row(by_name, tuple(cells))))
    return Table(names, columns, tuple(rows), tuple(problems))


def _padded(cells: list[str], columns: Sequence[str]) -> list[str]:
    return [*cells[: len(columns)], *[""] * (len(columns) - len(cells))]


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
