"""A CSV or TSV file as rows of text that know their place in the file."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from semisonic.base.errors import DataError

HEAD_BYTES = 1 << 18
"""Of a file that is only looked at, to tell what it is."""


@dataclass(frozen=True)
class Row:
    """One row: ``values`` by normalised column name, ``number`` as an editor counts lines."""

    number: int
    values: dict[str, str]


@dataclass(frozen=True)
class TableFile:
    """A table: its normalised column names in order, and its rows."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def where(self, row: Row) -> str:
        """The file and row, for errors."""
        return f"{self.path}, row {row.number}"


def normalise(column: str) -> str:
    """A column name in one spelling: 'Begin Time (s)' becomes 'begin_time_s'."""
    kept = "".join(c if c.isalnum() else " " for c in column.strip().lower())
    return "_".join(kept.split())


def read_text(path: Path, limit: int | None = None) -> str:
    """The text of a table: UTF-8, UTF-16 with its mark, or for ``.txt`` Windows-1252.

    Raises
    ------
    DataError
        When it cannot be read as text.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read() if limit is None else stream.read(limit)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        whole = data[: len(data) // 2 * 2]
        return whole.decode("utf-16", "replace" if limit else "strict")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if limit is not None and b"\0" not in data:
            return data.decode("utf-8-sig", "replace")  # enough to tell a format by
        if path.suffix.lower() == ".txt" and b"\0" not in data:
            return data.decode("cp1252", "replace")  # what Raven writes on Windows
        raise DataError(
            f"{path}: not UTF-8 text (byte {error.start}); save the table as 'CSV UTF-8'"
        ) from error


def read_header(path: Path) -> tuple[str, ...]:
    """The normalised column names of a table; empty when the file cannot be one."""
    try:
        line = read_text(path, HEAD_BYTES).lstrip("\r\n").partition("\n")[0]
        return tuple(normalise(c) for c in next(csv.reader([line], delimiter=delimiter_of(line))))
    except (DataError, csv.Error, StopIteration):
        return ()


def read_table(path: Path) -> TableFile:
    """Read a table with a header; separated by comma, semicolon or tab.

    Raises
    ------
    DataError
        When it is no text, has no header or no rows, a column stands twice, or a row has more
        values than there are columns.
    """
    text = read_text(path)
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(first), strict=True)
    try:
        lines = [(reader.line_num, line) for line in reader]
    except csv.Error as error:
        raise DataError(f"{path}, row {reader.line_num}: broken CSV ({error})") from error
    lines = [(number, line) for number, line in lines if any(value.strip() for value in line)]
    if not lines:
        raise DataError(f"{path}: empty, expected a header such as 'file,label' and rows")
    columns = tuple(normalise(column) for column in lines[0][1])
    _check_columns(path, columns)
    return TableFile(path, columns, tuple(_row(path, columns, n, v) for n, v in lines[1:]))


def _row(path: Path, columns: tuple[str, ...], number: int, values: list[str]) -> Row:
    if any(value.strip() for value in values[len(columns) :]):
        raise DataError(
            f"{path}, row {number}: found {len(values)} values, expected {len(columns)} "
            f"({', '.join(columns)}); put text that holds the separator in double quotes"
        )
    padded = values + [""] * (len(columns) - len(values))
    return Row(number, {c: v.strip() for c, v in zip(columns, padded, strict=False) if c})


def _check_columns(path: Path, columns: tuple[str, ...]) -> None:
    named = [column for column in columns if column]
    twice = sorted({column for column in named if named.count(column) > 1})
    if twice:
        raise DataError(f"{path}, row 1: the column '{twice[0]}' stands twice, expected once")


def delimiter_of(header: str) -> str:
    """The separator that the header uses most; a comma when it has none."""
    return max(",;\t", key=lambda mark: (header.count(mark), mark == ","))
