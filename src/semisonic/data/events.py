"""Sound events, labelled segments of recordings, and the clips and windows made of them.

Where :class:`~semisonic.data.clips.Clips` is what one learns from, ``Events`` is what stands in a
label track, a selection table or the output of ``semisonic detect``: several events of one
recording may overlap, carry a score, and be limited to a band of frequencies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semisonic.core.errors import DataError
from semisonic.core.options import check
from semisonic.core.text import count_text
from semisonic.data.clips import POSITIVE as CHECKED
from semisonic.data.clips import UNCERTAIN as UNCHECKED
from semisonic.data.clips import Clips
from semisonic.data.options import WindowRules
from semisonic.data.recording_names import groups_of
from semisonic.data.windows import clip_durations, windows

if TYPE_CHECKING:
    import pandas as pd


POSITIVE, NEGATIVE, UNCERTAIN = PRESENCES = ("positive", "negative", "uncertain")
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
        n = len(self.file)
        for column in fields(self):
            found = len(getattr(self, column.name))
            if found != n:
                raise DataError(f"events: column '{column.name}' has {found} rows, expected {n}")
        self._check()

    def _check(self) -> None:
        """See that times, scores, bands and presences are possible."""
        start, end = self.start_time, self.end_time
        with np.errstate(invalid="ignore"):
            rules = (
                (
                    ~(np.isfinite(start) & np.isfinite(end) & (start >= 0) & (end >= start)),
                    "start and end",
                    "0 <= start <= end",
                    (start, end),
                ),
                ((self.score < 0) | (self.score > 1), "score", "0 to 1, or none", (self.score,)),
                (
                    (self.fmin_hz < 0) | (self.fmax_hz < self.fmin_hz),
                    "frequencies",
                    "0 <= lowest <= highest",
                    (self.fmin_hz, self.fmax_hz),
                ),
            )
        for bad, what, expected, columns in rules:
            for row in np.flatnonzero(bad)[:1]:
                found = ", ".join(f"{column[row]:g}" for column in columns)
                raise DataError(
                    f"events, row {row} ({self.file[row]}): found {what} {found}; "
                    f"expected {expected}"
                )
        for found in sorted(set(self.presence.tolist()) - set(PRESENCES)):
            raise DataError(
                f"events: found presence '{found}', expected one of {', '.join(PRESENCES)}"
            )

    @classmethod
    def from_rows(cls, rows: Iterable[dict[str, Any]]) -> Events:
        """Build a table from mappings with ``file``, ``start_time``, ``end_time``, ``label``.

        Parameters
        ----------
        rows : iterable of dict
            ``score``, ``fmin_hz``, ``fmax_hz`` (NaN or None for none) and ``presence`` may be left
            out. The order is kept.

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

    def __len__(self) -> int:
        return len(self.file)

    def __getitem__(self, rows: Any) -> Events:
        """The rows chosen by a slice, a mask or an array of row numbers."""
        index = np.atleast_1d(np.arange(len(self))[rows])
        return replace(self, **{c.name: getattr(self, c.name)[index] for c in fields(self)})

    def __repr__(self) -> str:
        n_files, n_labels = len(set(self.file.tolist())), len(set(self.label.tolist()))
        return f"Events({len(self)} events, {n_labels} labels, {n_files} files)"

    def sorted(self) -> Events:
        """By file, start, end and label."""
        return self[np.lexsort((self.label, self.end_time, self.start_time, self.file))]

    def to_frame(self) -> pd.DataFrame:
        """The table for pandas, one column an attribute."""
        import pandas as pd

        return pd.DataFrame(
            {
                column.name: values.astype(object) if values.dtype.kind == "U" else values
                for column in fields(self)
                for values in [getattr(self, column.name)]
            }
        )


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


@dataclass
class _Segment:
    """A segment while its events are gathered: its label to what was said of it."""

    start_time: float
    end_time: float
    presences: dict[str, set[str]] = field(default_factory=dict)

    def labels(self, presence: str) -> list[str]:
        return [label for label, kinds in self.presences.items() if presence in kinds and label]


def clips_from_events(
    events: Events,
    root: Path,
    *,
    classes: Sequence[str] | None = None,
    name: str = "events",
    group: str = "auto",
    background: str | None = BACKGROUND,
    point_duration: float = POINT_DURATION,
    notes: Iterable[str] = (),
) -> Clips:
    """Each labelled segment of a recording as one clip to learn from.

    Several labels of the same segment (to a millisecond) are one clip with several labels. Where
    any of them is uncertain the clip is, so that nothing is measured by it; the same where a label
    is said to be there and not to be there.

    A segment of which only what is *not* there is known becomes a clip of the class
    ``background``. If every class of the table is known not to be there its label is a checked
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
    point_duration : float
        Seconds, above 0: the length of a clip around a point in time.
    notes : iterable of str
        Notes that go before those made here.

    Raises
    ------
    DataError
        When ``point_duration`` is not above 0.
    """
    if not point_duration > 0:
        raise DataError(f"point_duration: found {point_duration} s, expected above 0 s")
    segments, n_points = _gather(events, point_duration)
    known = _classes_of(segments.values(), classes)
    rows: list[dict[str, object]] = []
    n_background = n_conflicts = 0
    for (file, _, _), one in segments.items():
        present = one.labels(POSITIVE) + [
            u for u in one.labels(UNCERTAIN) if POSITIVE not in one.presences[u]
        ]
        absent = one.labels(NEGATIVE)
        conflict = bool(set(present) & set(absent))
        n_conflicts += conflict
        unsure = conflict or bool(one.labels(UNCERTAIN))
        if not present and absent and background is not None:
            n_background += 1
            present, unsure = [background], not set(absent) >= set(known)
        rows.append(
            {
                "file": file,
                "start_time": one.start_time,
                "end_time": one.end_time,
                "labels": sorted(present, key=lambda label: known.get(label, len(known))),
                "label_type": UNCHECKED if unsure and present else CHECKED,
            }
        )
    for row, found in zip(rows, groups_of((str(r["file"]) for r in rows), group), strict=True):
        row["group"] = found
    said = [
        (n_points, f"points in time are clips of {point_duration:g} s"),
        (
            n_conflicts,
            "clips are said to hold a class and not to hold it: their labels are uncertain",
        ),
        (n_background, f"segments without any class are of the class '{background}'"),
    ]
    names = list(known) + [background] * bool(n_background and background not in known)
    return Clips.from_rows(
        root,
        rows,
        [name for name in names if name is not None],
        name,
        [*notes, *(f"{n} {text}" for n, text in said if n)],
    )


def events_from_clips(clips: Clips, *, durations: Mapping[str, float] | None = None) -> Events:
    """Each label of each clip as an event; a clip without labels as an event without a name.

    Parameters
    ----------
    clips : Clips
    durations : mapping, optional
        Seconds of each file, for clips that reach to its end; read from headers by default.

    Raises
    ------
    DataError
        When the length of a recording is needed and cannot be read.
    """
    end = clips.end_time.copy()
    for row in np.flatnonzero(np.isnan(end)) if durations is not None else ():
        end[row] = (durations or {}).get(str(clips.file[row]), np.nan)
    open_end = np.flatnonzero(np.isnan(end))
    if len(open_end):
        end[open_end] = clips.start_time[open_end] + clip_durations(clips[open_end])
    for row in np.flatnonzero(np.isnan(end))[:1]:
        raise DataError(
            f"{clips.root / str(clips.file[row])}: the clip reaches to the end of a recording "
            "whose length cannot be read"
        )
    return Events.from_rows(
        {
            "file": str(clips.file[row]),
            "start_time": clips.start_time[row],
            "end_time": end[row],
            "label": label,
            "presence": UNCERTAIN if clips.label_type[row] == UNCHECKED and label else POSITIVE,
        }
        for row, labels in enumerate(clips.labels)
        for label in labels or ("",)
    )


def scored_note(events: Events) -> list[str]:
    """What to say of events that a program found."""
    n = int((~np.isnan(events.score)).sum())
    if not n:
        return []
    return [
        f"{count_text(n, 'event')} with the score of a program: where nobody checked them, a "
        "result measured with them tells how far a model agrees with that program, not whether it "
        "is right"
    ]


def _gather(events: Events, point_duration: float) -> tuple[dict[SegmentKey, _Segment], int]:
    """The segments of a table, and how many points in time there are."""
    segments: dict[SegmentKey, _Segment] = {}
    n_points = 0
    for row, file in enumerate(events.file.tolist()):
        start, end = float(events.start_time[row]), float(events.end_time[row])
        if not end > start:
            n_points += 1
            start = max(0.0, start - point_duration / 2)
            end = start + point_duration
        one = segments.setdefault(segment_key(file, start, end), _Segment(start, end))
        one.presences.setdefault(str(events.label[row]), set()).add(str(events.presence[row]))
    return segments, n_points


def _classes_of(segments: Iterable[_Segment], given: Sequence[str] | None) -> dict[str, int]:
    """The position of each class that is present anywhere: first those given, in their order."""
    present: set[str] = set()
    for one in segments:
        present.update(one.labels(POSITIVE), one.labels(UNCERTAIN))
    first = [label for label in dict.fromkeys(given or ()) if label in present]
    names = [*first, *sorted(present - set(first))]
    return {label: place for place, label in enumerate(names)}


# Annotated long recordings cut into windows of one length, as a detector learns from them.


_TOLERANCE = 1e-9  # seconds


@dataclass
class _Window:
    """What overlaps a window."""

    sure: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)
    is_touched: bool = False


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
    groups = groups_of(files, group)
    whole = Clips.from_rows(
        root,
        (
            {"file": file, "end_time": float(durations[file]), "group": its}
            for file, its in zip(files, groups, strict=True)
        ),
        name=name,
    )
    cut = windows(whole, rules.duration, rules.hop)
    names, first, counts = np.unique(cut.file, return_index=True, return_counts=True)
    place_of = {
        file: slice(a, a + n) for file, a, n in zip(names.tolist(), first, counts, strict=True)
    }
    found = [_Window() for _ in range(len(cut))]
    for row, file in enumerate(events.file.tolist()):
        if events.presence[row] != NEGATIVE:
            at = place_of[file]
            _mark(events, row, cut.start_time[at], cut.end_time[at], found[at], rules)
    by_program = bool(len(events)) and not np.isnan(events.score).any()
    clips = _as_clips(cut, found, rules, by_program)
    return clips.with_columns(notes=(*clips.notes, *scored_note(events)))


def recording_durations(
    root: Path, files: tuple[str, ...]
) -> tuple[dict[str, float], list[tuple[str, str]]]:
    """The length of each recording in seconds, and those that cannot be read."""
    if not files:
        return {}, []
    table = Clips.from_rows(root, ({"file": file} for file in files))
    lengths = dict(zip(table.file.tolist(), clip_durations(table).tolist(), strict=True))
    bad = [(file, "its length cannot be read") for file, d in lengths.items() if not d > 0]
    return {file: d for file, d in lengths.items() if d > 0}, bad


def beyond_end(events: Events, durations: Mapping[str, float]) -> list[tuple[str, str]]:
    """The events that begin after the end of their recording, as one with wrong times does."""
    return [
        (file, f"'{label}' begins at {start:g} s, and the recording ends at {durations[file]:g} s")
        for file, label, start in zip(
            events.file.tolist(), events.label.tolist(), events.start_time.tolist(), strict=True
        )
        if file in durations and start > durations[file]
    ]


def _mark(
    events: Events,
    row: int,
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    found: list[_Window],
    rules: WindowRules,
) -> None:
    """Tell each window of a recording that an event overlaps."""
    begin, stop = float(events.start_time[row]), float(events.end_time[row])
    is_point = not stop > begin
    low = int(np.searchsorted(end, begin, "right"))
    high = int(np.searchsorted(start, stop, "right" if is_point else "left"))
    label = str(events.label[row])
    for k in range(low, high):
        shared = min(stop, float(end[k])) - max(begin, float(start[k]))
        needed = min(rules.min_overlap, rules.min_share * (stop - begin))
        found[k].is_touched = True
        if label and shared >= needed - _TOLERANCE:
            unsure = events.presence[row] == UNCERTAIN
            (found[k].unsure if unsure else found[k].sure).add(label)


def _as_clips(cut: Clips, found: list[_Window], rules: WindowRules, by_program: bool) -> Clips:
    """The windows with their labels, and notes on how many there are of each kind.

    What a program did not find somewhere may be there all the same: labels of windows without
    events are uncertain then.
    """
    labels: list[tuple[str, ...]] = []
    for one in found:
        none = not one.is_touched and rules.background is not None
        present = {rules.background} if none and rules.background else one.sure | one.unsure
        labels.append(tuple(sorted(present)))
    events_of = [one.sure | one.unsure for one in found]
    kept = np.array(
        [bool(row) or one.is_touched for row, one in zip(labels, found, strict=True)], np.bool_
    )
    classes = sorted({label for row in events_of for label in row})
    silent = sum(not one.is_touched for one in found)
    if silent and rules.background is not None and rules.background not in classes:
        classes.append(rules.background)
    unclear = sum(one.is_touched and not row for one, row in zip(found, labels, strict=True))
    notes = [f"{sum(map(bool, events_of))} windows of {rules.duration:g} s with events"]
    if silent:
        what = f"of the class '{rules.background}'" if rules.background else "left out"
        if by_program and rules.background:
            what += " with uncertain labels, as a program found nothing there and nobody listened"
        notes.append(f"{count_text(silent, 'window')} without any: {what}")
    if unclear:
        notes.append(
            f"{count_text(unclear, 'window')} with too little of an event: without a label"
        )
    types = np.array(
        [
            UNCHECKED if one.unsure or (by_program and not one.is_touched) else CHECKED
            for one in found
        ],
        np.str_,
    )
    table = cut.with_columns(
        labels=tuple(labels), classes=tuple(classes), label_type=types, notes=tuple(notes)
    )
    return table[kept]
