"""Sound events, labelled segments of recordings, and the clips and windows made of them.

Where :class:`~semisonic.data.clips.Clips` is what one learns from, ``Events`` is what stands in a
label track, a selection table or the output of ``semisonic detect``: several events of one
recording may overlap, carry a score, and be limited to a band of frequencies.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semisonic.core.errors import DataError
from semisonic.core.options import check
from semisonic.core.text import count_text
from semisonic.data.clips import LABEL_TYPES, Clips
from semisonic.data.options import WindowRules
from semisonic.data.recording_names import groups_of
from semisonic.data.windows import windows

if TYPE_CHECKING:
    import pandas as pd


POSITIVE, UNCERTAIN = LABEL_TYPES
NEGATIVE = "negative"
PRESENCES = (POSITIVE, NEGATIVE, UNCERTAIN)
"""The sound is there; somebody listened and it is not there; somebody could not tell."""


@dataclass(frozen=True, eq=False)
class Events:
    """An immutable table of events, one row each.

    Attributes
    ----------
    file : ndarray of str, shape (n,)
        Path of the recording, with forward slashes.
    start_time, end_time : ndarray of float64, shape (n,)
        Seconds in the recording, ``0 <= start <= end``; equal for a point in time.
    label : ndarray of str, shape (n,)
        What it is; may be empty where a person marked a place and named nothing.
    score : ndarray of float64, shape (n,)
        0 to 1; NaN where nothing gave one.
    fmin_hz, fmax_hz : ndarray of float64, shape (n,)
        Limits in frequency, Hz; NaN where none were drawn.
    presence : ndarray of str, shape (n,)
        "positive", "negative" or "uncertain".
    """

    file: NDArray[np.str_]
    start_time: NDArray[np.float64]
    end_time: NDArray[np.float64]
    label: NDArray[np.str_]
    score: NDArray[np.float64]
    fmin_hz: NDArray[np.float64]
    fmax_hz: NDArray[np.float64]
    presence: NDArray[np.str_]

    def __post_init__(self) -> None:
        for column in fields(self):
            if (found := len(getattr(self, column.name))) != len(self):
                raise DataError(
                    f"events: column '{column.name}' has {found} rows, expected {len(self)}"
                )
        for i, row in enumerate(self.rows()):
            if reason := event_fault(row):
                raise DataError(f"events, row {i} ({row['file']}): {reason}")

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> Events:
        """Build a table from mappings with ``file``, ``start_time``, ``end_time``, ``label``.

        Parameters
        ----------
        rows : iterable of mapping
            ``score``, ``fmin_hz``, ``fmax_hz`` (NaN or None for none) and ``presence`` may be left
            out, and what is none of the columns is passed over. The order is kept.

        Raises
        ------
        DataError
            When a value is impossible.

        Examples
        --------
        >>> Events.from_rows([{"file": "a.wav", "start_time": 1, "end_time": 2, "label": "dog"}])
        Events(1 events, 1 labels, 1 files)
        """
        table = list(rows)

        def number(name: str) -> NDArray[np.float64]:
            found = (row.get(name) for row in table)
            return np.array([np.nan if v is None else float(v) for v in found], np.float64)

        return cls(
            file=np.array([str(row["file"]).replace("\\", "/") for row in table], np.str_),
            start_time=number("start_time"),
            end_time=number("end_time"),
            label=np.array([str(row["label"]) for row in table], np.str_),
            score=number("score"),
            fmin_hz=number("fmin_hz"),
            fmax_hz=number("fmax_hz"),
            presence=np.array([row.get("presence", POSITIVE) for row in table], np.str_),
        )

    def rows(self) -> list[dict[str, Any]]:
        """The rows as :meth:`from_rows` takes them."""
        names = [column.name for column in fields(self)]
        values = zip(*(getattr(self, name).tolist() for name in names), strict=True)
        return [dict(zip(names, row, strict=True)) for row in values]

    def __len__(self) -> int:
        return len(self.file)

    def __getitem__(self, rows: Any) -> Events:
        """The rows chosen by a slice, a mask or an array of row numbers."""
        index = np.atleast_1d(np.arange(len(self))[rows])
        chosen = copy(self)  # its rows were checked
        for column in fields(self):
            object.__setattr__(chosen, column.name, getattr(self, column.name)[index])
        return chosen

    def __repr__(self) -> str:
        n_files, n_labels = len(set(self.file.tolist())), len(set(self.label.tolist()))
        return f"Events({len(self)} events, {n_labels} labels, {n_files} files)"

    def sorted(self) -> Events:
        """By file, start, end and label."""
        return self[np.lexsort((self.label, self.end_time, self.start_time, self.file))]

    def to_frame(self) -> pd.DataFrame:
        """The table for pandas, one column an attribute."""
        import pandas as pd

        columns = {column.name: getattr(self, column.name) for column in fields(self)}
        texts = {name: v.astype(object) for name, v in columns.items() if v.dtype.kind == "U"}
        return pd.DataFrame(columns | texts)


def event_fault(row: Mapping[str, Any]) -> str:
    """Why a row with all columns of :class:`Events` is impossible; empty when it is not."""
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
"""The class of segments in which somebody listened and found no class present."""

POINT_DURATION = 1.0
"""Seconds of the clip around an event that is a point in time."""


SegmentKey = tuple[str, str, str]
"""File, start and end to a millisecond: what tells two segments apart."""


def segment_key(file: str, start_time: float, end_time: float) -> SegmentKey:
    """What two events, or two answers, about the same segment have in common.

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
    """Each labelled segment of a recording as one clip to learn from.

    Several labels of the same segment (to a millisecond) are one clip with several labels. Where
    any of them is uncertain the clip is, so that nothing is measured by it; the same where a label
    is said to be there and not to be there. A point in time is a clip of a second around it.

    A segment of which only what is *not* there is known becomes a clip of the class
    ``background``. If every class of the table is known not to be there its label is a verified
    one; else it may hold another class, and its label is uncertain. An event without a name becomes
    a clip without a label.

    Parameters
    ----------
    events : Events
    root : Path
        The folder of the recordings.
    classes : sequence of str, optional
        Class names in their order; alphabetical by default. Names that are not in it follow.
    group : str
        What a recording is, as for :func:`~semisonic.data.datasets.load.load_clips`; each file by
        default.
    background : str or None
        The class of segments without any; None leaves them without a label.
    notes : iterable of str
        Notes that go before those made here.
    """
    rows: dict[SegmentKey, dict[str, Any]] = {}
    # Of each segment the labels that are there, are not, and may be.
    said: dict[SegmentKey, dict[str, dict[str, None]]] = defaultdict(
        lambda: {presence: {} for presence in PRESENCES}
    )
    n_points = n_background = n_conflicts = 0
    for event in events.rows():
        start, end = event["start_time"], event["end_time"]
        if end == start:
            n_points += 1
            start = max(0.0, start - POINT_DURATION / 2)
            end = start + POINT_DURATION
        key = segment_key(event["file"], start, end)
        rows.setdefault(key, {"file": event["file"], "start_time": start, "end_time": end})
        if event["label"]:
            said[key][event["presence"]][event["label"]] = None
    named = {label for one in said.values() for label in (*one[POSITIVE], *one[UNCERTAIN])}
    first = [label for label in dict.fromkeys(classes or ()) if label in named]
    names = [*first, *sorted(named - set(first))]
    groups = groups_of((row["file"] for row in rows.values()), group)
    for (key, row), its_group in zip(rows.items(), groups, strict=True):
        present, absent = said[key][POSITIVE] | said[key][UNCERTAIN], said[key][NEGATIVE]
        conflict = bool(present.keys() & absent)
        n_conflicts += conflict
        unsure = conflict or bool(said[key][UNCERTAIN])
        labels = sorted(present, key=names.index)
        if not labels and absent and background is not None:
            n_background += 1
            labels, unsure = [background], not set(names) <= set(absent)
        kind = UNCERTAIN if unsure and labels else POSITIVE
        row |= {"labels": labels, "label_type": kind, "group": its_group}
    if n_background and background is not None and background not in names:
        names.append(background)
    told = [
        (n_points, f"points in time are clips of {POINT_DURATION:g} s"),
        (n_conflicts, "clips are said to hold a class and not to: their labels are uncertain"),
        (n_background, f"segments without any class are of the class '{background}'"),
    ]
    notes = [*notes, *(f"{n} {text}" for n, text in told if n)]
    return Clips.from_rows(root, rows.values(), names, name, notes)


def scored_note(events: Events) -> list[str]:
    """What to say of events that a program found."""
    n = int((~np.isnan(events.score)).sum())
    if not n:
        return []
    return [
        f"{count_text(n, 'event')} with the score of a program: where they are unverified, a "
        "result measured with them tells how far a model agrees with that program, not whether it "
        "is right"
    ]


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
    """Cut recordings that were annotated from beginning to end into labelled windows.

    A window has the label of every event that it overlaps by at least ``min_overlap`` seconds or
    by ``min_share`` of the event. A window that no event touches is of the class ``background``.
    One that an event touches by less, or that holds an event without a name, is neither, and stands
    in the table without a label. Labels are uncertain where one of the events is. Events that say
    what is not there change nothing, as the whole recording was listened to. Where all events carry
    the score of a program nobody did, so labels of windows without events are uncertain.

    Parameters
    ----------
    events : Events
        Of these recordings; others are an error.
    root : Path
        The folder of the recordings.
    durations : mapping
        Seconds of every annotated recording, also of those without any event.
    rules : WindowRules, optional
    name, group : str
        As for :func:`~semisonic.data.datasets.load.load_clips`; all windows of a recording are one
        group.

    Returns
    -------
    Clips
        The last window of a recording may be shorter, down to half the length.

    Raises
    ------
    KeyError
        When an event's recording has no duration.
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
    for event in events.rows():
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
            what += " with uncertain labels, as a program found nothing there and nobody listened"
        notes.append(f"{count_text(n_silent, 'window')} without any: {what}")
    if n_unclear:
        notes.append(
            f"{count_text(n_unclear, 'window')} with too little of an event: without a label"
        )
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
