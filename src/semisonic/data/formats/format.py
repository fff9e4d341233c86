"""What a format of label files is: how to tell it, how to read it, how to write it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from semisonic.core.errors import DataError
from semisonic.data.events import POSITIVE, PRESENCES, Events
from semisonic.data.tables import (
    Head,
    TableFile,
    TableRow,
    normalise,
    read_table,
    to_float,
    written,
)

T = TypeVar("T")

SCORE, BAND, PRESENCE, TABS, SEMICOLON = "score", "band", "presence", "tabs", "semicolon"
"""What a format may be able to hold beside file, times and label."""


@dataclass(frozen=True)
class LabelRow:
    """One event as a label file has it, before its recording is looked for.

    ``file`` is the recording as the label file calls it, empty where it names none; then it is
    the recording that has the label file's name. ``end_time`` is NaN for "to its end".
    """

    where: str
    file: str
    start_time: float
    end_time: float
    label: str
    score: float = math.nan
    fmin_hz: float = math.nan
    fmax_hz: float = math.nan
    presence: str = POSITIVE


@dataclass
class LabelFile:
    """What one label file holds.

    Attributes
    ----------
    rows : list of LabelRow
        In the order of the file.
    problems : list of (where, reason)
        Rows that cannot be used.
    notes : dict of str to int
        What was decided on the way, and for how many rows; 0 where no number belongs to it.
    without_events : list of str
        Recordings it names that have no event.
    classes : list of str
        The classes in the file's own order, where it has one.
    """

    path: Path
    rows: list[LabelRow] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    without_events: list[str] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)

    def add(
        self, lines: Iterable[tuple[int, T]], parse: Callable[[str, T], Iterable[LabelRow]]
    ) -> None:
        """Parse lines into rows; those it refuses (ValueError) become problems."""
        for line_number, line in lines:
            where = f"{self.path}, row {line_number}"
            try:
                self.rows += list(parse(where, line))
            except ValueError as error:
                self.problems.append((where, str(error)))


@dataclass(frozen=True)
class Writing:
    """What a writer may need to know beside the events."""

    root: Path | None = None
    durations: Mapping[str, float] | None = None

    def path_of(self, file: str) -> str:
        """A recording as other programs find it: below the root where one is given."""
        return (self.root / file).as_posix() if self.root is not None else file


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes
    ----------
    name, title : str
        As options and messages call it.
    holds : frozenset of str
        Of the constants of this module.
    recognise : callable
        Whether the beginning of a file looks like it.
    read : callable
        From a file, and the name of the column that holds labels, to its rows.
    write : callable
        Events into a file or a folder; gives what was written.
    per_recording : bool
        Whether it writes one file a recording, into a folder.
    suffix : str
        How the name of its file ends, or of the file of each recording.
    refuses : callable
        Whether a label cannot be written for a reason of the format's own.
    """

    name: str
    title: str
    holds: frozenset[str]
    recognise: Callable[[Head], bool]
    read: Callable[[Path, str | None], LabelFile]
    write: Callable[[Events, Path, Writing], list[Path]]
    per_recording: bool = False
    suffix: str = ".csv"
    refuses: Callable[[str], bool] = lambda _: False


ParseRow = Callable[[str, TableRow], Iterable[LabelRow]]
"""From a row of a table, and where it stands, to the events in it."""


def table_reader(
    parser: Callable[[TableFile, str | None], ParseRow],
) -> Callable[[Path, str | None], LabelFile]:
    """A ``read`` of a format that is a table.

    Parameters
    ----------
    parser : callable
        From a table, and the normalised name of the column that a user named for the labels, to
        what parses a row.
    """

    def read(path: Path, label_column: str | None = None) -> LabelFile:
        table = read_table(path, lenient=True)
        result = LabelFile(path, problems=list(table.problems))
        result.add(table.numbered, parser(table, label_column_of(label_column, table)))
        return result

    return read


def label_row(
    where: str,
    file: str,
    start: Decimal | None,
    end: Decimal | None,
    label: str,
    *,
    score: Decimal | None = None,
    fmin_hz: Decimal | None = None,
    fmax_hz: Decimal | None = None,
    presence: str = "",
) -> LabelRow:
    """A row that can be an event.

    Raises
    ------
    ValueError
        When its times, its score, its frequencies or its presence are impossible.
    """
    kind: Any = presence.strip().lower() or POSITIVE
    if kind not in PRESENCES:
        raise ValueError(f"found '{presence}', expected one of {', '.join(PRESENCES)}")
    begin = Decimal(0) if start is None else start
    if begin < 0 or (end is not None and end < begin):
        raise ValueError(f"found start {begin} s and end {end} s, expected 0 <= start <= end")
    if score is not None and not 0 <= score <= 1:
        raise ValueError(f"found the score {score}, expected 0 to 1")
    low, high = to_float(fmin_hz), to_float(fmax_hz)
    if low < 0 or high < low or high < 0:
        raise ValueError(f"found {low:g} to {high:g} Hz, expected 0 <= lowest <= highest")
    file = file.strip().replace("\\", "/")
    times = to_float(begin), to_float(end)
    return LabelRow(where, file, *times, label.strip(), to_float(score), low, high, kind)


def label_column_of(given: str | None, table: TableFile) -> str | None:
    """The normalised name of the label column that a user named.

    Raises
    ------
    DataError
        When the table has no such column, with those it has.
    """
    if given is None:
        return None
    if normalise(given) not in {normalise(name) for name in table.names}:
        raise DataError(
            f"{table.path}, row 1: no column '{given}' for the labels. Found "
            f"{', '.join(table.names)}"
        )
    return normalise(given)


def numbers(values: NDArray[np.float64]) -> list[str]:
    """Numbers as texts with all their digits; NaN as nothing."""
    return [written(float(value)) for value in values]


def further_columns(
    events: Events, score: str = "", band: tuple[str, str] | None = None, presence: str = ""
) -> dict[str, list[str]]:
    """What is known of events beside file, times and label, by the names of columns to write.

    Columns of which no event says anything, and those without a name, are left out.
    """
    columns: dict[str, list[str]] = {}
    limits = events.fmin_hz, events.fmax_hz
    if band and not (np.isnan(limits[0]) & np.isnan(limits[1])).all():
        columns |= dict(zip(band, map(numbers, limits), strict=True))
    if score and not np.isnan(events.score).all():
        columns[score] = numbers(events.score)
    if presence and (events.presence != POSITIVE).any():
        columns[presence] = events.presence.tolist()
    return columns


def by_recording(events: Events) -> Iterator[tuple[str, Events]]:
    """The events of each recording, in the order in which recordings first occur."""
    rows: dict[str, list[int]] = {}
    for row, file in enumerate(events.file.tolist()):
        rows.setdefault(file, []).append(row)
    for file, its in rows.items():
        yield file, events[np.array(its)]


def track_paths(events: Events, folder: Path, ending: str) -> dict[str, Path]:
    """Where the label file of each recording goes: its folders and name below ``folder``.

    Recordings of one folder that differ in suffix or letter case alone keep their suffix.

    Raises
    ------
    DataError
        When two recordings would have the same label file.
    """
    recordings = {file: _inside(file) for file in dict.fromkeys(events.file.tolist())}
    stems: dict[str, int] = {}
    for recording in recordings.values():
        stem = recording.with_suffix("").as_posix().casefold()
        stems[stem] = stems.get(stem, 0) + 1
    paths: dict[str, Path] = {}
    taken: set[str] = set()
    for file, recording in recordings.items():
        alone = stems[recording.with_suffix("").as_posix().casefold()] == 1
        path = folder / recording.parent / ((recording.stem if alone else recording.name) + ending)
        if path.as_posix().casefold() in taken:
            raise DataError(f"{folder}: two recordings would have the label file {path}: {file}")
        taken.add(path.as_posix().casefold())
        paths[file] = path
    return paths


def _inside(file: str) -> PurePosixPath:
    """A recording's path as one that stays in a folder."""
    parts = [part for part in PurePosixPath(file).parts if part not in ("/", "..", ".")]
    return PurePosixPath(*parts)
