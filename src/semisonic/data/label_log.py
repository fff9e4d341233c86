"""The label log: answers of annotators, one per line, and the labels that result from them.

An answer is one line of JSON. Lines are never changed: another opinion is another line, and a line
can undo an earlier one. :class:`ResolvedLabels` has the resulting labels.
"""

from __future__ import annotations

import json
import math
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from semisonic.core.errors import DataError
from semisonic.core.files import parse_json
from semisonic.core.label_names import class_name, name_fault
from semisonic.data.clips import Clips
from semisonic.data.events import (
    BACKGROUND,
    NEGATIVE,
    POSITIVE,
    PRESENCES,
    UNCERTAIN,
    Events,
    SegmentKey,
    clips_from_events,
    make_events,
    segment_key,
)

HEADER = "semisonic label log"
FORMAT = 1
NONE_HEARD, PASSED_OVER = "-", "?"
"""Marks in the column ``label`` of a table: none of the classes is present; uncertain."""
MOST_LABELS = 100
"""Most labels per answer."""
CORRECTS, RENAMED = "corrects", "renamed"
"""Keys in an entry: the ids of the entries that undid those it replaces; the old and the new name
of the class whose new name is the reason."""
_CONTROLS = frozenset({"Cc", "Cs", "Zl", "Zp"})
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of the text that follows."""


@dataclass(frozen=True)
class Segment:
    """A part of a recording that a question or an answer is about.

    Attributes
    ----------
    file : str
        The recording: below a root with forward slashes, or an absolute path.
    start_time, end_time : float
        Seconds in the recording.
    fmin_hz, fmax_hz : float or None
        Limits in frequency, Hz; None if none were drawn.
    """

    file: str
    start_time: float
    end_time: float
    fmin_hz: float | None = field(default=None, kw_only=True)
    fmax_hz: float | None = field(default=None, kw_only=True)

    @property
    def key(self) -> SegmentKey:
        """The key of the segment, without its limits in frequency."""
        return segment_key(self.file, self.start_time, self.end_time)

    @property
    def box(self) -> tuple[SegmentKey, float, float]:
        """The key with the limits in frequency, Hz."""
        low, high = self.fmin_hz or 0.0, math.inf if self.fmax_hz is None else self.fmax_hz
        return self.key, low, high


@dataclass(frozen=True)
class LabelEntry(Segment):
    """One line of a log.

    Attributes
    ----------
    id : str
        Unique among all entries of all logs.
    time : str
        ISO 8601 in UTC, with microseconds: ``2026-05-01T07:30:00.000000+00:00``.
    annotator : str
        Who answered; may be empty.
    file : str
        The recording: below the log's root with forward slashes, or an absolute path.
    start_time, end_time : float
        Seconds in the recording, ``0 <= start < end``; both 0 in an entry that only undoes
        another.
    labels : tuple of str
        The labels of the answer.
    presence : str
        "positive": these labels, and no other class, are present. "negative": these labels are
        absent; without labels, none of the classes is. "uncertain": perhaps these; without labels,
        the listener could not tell.
    note, source : str
        A remark; the origin of the question, such as "suggest:random" or "review".
    undoes : str
        The id of the entry to undo; empty for an answer.
    more : mapping
        Other fields of the line, which are kept.
    """

    id: str
    time: str
    annotator: str = ""
    labels: tuple[str, ...] = ()
    presence: str = POSITIVE
    note: str = ""
    source: str = ""
    undoes: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if reason := _fault(self):
            raise ValueError(reason)

    @property
    def order(self) -> tuple[str, str]:
        """The sort key of entries: time, then id."""
        return self.time, self.id

    def line(self) -> str:
        """The entry as JSON in one line, without its end."""
        left_out = _OF_ANSWERS if self.undoes else ("undoes",)
        about = {name: getattr(self, name) for name in _FIELDS if name not in left_out}
        about = {name: v for name, v in about.items() if v or name not in _LEFT_OUT}
        return json.dumps({**about, **self.more}, ensure_ascii=False)

    @classmethod
    def from_line(cls, line: str) -> LabelEntry:
        """Read a line of :meth:`line`, or one written by hand.

        Raises
        ------
        ValueError
            When it is not an entry, with the reason.
        """
        found = parse_json(line)
        if not isinstance(found, dict):
            raise ValueError("not an entry: expected an object with id, time, file and labels")
        own = {name: value for name in _FIELDS if (value := found.pop(name, None)) is not None}
        for name in ("id", "time") if own.get("undoes") else ("id", "time", "file", "end_time"):
            if own.get(name, "") == "":
                raise ValueError(f"has no '{name}'")
        labels = own.pop("labels", ())
        if not isinstance(labels, list | tuple):
            raise ValueError(f"found the labels {labels!r}, expected a list")
        times = {name: own.pop(name, 0.0) for name in ("start_time", "end_time")}
        times |= {name: own.pop(name) for name in _BAND if name in own}
        texts = {name: str(value) for name, value in own.items() if value != ""}
        texts["time"] = in_utc(texts["time"])
        texts["file"] = texts.get("file", "").replace("\\", "/")
        try:
            return cls(
                **texts,  # type: ignore[arg-type]
                **{name: float(value) for name, value in times.items()},  # type: ignore[arg-type]
                labels=tuple(dict.fromkeys(class_name(str(label)) for label in labels)),
                more=found,
            )
        except TypeError as error:
            raise ValueError(f"found a value of the wrong type: {error}") from error


_OF_ANSWERS = ("file", "start_time", "end_time", "labels", "presence")
_BAND = ("fmin_hz", "fmax_hz")
_LEFT_OUT = (*_BAND, "note", "source")
"""Fields that are left out if empty."""
_FIELDS = ("id", "time", "annotator", "undoes", *_OF_ANSWERS, *_LEFT_OUT)


def _fault(entry: LabelEntry) -> str:
    """Why an entry is impossible; empty if it is possible."""
    start, end = entry.start_time, entry.end_time
    if entry.undoes:
        return "an entry cannot undo itself" if entry.undoes == entry.id else ""
    if not entry.file:
        return "no file"
    if not 0 <= start < end < math.inf:
        return f"found start {start:g} s and end {end:g} s, expected 0 <= start < end"
    _, low, high = entry.box
    if not 0 <= low < high:
        return f"found {low:g} to {high:g} Hz, expected 0 <= lowest < highest"
    if entry.presence not in PRESENCES:
        return f"found presence '{entry.presence}', expected one of {', '.join(PRESENCES)}"
    if len(entry.labels) > MOST_LABELS:
        return f"found {len(entry.labels)} labels, expected {MOST_LABELS} at most"
    if reason := next(filter(None, map(label_fault, entry.labels)), ""):
        return reason
    if _unreadable(entry.annotator):
        return f"found the name {entry.annotator!r}, expected readable characters in UTF-8"
    if entry.presence == POSITIVE and not entry.labels:
        return (
            f"found no label; expected one, or the presence {NEGATIVE} (none of the classes is "
            f"present) or {UNCERTAIN} (nobody is sure)"
        )
    return ""


def label_fault(label: str) -> str:
    """Why a text cannot be a label; empty if it can."""
    if label in (NONE_HEARD, PASSED_OVER):
        return (
            f"found the label '{label}', which in a table of answers means "
            f"{'none of the classes' if label == NONE_HEARD else 'uncertain'}; choose another"
        )
    return name_fault(label)


def spelling(label: str) -> str:
    """The common form of spellings of one label: without spaces and case.

    Examples
    --------
    >>> spelling("House cat") == spelling("housecat ")
    True
    """
    return "".join(label.split()).casefold()


def _unreadable(text: str) -> bool:
    """Whether a text has characters that are invisible, break lines or change text direction."""
    return any(unicodedata.category(c) in _CONTROLS or c in _TURNING for c in text)


def now() -> str:
    """The current time in UTC, in the form of entries."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def in_utc(text: str) -> str:
    """An ISO 8601 time in the form of entries; without a zone it counts as UTC.

    Raises
    ------
    ValueError
        When it is not such a time.
    """
    try:
        found = datetime.fromisoformat(text)
        aware = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"found the time '{text}', expected ISO 8601") from error
    return aware.isoformat(timespec="microseconds")


# The file of a label log as it is read: a first line about the recordings, then answers.
#
# The last line may be torn, by a crash or because it is being written: it is not read. A line that
# is no entry disturbs no other; it is listed.


class LogFile(NamedTuple):
    """The content of a log.

    Attributes
    ----------
    root : Path
        The folder of the recordings, absolute.
    entries : tuple of LabelEntry
        In the order of the file.
    problems : tuple of (place, reason)
        Lines that are not entries.
    """

    root: Path
    entries: tuple[LabelEntry, ...]
    problems: tuple[tuple[str, str], ...]


def read_log(path: Path) -> LogFile:
    """Read a log.

    Raises
    ------
    DataError
        When the file cannot be read or is not a label log.
    """
    try:
        first, *lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    root = _root(path, first)
    if root is None:
        raise DataError(
            f"{path}: not a label log; expected the first line "
            f'{{"log": "{HEADER}", "format": {FORMAT}, "root": "folder of the recordings"}}'
        )
    entries, problems = [], []
    for number, line in enumerate(lines, start=2):
        try:
            if line.strip():
                entries.append(_entry(line))
        except ValueError as error:
            if number <= len(lines):  # else it is torn, or being written
                problems.append((f"{path}, line {number}", str(error)))
    return LogFile(root, tuple(entries), tuple(problems))


def is_log(path: Path) -> bool:
    """Whether a file begins like a log."""
    try:
        with open(path, "rb") as stream:
            return _root(path, stream.readline(65536)) is not None
    except (OSError, DataError):
        return False


def last_entry(data: bytes) -> LabelEntry | None:
    """The last entry of some lines, or None."""
    for line in reversed(data.split(b"\n")):
        with suppress(ValueError):  # the first line, an empty one, or one that is no entry
            return _entry(line)
    return None


def _entry(line: bytes) -> LabelEntry:
    return LabelEntry.from_line(line.decode("utf-8"))


def _root(path: Path, line: bytes) -> Path | None:
    """The folder that the first line of a log names; None for any other line."""
    try:
        found = parse_json(line)
    except ValueError:
        return None
    if not isinstance(found, dict) or found.get("log") != HEADER:
        return None
    if found.get("format") != FORMAT:
        raise DataError(
            f"{path}: found format {found.get('format')}, expected {FORMAT}; a newer Semisonic "
            "wrote it"
        )
    return Path(os.path.abspath(path.parent / str(found.get("root") or ".")))


# From all lines of a label log to the labels that hold, whatever their order.
#
# The newest answer of an annotator about a segment counts, entries that were taken back are gone,
# and an entry that took something back may be taken back itself. Where annotators differ the answer
# of more than half of them holds; without such a majority nobody's does, until somebody decides.


@dataclass(frozen=True)
class Disagreement(Segment):
    """A segment on which annotators disagree.

    Attributes
    ----------
    file : str
    start_time, end_time : float
    answers : mapping of str to tuple of str
        Labels, by annotator.
    consensus : tuple of str or None
        The labels that more than half of them give; None without a majority.
    """

    answers: Mapping[str, tuple[str, ...]]
    consensus: tuple[str, ...] | None


Answer = dict[str, str]
"""The answer of an annotator about a segment: presence by label. The label "" means all classes
(negative: none of them is present; uncertain: the listener could not tell)."""


class ResolvedLabels:
    """The labels that result from all answers of a log.

    Parameters
    ----------
    root : Path
        The folder of the recordings.
    entries : iterable of LabelEntry
        In any order.
    name : str

    Attributes
    ----------
    answers : dict of Segment to dict of str to Answer
        By segment, then by annotator.
    """

    def __init__(self, root: Path, entries: Iterable[LabelEntry], name: str = "labels") -> None:
        self.root, self.name = root, name
        segments: dict[Any, Segment] = {}
        answers: dict[Any, dict[str, Answer]] = {}
        for entry in standing_answers(entries):
            place = {one.name: getattr(entry, one.name) for one in fields(Segment)}
            segments.setdefault(entry.box, Segment(**place))
            its = answers.setdefault(entry.box, {}).setdefault(entry.annotator, {})
            its |= dict.fromkeys(entry.labels or ("",), entry.presence)

        def order(box: Any) -> tuple[Any, ...]:
            segment = segments[box]
            return segment.file, segment.start_time, segment.end_time, box

        self.answers = {
            segments[box]: dict(sorted(answers[box].items())) for box in sorted(answers, key=order)
        }

    def __len__(self) -> int:
        return len(self.answers)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """All labels given, sorted."""
        every = (answer for its in self.answers.values() for answer in its.values())
        return tuple(sorted({label for answer in every for label in _labels(answer) or ()}))

    @cached_property
    def disagreements(self) -> tuple[Disagreement, ...]:
        """Segments on which annotators disagree."""
        found = []
        for segment, its in self.answers.items():
            votes = _votes(its)
            if len(set(votes.values())) > 1:
                found.append(
                    Disagreement(**vars(segment), answers=votes, consensus=_majority(votes))
                )
        return tuple(found)

    @cached_property
    def events(self) -> Events:
        """A row for each label of each segment, with its presence.

        A segment without a known label (uncertain, or annotators disagree) is an uncertain row
        without a label. If none of the classes is present, each class is negative.
        """
        return make_events(
            {**vars(segment), "label": label, "presence": presence}
            for segment, its in self.answers.items()
            for label, presence in self._merged(its)
        )

    def clips(
        self,
        *,
        classes: Iterable[str] | None = None,
        group: str = "auto",
        background: str | None = BACKGROUND,
    ) -> Clips:
        """Each segment as a clip for training: see :func:`clips_from_events`."""
        notes = []
        if self.disagreements:
            open_ones = sum(one.consensus is None for one in self.disagreements)
            notes.append(
                f"annotators disagree on {len(self.disagreements)} segments; {open_ones} of "
                "these have no majority and get no label"
            )
        return clips_from_events(
            self.events,
            self.root,
            name=self.name,
            group=group,
            background=background,
            classes=tuple(classes) if classes is not None else None,
            notes=notes,
        )

    def _merged(self, its: Mapping[str, Answer]) -> Iterator[tuple[str, str]]:
        """Resulting labels of a segment, with their presence."""
        votes = _votes(its)
        consensus = _majority(votes)
        if votes and consensus is None:
            yield "", UNCERTAIN
            return
        rows = dict.fromkeys((label, POSITIVE) for label in consensus or ())
        if consensus == ():
            rows |= dict.fromkeys((label, NEGATIVE) for label in self.classes or ("",))
        for answer in its.values():
            for label, presence in sorted(answer.items()):
                if label and (presence == NEGATIVE or (presence == UNCERTAIN and not votes)):
                    rows[label, presence] = None
        yield from rows or [("", UNCERTAIN)]


def _labels(answer: Answer) -> tuple[str, ...] | None:
    """The classes that are present, sorted; None if only absent ones are named."""
    present = tuple(sorted(label for label, what in answer.items() if what == POSITIVE))
    return present if present or answer.get("") == NEGATIVE else None


def _votes(its: Mapping[str, Answer]) -> dict[str, tuple[str, ...]]:
    """Votes of annotators; those who only exclude labels, or are unsure, have none."""
    votes = {annotator: _labels(answer) for annotator, answer in its.items()}
    return {annotator: labels for annotator, labels in votes.items() if labels is not None}


def _majority(votes: Mapping[str, tuple[str, ...]]) -> tuple[str, ...] | None:
    """The labels that more than half of the annotators give; None without a majority."""
    best = Counter(votes.values()).most_common(1)
    return best[0][0] if best and 2 * best[0][1] > len(votes) else None


def current_answers(entries: Iterable[LabelEntry]) -> list[LabelEntry]:
    """The answers that nobody undid, oldest first; of two with one id the first.

    Labels have the names that later renames gave to their classes.
    """
    by_id, taken_back = _undone(entries)
    renames = _renames(by_id, taken_back)
    valid = [one for one in by_id.values() if not one.undoes and one.id not in taken_back]
    return [_renamed(one, renames) for one in valid] if renames else valid


def _renamed(entry: LabelEntry, renames: Iterable[ClassRename]) -> LabelEntry:
    labels = present_names(entry.labels, renames, entry.time)
    return entry if labels == entry.labels else replace(entry, labels=labels)


def _undone(entries: Iterable[LabelEntry]) -> tuple[dict[str, LabelEntry], set[str]]:
    """Entries by id, oldest first, and the ids of those that were undone."""
    by_id: dict[str, LabelEntry] = {}
    for entry in sorted(entries, key=lambda entry: entry.order):
        by_id.setdefault(entry.id, entry)
    taken_back: set[str] = set()
    for entry in reversed(by_id.values()):  # who takes back is newer than what is taken back
        if entry.undoes and entry.id not in taken_back:
            target = by_id.get(entry.undoes)
            if target is not None and target.order < entry.order:
                taken_back.add(entry.undoes)
    return by_id, taken_back


@dataclass(frozen=True)
class ClassRename:
    """A class with another name since a ``time`` (as in entries): its old ``name``, and ``to``."""

    time: str
    name: str
    to: str


def class_renames(entries: Iterable[LabelEntry]) -> list[ClassRename]:
    """The renamed classes, oldest first, without renames that were undone.

    A rename was undone if the answers that it replaced are valid again. It holds if its own answers
    were changed or deleted later.
    """
    return _renames(*_undone(entries))


def _renames(by_id: Mapping[str, LabelEntry], taken_back: Set[str]) -> list[ClassRename]:
    found: list[ClassRename] = []
    for entry in by_id.values():
        names, replaced = entry.more.get(RENAMED), entry.more.get(CORRECTS, ())
        if not isinstance(names, list) or [type(one) for one in names] != [str, str]:
            continue
        if any(one in by_id and one not in taken_back for one in replaced):
            rename = ClassRename(entry.time, names[0], names[1])
            if found and (found[-1].name, found[-1].to) == (rename.name, rename.to):
                found.pop()  # another of its answers
            found.append(rename)
    return found


def present_names(
    labels: Iterable[str], renames: Iterable[ClassRename], since: str = ""
) -> tuple[str, ...]:
    """The names that labels have after renames later than a time, each once."""
    names = tuple(labels)
    for one in renames:
        if one.time > since:
            names = tuple(one.to if name == one.name else name for name in names)
    return tuple(dict.fromkeys(names))


def standing_answers(entries: Iterable[LabelEntry]) -> list[LabelEntry]:
    """The valid answers, oldest first.

    An answer replaces the earlier answers of its annotator about the segment. Negative answers are
    added instead, except to "uncertain".
    """
    standing: dict[Any, list[LabelEntry]] = {}
    for entry in current_answers(entries):
        its = standing.setdefault((entry.box, entry.annotator), [])
        if entry.presence == NEGATIVE and entry.labels:
            its[:] = [one for one in its if one.labels or one.presence == NEGATIVE]
        else:
            is_kept = bool(entry.labels)
            its[:] = [one for one in its if is_kept and one.labels and one.presence == NEGATIVE]
        its.append(entry)
    return sorted((one for its in standing.values() for one in its), key=lambda one: one.order)
