"""Raven selection tables written: one for each recording, or one over all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np

from semisonic.base.errors import DataError, OptionError
from semisonic.base.files import write_text
from semisonic.base.wording import counted
from semisonic.data.events import POSITIVE, Events
from semisonic.data.labels.form import (
    BAND,
    PRESENCE,
    SCORE,
    SEMICOLON,
    Format,
    Writing,
    by_recording,
    track_paths,
)
from semisonic.data.labels.numbers import exact, plus, written
from semisonic.data.labels.raven import read, recognise
from semisonic.data.labels.text import Head, write_tabs

_HOLDS = frozenset({BAND, PRESENCE, SCORE, SEMICOLON})
_FIRST = ("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)")
_BAND = ("Low Freq (Hz)", "High Freq (Hz)")


def write(events: Events, output: Path, writing: Writing) -> list[Path]:
    """Write ``NAME.Table.1.selections.txt`` for each recording, in a tree like the recordings'."""
    del writing
    paths = track_paths(events, output, FORMAT.suffix)
    for file, its in by_recording(events):
        name = [file.rpartition("/")[2]] * len(its)
        times = [(exact(a), exact(b)) for a, b in zip(its.start_time, its.end_time, strict=True)]
        _write(paths[file], its, times, {"Begin File": name})
    return list(paths.values())


def write_combined(events: Events, output: Path, writing: Writing) -> list[Path]:
    """Write one table over all recordings, and beside it the list of files that Raven opens.

    ``Begin Time (s)`` counts from the start of the first recording in ``durations``.
    """
    if writing.durations is None:
        raise OptionError(
            "raven-combined: found no durations, expected the length of each recording in seconds, "
            "as its times run over all of them"
        )
    begins = _begins(writing.durations)
    unknown = sorted(set(events.file.tolist()) - set(begins))
    if unknown:
        n = counted(len(unknown), "recording")
        raise DataError(f"raven-combined: no duration for {n}: {unknown[0]}")
    order = np.argsort([float(begins[file]) for file in events.file.tolist()], kind="stable")
    its = events[order.astype(np.int64)] if len(events) else events
    files = its.file.tolist()
    times = [
        (plus(begins[file], exact(a)), plus(begins[file], exact(b)))
        for file, a, b in zip(files, its.start_time, its.end_time, strict=True)
    ]
    more = {
        "Begin Path": [writing.path_of(file) for file in files],
        "File Offset (s)": [written(float(start)) for start in its.start_time],
    }
    _write(output, its, times, more)
    listing = output.with_name(f"{output.stem}.list.txt")
    write_text(listing, "".join(f"{writing.path_of(file)}\n" for file in begins))
    return [output, listing]


def _begins(durations: Mapping[str, float]) -> dict[str, Decimal]:
    """When each recording begins, all played one after the other."""
    begins, at = {}, Decimal(0)
    for file, duration in durations.items():
        begins[file] = at
        at = plus(at, exact(duration))
    return begins


def _write(
    path: Path,
    events: Events,
    times: Sequence[tuple[Decimal, Decimal]],
    more: Mapping[str, Sequence[str]],
) -> None:
    """Write one table; columns of which no event says anything are left out."""
    columns: dict[str, Sequence[str]] = {}
    if not (np.isnan(events.fmin_hz) & np.isnan(events.fmax_hz)).all():
        values = (events.fmin_hz, events.fmax_hz)
        columns |= {
            name: [written(float(f)) for f in band]
            for name, band in zip(_BAND, values, strict=True)
        }
    columns |= more
    columns["Annotation"] = events.label.tolist()
    if not np.isnan(events.score).all():
        columns["Score"] = [written(float(score)) for score in events.score]
    if (events.presence != POSITIVE).any():
        columns["Presence"] = events.presence.tolist()
    rows = [
        [
            str(i + 1),
            "Spectrogram 1",
            "1",
            *map(written, times[i]),
            *(c[i] for c in columns.values()),
        ]
        for i in range(len(events))
    ]
    write_tabs(path, [[*_FIRST, *columns], *rows])


def _recognise_combined(head: Head) -> bool:
    return recognise(head) and "file_offset_s" in head.columns and "begin_path" in head.columns


FORMAT = Format(
    "raven",
    "Raven selection tables",
    _HOLDS,
    True,
    recognise,
    read,
    write,
    suffix=".Table.1.selections.txt",
)
COMBINED = Format(
    "raven-combined", "a Raven selection table over several recordings",
    _HOLDS, False, _recognise_combined, read, write_combined, suffix=".txt",
)  # fmt: skip
