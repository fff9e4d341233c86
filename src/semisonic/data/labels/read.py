"""From a label file, or a folder of them, to events of recordings."""

from __future__ import annotations

import logging
import math
import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from semisonic.audio import find_audio, probe
from semisonic.base.errors import AudioError, DataError
from semisonic.base.progress import track
from semisonic.base.wording import counted
from semisonic.data.events import Events
from semisonic.data.label_log import is_log, read_log
from semisonic.data.labels.form import Format
from semisonic.data.labels.formats import AUTO, format_of, recognise
from semisonic.data.labels.recordings import Recordings
from semisonic.data.labels.rows import LabelFile, Marked
from semisonic.data.labels.text import read_head
from semisonic.data.readers.place import TEXT_SUFFIXES

_log = logging.getLogger(__name__)
_SHOWN = 5


@dataclass(frozen=True)
class LabelSet:
    """What label files hold.

    Attributes
    ----------
    events : Events
        All that could be used, in the order of the files and of their rows.
    recordings : tuple of str
        The recordings that label files speak of, also those without any event; sorted.
    problems : tuple of (place, reason)
        Rows and files that could not be used.
    notes : tuple of str
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
    problems: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    formats: tuple[str, ...]
    classes: tuple[str, ...]
    root: Path


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
        A file in any of the ``FORMATS``, a label log, or a folder. Other files of a folder are
        passed over.
    format : str
        One of the ``FORMATS``, or "auto" to tell it from each file's content.
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
            f"{path}: {counted(len(found.problems), 'place')} cannot be used: {first}"
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
    if path.is_dir():
        files, passed_over, problems = _label_files(path, wanted, label_column, matcher, leave_out)
    else:
        form = wanted or recognise(path)
        if form is None:
            raise _unknown(path)
        files, passed_over, problems = [(form, form.read(path, label_column))], 0, []
    notes = [f"{passed_over} other text files passed over"] if passed_over else []
    rows: list[Marked] = []
    for form, found in track(files, "match recordings", "file"):
        problems += found.problems
        rows += matcher.place(form, found, problems)
    notes += _summed([found for _, found in files])
    return LabelSet(
        events=Events.from_rows(vars(row) for row in rows),
        recordings=tuple(sorted(matcher.seen)),
        problems=tuple(problems),
        notes=tuple(notes),
        formats=tuple(dict.fromkeys(form.name for form, _ in files)),
        classes=tuple(dict.fromkeys(name for _, found in files for name in found.classes)),
        root=root or folder,
    )


def _log_labels(path: Path, root: Path | None) -> LabelSet:
    """What a label log says now, with recordings named from the root."""
    from semisonic.data.standing import Current, replay  # which makes clips of events

    found = read_log(path)
    current = Current(found.root, replay(found.entries))
    base = os.path.abspath(root or found.root)
    names = [
        Path(os.path.relpath(os.path.join(found.root, file), base)).as_posix()
        for file in current.events.file.tolist()
    ]
    n_open = sum(one.settled is None for one in current.disagreements)
    return LabelSet(
        events=replace(current.events, file=np.array(names, np.str_)),
        recordings=tuple(sorted(set(names))),
        problems=found.problems,
        notes=(f"annotators differ on {n_open} stretches, which have no label",) * bool(n_open),
        formats=("log",),
        classes=current.classes,
        root=Path(base),
    )


class _Matcher:
    """Gives each row its recording, and each recording looked for once."""

    def __init__(self, folder: Path, root: Path | None) -> None:
        self.folder = folder
        self.root = root
        self.seen: set[str] = set()
        self._durations: dict[str, float] = {}

    @cached_property
    def recordings(self) -> Recordings:
        """Those of the root, or those beside the label files."""
        return Recordings(self.root or self.folder)

    def own(self, label_file: Path) -> str:
        """The recording that has the name of a label file (ValueError: none)."""
        return self.recordings.beside(label_file.relative_to(self.folder).as_posix())

    def place(
        self, form: Format, found: LabelFile, problems: list[tuple[str, str]]
    ) -> list[Marked]:
        """The rows of a label file with their recordings; those without become problems."""
        names = dict.fromkeys([*(row.file for row in found.rows), *found.without_events])
        if not names and form.per_recording:
            names[""] = None
        places: dict[str, str] = {}
        for name in names:
            try:
                places[name] = self._find(form, found.path, name)
            except ValueError as error:
                n_rows = sum(row.file == name for row in found.rows)
                problems.append((f"{found.path}", f"{counted(n_rows, 'event')}: {error}"))
        self.seen.update(places.values())
        kept = []
        for row in found.rows:
            if row.file not in places:
                continue
            file, end = places[row.file], row.end_time
            if math.isnan(end):
                end = self._duration(file)
                if not end >= row.start_time:
                    reason = f"no end, and the length of the recording '{file}' cannot be read"
                    problems.append((row.where, reason))
                    continue
            kept.append(replace(row, file=file, end_time=end))
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
                return self.recordings.named(f"{beside}/{name}")
            except ValueError:
                pass  # the label files lie elsewhere
        return self.recordings.named(name, label_file.parent)

    def _duration(self, file: str) -> float:
        if file not in self._durations:
            try:
                duration = probe((self.root or self.folder) / file).duration
            except AudioError:
                duration = math.nan
            self._durations[file] = duration
        return self._durations[file]


def _label_files(
    folder: Path,
    wanted: Format | None,
    label_column: str | None,
    matcher: _Matcher,
    leave_out: Path | None,
) -> tuple[list[tuple[Format, LabelFile]], int, list[tuple[str, str]]]:
    """The label files of a folder, how many other texts there are, and those not to be read."""
    files: list[tuple[Format, LabelFile]] = []
    empty: list[Path] = []
    problems: list[tuple[str, str]] = []
    passed_over = 0
    texts = [path for path in find_audio(folder, TEXT_SUFFIXES) if not _is_in(path, leave_out)]
    for path in track(texts, "read label files", "file"):
        form = recognise(path)
        if wanted is not None and form is not wanted:
            like = form is not None and form.read is wanted.read
            form = wanted if like or _is_of(wanted, path) else None
        if form is not None:
            try:
                files.append((form, form.read(path, label_column)))
            except DataError as error:
                problems.append((f"{path}", str(error)))
        elif path.suffix.lower() == ".txt" and _is_empty(path):
            empty.append(path)
        else:
            passed_over += 1
    tracks = [form for form, _ in files if form.name == "audacity"]
    for path in empty:
        # Somebody listened, and marked nothing.
        if tracks or (wanted is not None and wanted.name == "audacity"):
            try:
                matcher.own(path)
            except ValueError:
                passed_over += 1
                continue
            files.append((format_of("audacity"), LabelFile(path)))
        else:
            passed_over += 1
    if not files and not problems:
        what = wanted.title if wanted else "label files of a known format"
        raise DataError(f"{folder}: no {what} in this folder or below it; {_EXPECTED}")
    return files, passed_over, problems


def _summed(files: list[LabelFile]) -> list[str]:
    """The notes of label files, each once: a folder may hold thousands of them."""
    notes: dict[str, list[tuple[str, int]]] = {}
    for one in files:
        for text, count in one.notes.items():
            notes.setdefault(text, []).append((one.path.name, count))
    return [
        (f"{found[0][0]}: " if len(found) == 1 else f"{len(found)} files: ")
        + (f"{total} {text}" if (total := sum(count for _, count in found)) else text)
        for text, found in notes.items()
    ]


def _is_empty(path: Path) -> bool:
    """Whether a text holds nothing but a byte order mark and an end of line."""
    return path.is_file() and path.stat().st_size <= len(b"\xef\xbb\xbf\r\n")


def _is_in(path: Path, place: Path | None) -> bool:
    if place is None:
        return False
    one, other = Path(os.path.abspath(path)), Path(os.path.abspath(place))
    return one == other or other in one.parents


def _is_of(form: Format, path: Path) -> bool:
    head = read_head(path)
    return head is not None and form.recognise(head)


_EXPECTED = (
    "expected label tracks of Audacity (.txt), selection tables of Raven (.txt), "
    "or CSV tables of events, BirdNET-Analyzer or Kaleidoscope"
)


def _unknown(path: Path) -> DataError:
    return DataError(f"{path}: its format is not known; {_EXPECTED}. If it is one, name the format")
