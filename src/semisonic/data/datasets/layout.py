"""Where a data set and its files lie, and what its tables say of recordings and classes."""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from semisonic.audio.find import AUDIO_SUFFIXES, OTHER_SUFFIXES, find_audio, find_names
from semisonic.core.errors import DataError
from semisonic.core.text import count_text
from semisonic.data.clips import Clips
from semisonic.data.options import ReadOptions
from semisonic.data.recording_names import groups_of
from semisonic.data.tables import TableFile, TableRow, normalise, read_header

TABLE_SUFFIXES = frozenset({".csv", ".tsv"})
LOG_SUFFIX = ".jsonl"
TEXT_SUFFIXES = TABLE_SUFFIXES | {".txt"}


@dataclass(frozen=True)
class DatasetPath:
    """A path given by a user. Nothing is decoded here: names only."""

    path: Path
    label_column: str | None = None

    @property
    def is_table(self) -> bool:
        """Whether the path is a CSV or TSV file."""
        return self.path.is_file() and self.path.suffix.lower() in TABLE_SUFFIXES

    @property
    def is_text(self) -> bool:
        """Whether the path is a table, or a text such as a label track."""
        return self.path.is_file() and self.path.suffix.lower() in TEXT_SUFFIXES

    @property
    def is_log(self) -> bool:
        """Whether the path may be a label log."""
        return self.path.is_file() and self.path.suffix.lower() == LOG_SUFFIX

    @property
    def is_audio_file(self) -> bool:
        """Whether the path is one recording."""
        return self.path.is_file() and self.path.suffix.lower() in AUDIO_SUFFIXES

    @property
    def is_folder(self) -> bool:
        """Whether the path is a folder."""
        return self.path.is_dir()

    @cached_property
    def kind(self) -> str:
        """What the path is: "folder", "table", "text", "log" or "recording"; empty for others."""
        kinds = {
            "folder": self.is_folder,
            "table": self.is_table,
            "text": self.is_text,
            "log": self.is_log,
            "recording": self.is_audio_file,
        }
        return next((kind for kind, fits in kinds.items() if fits), "")

    @cached_property
    def header(self) -> frozenset[str]:
        """The normalised column names of the path, if it is a table."""
        return frozenset(read_header(self.path)) if self.is_table else frozenset()

    @property
    def name(self) -> str:
        """The last part of the path, as a name for the data set."""
        return self.path.resolve().name if self.is_folder else self.path.stem

    @cached_property
    def audio(self) -> tuple[str, ...]:
        """The recordings below the folder: relative names with forward slashes, sorted."""
        return tuple(name for name in self._sounds if _suffix(name) in AUDIO_SUFFIXES)

    @property
    def unread(self) -> tuple[str, ...]:
        """The recordings below the folder in formats that are not read."""
        return tuple(name for name in self._sounds if _suffix(name) in OTHER_SUFFIXES)

    @cached_property
    def _sounds(self) -> tuple[str, ...]:
        return relative_names(self.path, AUDIO_SUFFIXES | OTHER_SUFFIXES) if self.is_folder else ()

    @cached_property
    def tables(self) -> tuple[Path, ...]:
        """The CSV and TSV files directly in the folder, sorted."""
        if not self.is_folder:
            return ()
        return tuple(
            sorted(
                entry
                for entry in self.path.iterdir()
                if entry.suffix.lower() in TABLE_SUFFIXES
                and entry.is_file()
                and not entry.name.startswith(".")
            )
        )

    @cached_property
    def texts(self) -> tuple[Path, ...]:
        """The tables and other texts in the folder and below it, sorted."""
        return tuple(find_audio(self.path, TEXT_SUFFIXES)) if self.is_folder else ()

    def need_audio(self) -> tuple[str, ...]:
        """The recordings below the folder.

        Raises
        ------
        DataError
            When there are none, saying what was looked for.
        """
        if not self.audio:
            others = len(self.unread)
            raise DataError(
                f"{self.path}: no audio found. Looked in this folder and all folders below it for "
                f"{', '.join(sorted(AUDIO_SUFFIXES))} (upper or lower case). "
                + (f"Found {others} in formats that are not read; convert them. " if others else "")
                + "Give the folder that holds the recordings, or a CSV file that names them"
            )
        return self.audio


@dataclass(frozen=True)
class Layout:
    """One way to lay out a data set on a disk.

    Attributes
    ----------
    kind : str
        What ``labels`` of :func:`~semisonic.data.datasets.load.load_clips` calls it.
    title : str
        What messages call it.
    read : callable
        From a path to its clips.
    recognise : callable, optional
        From a path to the reason why it has this layout, or None. Without it, one of ``tables``
        with all ``columns`` is what tells the layout.
    paths : tuple of str
        Kinds of path that may have it (:attr:`DatasetPath.kind`); it is not asked about others.
    tables : tuple of str
        Where its table may lie below the path; "" is the path itself.
    columns : tuple of str
        Normalised names that its table must have.
    has_texts : bool
        Whether a folder of this layout holds any text.
    """

    kind: str
    title: str
    read: Callable[[DatasetPath, ReadOptions], Clips]
    recognise: Callable[[DatasetPath], str | None] | None = None
    paths: tuple[str, ...] = ("folder",)
    tables: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    has_texts: bool = False

    def reason(self, dataset: DatasetPath) -> str | None:
        """Why a path has this layout; None when it has not."""
        if dataset.kind not in self.paths:
            return None
        if self.recognise is None:
            table = self.table_of(dataset)
            if table is None:
                return None
            where = table.relative_to(dataset.path).as_posix() if dataset.is_folder else table.name
            return f"{where} has the columns {', '.join(self.columns)}"
        if dataset.is_folder and self.has_texts and not dataset.texts:
            return None
        if dataset.is_table and not dataset.header.issuperset(self.columns):
            return None
        return self.recognise(dataset)

    def table_of(self, dataset: DatasetPath) -> Path | None:
        """The first of its tables that is there and has its columns."""
        for name in self.tables:
            path = dataset.path / name
            if path.is_file() and set(read_header(path)).issuperset(self.columns):
                return path
        return None


def relative_names(folder: Path, suffixes: frozenset[str] = AUDIO_SUFFIXES) -> tuple[str, ...]:
    """The files of some endings below a folder, relative to it, with forward slashes, sorted."""
    # Plain text instead of Path.relative_to: four times faster on a quarter of a million files.
    base = folder.as_posix().rstrip("/") + "/"
    return tuple(name.removeprefix(base) for name in find_names(folder, suffixes))


def _suffix(name: str) -> str:
    return posixpath.splitext(name)[1].lower()


def first_folder(file: str) -> str:
    """The first-level folder of a relative name; empty for a file directly in the root."""
    return file.partition("/")[0] if "/" in file else ""


def base_name(file: str) -> str:
    """The last part of a relative name."""
    return file.rpartition("/")[2]


# Where the files that a table names really lie.
#
# Tables come with names relative to the table, to an ``audio`` folder beside it, or with bare names
# of files that lie somewhere below. Letter case and the two spellings of accents that Windows,
# macOS
# and Linux disagree about are forgiven when there is no doubt which file is meant.


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
    present = {root: [os.path.isfile(root / file) for file in files] for root in roots}
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
        n = count_text(n_elsewhere, "file")
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


# What the readers of published data sets share: numbers, classes and recordings in a table.


def whole(
    table: TableFile, row: TableRow, column: str, lowest: int = 0, highest: int | None = None
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
    table: TableFile, rows: Sequence[TableRow], number_column: str, name_column: str
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
    table: TableFile, rows: Sequence[TableRow], files: Sequence[str], column: str, group: str
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
