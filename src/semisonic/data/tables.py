"""Tables of text as other programs write them: rows, numbers, and what each column means.

The one reader of tables that people or other programs may have written: in UTF-8, or UTF-16 with
its mark; separated by comma, semicolon or tab, as the header is. Columns are found by their names
in one spelling, whatever their order.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from pathlib import Path

from semisonic.core.errors import DataError
from semisonic.core.files import unguarded, write_text


@dataclass(frozen=True)
class TableRow:
    """One row.

    Attributes
    ----------
    number : int
        As an editor counts lines.
    values : dict of str to str
        Text by normalised column name, without blanks around it.
    cells : tuple of str
        The same by place, as it stands in the file.
    """

    number: int
    values: dict[str, str]
    cells: tuple[str, ...] = ()

    def __getitem__(self, column: str | None) -> str:
        """The text of a cell; empty for a column that the table does not have."""
        return self.values.get(column, "") if column else ""

    def need(self, column: str) -> str:
        """The text of a cell; ValueError when it is empty."""
        if not self[column]:
            raise ValueError(f"the column '{column}' is empty")
        return self[column]

    def at(self, place: int) -> str:
        """The text of a cell by its place; empty where the row is shorter."""
        return self.cells[place] if place < len(self.cells) else ""


@dataclass(frozen=True)
class TableFile:
    """A table: its column names as written and normalised, in order, and its rows.

    ``problems`` are rows with too many cells, as (place, reason), where they are let through.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    names: tuple[str, ...] = ()
    problems: tuple[tuple[str, str], ...] = ()

    def where(self, row: TableRow) -> str:
        """The file and row, for errors."""
        return f"{self.path}, row {row.number}"

    def find(self, *names: str) -> str | None:
        """The first of these columns that the table has."""
        return next((name for name in names if name in self.columns), None)

    @property
    def numbered(self) -> Iterator[tuple[int, TableRow]]:
        """The rows with their numbers."""
        return ((row.number, row) for row in self.rows)


def normalise(column: str) -> str:
    """A column name in one spelling.

    Examples
    --------
    >>> normalise("Begin Time (s)")
    'begin_time_s'
    """
    kept = "".join(c if c.isalnum() else " " for c in column.strip().lower())
    return "_".join(kept.split())


def read_text(path: Path, limit: int | None = None, errors: str = "strict") -> str:
    """The text of a file: UTF-8 or UTF-16 with its mark, else Windows-1252 for ``.txt``.

    Parameters
    ----------
    path : Path
    limit : int, optional
        So many bytes of it, to tell a format by; what they cut off does not matter.
    errors : str
        What becomes of bytes that are no UTF-8, as for :meth:`bytes.decode`.

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
        return data.decode("utf-8-sig", errors)
    except UnicodeDecodeError as error:
        if limit is not None and b"\0" not in data:
            return data.decode("utf-8-sig", "replace")
        if path.suffix.lower() == ".txt" and b"\0" not in data:
            return data.decode("cp1252", "replace")  # what Raven writes on Windows
        raise DataError(
            f"{path}: not UTF-8 text (byte {error.start}); save the table as 'CSV UTF-8'"
        ) from error


def read_header(path: Path) -> tuple[str, ...]:
    """The normalised column names of a table; empty when the file cannot be one."""
    try:
        lines = read_text(path, HEAD_BYTES).splitlines()
        header = lines[0] if lines else ""
        cells = next(csv.reader([header], delimiter=delimiter_of(header)))
        return tuple(map(normalise, cells))
    except (DataError, UnicodeError, csv.Error, StopIteration):
        return ()


HEAD_BYTES = 1 << 18
"""Bytes that are enough to tell a format by."""


def read_table(
    path: Path, *, unique: bool = True, lenient: bool = False, errors: str = "strict"
) -> TableFile:
    """Read a table with a header; separated by comma, semicolon or tab.

    Quotes are part of the text in a table separated by tabs, unless its header is quoted: Raven
    writes none, R does.

    Parameters
    ----------
    path : Path
    unique : bool
        Refuse a column that stands twice; else the first counts.
    lenient : bool
        Let quotes stand anywhere, and take a row with too many cells for a problem of that row
        alone.
    errors : str
        See :func:`read_text`.

    Raises
    ------
    DataError
        When it is no text, has no header, a column stands twice, or a row has more values than
        there are columns.
    """
    text = read_text(path, errors=errors)
    first = text.lstrip("\r\n").partition("\n")[0]
    separator = delimiter_of(first)
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
    if unique:
        _check_columns(path, columns)
    rows, problems = [], []
    for number, cells in lines[1:]:
        if any(cell.strip() for cell in cells[len(columns) :]):
            reason = f"found {len(cells)} values, expected {len(columns)} ({', '.join(names)})"
            problems.append((f"{path}, row {number}", reason))
            continue
        plain = tuple(map(unguarded, cells))
        by_name = dict.fromkeys(columns, "")
        for column, cell in zip(reversed(columns[: len(plain)]), reversed(plain), strict=True):
            by_name[column] = cell.strip()
        by_name.pop("", None)
        rows.append(TableRow(number, by_name, plain))
    if problems and not lenient:
        where, reason = problems[0]
        raise DataError(f"{where}: {reason}; put text that holds the separator in double quotes")
    return TableFile(path, columns, tuple(rows), names, tuple(problems))


def _check_columns(path: Path, columns: tuple[str, ...]) -> None:
    named = [column for column in columns if column]
    twice = sorted({column for column in named if named.count(column) > 1})
    if twice:
        raise DataError(f"{path}, row 1: the column '{twice[0]}' stands twice, expected once")


def delimiter_of(header: str) -> str:
    """The separator that the header uses most; a comma when it has none."""
    return max(",;\t", key=lambda mark: (header.count(mark), mark == ","))


# Which column of somebody's table means what.
#
# The names are those of our own tables and of the tools and data sets people come from:
# OpenSoundscape, Perch Hoplite, BirdNET, ESC-50, UrbanSound8K, FSDKaggle, DCASE.


# In order of preference; names are normalised (lower case, '_' for anything else).
FILE = (
    "file",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "path",
    "slice_file_name",
    "fname",
    "audio",
    "audio_file",
    "wav",
    "begin_file",
    "recording",
)
LABEL = (
    "label",
    "labels",
    "category",
    "class",
    "class_name",
    "common_name",
    "species",
    "tag",
    "tags",
)
START = ("start_time", "start", "start_offset_s", "start_s", "begin_time_s", "onset")
END = ("end_time", "end", "end_offset_s", "end_s", "end_time_s", "offset")
GROUP = (
    "group",
    "src_file",
    "fsid",
    "fs_id",
    "freesound_id",
    "recording_id",
    "recording",
)
FOLD = ("fold",)
TARGET = ("target", "classid", "class_id", "class_index")
LABEL_TYPE = ("label_type", "presence")


@dataclass(frozen=True)
class Columns:
    """The column of a table for each of ours; None where it has none."""

    file: str
    label: str | None
    start: str | None
    end: str | None
    group: str | None
    fold: str | None
    target: str | None
    label_type: str | None


def find_columns(path: Path, columns: Sequence[str]) -> Columns:
    """Recognise the columns of a table.

    Raises
    ------
    DataError
        When there is no column for the file.
    """
    file = _first(columns, FILE)
    if file is None:
        raise DataError(
            f"{path}, row 1: no column for the audio file. Found "
            f"{', '.join(columns) or 'nothing'}; expected one of {', '.join(FILE[:6])}. "
            "The first row must name the columns, for example 'file,label'"
        )
    # UrbanSound8K's start and end are times in the recording its slices were cut from.
    sliced = file == "slice_file_name"
    return Columns(
        file=file,
        label=_first(columns, LABEL),
        start=None if sliced else _first(columns, START),
        end=None if sliced else _first(columns, END),
        group=_first(columns, tuple(name for name in GROUP if name != file)),
        fold=_first(columns, FOLD),
        target=_first(columns, TARGET),
        label_type=_first(columns, LABEL_TYPE),
    )


def looks_like_labels(columns: Sequence[str]) -> bool:
    """Whether a table has both a file and a label column."""
    return _first(columns, FILE) is not None and _first(columns, LABEL) is not None


def _first(columns: Sequence[str], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in columns), None)


# Numbers as label files write them: read exactly, written without loss.
#
# A time must come back as it was. So numbers are written with all their digits, and sums and
# differences (a duration, a time over several recordings) are made in decimals, which do not round.


_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")
_NOTHING = frozenset({"", "nan", "na", "n/a", "none", "null", "-"})
_DIGITS_AT_MOST = 400  # the smallest float has 325 decimals
_EXACT = Context(prec=1000)  # digits; the usual 28 would round sums


def number(text: str, what: str) -> Decimal | None:
    """The number in a cell; None where the cell holds none. A decimal comma is understood.

    Parameters
    ----------
    text : str
    what : str
        What the number should be, for the message.

    Raises
    ------
    ValueError
        When it is no finite number.

    Examples
    --------
    >>> number("2,50", "start"), number("n/a", "start")
    (Decimal('2.50'), None)
    """
    plain = text.strip()
    if plain.lower() in _NOTHING:
        return None
    if _DECIMAL_COMMA.fullmatch(plain):
        plain = plain.replace(",", ".")
    try:
        value = Decimal(plain)
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite() or abs(value.adjusted()) > _DIGITS_AT_MOST:
        raise ValueError(f"found '{text}' as {what}, expected a number such as 2.5")
    return value


def to_float(value: Decimal | None) -> float:
    """As a float; NaN for none."""
    return math.nan if value is None else float(value)


def exact(value: float) -> Decimal:
    """The decimal that a float is written as."""
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


def plus(a: Decimal, b: Decimal) -> Decimal:
    """The exact sum."""
    return _EXACT.add(a, b)


def minus(a: Decimal, b: Decimal) -> Decimal:
    """The exact difference."""
    return _EXACT.subtract(a, b)


# Label files as text: their beginning, their lines, and lines of cells with tabs.


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
