"""Events to label files, and label files to another format or to windows of clips."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from semisonic.audio.find import find_audio
from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import write_csv
from semisonic.core.text import count_text
from semisonic.data.clips import LABEL_SEPARATOR, Clips
from semisonic.data.clips import UNCERTAIN as UNCHECKED
from semisonic.data.events import (
    NEGATIVE,
    POSITIVE,
    UNCERTAIN,
    Events,
    beyond_end,
    label_windows,
    recording_durations,
)
from semisonic.data.formats.format import (
    BAND,
    PRESENCE,
    SCORE,
    SEMICOLON,
    TABS,
    Format,
    Writing,
    track_paths,
)
from semisonic.data.formats.read import LabelSet, collect_labels, format_of
from semisonic.data.label_log import is_log, read_log
from semisonic.data.options import WindowRules
from semisonic.data.outputs import check_file, is_own, writing_several
from semisonic.data.tables import written

_LINE_BREAKS = "\n\r\x00"
_SHOWN = 5
NAME_BYTES = 255
"""Bytes that the name of a file may have on the usual file systems."""


def write_labels(
    events: Events,
    output: Path,
    format: str,  # noqa: A002
    *,
    root: Path | None = None,
    durations: Mapping[str, float] | None = None,
) -> list[Path]:
    """Write events as people's tools read them.

    Numbers are written with all their digits. Files are written whole or not at all.

    Parameters
    ----------
    events : Events
    output : Path
        A file; for "audacity" and "raven" a folder, which gets one file for each recording that
        has events, in folders like those of the recordings.
    format : str
        One of the ``FORMATS``.
    root : Path, optional
        The folder of the recordings, for formats that hold whole paths: raven-combined, birdnet,
        kaleidoscope.
    durations : mapping, optional
        Seconds of each recording, in the order in which Raven opens them; needed by
        raven-combined alone, whose times run over all recordings.

    Returns
    -------
    list of Path
        What was written; for raven-combined also the list of recordings that Raven opens.

    Raises
    ------
    DataError
        When the format cannot hold an event: see :func:`unwritable`.
    OptionError
        When there is no such format, or durations are missing.
    """
    refused = unwritable(events, format)
    if refused:
        shown = list(refused.values())[:_SHOWN]
        first = "; ".join(f"{where}: {reason}" for where, reason in shown)
        raise DataError(
            f"{output}: {len(refused)} of {len(events)} events cannot be written as {format}: "
            f"{first}{'; ...' if len(refused) > _SHOWN else ''}. "
            "Leave them out, or take the format csv"
        )
    return format_of(format).write(events, output, Writing(root, durations))


def unwritable(events: Events, format: str) -> dict[int, tuple[str, str]]:  # noqa: A002
    """The events that a format cannot hold, by row, each with its place and the reason.

    An event that is not there, written where only what is there can be written, would become its
    opposite; a tab in a label would become a further column.
    """
    form = format_of(format)
    refused: dict[int, str] = {}
    only_positive = PRESENCE not in form.holds and format != "csv-wide"
    not_there = np.flatnonzero(events.presence != POSITIVE).tolist() if only_positive else []
    for row in not_there:
        refused[row] = f"it is {events.presence[row]}, which {form.title} cannot say"
    marks = _LINE_BREAKS + ("" if TABS in form.holds else "\t")
    marks_of_label = marks + ("" if SEMICOLON in form.holds else ";")
    for row, (file, label) in enumerate(
        zip(events.file.tolist(), events.label.tolist(), strict=True)
    ):
        bad = [m for m in marks_of_label if m in label] + [m for m in marks if m in file]
        if bad:
            refused[row] = f"its label or file has {bad[0]!r}, which {form.title} cannot hold"
        elif form.refuses(label):
            refused[row] = f"'{label}' means something else in {form.title}"
    for row, length in _too_long(events, form).items():
        refused[row] = (
            f"its recording's name is too long: the label file's would have {length} bytes, and "
            f"a system takes {NAME_BYTES} at most; rename the recording"
        )
    return {
        row: (
            f"{events.file[row]}, {events.start_time[row]:g} to {events.end_time[row]:g} s, "
            f"'{events.label[row]}'",
            reason,
        )
        for row, reason in sorted(refused.items())
    }


def _too_long(events: Events, form: Format) -> dict[int, int]:
    """The events whose recording has no label file of a name that can be, and its length."""
    if not form.per_recording:
        return {}
    names = track_paths(events, Path(), form.suffix)
    lengths = {
        file: len(path.name.encode("utf-8", "surrogatepass")) for file, path in names.items()
    }
    found = enumerate(events.file.tolist())
    return {row: lengths[file] for row, file in found if lengths[file] > NAME_BYTES}


def losses(events: Events, format: str) -> list[str]:  # noqa: A002
    """What a format leaves out of events that it can hold, in words; empty for nothing."""
    form = format_of(format)
    counts = {
        "scores": (SCORE, ~np.isnan(events.score)),
        "limits in frequency": (BAND, ~(np.isnan(events.fmin_hz) & np.isnan(events.fmax_hz))),
    }
    found = [
        f"{int(has.sum())} {what}"
        for what, (kind, has) in counts.items()
        if kind not in form.holds and has.any()
    ]
    if format == "csv-wide" and (events.presence == UNCERTAIN).any():
        n = int((events.presence == UNCERTAIN).sum())
        found.append(f"the difference between uncertain and unknown ({n} events)")
    return found


# Label files of one format to another, or to windows that a detector learns from.


_TABLES = ("csv", "csv-wide")
VERB = "data labels"
BAD_ROWS = ".bad_rows.csv"


@dataclass(frozen=True)
class Converted:
    """What became of label files.

    Attributes
    ----------
    summary : str
        What was read and written, for people.
    written : tuple of Path
        The files.
    failures : tuple of (place, reason)
        Rows, events and recordings that could not be used; also in ``bad_rows``.
    notes : tuple of str
        What was decided, and what the format does not hold.
    bad_rows : Path or None
        The table of failures, where there are any.
    """

    summary: str
    written: tuple[Path, ...]
    failures: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
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
    """Read label files and write them in another format; what cannot be used is listed.

    Parameters
    ----------
    labels, read_as, label_column
        See :func:`collect_labels`.
    output, format
        See :func:`write_labels`. Names in csv and csv-wide are relative to the table's folder, so
        that :func:`semisonic.data.datasets.load.load_clips` finds the recordings.
    recordings : Path, optional
        The folder of the recordings; by default that of the labels, where it holds any.
    rules : WindowRules, optional
        Cut the annotated recordings into windows and write those, as csv or csv-wide.

    Raises
    ------
    DataError, OptionError
        When nothing can be read, or the options do not fit.
    """
    if rules is not None and format not in _TABLES:
        raise OptionError(
            f"windows are a table of clips: found the format '{format}', expected csv or csv-wide"
        )
    if os.path.abspath(output) == os.path.abspath(labels):
        raise OptionError(
            f"output: found the labels themselves, {labels}; expected another file or folder"
        )
    _check_place(output, format_of(format), labels)
    found, root = _read(labels, read_as, label_column, recordings, output)
    failures, notes = list(found.problems), list(found.notes)
    if len(found.formats) > 1:
        notes.append(
            f"formats found: {', '.join(found.formats)}; if they hold the same events, name one "
            "with --read-as (read_as=)"
        )
    if format == "raven-combined" or rules is not None:
        if root is None:
            raise OptionError(
                "the lengths of the recordings are needed: found none beside the labels, expected "
                "their folder (--recordings)"
            )
        durations, bad = recording_durations(root, found.recordings)
        failures += bad + beyond_end(found.events, durations)
        readable = np.isin(found.events.file, list(durations))
        found = replace(found, events=found.events[readable])
    else:
        durations = {}
    if not len(found.events) and not found.recordings:
        place, reason = failures[0] if failures else (f"{labels}", "no events")
        raise DataError(f"{labels}: nothing can be used. {place}: {reason}")
    with writing_several(output, VERB) as draft:
        if rules is not None:
            clips = label_windows(found.events, found.root, durations, rules)
            notes += clips.notes
            paths = _write_windows(clips, output, draft, format, rules.background)
            what = count_text(len(clips), "window")
        else:
            kept, refused = _keep(found.events, format)
            failures += refused
            notes += [f"{format} does not hold: {lost}" for lost in losses(kept, format)]
            if format in _TABLES and root is not None:
                kept = replace(kept, file=_beside(kept.file.tolist(), found.root, output))
            paths = write_labels(kept, draft, format, root=_absolute(root), durations=durations)
            what = count_text(len(kept), "event")
        bad_rows = _write_failures(failures, draft)
    paths = [output.parent / path.relative_to(draft.parent) for path in paths]
    if bad_rows is not None:
        bad_rows = output.with_name(bad_rows.name)
    else:
        earlier = output.with_name(output.name + BAD_ROWS)
        if is_own(earlier, VERB):
            earlier.unlink()
    files = f"{paths[0]}" if len(paths) == 1 else f"{len(paths)} files in {output}"
    if format == "raven-combined":
        files = " and ".join(map(str, paths))
    return Converted(
        summary=f"{_counted(found)} -> {what} in {files if paths else output}",
        written=tuple(paths),
        failures=tuple(failures),
        notes=tuple(notes),
        bad_rows=bad_rows,
    )


def _check_place(output: Path, form: Format, labels: Path) -> None:
    """Refuse an output that cannot be written, before anything is read."""
    if not form.per_recording:
        check_file(output, VERB, (form.suffix,), inputs=[labels])
    elif output.exists() and not output.is_dir():
        raise OptionError(
            f"output: '{output}' is a file, expected a folder: {form.title} are one file a "
            "recording"
        )


def _read(
    labels: Path, read_as: str, label_column: str | None, recordings: Path | None, output: Path
) -> tuple[LabelSet, Path | None]:
    """The labels, and the folder of their recordings; None when it is neither given nor theirs."""
    root = recordings if recordings is not None else _folder_with_audio(labels)

    def read(place: Path | None) -> LabelSet:
        return collect_labels(
            labels, read_as, label_column=label_column, root=place, leave_out=output
        )

    found = read(root)
    if recordings is None and root is not None and not found.recordings:
        named = read(None)
        if named.recordings:  # a table about recordings that lie elsewhere
            return named, None
    return found, root


def _counted(found: LabelSet) -> str:
    events = found.events
    n_labels = len(set(events.label.tolist()) - {""})
    return (
        f"{count_text(len(events), 'event')}, {count_text(n_labels, 'label')}, "
        f"{count_text(len(found.recordings), 'recording')} "
        f"({', '.join(found.formats)})"
    )


def _folder_with_audio(labels: Path) -> Path | None:
    if labels.is_file() and is_log(labels):
        return read_log(labels).root
    folder = labels if labels.is_dir() else labels.parent
    return folder if folder.is_dir() and find_audio(folder) else None


def _absolute(root: Path | None) -> Path | None:
    return None if root is None else Path(os.path.abspath(root))


def _keep(events: Events, format: str) -> tuple[Events, list[tuple[str, str]]]:  # noqa: A002
    """The events that the format can hold, and the others with the reason."""
    refused = unwritable(events, format)
    stays = np.ones(len(events), np.bool_)
    stays[list(refused)] = False
    return events[stays], list(refused.values())


def _beside(files: list[str], root: Path, output: Path) -> np.ndarray:
    """The recordings as seen from the folder of a table."""
    here = os.path.abspath(output.parent)
    names: dict[str, str] = {}
    for file in files:
        if file not in names:
            place = os.path.abspath(root / file)
            try:
                names[file] = Path(os.path.relpath(place, here)).as_posix()
            except ValueError:  # another drive
                names[file] = Path(place).as_posix()
    return np.array([names[file] for file in files], np.str_)


def _write_windows(
    clips: Clips,
    output: Path,
    draft: Path,
    form: str,
    background: str | None,
) -> list[Path]:
    """Write windows as a table of clips, or with a column for each class, named from ``output``."""
    table = clips.with_columns(file=_beside(clips.file.tolist(), clips.root, output))
    if form == "csv-wide":
        return write_labels(Events.from_rows(_wide(table, background)), draft, form)
    rows = (
        [
            str(table.file[i]),
            written(float(table.start_time[i])),
            written(float(table.end_time[i])),
            LABEL_SEPARATOR.join(table.labels[i]),
            str(table.group[i]),
            str(table.label_type[i]),
        ]
        for i in range(len(table))
    )
    names = ("file", "start_time", "end_time", "label", "group", "label_type")
    write_csv(draft, names, rows)
    return [draft]


def _wide(clips: Clips, background: str | None) -> Iterator[dict[str, object]]:
    """What is known of every class in every window; all are absent from the background."""
    classes = [name for name in clips.classes if name != background]
    for i, labels in enumerate(clips.labels):
        row = {
            "file": str(clips.file[i]),
            "start_time": clips.start_time[i],
            "end_time": clips.end_time[i],
        }
        if not labels:
            yield row | {"label": ""}
            continue
        presence = UNCERTAIN if clips.label_type[i] == UNCHECKED else POSITIVE
        for name in classes:
            yield row | {"label": name, "presence": presence if name in labels else NEGATIVE}


def _write_failures(failures: list[tuple[str, str]], output: Path) -> Path | None:
    path = output.with_name(output.name + BAD_ROWS)
    if not failures:
        return None
    write_csv(path, ("place", "reason"), failures)
    return path
