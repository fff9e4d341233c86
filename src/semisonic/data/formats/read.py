"""Label files to events: which format a file has, and which recordings it speaks of."""

from __future__ import annotations

import logging
import math
import os
from collections import defaultdict
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from semisonic.audio.find import find_audio
from semisonic.audio.read import probe
from semisonic.core.errors import AudioError, DataError, OptionError
from semisonic.core.options import nearest
from semisonic.core.progress import track
from semisonic.core.text import count_text
from semisonic.data.datasets.layout import TEXT_SUFFIXES, RecordingNames
from semisonic.data.events import Events, make_events, with_files
from semisonic.data.formats.formats import BY_NAME, TRIED, Format, LabelFile, Row
from semisonic.data.label_log import ResolvedLabels, is_log, read_log
from semisonic.data.tables import read_head

AUTO = "auto"
_SHOWN = 5
_EXPECTED = (
    "expected label tracks of Audacity (.txt), selection tables of Raven (.txt), "
    "or CSV tables of events, BirdNET-Analyzer or Kaleidoscope"
)
_log = logging.getLogger(__name__)
Problems = list[tuple[str, str]]


class LabelSet(NamedTuple):
    """What label files hold.

    Attributes
    ----------
    events : Events
        All that could be used, in the order of the files and of their rows.
    recordings : tuple of str
        The recordings that label files speak of, also those without any event; sorted.
    problems : list of (place, reason)
        Rows and files that could not be used.
    notes : list of str
        What was decided on the way.
    formats : tuple of str
        The formats found.
    classes : tuple of str
        Class names in the order that a table gives them; empty where none does.
    root : Path
        What ``events.file`` is relative to, where its names are relative.
    """

    events: Events
    recordings: tuple[str, ...]
    problems: list[tuple[str, str]]
    notes: list[str]
    formats: tuple[str, ...]
    classes: tuple[str, ...]
    root: Path


def format_of(name: str) -> Format:
    """The format of a name.

    Raises
    ------
    OptionError
        When there is none, with the nearest.
    """
    if name not in BY_NAME:
        raise OptionError(f"format: found '{name}'; {nearest(name, BY_NAME)}")
    return BY_NAME[name]


def recognise_format(path: Path) -> Format | None:
    """The format of a file by its content; None when it is none of them."""
    head = read_head(path)
    return next((form for form in TRIED if form.recognise(head)), None)


def read_labels(
    path: Path,
    format: str = AUTO,  # noqa: A002
    *,
    label_column: str | None = None,
    root: Path | None = None,
) -> Events:
    """Read a label file, or all label files in a folder and below.

    Parameters
    ----------
    path : Path
        A file in any of the formats of :mod:`semisonic.data.formats.formats`, a label log, or a
        folder. Other files of a folder are passed over.
    format : str
        The name of one of them, or "auto" to tell it from each file's content.
    label_column : str, optional
        The column that holds the labels, where a format leaves that to the user; for csv-wide
        the one class to read.
    root : Path, optional
        The folder of the recordings. Each recording must then be found in it: by its path, by its
        name, or, for label files that name none, by theirs; letter case does not matter. Without
        it, names stay as they stand in tables, and label files that name no recording belong to
        the one beside them.

    Returns
    -------
    Events
        Times in seconds from the start of each recording; ``file`` relative to ``root``.

    Raises
    ------
    DataError
        When rows cannot be used or recordings are not found, with how many and the first few.
        :func:`collect_labels` gives the rest and the list instead.
    OptionError
        When the format is none of those.
    """
    found = collect_labels(path, format, label_column=label_column, root=root)
    if found.problems:
        first = "; ".join(f"{where}: {reason}" for where, reason in found.problems[:_SHOWN])
        more = len(found.problems) - _SHOWN
        raise DataError(
            f"{path}: {count_text(len(found.problems), 'place')} cannot be used: {first}"
            + (f"; and {more} more" if more > 0 else "")
        )
    for note in found.notes:
        _log.info("%s: %s", path, note)
    return found.events


def collect_labels(
    path: Path,
    format: str = AUTO,  # noqa: A002
    *,
    label_column: str | None = None,
    root: Path | None = None,
    leave_out: Path | None = None,
) -> LabelSet:
    """As :func:`read_labels`, but what cannot be used is listed.

    ``leave_out`` is a file or a folder that is not read, such as one that is about to be written.

    Raises
    ------
    DataError
        When there is nothing to read, or a single file cannot be read at all.
    """
    wanted = None if format == AUTO else format_of(format)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; look at the spelling of the path")
    if path.is_file() and is_log(path):
        return _log_labels(path, root)
    folder = path if path.is_dir() else path.parent
    matcher = _Matcher(folder, root)
    problems: Problems = []
    notes: list[str] = []
    if path.is_dir():
        files = _label_files(path, wanted, label_column, matcher, leave_out, problems, notes)
    else:
        form = wanted or recognise_format(path)
        if form is None:
            raise DataError(
                f"{path}: its format is not known; {_EXPECTED}. If it is one, name the format"
            )
        files = [(form, form.read(path, label_column))]
    rows: list[Row] = []
    counts: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for form, found in track(files, "match recordings", "file"):
        problems += found.problems
        rows += matcher.rows(form, found, problems)
        for text, count in found.notes.items():
            counts[text].append((found.path.name, count))
    for text, where in counts.items():  # each once: a folder may hold thousands of files
        total = sum(count for _, count in where)
        place = where[0][0] if len(where) == 1 else f"{len(where)} files"
        notes.append(f"{place}: {total} {text}" if total else f"{place}: {text}")
    return LabelSet(
        events=make_events(rows),
        recordings=tuple(sorted(matcher.seen)),
        problems=problems,
        notes=notes,
        formats=tuple(dict.fromkeys(form.name for form, _ in files)),
        classes=tuple(dict.fromkeys(name for _, found in files for name in found.classes)),
        root=root or folder,
    )


def _log_labels(path: Path, root: Path | None) -> LabelSet:
    """What a label log says now, with recordings named from the root."""
    found = read_log(path)
    current = ResolvedLabels(found.root, found.entries)
    base = os.path.abspath(root or found.root)
    names = [
        Path(os.path.relpath(os.path.join(found.root, file), base)).as_posix()
        for file in current.events.file.tolist()
    ]
    n_open = sum(one.consensus is None for one in current.disagreements)
    return LabelSet(
        events=with_files(current.events, names),
        recordings=tuple(sorted(set(names))),
        problems=list(found.problems),
        notes=[f"annotators differ on {n_open} segments, which have no label"] * bool(n_open),
        formats=("log",),
        classes=current.classes,
        root=Path(base),
    )


class _Matcher:
    """Gives each row its recording; ``seen`` are those that were spoken of."""

    def __init__(self, folder: Path, root: Path | None) -> None:
        self.folder, self.root = folder, root
        self.seen: set[str] = set()
        self.recordings = lru_cache(maxsize=1)(lambda: RecordingNames(root or folder))
        self._duration = lru_cache(maxsize=None)(self._read_duration)

    def own(self, label_file: Path) -> str:
        """The recording that has the name of a label file (ValueError: none)."""
        return self.recordings().beside(label_file.relative_to(self.folder).as_posix())

    def rows(self, form: Format, found: LabelFile, problems: Problems) -> list[Row]:
        """The rows of a label file with their recordings; those without become problems."""
        names = dict.fromkeys([*(row["file"] for row in found.rows), *found.without_events])
        if not names and form.per_recording:
            names[""] = None
        places: dict[str, str] = {}
        for name in names:
            try:
                places[name] = self._find(form, found.path, name)
            except ValueError as error:
                n_rows = sum(row["file"] == name for row in found.rows)
                problems.append((f"{found.path}", f"{count_text(n_rows, 'event')}: {error}"))
        self.seen.update(places.values())
        kept = []
        for row in found.rows:
            if row["file"] not in places:
                continue
            row["file"] = places[row["file"]]
            if math.isnan(row["end_time"]):
                row["end_time"] = self._duration(row["file"])
            if row["end_time"] >= row["start_time"]:
                kept.append(row)
            else:
                reason = f"no end, and the length of the recording '{row['file']}' cannot be read"
                problems.append((row["where"], reason))
        return kept

    def _find(self, form: Format, label_file: Path, name: str) -> str:
        if not name:
            return self.own(label_file)
        beside = label_file.parent.relative_to(self.folder).as_posix()
        is_bare = "/" not in name and beside != "."
        if self.root is None:
            return f"{beside}/{name}" if is_bare and form.per_recording else name
        if is_bare:
            try:
                return self.recordings().named(f"{beside}/{name}")
            except ValueError:
                pass  # the label files lie elsewhere
        return self.recordings().named(name, label_file.parent)

    def _read_duration(self, file: str) -> float:
        try:
            return probe((self.root or self.folder) / file).duration
        except AudioError:
            return math.nan


def _label_files(
    folder: Path,
    wanted: Format | None,
    label_column: str | None,
    matcher: _Matcher,
    leave_out: Path | None,
    problems: Problems,
    notes: list[str],
) -> list[tuple[Format, LabelFile]]:
    """The label files of a folder; those that cannot be read are problems."""
    files: list[tuple[Format, LabelFile]] = []
    empty: list[Path] = []
    n_others = 0
    avoided = Path(os.path.abspath(leave_out or os.devnull))
    texts = [
        path
        for path in find_audio(folder, TEXT_SUFFIXES)
        if avoided not in (whole := Path(os.path.abspath(path))).parents and whole != avoided
    ]
    for path in track(texts, "read label files", "file"):
        form = recognise_format(path)
        if wanted is not None and form is not wanted:
            like = form is not None and form.read is wanted.read
            form = wanted if like or wanted.recognise(read_head(path)) else None
        if form is not None:
            try:
                files.append((form, form.read(path, label_column)))
            except DataError as error:
                problems.append((f"{path}", str(error)))
        elif path.suffix.lower() == ".txt" and path.is_file() and path.stat().st_size <= 5:
            empty.append(path)  # nothing but a byte order mark and an end of line
        else:
            n_others += 1
    track_format = BY_NAME["audacity"]
    if track_format is not wanted and track_format not in [form for form, _ in files]:
        n_others += len(empty)
        empty = []
    for path in empty:  # somebody listened, and marked nothing
        try:
            matcher.own(path)
        except ValueError:
            n_others += 1
        else:
            files.append((track_format, LabelFile(path)))
    if not files and not problems:
        what = wanted.title if wanted else "label files of a known format"
        raise DataError(f"{folder}: no {what} in this folder or below it; {_EXPECTED}")
    if n_others:
        notes.append(f"{n_others} other text files passed over")
    return files
