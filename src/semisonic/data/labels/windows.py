"""Annotated long recordings cut into windows of one length, as a detector learns from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semisonic.base.options import check, option
from semisonic.base.wording import counted
from semisonic.data.clips import POSITIVE as CHECKED
from semisonic.data.clips import UNCERTAIN as UNCHECKED
from semisonic.data.clips import Clips
from semisonic.data.events import NEGATIVE, UNCERTAIN, Events
from semisonic.data.labels.clips import BACKGROUND, scored_note
from semisonic.data.readers.groups import groups_of
from semisonic.data.windows import clip_durations, windows

_TOLERANCE = 1e-9  # seconds


@dataclass(frozen=True)
class WindowRules:
    """Which labels a window of an annotated recording gets."""

    duration: float = option(3.0, "length of a window", unit="s", minimum=0.01)
    hop: float | None = option(
        None, "from one window to the next; the length if not given", unit="s", minimum=0.001
    )
    min_overlap: float = option(
        0.25, "a window has the label of an event that it shares so much with", unit="s", minimum=0
    )
    min_share: float = option(
        0.5, "or so large a share of the event, for short ones", minimum=0.01, maximum=1
    )
    background: str | None = option(
        BACKGROUND, "class of windows without any event; none: leave them out"
    )


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
        As for :func:`semisonic.data.load_clips`; all windows of a recording are one group.

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
        heard = {rules.background} if none and rules.background else one.sure | one.unsure
        labels.append(tuple(sorted(heard)))
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
        notes.append(f"{counted(silent, 'window')} without any: {what}")
    if unclear:
        notes.append(f"{counted(unclear, 'window')} with too little of an event: without a label")
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
