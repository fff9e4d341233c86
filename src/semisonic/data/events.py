"""Sound events, labelled segments of recordings, and the clips and windows made of them.

Models learn from :class:`~semisonic.data.clips.Clips`; events are the content of a label track, a
selection table or the output of ``semisonic detect``. Events of one recording may overlap, have a
score, and be limited to a band of frequencies. They are a data frame, one per row, with the
columns

``file``
    Path of the recording, with forward slashes.
``start_time``, ``end_time``
    Seconds in the recording, ``0 <= start <= end``; equal for a point in time.
``label``
    The class; empty if a person marked a place without naming it.
``score``
    0 to 1; NaN for none.
``fmin_hz``, ``fmax_hz``
    Limits in frequency, Hz; NaN for none.
``presence``
    "positive": the sound is there; "negative": somebody listened and it is not there;
    "uncertain": somebody could not tell.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from semisonic.core.errors import DataError
from semisonic.core.label_names import class_name
from semisonic.core.options import check
from semisonic.core.text import count_text
from semisonic.data.clips import LABEL_TYPES, Clips
from semisonic.data.options import WindowRules
from semisonic.data.recording_names import groups_of
from semisonic.data.windows import windows

Events = pd.DataFrame
"""The type that :func:`make_events` returns."""

POSITIVE, UNCERTAIN = LABEL_TYPES
NEGATIVE = "negative"
PRESENCES = (POSITIVE, NEGATIVE, UNCERTAIN)
_NUMBERS = ("start_time", "end_time", "score", "fmin_hz", "fmax_hz")
EVENT_COLUMNS = ("file", *_NUMBERS[:2], "label", *_NUMBERS[2:], "presence")


def make_events(rows: Iterable[Mapping[Any, Any]]) -> Events:
    """Events as a data frame from mappings with ``file``, ``start_time``, ``end_time``, ``label``.

    Parameters
    ----------
    rows : iterable of mapping
        ``score``, ``fmin_hz``, ``fmax_hz`` (NaN or None for none) and ``presence`` are optional;
        other keys are ignored. The order is kept.

    Raises
    ------
    DataError
        When a value is impossible.

    Examples
    --------
    >>> events = make_events([{"file": "a.wav", "start_time": 1, "end_time": 2, "label": "dog"}])
    >>> events.label.tolist(), events.presence.tolist()
    (['dog'], ['positive'])
    """
    table = [{"presence": POSITIVE, **row} for row in rows]
    columns: dict[str, pd.Series[Any]] = {}
    for name in EVENT_COLUMNS:
        values = (row.get(name) for row in table)
        if name in _NUMBERS:
            columns[name] = pd.Series(
                [math.nan if v is None else float(v) for v in values], dtype=float
            )
        else:
            columns[name] = text_column(map(str, values))
    columns["label"] = text_column(map(class_name, columns["label"]))
    columns["file"] = text_column(file.replace("\\", "/") for file in columns["file"])
    events = pd.DataFrame(columns)
    for i, row in enumerate(events.to_dict("records")):
        if reason := event_fault(row):
            raise DataError(f"events, row {i} ({row['file']}): {reason}")
    return events


def text_column(texts: Iterable[object]) -> pd.Series[Any]:
    """A column of objects, as text of Arrow cannot hold file names of arbitrary bytes."""
    return pd.Series(list(texts), dtype=object)


def with_files(events: Events, files: Iterable[str]) -> Events:
    """The same events with other files, one per event."""
    return events.assign(file=text_column(files).set_axis(events.index))


def event_fault(row: Mapping[Any, Any]) -> str:
    """Why an event with all columns is impossible; empty if it is possible."""
    start, end, score = row["start_time"], row["end_time"], row["score"]
    low, high = row["fmin_hz"], row["fmax_hz"]
    if not 0 <= start <= end < math.inf:
        return f"found start {start:g} s and end {end:g} s, expected 0 <= start <= end"
    if score < 0 or score > 1:
        return f"found the score {score:g}, expected 0 to 1"
    if low < 0 or high < low or high < 0:
        return f"found {low:g} to {high:g} Hz, expected 0 <= lowest <= highest"
    if row["presence"] not in PRESENCES:
        return f"found '{row['presence']}', expected one of {', '.join(PRESENCES)}"
    return ""


# Between events, as people mark them, and clips, as a classifier learns from them.


BACKGROUND = "background"
"""The class of segments in which a listener found no class."""

POINT_DURATION = 1.0
"""Seconds of the clip around an event that is a point in time."""


SegmentKey = tuple[str, str, str]
"""File, start and end to a millisecond, which identify a segment."""


def segment_key(file: str, start_time: float, end_time: float) -> SegmentKey:
    """The key that events or answers about the same segment share.

    Parameters
    ----------
    file : str
    start_time, end_time : float
        Seconds.

    Examples
    --------
    >>> segment_key("a.wav", 1.0, 2.00049) == segment_key("a.wav", 1, 2)
    True
    """
    return file, f"{start_time:.3f}", f"{end_time:.3f}"


def clips_from_events(
    events: Events,
    root: Path,
    *,
    classes: Sequence[str] | None = None,
    name: str = "events",
    group: str = "auto",
    background: str | None = BACKGROUND,
    notes: Iterable[str] = (),
) -> Clips:
    """Turn each labelled segment of a recording into one clip.

    Several labels of the same segment (to a millisecond) make one clip with several labels. If any
    of them is uncertain, or marked both present and absent, the clip is uncertain, so that nothing
    is measured with it. A point in time becomes a clip of a second around it.

    A segment with negative labels only becomes a clip of the class ``background``. If every class
    of the table is known to be absent, this label is verified; otherwise the segment may contain
    another class, and the label is uncertain. An event without a name becomes a clip without a
    label.

    Parameters
    ----------
    events : Events
    root : Path
        The folder of the recordings.
    classes : sequence of str, optional
        Class names in order; alphabetical by default. Other names follow.
    group : str
        What identifies a recording, as for :func:`~semisonic.data.datasets.load.load_clips`; by
        default each file.
    background : str or None
        The class of segments without events; None leaves them without a label.
    notes : iterable of str
        Notes to put before those made here.
    """
    rows: dict[SegmentKey, dict[str, Any]] = {}
    # Of each segment the labels that are there, are not, and may be.
    labels_of: dict[SegmentKey, dict[str, dict[str, None]]] = defaultdict(
        lambda: {presence: {} for presence in PRESENCES}
    )
    n_points = n_background = n_conflicts = 0
    for event in events.to_dict("records"):
        start, end = event["start_time"], event["end_time"]
        if end == start:
            n_points += 1
            start = max(0.0, start - POINT_DURATION / 2)
            end = start + POINT_DURATION
        key = segment_key(event["file"], start, end)
        rows.setdefault(key, {"file": event["file"], "start_time": start, "end_time": end})
        if event["label"]:
            labels_of[key][event["presence"]][event["label"]] = None
    named = {label for one in labels_of.values() for label in (*one[POSITIVE], *one[UNCERTAIN])}
    first = [label for label in dict.fromkeys(classes or ()) if label in named]
    names = [*first, *sorted(named - set(first))]
    groups = groups_of((row["file"] for row in rows.values()), group)
    for (key, row), its_group in zip(rows.items(), groups, strict=True):
        present, absent = (
            labels_of[key][POSITIVE] | labels_of[key][UNCERTAIN],
            labels_of[key][NEGATIVE],
        )
        conflict = bool(present.keys() & absent)
        n_conflicts += conflict
        unsure = conflict or bool(labels_of[key][UNCERTAIN])
        labels = sorted(present, key=names.index)
        if not labels and absent and background is not None:
            n_background += 1
            labels, unsure = [background], not set(names) <= set(absent)
        kind = UNCERTAIN if unsure and labels else POSITIVE
        row |= {"labels": labels, "label_type": kind, "group": its_group}
    if n_background and background is not None and background not in names:
        names.append(background)
    counts = [
        (n_points, f"points in time became clips of {POINT_DURATION:g} s"),
        (
            n_conflicts,
            "clips have a class marked both present and absent: their labels are uncertain",
        ),
        (n_background, f"segments without a class get the class '{background}'"),
    ]
    notes = [*notes, *(f"{n} {text}" for n, text in counts if n)]
    return Clips.from_rows(root, rows.values(), names, name, notes)


def scored_note(events: Events) -> list[str]:
    """Note about events that a program found."""
    n = int((~np.isnan(events.score)).sum())
    return [scored_text(n, "event")] if n else []


def scored_text(n: int, what: str) -> str:
    """What labels with the score of a program are worth."""
    return (
        f"{count_text(n, what)} with the score of a program: if nobody verified them, a "
        "result measured with them shows how well a model agrees with that program, not whether "
        "it is right"
    )


# Annotated long recordings cut into windows of one length, as a detector learns from them.


def label_windows(
    events: Events,
    root: Path,
    durations: Mapping[str, float],
    rules: WindowRules | None = None,
    *,
    name: str = "windows",
    group: str = "auto",
) -> Clips:
    """Cut completely annotated recordings into labelled windows.

    A window gets the label of every event that it overlaps by at least ``min_overlap`` seconds or
    by ``min_share`` of the event. A window without any overlap gets the class ``background``. A
    window with less overlap, or with an event without a name, gets no label. Labels are uncertain
    if one of the events is. Negative events change nothing, as somebody listened to the whole
    recording. If all events have the score of a program, nobody listened, so labels of windows
    without events are uncertain.

    Parameters
    ----------
    events : Events
        Events of these recordings; others are an error.
    root : Path
        The folder of the recordings.
    durations : mapping
        Length in seconds of every annotated recording, also of those without events.
    rules : WindowRules, optional
    name, group : str
        As for :func:`~semisonic.data.datasets.load.load_clips`; all windows of a recording are one
        group.

    Returns
    -------
    Clips
        The last window ends with the recording; one of a shorter recording is as long as that.

    Raises
    ------
    KeyError
        When a recording of an event has no duration.
    """
    rules = check(rules or WindowRules())
    files = sorted(durations)
    whole = (
        {"file": file, "end_time": float(durations[file]), "group": its_group}
        for file, its_group in zip(files, groups_of(files, group), strict=True)
    )
    cut = windows(Clips.from_rows(root, whole, name=name), rules.duration, rules.hop)
    names, first = np.unique(cut.file, return_index=True)
    begins = dict(zip(names.tolist(), zip(first, [*first[1:], len(cut)], strict=True), strict=True))
    labels: list[set[str]] = [set() for _ in range(len(cut))]
    touched, unsure = np.zeros((2, len(cut)), np.bool_)
    for event in events.to_dict("records"):
        if event["presence"] == NEGATIVE:
            continue
        begin, end = event["start_time"], event["end_time"]
        a, b = begins[event["file"]]
        low = a + np.searchsorted(cut.end_time[a:b], begin, "right")
        side = "right" if begin == end else "left"
        high = a + np.searchsorted(cut.start_time[a:b], end, side)  # type: ignore[call-overload]
        at = slice(low, max(low, high))
        touched[at] = True
        shared = np.minimum(end, cut.end_time[at]) - np.maximum(begin, cut.start_time[at])
        enough = shared >= min(rules.min_overlap, rules.min_share * (end - begin)) - 1e-9
        for row in low + np.flatnonzero(enough) if event["label"] else ():
            labels[row].add(event["label"])
            unsure[row] |= event["presence"] == UNCERTAIN
    classes = sorted(set().union(*labels))
    n_named = sum(map(bool, labels))
    n_silent, n_unclear = int((~touched).sum()), int(touched.sum()) - n_named
    by_program = bool(len(events)) and not np.isnan(events.score).any()
    notes = [f"{n_named} windows of {rules.duration:g} s with events"]
    if n_silent:
        what = f"of the class '{rules.background}'" if rules.background else "left out"
        if by_program and rules.background:
            what += " with uncertain labels, as a program found nothing in them and nobody listened"
        notes.append(f"{count_text(n_silent, 'window')} without events: {what}")
    if n_unclear:
        notes.append(f"{count_text(n_unclear, 'window')} with too little of an event: no label")
    if rules.background is None:
        kept = touched
    else:
        kept = np.ones(len(cut), np.bool_)
        unsure |= ~touched & by_program
        for row in np.flatnonzero(~touched):
            labels[row] = {rules.background}
        if n_silent and rules.background not in classes:
            classes.append(rules.background)
    table = cut.with_columns(
        labels=tuple(tuple(sorted(one)) for one in labels),
        classes=tuple(classes),
        label_type=np.where(unsure, UNCERTAIN, POSITIVE),
        notes=(*notes, *scored_note(events)),
    )
    return table[kept]
