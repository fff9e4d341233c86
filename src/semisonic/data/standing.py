"""What holds now: from all lines of a label log to one state, whatever their order.

The newest answer of an annotator about a stretch stands, entries that were taken back are gone,
and an entry that took something back may be taken back itself. Where annotators differ the answer
of more than half of them holds; without such a majority nobody's does, until somebody decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from semisonic.data.answers import Entry
from semisonic.data.clips import Clips
from semisonic.data.events import NEGATIVE, POSITIVE, UNCERTAIN, Events
from semisonic.data.labels.clips import BACKGROUND, clips_from_events

Stretch = tuple[str, str, str]
"""File, start and end to a millisecond: what answers are about the same thing by."""


@dataclass(frozen=True)
class Standing:
    """What one annotator says of one stretch.

    Attributes
    ----------
    annotator, file : str
    start_time, end_time : float
    said : mapping of str to str
        Presence by label; the label "" stands for all classes (negative: none of them is heard;
        uncertain: passed over).
    entries : tuple of Entry
        The answers it follows from, oldest first.
    """

    annotator: str
    file: str
    start_time: float
    end_time: float
    said: Mapping[str, str]
    entries: tuple[Entry, ...]

    @property
    def heard(self) -> tuple[str, ...]:
        """Labels said to be there, sorted."""
        return tuple(sorted(label for label, what in self.said.items() if what == POSITIVE))

    @property
    def is_whole(self) -> bool:
        """Whether it says which classes are heard, and not only which are not."""
        return bool(self.heard) or self.said.get("") == NEGATIVE


@dataclass(frozen=True)
class Disagreement:
    """A stretch of which annotators say different things.

    Attributes
    ----------
    file : str
    start_time, end_time : float
    answers : mapping of str to tuple of str
        Labels heard, by annotator.
    settled : tuple of str or None
        What more than half of them say; None without a majority.
    """

    file: str
    start_time: float
    end_time: float
    answers: Mapping[str, tuple[str, ...]]
    settled: tuple[str, ...] | None


@dataclass(frozen=True)
class Current:
    """What holds now.

    Attributes
    ----------
    root : Path
        The folder of the recordings.
    standings : tuple of Standing
        By file, start, end and annotator.
    name : str
    """

    root: Path
    standings: tuple[Standing, ...]
    name: str = "labels"

    def __len__(self) -> int:
        return len(self._by_stretch)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Every label that anybody heard, sorted."""
        return tuple(sorted({label for one in self.standings for label in one.heard}))

    @cached_property
    def disagreements(self) -> tuple[Disagreement, ...]:
        """Where annotators differ."""
        return tuple(
            Disagreement(
                its[0].file, its[0].start_time, its[0].end_time,
                {one.annotator: one.heard for one in its if one.is_whole}, settle(its),
            )
            for its in self._by_stretch.values()
            if len({one.heard for one in its if one.is_whole}) > 1
        )  # fmt: skip

    @cached_property
    def events(self) -> Events:
        """A row for each label of each stretch, with its presence.

        A stretch of which nothing is known (passed over, or annotators differ) is a row without
        a label, uncertain. Where none of the classes is heard each class is negative.
        """
        return Events.from_rows(
            {
                "file": its[0].file, "start_time": its[0].start_time,
                "end_time": its[0].end_time, "label": label, "presence": presence,
            }
            for its in self._by_stretch.values()
            for label, presence in self._merged(its)
        )  # fmt: skip

    def clips(
        self, *, classes: Iterable[str] | None = None, group: str = "auto",
        background: str | None = BACKGROUND,
    ) -> Clips:  # fmt: skip
        """Each stretch as a clip to learn from: see :func:`clips_from_events`."""
        notes = []
        if self.disagreements:
            open_ones = sum(one.settled is None for one in self.disagreements)
            notes.append(
                f"annotators differ on {len(self.disagreements)} stretches; {open_ones} of them "
                "have no majority and no label"
            )
        return clips_from_events(
            self.events, self.root, name=self.name, group=group, background=background,
            classes=tuple(classes) if classes is not None else None, notes=notes,
        )  # fmt: skip

    @cached_property
    def _by_stretch(self) -> dict[Stretch, list[Standing]]:
        found: dict[Stretch, list[Standing]] = {}
        for one in self.standings:
            found.setdefault(stretch(one.file, one.start_time, one.end_time), []).append(one)
        return found

    def _merged(self, its: list[Standing]) -> Iterator[tuple[str, str]]:
        """Label and presence of what holds of a stretch."""
        whole = [one for one in its if one.is_whole]
        settled = settle(its)
        if whole and settled is None:
            yield "", UNCERTAIN
            return
        rows: dict[tuple[str, str], None] = {}
        for label in settled or ():
            rows[label, POSITIVE] = None
        if settled == ():
            rows |= dict.fromkeys((label, NEGATIVE) for label in self.classes or ("",))
        for one in its:
            for label, presence in sorted(one.said.items()):
                if label and (presence == NEGATIVE or (presence == UNCERTAIN and not whole)):
                    rows[label, presence] = None
        yield from rows or [("", UNCERTAIN)]


def settle(its: Iterable[Standing]) -> tuple[str, ...] | None:
    """The labels that more than half of the annotators hear in a stretch; None if there are none.

    An annotator who only says what is not there, or passed over, has no vote.
    """
    votes = Counter(one.heard for one in its if one.is_whole)
    if not votes:
        return None
    best, n = votes.most_common(1)[0]
    return best if 2 * n > votes.total() else None


def stretch(file: str, start_time: float, end_time: float) -> Stretch:
    """What two answers about the same stretch have in common."""
    return file, f"{start_time:.3f}", f"{end_time:.3f}"


def in_force(entries: Iterable[Entry]) -> list[Entry]:
    """The answers that nobody took back, oldest first; of two with one id the first."""
    by_id: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda entry: entry.order):
        by_id.setdefault(entry.id, entry)
    taken_back: set[str] = set()
    for entry in reversed(by_id.values()):  # who takes back is newer than what is taken back
        if entry.undoes and entry.id not in taken_back:
            target = by_id.get(entry.undoes)
            if target is not None and target.order < entry.order:
                taken_back.add(entry.undoes)
    return [one for one in by_id.values() if not one.undoes and one.id not in taken_back]


def replay(entries: Iterable[Entry]) -> tuple[Standing, ...]:
    """What each annotator says of each stretch, by file, start, end and annotator."""
    said: dict[tuple[str, Stretch], dict[str, tuple[str, Entry]]] = {}
    for entry in in_force(entries):
        key = (entry.annotator, stretch(entry.file, entry.start_time, entry.end_time))
        old = said.get(key, {})
        if entry.presence == NEGATIVE and entry.labels:
            # What is not there adds to what was said before, but for "passed over".
            kept = {label: one for label, one in old.items() if label or one[0] == NEGATIVE}
        elif entry.labels:
            kept = {label: one for label, one in old.items() if label and one[0] == NEGATIVE}
        else:
            kept = {}
        news = dict.fromkeys(entry.labels or ("",), (entry.presence, entry))
        said[key] = {**kept, **news}
    result = []
    for (annotator, _), found in said.items():
        made_by = {entry.id: entry for _, entry in found.values()}
        used = tuple(sorted(made_by.values(), key=lambda entry: entry.order))
        newest = used[-1]
        result.append(
            Standing(
                annotator, newest.file, newest.start_time, newest.end_time,
                {label: presence for label, (presence, _) in found.items()}, used,
            )
        )  # fmt: skip
    return tuple(
        sorted(result, key=lambda one: (one.file, one.start_time, one.end_time, one.annotator))
    )
