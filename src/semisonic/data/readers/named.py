"""What the readers of published data sets share: numbers, classes and recordings in a table."""

from __future__ import annotations

from collections.abc import Sequence

from semisonic.base.errors import DataError
from semisonic.data.readers.groups import groups_of
from semisonic.data.readers.table_file import Row, TableFile, normalise


def whole(
    table: TableFile, row: Row, column: str, lowest: int = 0, highest: int | None = None
) -> int:
    """A whole number out of a table.

    Raises
    ------
    DataError
        With file and row, when it is none or out of range.
    """
    text = row.values[column]
    top = lowest if highest is None else highest
    if not text.isdecimal() or int(text) < lowest or (highest is not None and int(text) > top):
        expected = f"from {lowest}" + ("" if highest is None else f" to {highest}")
        raise DataError(
            f"{table.where(row)}: found {column} '{text}', expected a whole number {expected}"
        )
    return int(text)


def classes_by_number(
    table: TableFile, rows: Sequence[Row], number_column: str, name_column: str
) -> list[str]:
    """Class names in the order of the table's own class numbers, never sorted by name.

    Raises
    ------
    DataError
        With file and row, when a number has two names or a name two numbers.
    """
    names: dict[int, str] = {}
    numbers: dict[str, int] = {}
    for row in rows:
        number, name = whole(table, row, number_column), row.values[name_column]
        if not name:
            raise DataError(
                f"{table.where(row)}: the {name_column} is empty, expected a class name"
            )
        if names.setdefault(number, name) != name:
            raise DataError(
                f"{table.where(row)}: {number_column} {number} is '{name}', and "
                f"'{names[number]}' in an earlier row; expected one name a number"
            )
        if numbers.setdefault(name, number) != number:
            raise DataError(
                f"{table.where(row)}: '{name}' has {number_column} {number}, and "
                f"{numbers[name]} in an earlier row; expected one number a name"
            )
    return [names[number] for number in sorted(names)]


def named_groups(
    table: TableFile, rows: Sequence[Row], files: Sequence[str], column: str, group: str
) -> list[str]:
    """The recording of each row: the data set's own column, unless the user says otherwise.

    A row in which the column is empty, and a table without it, give each file as its own.
    """
    wanted = column if group == "auto" else normalise(group)
    if wanted in table.columns:
        pairs = zip(rows, files, strict=True)
        return [row.values[wanted] or file for row, file in pairs]
    return groups_of(files, group)


def each_once(table: TableFile, column: str) -> None:
    """See that no value of a column stands in two rows.

    Raises
    ------
    DataError
        With both rows.
    """
    first: dict[str, int] = {}
    for row in table.rows:
        value = row.values[column]
        if not value:
            raise DataError(f"{table.where(row)}: the column '{column}' is empty")
        if first.setdefault(value, row.number) != row.number:
            raise DataError(
                f"{table.path}, rows {first[value]} and {row.number}: {value} stands twice, "
                "expected once; remove one of the rows"
            )


def need_rows(table: TableFile, columns: Sequence[str]) -> None:
    """See that a table has these columns and at least one row.

    Raises
    ------
    DataError
        With the columns found.
    """
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise DataError(
            f"{table.path}, row 1: no column '{missing[0]}'. Found {', '.join(table.columns)}; "
            f"expected {', '.join(columns)}"
        )
    if not table.rows:
        raise DataError(f"{table.path}: a header and no rows, expected one row per clip")
