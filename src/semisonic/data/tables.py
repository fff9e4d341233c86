"""Read tables of other programs: rows and numbers.

This is the only reader of tables from people or other programs: in UTF-8, or UTF-16 with a byte
order mark; separated by comma, semicolon or tab, as in the header, or objects of JSON, in a list or
one a line. What the columns mean says :mod:`semisonic.data.columns`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from semisonic.core.errors import DataError
from semisonic.core.files import parse_json, unguarded


class TableRow(dict[str, str]):
    """The cells of one row by normalised column name, without surrounding spaces.

    A missing column is empty. ``number`` is the line number in an editor, ``where`` names the file
    and the row for errors, and ``cells`` has all cells in order, unchanged.
    """

    def __init__(
        self, values: dict[str, str], path: Path, number: int, cells: tuple[str, ...]
    ) -> None:
        super().__init__(values)
        self.path, self.number, self.cells = path, number, cells

    def __missing__(self, column: str) -> str:
        return ""

    @property
    def where(self) -> str:
        """The file and the row."""
        return f"{self.path}, row {self.number}"

    def need(self, column: str) -> str:
        """The text of a cell; ValueError if it is empty."""
        if not self[column]:
            raise ValueError(f"the column '{column}' is empty")
        return self[column]


@dataclass(frozen=True)
class Table:
    """A table: its column names normalised and as written, in order, and its rows.

    ``problems`` has rows with too many cells, as (place, reason), if these are allowed.
    """

    path: Path
    columns: tuple[str, ...]
    names: tuple[str, ...]
    rows: tuple[TableRow, ...]
    problems: tuple[tuple[str, str], ...] = ()

    def find(self, *names: str) -> str:
        """The first of these columns in the table; empty for none."""
        return next((name for name in names if name in self.columns), "")


@dataclass(frozen=True)
class Head:
    """The beginning of a text, to recognise its format; no lines if it is not text."""

    suffix: str
    lines: tuple[str, ...] = ()
    columns: frozenset[str] = frozenset()
    separator: str = ","


HEAD_BYTES = 1 << 18
JSON_SUFFIXES = frozenset({".json", ".jsonl", ".ndjson"})


def normalise(column: str) -> str:
    """A normalised column name.

    Examples
    --------
    >>> normalise("Begin Time (s)")
    'begin_time_s'
    """
    return "_".join("".join(c if c.isalnum() else " " for c in column.lower()).split())


def read_text(path: Path, limit: int | None = None, errors: str = "strict") -> str:
    """The text of a file: UTF-8 or UTF-16 with a byte order mark, else Windows-1252 for ``.txt``.

    Parameters
    ----------
    path : Path
    limit : int, optional
        Read only this many bytes, to recognise a format; a cut character is ignored.
    errors : str
        What to do with bytes that are not UTF-8, as for :meth:`bytes.decode`.

    Raises
    ------
    DataError
        When it cannot be read as text.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(-1 if limit is None else limit)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if limit is not None and b"\0" not in data:
        errors = "replace"
    try:
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return data[: len(data) // 2 * 2].decode("utf-16", "replace" if limit else "strict")
        return data.decode("utf-8-sig", errors)
    except UnicodeDecodeError as error:
        if path.suffix.lower() == ".txt" and b"\0" not in data:
            return data.decode("cp1252", "replace")  # what Raven writes on Windows
        raise DataError(
            f"{path}: not UTF-8 text (byte {error.start}); save the table as 'CSV UTF-8'"
        ) from error


def lines_of(text: str) -> list[tuple[int, str]]:
    """The lines that are not empty, with their numbers from 1, for any line ending."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [(i, line) for i, line in enumerate(lines, 1) if line.strip()]


def read_head(path: Path) -> Head:
    """The beginning of a file, to recognise its format."""
    try:
        text = read_text(path, HEAD_BYTES)
        if path.suffix.lower() in JSON_SUFFIXES:
            first_object = json.JSONDecoder().raw_decode(text.lstrip().removeprefix("[").lstrip())
            names = first_object[0] if isinstance(first_object[0], dict) else ()
            return Head(path.suffix.lower(), (), frozenset(map(normalise, names)))
        lines = tuple(line for _, line in lines_of(text)[:3])
        first = lines[0] if lines else ""
        separator = _separator_of(first)
        cells = next(csv.reader([first], delimiter=separator), [])
        return Head(path.suffix.lower(), lines, frozenset(map(normalise, cells)), separator)
    except (DataError, csv.Error, ValueError, RecursionError):
        return Head(path.suffix.lower())


def read_table(
    path: Path, *, unique: bool = True, lenient: bool = False, errors: str = "strict"
) -> Table:
    """Read a table with a header, separated by comma, semicolon or tab, or objects of JSON.

    In a table separated by tabs, quotes are part of the text unless the header is quoted: R
    quotes, Raven does not.

    Parameters
    ----------
    path : Path
    unique : bool
        Refuse a column that occurs twice; otherwise the first counts.
    lenient : bool
        Allow quotes anywhere, and make a row with too many cells a problem of that row only.
    errors : str
        See :func:`read_text`.

    Raises
    ------
    DataError
        When it is not text, has no header, has a column twice, or has a row with too many values.
    """
    text = read_text(path, errors=errors)
    if path.suffix.lower() in JSON_SUFFIXES:
        return _json_table(path, text)
    first = text.lstrip("\r\n").partition("\n")[0]
    separator = _separator_of(first)
    raw = separator == "\t" and not first.startswith('"')
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        quoting=csv.QUOTE_NONE if raw else csv.QUOTE_MINIMAL,
        strict=not lenient,
    )
    try:
        lines = [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
    except csv.Error as error:
        raise DataError(f"{path}, row {reader.line_num}: broken CSV ({error})") from error
    if not lines:
        raise DataError(f"{path}: empty, expected a header such as 'file,label' and rows")
    names = tuple(unguarded(name.strip()) for name in lines[0][1])
    columns = tuple(map(normalise, names))
    twice = [column for column in columns if column and columns.count(column) > 1]
    if twice and unique:
        raise DataError(f"{path}, row 1: found the column '{twice[0]}' twice, expected once")
    rows, problems = [], []
    for number, cells in lines[1:]:
        if any(cell.strip() for cell in cells[len(columns) :]):
            reason = f"found {len(cells)} values, expected {len(columns)} ({', '.join(names)})"
            problems.append((f"{path}, row {number}", reason))
            continue
        plain = tuple(map(unguarded, cells))
        padded = (*plain, *[""] * (len(columns) - len(plain)))[: len(columns)]
        texts = (cell.strip() for cell in reversed(padded))
        values = dict(zip(reversed(columns), texts, strict=True))  # of two columns the first
        values.pop("", None)
        rows.append(TableRow(values, path, number, plain))
    if problems and not lenient:
        where, reason = problems[0]
        raise DataError(f"{where}: {reason}; put text that contains the separator in double quotes")
    return Table(path, columns, names, tuple(rows), tuple(problems))


def _json_table(path: Path, text: str) -> Table:
    """The table of a list of flat objects, or of one object a line."""
    expected = 'expected objects such as {"file": "a.wav", "label": "dog"}, in a list or one a line'
    objects: list[tuple[int, Any]] = []
    line_number = 1
    try:
        if text.lstrip().startswith("["):
            objects = list(enumerate(parse_json(text), 1))
        else:
            for line_number, line in lines_of(text):
                objects.append((line_number, parse_json(line)))
    except ValueError as error:
        raise DataError(f"{path}, row {line_number}: not JSON ({error}); {expected}") from error
    names: dict[str, None] = {}
    for i, one in objects:
        if not isinstance(one, dict):
            raise DataError(f"{path}, row {i}: found {type(one).__name__}; {expected}")
        names |= dict.fromkeys(one)
        for name, value in one.items():
            several = value if isinstance(value, list) else [value]
            if isinstance(value, dict) or any(isinstance(v, (dict, list)) for v in several):
                raise DataError(
                    f"{path}, row {i}: the values of '{name}' are nested; {expected}. Write a "
                    "table with a row for each part of a recording"
                )
    if not objects:
        raise DataError(f"{path}: empty; {expected}")
    columns = tuple(map(normalise, names))
    rows = []
    for i, one in objects:
        cells = tuple(_json_cell(one.get(name)) for name in names)
        values = dict(zip(reversed(columns), map(str.strip, reversed(cells)), strict=True))
        values.pop("", None)
        rows.append(TableRow(values, path, i, cells))
    return Table(path, columns, tuple(names), tuple(rows))


def _json_cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _separator_of(header: str) -> str:
    """The most frequent separator in the header; a comma if there is none."""
    return max(",;\t", key=lambda mark: (header.count(mark), mark == ","))


# Numbers as label files write them: read exactly, written without loss.
#
# A time must come back as it was. So numbers are written with all their digits, and sums and
# differences (a duration, a time over several recordings) are made in decimals, which do not round.


EXACT = Context(prec=1000)
"""Adds and subtracts decimals without rounding."""
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")
_NOTHING = frozenset({"", "nan", "nat", "na", "n/a", "none", "null", "-"})
_DIGITS_AT_MOST = 400  # the smallest float has 325 decimals


def number(text: str, what: str) -> Decimal:
    """The number in a cell; NaN if the cell is empty. A decimal comma is allowed.

    Parameters
    ----------
    text : str
    what : str
        Meaning of the number, for the message.

    Raises
    ------
    ValueError
        When it is not a finite number.

    Examples
    --------
    >>> number("2,50", "start"), number("n/a", "start")
    (Decimal('2.50'), Decimal('NaN'))
    """
    plain = text.strip()
    if plain.lower() in _NOTHING:
        return Decimal("nan")
    if _DECIMAL_COMMA.fullmatch(plain):
        plain = plain.replace(",", ".")
    try:
        value = Decimal(plain)
    except InvalidOperation:
        value = Decimal("inf")
    if not value.is_finite() or abs(value.adjusted()) > _DIGITS_AT_MOST:
        raise ValueError(f"found '{text}' as {what}, expected a number such as 2.5")
    return value


def exact(value: float) -> Decimal:
    """The decimal with the written digits of a float."""
    return Decimal(repr(float(value)))


def written(value: float | Decimal) -> str:
    """All digits of a number, without an exponent; nothing for NaN.

    Examples
    --------
    >>> written(1e-7)
    '0.0000001'
    """
    if value != value:
        return ""
    return format(value if isinstance(value, Decimal) else exact(value), "f")
