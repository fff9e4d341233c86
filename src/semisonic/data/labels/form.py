"""What a format of label files is: how to tell it, how to read it, how to write it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from semisonic.base.errors import DataError
from semisonic.data.events import Events
from semisonic.data.labels.rows import LabelFile
from semisonic.data.labels.text import Head
from semisonic.data.readers.table_file import normalise

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
