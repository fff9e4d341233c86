"""What a format of label files is: how to tell it, how to read it, how to write it, and the rows
that it gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np

from semisonic.core.errors import DataError
from semisonic.data.events import POSITIVE, PRESENCES, Events
from semisonic.data.tables import Head, normalise, to_float

# What a label file says, row by row, before its recordings are looked for.


T = TypeVar("T")


@dataclass(frozen=True)
class LabelRow:
    """One event as a label file has it.

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
    rows : list of Marked
        In the order of the file.
    problems : list of (place, reason)
        Rows that cannot be used.
    notes : dict of str to int
        What was decided on the way, and for how many rows; 0 where no number belongs to it.
    without_events : list of str
        Recordings it names in which nothing was found.
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


def marked(
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
    said: Any = presence.strip().lower() or POSITIVE
    if said not in PRESENCES:
        raise ValueError(f"found '{presence}', expected one of {', '.join(PRESENCES)}")
    begin = Decimal(0) if start is None else start
    if begin < 0 or (end is not None and end < begin):
        raise ValueError(f"found start {begin} s and end {end} s, expected 0 <= start <= end")
    if score is not None and not 0 <= score <= 1:
        raise ValueError(f"found the score {score}, expected 0 to 1")
    low, high = to_float(fmin_hz), to_float(fmax_hz)
    if low < 0 or high < low or high < 0:
        raise ValueError(f"found {low:g} to {high:g} Hz, expected 0 <= lowest <= highest")
    return LabelRow(
        where,
        file.strip().replace("\\", "/"),
        to_float(begin),
        to_float(end),
        label.strip(),
        to_float(score),
        low,
        high,
        said,
    )


# What a format of label files is: how to tell it, how to read it, how to write it.


SCORE, BAND, PRESENCE, TABS, SEMICOLON = "score", "band", "presence", "tabs", "semicolon"
"""What a format may be able to hold beside file, times and label."""


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
    per_recording : bool
        Whether it writes one file a recording, into a folder.
    recognise : callable
        Whether the beginning of a file looks like it.
    read : callable
        From a file, and the name of the column that holds labels, to its rows.
    write : callable
        Events into a file or a folder; gives what was written.
    refuses : callable
        Whether a label cannot be written for a reason of the format's own.
    suffix : str
        How the name of its file ends, or of the file of each recording.
    """

    name: str
    title: str
    holds: frozenset[str]
    per_recording: bool
    recognise: Callable[[Head], bool]
    read: Callable[[Path, str | None], LabelFile]
    write: Callable[[Events, Path, Writing], list[Path]]
    refuses: Callable[[str], bool] = lambda _: False
    suffix: str = ".csv"


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
    """
    files = list(dict.fromkeys(events.file.tolist()))
    places = {file: _inside(file) for file in files}
    stems: dict[str, int] = {}
    for place in places.values():
        key = place.with_suffix("").as_posix().casefold()
        stems[key] = stems.get(key, 0) + 1
    paths: dict[str, Path] = {}
    taken: set[str] = set()
    for file, place in places.items():
        alone = stems[place.with_suffix("").as_posix().casefold()] == 1
        name = (place.stem if alone else place.name) + ending
        path = folder / place.parent / name
        if path.as_posix().casefold() in taken:
            raise DataError(f"{folder}: two recordings would have the label file {path}: {file}")
        taken.add(path.as_posix().casefold())
        paths[file] = path
    return paths


def _inside(file: str) -> PurePosixPath:
    """A recording's path as one that stays in a folder."""
    parts = [part for part in PurePosixPath(file).parts if part not in ("/", "..", ".")]
    return PurePosixPath(*parts)


def label_columns(given: str | None, names: tuple[str, ...], path: Path) -> str | None:
    """The normalised name of the label column that a user named.

    Raises
    ------
    DataError
        When the table has no such column, with those it has.
    """
    if given is None:
        return None
    columns = {normalise(name) for name in names}
    if normalise(given) not in columns:
        raise DataError(
            f"{path}, row 1: no column '{given}' for the labels. Found {', '.join(names)}"
        )
    return normalise(given)
