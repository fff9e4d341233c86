"""Events to label files, and label files to another format or to windows of clips."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from semisonic.audio.find import find_audio
from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import write_csv
from semisonic.core.text import count_text
from semisonic.data.clips import Clips
from semisonic.data.events import (
    NEGATIVE,
    POSITIVE,
    UNCERTAIN,
    Events,
    label_windows,
    make_events,
    with_files,
)
from semisonic.data.formats.formats import (
    BAND,
    NO_LABELS_OF_WIDE,
    PRESENCE,
    SCORE,
    SEMICOLON,
    TABS,
    track_paths,
)
from semisonic.data.formats.read import collect_labels, format_of
from semisonic.data.label_log import is_log, read_log
from semisonic.data.options import WindowRules
from semisonic.data.outputs import check_file, is_own, writing_several
from semisonic.data.tables import normalise, written
from semisonic.data.windows import clip_durations

_TABLES = ("csv", "csv-wide")
_VERB = "data labels"
_BAD_ROWS = ".bad_rows.csv"
_NAME_BYTES = 255  # that the name of a file may have on the usual file systems
_SHOWN = 5
Failures = list[tuple[str, str]]


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
        When the format cannot hold an event: one that is not there, written where only what is
        there can be written, would become its opposite; a tab in a label a further column.
    OptionError
        When there is no such format, or durations are missing.
    """
    refused = list(_unwritable(events, format).values())
    if refused:
        raise DataError(
            f"{output}: {len(refused)} of {len(events)} events cannot be written as {format}: "
            f"{'; '.join(map(': '.join, refused[:_SHOWN]))}"
            f"{'; ...' if len(refused) > _SHOWN else ''}. Leave them out, or take the format csv"
        )
    return format_of(format).write(events, output, root, durations or {})


def _unwritable(events: Events, name: str) -> dict[int, tuple[str, str]]:
    """The events that a format cannot hold, by row, each with its place and the reason."""
    form = format_of(name)
    marks = "\n\r\x00" + ("" if TABS in form.holds else "\t")
    marks_of_label = marks + ("" if SEMICOLON in form.holds else ";")
    paths = track_paths(events, Path(), form.suffix) if form.per_recording else {}
    lengths = {f: len(path.name.encode("utf-8", "surrogatepass")) for f, path in paths.items()}

    def reason(event: Mapping[Any, Any]) -> str:
        file, label, presence = event["file"], event["label"], event["presence"]
        if lengths.get(file, 0) > _NAME_BYTES:
            return (
                f"its recording's name is too long: the label file's would have {lengths[file]} "
                f"bytes, and a system takes {_NAME_BYTES} at most; rename the recording"
            )
        bad = [m for m in marks_of_label if m in label] + [m for m in marks if m in file]
        if bad:
            return f"its label or file has {bad[0]!r}, which {form.title} cannot hold"
        if name == "csv-wide" and normalise(label) in NO_LABELS_OF_WIDE:
            return f"'{label}' means something else in {form.title}"
        if presence != POSITIVE and PRESENCE not in form.holds:
            return f"it is {presence}, which {form.title} cannot say"
        return ""

    found = {}
    for row, event in enumerate(events.to_dict("records")):
        if why := reason(event):
            times = f"{event['start_time']:g} to {event['end_time']:g} s"
            found[row] = (f"{event['file']}, {times}, '{event['label']}'", why)
    return found


def _losses(events: Events, name: str) -> list[str]:
    """What a format leaves out of events that it can hold, in words; empty for nothing."""
    holds = format_of(name).holds
    n_scores = int((~np.isnan(events.score)).sum())
    n_bands = int((~(np.isnan(events.fmin_hz) & np.isnan(events.fmax_hz))).sum())
    n_uncertain = int((events.presence == UNCERTAIN).sum())
    lost = [
        (n_scores, SCORE not in holds, f"{n_scores} scores"),
        (n_bands, BAND not in holds, f"{n_bands} limits in frequency"),
        (
            n_uncertain,
            name == "csv-wide",
            f"the difference between uncertain and unknown ({n_uncertain} events)",
        ),
    ]
    return [f"{name} does not hold: {text}" for n, is_lost, text in lost if n and is_lost]


# Label files of one format to another, or to windows that a detector learns from.


class Converted(NamedTuple):
    """What became of label files.

    Attributes
    ----------
    summary : str
        What was read and written, for people.
    written : list of Path
        The files.
    failures : list of (place, reason)
        Rows, events and recordings that could not be used; also in ``bad_rows``.
    notes : list of str
        What was decided, and what the format does not hold.
    bad_rows : Path or None
        The table of failures, where there are any.
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
    form = format_of(format)
    if rules is not None and format not in _TABLES:
        raise OptionError(
            f"windows are a table of clips: found the format '{format}', expected csv or csv-wide"
        )
    if os.path.abspath(output) == os.path.abspath(labels):
        raise OptionError(
            f"output: found the labels themselves, {labels}; expected another file or folder"
        )
    if not form.per_recording:
        check_file(output, _VERB, (form.suffix,), inputs=[labels])
    elif output.exists() and not output.is_dir():
        raise OptionError(
            f"output: '{output}' is a file, expected a folder: {form.title} are one file a "
            "recording"
        )
    root = recordings or _folder_with_audio(labels)
    found = collect_labels(labels, read_as, label_column=label_column, root=root, leave_out=output)
    if recordings is None and root is not None and not found.recordings:
        elsewhere = collect_labels(labels, read_as, label_column=label_column, leave_out=output)
        if elsewhere.recordings:  # a table about recordings that lie elsewhere
            found, root = elsewhere, None
    failures, notes, events = list(found.problems), list(found.notes), found.events
    if len(found.formats) > 1:
        notes.append(
            f"formats found: {', '.join(found.formats)}; if they hold the same events, name one "
            "with --read-as (read_as=)"
        )
    durations: dict[str, float] = {}
    if format == "raven-combined" or rules is not None:
        if root is None:
            raise OptionError(
                "the lengths of the recordings are needed: found none beside the labels, expected "
                "their folder (--recordings)"
            )
        durations = _durations(root, found.recordings, events, failures)
        events = events[np.isin(events.file, list(durations))]
    if not len(events) and not found.recordings:
        place, reason = failures[0] if failures else (f"{labels}", "no events")
        raise DataError(f"{labels}: nothing can be used. {place}: {reason}")
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
            refused = _unwritable(events, format)
            failures += refused.values()
            events = events[~np.isin(np.arange(len(events)), list(refused))]
            notes += _losses(events, format)
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
    """Seconds of each recording; those that cannot be read, and events behind an end, fail."""
    table = Clips.from_rows(root, ({"file": file} for file in files))
    seconds = dict(zip(table.file.tolist(), clip_durations(table).tolist(), strict=True))
    failures += [(file, "its length cannot be read") for file, d in seconds.items() if not d > 0]
    durations = {file: d for file, d in seconds.items() if d > 0}
    for event in events.to_dict("records"):
        file, start = event["file"], event["start_time"]
        if start > durations.get(file, np.inf):
            reason = f"'{event['label']}' begins at {start:g} s, and the recording ends at"
            failures.append((file, f"{reason} {durations[file]:g} s"))
    return durations


def _beside(files: Sequence[str], root: Path, output: Path) -> list[str]:
    """The recordings as seen from the folder of a table."""
    here = os.path.abspath(output.parent)
    names: dict[str, str] = {}
    for file in set(files):
        place = os.path.abspath(root / file)
        try:
            names[file] = Path(os.path.relpath(place, here)).as_posix()
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
        said = {c: {} if c in labels else {"presence": NEGATIVE} for c in classes}
        rows += [{**row, "label": c, **about} for c, about in said.items()] if labels else [row]
    return write_labels(make_events(rows), draft, name)
