"""A CSV or TSV file as rows of text that know their place in the file."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from semisonic.base.errors import DataError


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


def read_header(path: Path) -> tuple[str, ...]:
    """The normalised column names of a table; empty when the file cannot be one."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            line = stream.readline()
            return tuple(
                normalise(c) for c in next(csv.reader([line], delimiter=delimiter_of(line)))
            )
    except (UnicodeDecodeError, csv.Error, StopIteration, OSError):
        return ()


def read_table(path: Path) -> TableFile:
    """Read a UTF-8 table with a header; separated by comma, semicolon or tab.

    Raises
    ------
    DataError
        When it is not UTF-8 text, has no header or no rows, a column stands twice, or a row has
        more values than there are columns.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            first = stream.readline()
            stream.seek(0)
            reader = csv.reader(stream, delimiter=delimiter_of(first), strict=True)
            lines = [(reader.line_num, line) for line in reader]
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not UTF-8 text (byte {error.start}), expected a CSV file; "
            "save the table as 'CSV UTF-8'"
        ) from error
    except csv.Error as error:
        raise DataError(f"{path}, row {reader.line_num}: broken CSV ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
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
