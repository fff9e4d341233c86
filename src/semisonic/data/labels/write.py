"""From events to label files, and what a format cannot hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from semisonic.base.errors import DataError
from semisonic.data.events import POSITIVE, UNCERTAIN, Events
from semisonic.data.labels.form import (
    BAND,
    PRESENCE,
    SCORE,
    SEMICOLON,
    TABS,
    Format,
    Writing,
    track_paths,
)
from semisonic.data.labels.formats import format_of

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
