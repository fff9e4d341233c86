"""Read label files as events and write them: their formats and recordings."""

from __future__ import annotations

import logging
import math
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from semisonic.audio.find import find_audio
from semisonic.audio.read import probe
from semisonic.core.errors import AudioError, DataError, OptionError
from semisonic.core.files import path_from, write_csv
from semisonic.core.options import nearest
from semisonic.core.progress import track
from semisonic.core.text import count_text, first_few
from semisonic.data.clips import Clips
from semisonic.data.columns import find_columns
from semisonic.data.datasets.layout import TABLE_SUFFIXES, TEXT_SUFFIXES, RecordingNames
from semisonic.data.events import (
    NEGATIVE,
    Events,
    label_windows,
    make_events,
    with_files,
)
from semisonic.data.formats.formats import (
    BY_NAME,
    TRIED,
    Format,
    LabelFile,
    Row,
    losses,
    unwritable,
)
from semisonic.data.label_log import ResolvedLabels, is_log, read_log
from semisonic.data.options import WindowRules
from semisonic.data.outputs import check_file, is_own, writing_several
from semisonic.data.tables import read_head, read_table, written
from semisonic.data.windows import clip_durations

AUTO = "auto"
NAMED_TABLES = 3
"""Tables of a folder of which it is said why they are not read."""
_EXPECTED = (
    "expected label tracks of Audacity (.txt), selection tables of Raven (.txt), "
    "or CSV tables of events, BirdNET-Analyzer or Kaleidoscope"
)
_log = logging.getLogger(__name__)
Failures = list[tuple[str, str]]


class LabelSet(NamedTuple):
    """The content of label files.

    Attributes
    ----------
    events : Events
        All usable events, in the order of files and rows.
    recordings : tuple of str
        The recordings of the label files, also those without events; sorted.
    problems : list of (place, reason)
        Rows and files that could not be used.
    notes : list of str
        Decisions that users should know.
    formats : tuple of str
        The formats found.
    classes : tuple of str
        Class names in the order of a table; empty without one.
    root : Path
        The folder that relative names in ``events.file`` start from.
    """

    events: Events
    recordings: tuple[str, ...]
    problems: Failures
    notes: list[str]
    formats: tuple[str, ...]
    classes: tuple[str, ...]
    root: Path


def format_of(name: str) -> Format:
    """The format with this name.

    Raises
    ------
    OptionError
        When there is none, with the closest name.
    """
    if name not in BY_NAME:
        raise OptionError(f"format: found '{name}'; {nearest(name, BY_NAME)}")
    return BY_NAME[name]


def rate_of(path: Path) -> float:
    """The sample rate of a recording in Hz, to read times in samples.

    Raises
    ------
    DataError
        When it cannot be read.
    """
    try:
        return float(probe(path).sample_rate)
    except AudioError as error:
        raise DataError(
            f"times in samples need the sample rate of the recording, which cannot be read: {error}"
        ) from error


def recognise_format(path: Path) -> Format | None:
    """The format of a file by its content, or None."""
    head = read_head(path)
    return next((form for form in TRIED if form.recognise(head)), None)


def why_unread(path: Path) -> str:
    """Why a file is no table of labels; empty if it is no table at all."""
    try:
        table = read_table(path, unique=False, lenient=True)
        if len(table.columns) < 2:
            return ""
        found = find_columns("row 1", table.names, table.rows)
    except DataError as error:
        return str(error).removeprefix(f"{path}: ").removeprefix(f"{path}, ")
    lack = "has no rows" if found.label else "no column for labels"
    return f"{lack}: found {', '.join(table.names)}"


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
        folder. Other files of a folder are ignored.
    format : str
        Name of a format, or "auto" to recognise it from the content of each file.
    label_column : str, optional
        The column of labels, if a format leaves that to the user; for csv-wide the class to read.
    root : Path, optional
        The folder of the recordings. Then each recording must be found in it, by its path, by its
        name or, if a label file names none, by the name of that file; case does not matter.
        Without it, names in tables are kept, and label files without a recording belong to the one
        beside them.

    Returns
    -------
    Events
        Times in seconds from the start of each recording; ``file`` relative to ``root``.

    Raises
    ------
    DataError
        When rows cannot be used or recordings are not found, with their number and the first few.
        :func:`collect_labels` returns the rest and the list instead.
    OptionError
        When the format is unknown.
    """
    found = collect_labels(path, format, label_column=label_column, root=root)
    if found.problems:
        n, reasons = count_text(len(found.problems), "place"), list(map(": ".join, found.problems))
        raise DataError(f"{path}: {n} cannot be used: {first_few(reasons, mark='; ')}")
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
    """As :func:`read_labels`, but return a list of what cannot be used.

    ``leave_out`` is a file or a folder to skip, such as the output.

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
    problems: Failures = []
    notes: list[str] = []
    if path.is_dir():
        files = _label_files(path, wanted, label_column, matcher, leave_out, problems, notes)
    else:
        form = wanted or recognise_format(path)
        if form is None:
            why = why_unread(path)
            raise DataError(
                f"{path}: found an unknown format{f' ({why})' * bool(why)}; {_EXPECTED}. If it is "
                "one of these, name the format, with --read-as of 'semisonic data labels' or "
                "format= in Python"
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
    """The current labels of a label log, with recordings relative to the root."""
    found = read_log(path)
    current = ResolvedLabels(found.root, found.entries)
    base = os.path.abspath(root or found.root)
    names = [
        path_from(os.path.join(found.root, file), base) for file in current.events.file.tolist()
    ]
    n_open = sum(one.consensus is None for one in current.disagreements)
    return LabelSet(
        events=with_files(current.events, names),
        recordings=tuple(sorted(set(names))),
        problems=list(found.problems),
        notes=[f"annotators disagree on {n_open} segments, which get no label"] * bool(n_open),
        formats=("log",),
        classes=current.classes,
        root=Path(base),
    )


class _Matcher:
    """Finds the recording of each row; ``seen`` has all of them."""

    def __init__(self, folder: Path, root: Path | None) -> None:
        self.folder, self.root = folder, root
        self.seen: set[str] = set()
        self.recordings = lru_cache(maxsize=1)(lambda: RecordingNames(root or folder))
        self._duration = lru_cache(maxsize=None)(self._read_duration)

    def own(self, label_file: Path) -> str:
        """The recording with the name of a label file; ValueError if there is none."""
        return self.recordings().beside(label_file.relative_to(self.folder).as_posix())

    def rows(self, form: Format, found: LabelFile, problems: Failures) -> list[Row]:
        """The rows of a label file with their recordings; rows without one become problems."""
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
            if row.pop("in_samples", False):
                try:
                    by = rate_of((self.root or self.folder) / row["file"])
                except DataError as error:
                    problems.append((row["where"], str(error)))
                    continue
                row["start_time"] /= by
                row["end_time"] /= by
            if math.isnan(row["end_time"]):
                row["end_time"] = self._duration(row["file"])
            if row["end_time"] >= row["start_time"]:
                kept.append(row)
            else:
                reason = (
                    f"no end time, and the length of the recording '{row['file']}' cannot be read"
                )
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
    problems: Failures,
    notes: list[str],
) -> list[tuple[Format, LabelFile]]:
    """The label files of a folder; unreadable ones become problems."""
    files: list[tuple[Format, LabelFile]] = []
    empty: list[Path] = []
    n_others = 0
    unread: list[str] = []
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
                place, _, reason = str(error).removeprefix(f"{path}").partition(": ")
                problems.append((f"{path}{place}", reason))
        elif path.suffix.lower() == ".txt" and path.is_file() and path.stat().st_size <= 5:
            empty.append(path)  # nothing but a byte order mark and an end of line
        else:
            n_others += 1
            if path.suffix.lower() in TABLE_SUFFIXES and len(unread) < NAMED_TABLES:
                unread.append(f"{path.name} is not read as labels: {why_unread(path)}")
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
        why = "".join(f". {text}" for text in unread)
        raise DataError(f"{folder}: no {what} in this folder or below it; {_EXPECTED}{why}")
    notes += unread
    if n_others:
        notes.append(f"{n_others} other text files ignored")
    return files


# Events to label files.


_TABLES = ("csv", "csv-wide")
_VERB = "data labels"
_BAD_ROWS = ".bad_rows.csv"


def write_labels(
    events: Events,
    output: Path,
    format: str,  # noqa: A002
    *,
    root: Path | None = None,
    durations: Mapping[str, float] | None = None,
) -> list[Path]:
    """Write events in a format of another program.

    Numbers are written with all their digits. Files are written atomically.

    Parameters
    ----------
    events : Events
    output : Path
        A file; for "audacity" and "raven" a folder, which gets one file for each recording with
        events, in folders like those of the recordings.
    format : str
        One of the ``FORMATS``.
    root : Path, optional
        The folder of the recordings, for formats that hold whole paths: raven-combined, birdnet,
        kaleidoscope.
    durations : mapping, optional
        Seconds of each recording, in the order in which Raven opens them; needed only by
        raven-combined, whose times run over all recordings.

    Returns
    -------
    list of Path
        The files written; for raven-combined also the list of recordings for Raven.

    Raises
    ------
    DataError
        When the format cannot hold an event: for example, a negative event would become positive,
        or a tab in a label another column.
    OptionError
        When there is no such format, or durations are missing.
    """
    form = format_of(format)
    refused = list(unwritable(events, form).values())
    if refused:
        reasons = first_few(list(map(": ".join, refused)), mark="; ")
        raise DataError(
            f"{output}: {len(refused)} of {len(events)} events cannot be written as {format}: "
            f"{reasons}. Leave them out, or take the format csv"
        )
    return form.write(events, output, root, durations or {})


# Label files of one format to another, or to windows that a detector learns from.


class Converted(NamedTuple):
    """The result of a conversion.

    Attributes
    ----------
    summary : str
        What was read and written, as text.
    written : list of Path
        The files.
    failures : list of (place, reason)
        Rows, events and recordings that could not be used; also in ``bad_rows``.
    notes : list of str
        Decisions, and what the format does not hold.
    bad_rows : Path or None
        The table of failures, if there are any.
    """

    summary: str
    written: list[Path]
    failures: Failures
    notes: list[str]
    bad_rows: Path | None


def convert_labels(
    labels: Path,
    output: Path,
    format: str,  # noqa: A002
    *,
    read_as: str = "auto",
    label_column: str | None = None,
    recordings: Path | None = None,
    rules: WindowRules | None = None,
) -> Converted:
    """Read label files and write them in another format; list what cannot be used.

    Parameters
    ----------
    labels, read_as, label_column
        See :func:`collect_labels`.
    output, format
        See :func:`write_labels`. Names in csv and csv-wide are relative to the table's folder, so
        that :func:`semisonic.data.datasets.load.load_clips` finds the recordings.
    recordings : Path, optional
        The folder of the recordings; by default that of the labels, if it contains any.
    rules : WindowRules, optional
        Cut the annotated recordings into windows and write these, as csv or csv-wide.

    Raises
    ------
    DataError, OptionError
        When nothing can be read, or the options do not fit.
    """
    form = format_of(format)
    if rules is not None and format not in _TABLES:
        raise OptionError(
            f"format: found '{format}', expected csv or csv-wide, as windows are a table of clips"
        )
    if os.path.abspath(output) == os.path.abspath(labels):
        raise OptionError(
            f"output: found the labels themselves, {labels}; expected another file or folder"
        )
    if not form.per_recording:
        check_file(output, _VERB, (form.suffix,), inputs=[labels])
    elif output.exists() and not output.is_dir():
        raise OptionError(
            f"output: '{output}' is a file, expected a folder, as {form.title} are one file per "
            "recording"
        )
    root = recordings or _folder_with_audio(labels)
    found = collect_labels(labels, read_as, label_column=label_column, root=root, leave_out=output)
    if recordings is None and root is not None and not found.recordings:
        elsewhere = collect_labels(labels, read_as, label_column=label_column, leave_out=output)
        if elsewhere.recordings:  # a table about recordings that lie elsewhere
            found, root = elsewhere, None
    if (
        root is None
        and found.recordings
        and all(os.path.isfile(found.root / file) for file in found.recordings)
    ):
        root = found.root  # the table names them by their whole paths
    failures, notes, events = list(found.problems), list(found.notes), found.events
    if len(found.formats) > 1:
        notes.append(
            f"formats found: {', '.join(found.formats)}; if they have the same events, name one "
            "with --read-as (read_as=)"
        )
    durations: dict[str, float] = {}
    if format == "raven-combined" or rules is not None:
        if root is None:
            raise OptionError(
                "recordings: found none beside the labels, expected their folder (--recordings), "
                "as their lengths are needed"
            )
        durations = _durations(root, found.recordings, events, failures)
        events = events[np.isin(events.file, list(durations))]
    if not len(events) and not found.recordings:
        place, reason = failures[0] if failures else (f"{labels}", "no events")
        raise DataError(f"{labels}: found nothing that can be used. {place}: {reason}")
    n_labels = len(set(events.label.tolist()) - {""})
    counted = (
        f"{count_text(len(events), 'event')}, {count_text(n_labels, 'label')}, "
        f"{count_text(len(found.recordings), 'recording')} ({', '.join(found.formats)})"
    )
    bad_rows = output.with_name(output.name + _BAD_ROWS)
    with writing_several(output, _VERB) as draft:
        if rules is not None:
            clips = label_windows(events, found.root, durations, rules)
            notes += clips.notes
            seen = _beside(clips.file.tolist(), clips.root, output)
            clips = clips.with_columns(file=np.array(seen, np.str_))
            paths = _write_windows(clips, draft, format, rules.background)
            what = count_text(len(clips), "window")
        else:
            refused = unwritable(events, form)
            failures += refused.values()
            events = events[~np.isin(np.arange(len(events)), list(refused))]
            notes += losses(events, form)
            if format in _TABLES and root is not None:
                events = with_files(events, _beside(events.file.tolist(), found.root, output))
            whole = None if root is None else Path(os.path.abspath(root))
            paths = write_labels(events, draft, format, root=whole, durations=durations)
            what = count_text(len(events), "event")
        if failures:
            write_csv(draft.with_name(bad_rows.name), ("place", "reason"), failures)
    if not failures and is_own(bad_rows, _VERB):
        bad_rows.unlink()  # of an earlier call
    paths = [output.parent / path.relative_to(draft.parent) for path in paths]
    files = f"{len(paths)} files in {output}" if form.per_recording and len(paths) != 1 else ""
    return Converted(
        f"{counted} -> {what} in {files or ' and '.join(map(str, paths))}",
        paths,
        failures,
        notes,
        bad_rows if failures else None,
    )


def _folder_with_audio(labels: Path) -> Path | None:
    if labels.is_file() and is_log(labels):
        return read_log(labels).root
    folder = labels if labels.is_dir() else labels.parent
    return folder if folder.is_dir() and find_audio(folder) else None


def _durations(
    root: Path, files: Sequence[str], events: Events, failures: Failures
) -> dict[str, float]:
    """Seconds of each recording; unreadable ones, and events after an end, are failures."""
    table = Clips.from_rows(root, ({"file": file} for file in files))
    seconds = dict(zip(table.file.tolist(), clip_durations(table).tolist(), strict=True))
    failures += [(file, "its length cannot be read") for file, d in seconds.items() if not d > 0]
    durations = {file: d for file, d in seconds.items() if d > 0}
    for event in events.to_dict("records"):
        file, start = event["file"], event["start_time"]
        if start > durations.get(file, np.inf):
            reason = f"'{event['label']}' begins at {start:g} s, but the recording ends at"
            failures.append((file, f"{reason} {durations[file]:g} s"))
    return durations


def _beside(files: Sequence[str], root: Path, output: Path) -> list[str]:
    """The recordings relative to the folder of a table."""
    here = os.path.abspath(output.parent)
    names: dict[str, str] = {}
    for file in set(files):
        place = os.path.abspath(root / file)
        try:
            names[file] = path_from(place, here)
        except ValueError:  # another drive
            names[file] = Path(place).as_posix()
    return [names[file] for file in files]


def _write_windows(clips: Clips, draft: Path, name: str, background: str | None) -> list[Path]:
    """Write windows as a table of clips, or with a column for each class."""
    frame = clips.to_frame().drop(columns="fold")
    if name == "csv":
        frame[["start_time", "end_time"]] = frame[["start_time", "end_time"]].map(written)
        write_csv(draft, list(frame.columns), frame.itertuples(index=False))
        return [draft]
    rows: list[dict[str, Any]] = []
    classes = [label for label in clips.classes if label != background]
    for record, labels in zip(frame.to_dict("records"), clips.labels, strict=True):
        row = {str(column): value for column, value in record.items()}
        row["presence"] = row["label_type"]
        # All classes are absent from the background; of a window without labels nothing is known.
        presence = {c: {} if c in labels else {"presence": NEGATIVE} for c in classes}
        rows += [{**row, "label": c, **about} for c, about in presence.items()] if labels else [row]
    return write_labels(make_events(rows), draft, name)
