"""Between events, as people mark them, and clips, as a classifier learns from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from semisonic.base.errors import DataError
from semisonic.base.wording import counted
from semisonic.data.clips import POSITIVE as CHECKED
from semisonic.data.clips import UNCERTAIN as UNCHECKED
from semisonic.data.clips import Clips
from semisonic.data.events import NEGATIVE, POSITIVE, UNCERTAIN, Events
from semisonic.data.readers.groups import groups_of
from semisonic.data.windows import clip_durations

BACKGROUND = "background"
"""What a stretch is called in which somebody listened and heard no class."""

POINT_DURATION = 1.0
"""Seconds of the clip around an event that is a point in time."""


@dataclass
class _Stretch:
    """A part of a recording while its events are gathered: label to what was said of it."""

    start_time: float
    end_time: float
    said: dict[str, set[str]] = field(default_factory=dict)

    def having(self, presence: str) -> list[str]:
        return [label for label, said in self.said.items() if presence in said and label]


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
    """Each marked stretch of a recording as one clip to learn from.

    Several labels over the same stretch (to a millisecond) are one clip with several labels. Where
    any of them is uncertain the clip is, so that nothing is measured by it; the same where a label
    is said to be there and not to be there.

    A stretch of which only what is *not* there is known becomes a clip of the class
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
        What a recording is, see :func:`semisonic.data.load_clips`; each file by default.
    background : str or None
        The class of stretches without any; None leaves them without a label.
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
    stretches, n_points = _gather(events, point_duration)
    known = _classes_of(stretches.values(), classes)
    rows: list[dict[str, object]] = []
    n_background = n_conflicts = 0
    for (file, _, _), one in stretches.items():
        heard = one.having(POSITIVE) + [
            u for u in one.having(UNCERTAIN) if POSITIVE not in one.said[u]
        ]
        absent = one.having(NEGATIVE)
        conflict = bool(set(heard) & set(absent))
        n_conflicts += conflict
        unsure = conflict or bool(one.having(UNCERTAIN))
        if not heard and absent and background is not None:
            n_background += 1
            heard, unsure = [background], not set(absent) >= set(known)
        rows.append(
            {
                "file": file,
                "start_time": one.start_time,
                "end_time": one.end_time,
                "labels": sorted(heard, key=lambda label: known.get(label, len(known))),
                "label_type": UNCHECKED if unsure and heard else CHECKED,
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
        (n_background, f"stretches without any class are of the class '{background}'"),
    ]
    names = list(known) + [background] * bool(n_background and background not in known)
    return Clips.from_rows(
        root, rows, [name for name in names if name is not None], name,
        [*notes, *(f"{n} {text}" for n, text in said if n)],
    )  # fmt: skip


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
        f"{counted(n, 'event')} with the score of a program: where nobody checked them, a result "
        "measured with them tells how far a model agrees with that program, not whether it is right"
    ]


def _gather(
    events: Events, point_duration: float
) -> tuple[dict[tuple[str, str, str], _Stretch], int]:
    """The stretches of a table, by what tells two clips apart, and how many points there are."""
    stretches: dict[tuple[str, str, str], _Stretch] = {}
    n_points = 0
    for row, file in enumerate(events.file.tolist()):
        start, end = float(events.start_time[row]), float(events.end_time[row])
        if not end > start:
            n_points += 1
            start = max(0.0, start - point_duration / 2)
            end = start + point_duration
        key = (file, f"{start:.3f}", f"{end:.3f}")
        one = stretches.setdefault(key, _Stretch(start, end))
        one.said.setdefault(str(events.label[row]), set()).add(str(events.presence[row]))
    return stretches, n_points


def _classes_of(stretches: Iterable[_Stretch], given: Sequence[str] | None) -> dict[str, int]:
    """The place of each class that is heard anywhere: first those given, in their order."""
    heard: set[str] = set()
    for one in stretches:
        heard.update(one.having(POSITIVE), one.having(UNCERTAIN))
    first = [label for label in dict.fromkeys(given or ()) if label in heard]
    names = [*first, *sorted(heard - set(first))]
    return {label: place for place, label in enumerate(names)}
