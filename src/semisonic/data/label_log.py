"""The label log: answers of annotators, a line each, and the labels that follow from them.

An answer is one line of JSON. Nothing is ever changed in a log: another opinion is another line,
and a mistake is taken back by a line that names it. :mod:`semisonic.data.label_log` says what
holds in the end.
"""

from __future__ import annotations

import json
import math
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from semisonic.core.errors import DataError
from semisonic.data.clips import LABEL_SEPARATOR, Clips
from semisonic.data.events import (
    BACKGROUND,
    NEGATIVE,
    POSITIVE,
    PRESENCES,
    UNCERTAIN,
    Events,
    SegmentKey,
    clips_from_events,
    segment_key,
)

HEADER = "semisonic label log"
FORMAT = 1
NONE_HEARD, PASSED_OVER = "-", "?"
"""In the column ``label`` of a table: none of the classes is heard; cannot tell. No labels."""
MOST_LABELS = 100
"""Labels of one answer."""
_CONTROLS = frozenset({"Cc", "Cs", "Zl", "Zp"})
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction in which what follows is shown."""


@dataclass(frozen=True)
class Segment:
    """A part of a recording, of which a question or an answer is.

    Attributes
    ----------
    file : str
        The recording: below a root with forward slashes, or an absolute path.
    start_time, end_time : float
        Seconds in the recording.
    """

    file: str
    start_time: float
    end_time: float

    @property
    def key(self) -> SegmentKey:
        """What it is told from other segments by."""
        return segment_key(self.file, self.start_time, self.end_time)


@dataclass(frozen=True)
class LabelEntry(Segment):
    """One line of a log.

    Attributes
    ----------
    id : str
        Unlike that of any other entry, of any log.
    time : str
        ISO 8601 in UTC, with microseconds: ``2026-05-01T07:30:00.000000+00:00``.
    annotator : str
        Who answered; may be empty.
    file : str
        The recording: below the log's root with forward slashes, or an absolute path.
    start_time, end_time : float
        Seconds in the recording, ``0 <= start < end``; both 0 in an entry that only takes back.
    labels : tuple of str
        What the answer speaks of.
    presence : str
        "positive": these labels, and no other class, are heard. "negative": these labels are not
        heard; without labels, none of the classes is. "uncertain": perhaps these; without labels,
        listened to and passed over.
    note, source : str
        A remark; what led to the question, such as "suggest:random" or "review".
    undoes : str
        The id of the entry that is taken back; empty for an answer.
    more : mapping
        Whatever else stands in the line, kept as it is.
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
        reason = fault(self)
        if reason:
            raise ValueError(reason)

    @property
    def order(self) -> tuple[str, str]:
        """What entries are sorted by: time, and the id where two have the same."""
        return self.time, self.id

    def line(self) -> str:
        """The entry as JSON in one line, without its end."""
        about: dict[str, Any] = {"id": self.id, "time": self.time, "annotator": self.annotator}
        if self.undoes:
            about["undoes"] = self.undoes
        else:
            about |= {
                "file": self.file,
                "start_time": self.start_time,
                "end_time": self.end_time,
                "labels": list(self.labels),
                "presence": self.presence,
            }
        about |= {name: text for name in ("note", "source") if (text := getattr(self, name))}
        return json.dumps({**about, **self.more}, ensure_ascii=False)

    @classmethod
    def from_line(cls, line: str) -> LabelEntry:
        """Read what :meth:`line` gave, or what somebody wrote by hand.

        Raises
        ------
        ValueError
            When it is no entry, with the reason.
        """
        found = json.loads(line)
        if not isinstance(found, dict):
            raise ValueError("no entry: expected an object with id, time, file and labels")
        own = {name: found.pop(name) for name in _FIELDS if name in found}
        missing = [name for name in ("id", "time") if not own.get(name)]
        if not own.get("undoes"):
            missing += [name for name in ("file", "end_time") if name not in own]
        if missing:
            raise ValueError(f"has no '{missing[0]}'")
        labels = own.get("labels") or ()
        if not isinstance(labels, (list, tuple)):
            raise ValueError(f"found the labels {labels!r}, expected a list")
        try:
            return cls(
                id=str(own["id"]),
                time=in_utc(str(own["time"])),
                annotator=str(own.get("annotator") or ""),
                file=str(own.get("file") or "").replace("\\", "/"),
                start_time=float(own.get("start_time") or 0.0),
                end_time=float(own.get("end_time") or 0.0),
                labels=tuple(dict.fromkeys(str(label).strip() for label in labels)),
                presence=str(own.get("presence") or POSITIVE),
                note=str(own.get("note") or ""),
                source=str(own.get("source") or ""),
                undoes=str(own.get("undoes") or ""),
                more=found,
            )
        except TypeError as error:
            raise ValueError(f"a value of a wrong kind: {error}") from error


_FIELDS = (
    "id",
    "time",
    "annotator",
    "file",
    "start_time",
    "end_time",
    "labels",
    "presence",
    "note",
    "source",
    "undoes",
)


def fault(entry: LabelEntry) -> str:
    """Why an entry is impossible; empty when it is not."""
    if entry.undoes:
        return "an entry cannot take itself back" if entry.undoes == entry.id else ""
    start, end = entry.start_time, entry.end_time
    if not entry.file:
        return "no file"
    if not (math.isfinite(start) and math.isfinite(end) and 0 <= start < end):
        return f"found start {start:g} s and end {end:g} s, expected 0 <= start < end"
    if entry.presence not in PRESENCES:
        return f"found presence '{entry.presence}', expected one of {', '.join(PRESENCES)}"
    if len(entry.labels) > MOST_LABELS:
        return f"found {len(entry.labels)} labels, expected {MOST_LABELS} at most"
    for label in entry.labels:
        if reason := label_fault(label):
            return reason
    if _unreadable(entry.annotator):
        return f"found the name {entry.annotator!r}, expected readable characters in UTF-8"
    if entry.presence == POSITIVE and not entry.labels:
        return (
            f"found no label; expected one, or the presence {NEGATIVE} (none of the classes is "
            f"heard) or {UNCERTAIN} (passed over)"
        )
    return ""


def label_fault(label: str) -> str:
    """Why a text can be no label; empty when it can."""
    if not label:
        return "found a label without a name"
    if label in (NONE_HEARD, PASSED_OVER):
        return (
            f"found the label '{label}', which in a table of answers means "
            f"{'none of the classes' if label == NONE_HEARD else 'passed over'}; choose another"
        )
    if LABEL_SEPARATOR in label:
        return f"found the label '{label}': '{LABEL_SEPARATOR}' stands between labels; leave it out"
    if _unreadable(label):
        return f"found the label {label!r}, expected readable characters in UTF-8"
    return ""


def _unreadable(text: str) -> bool:
    """Whether a text has characters that are not shown, break a line or turn what follows."""
    return any(unicodedata.category(c) in _CONTROLS or c in _TURNING for c in text)


def now() -> str:
    """The time in UTC, as entries hold it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def in_utc(text: str) -> str:
    """A time of ISO 8601 as entries hold it; one without a zone is taken for UTC.

    Raises
    ------
    ValueError
        When it is none.
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


@dataclass(frozen=True)
class LogFile:
    """What a log holds.

    Attributes
    ----------
    root : Path
        The folder of the recordings, absolute.
    entries : tuple of LabelEntry
        In the order of the file.
    problems : tuple of (place, reason)
        Lines that are no entries.
    """

    root: Path
    entries: tuple[LabelEntry, ...]
    problems: tuple[tuple[str, str], ...]


def read_log(path: Path) -> LogFile:
    """Read a log.

    Raises
    ------
    DataError
        When the file cannot be read or is none.
    """
    data = _whole_lines(_bytes(path))
    first, _, rest = data.partition(b"\n")
    root = _root(path, first)
    if root is None:
        raise DataError(
            f"{path}: no label log; expected the first line "
            f'{{"log": "{HEADER}", "format": {FORMAT}, "root": "folder of the recordings"}}'
        )
    entries, problems = [], []
    for number, line in enumerate(rest.split(b"\n"), start=2):
        if not line.strip():
            continue
        try:
            entries.append(_entry(line))
        except ValueError as error:
            problems.append((f"{path}, line {number}", str(error)))
    return LogFile(root, tuple(entries), tuple(problems))


def is_log(path: Path) -> bool:
    """Whether a file begins as a log does."""
    try:
        with open(path, "rb") as stream:
            return _root(path, stream.readline(65536)) is not None
    except (OSError, DataError):
        return False


def last_entry(data: bytes) -> LabelEntry | None:
    """The last entry of some lines; None without any."""
    for line in reversed(data.split(b"\n")):
        with suppress(ValueError):  # the first line, an empty one, or one that is no entry
            return _entry(line)
    return None


def _entry(line: bytes) -> LabelEntry:
    return LabelEntry.from_line(line.decode("utf-8"))


def _whole_lines(data: bytes) -> bytes:
    """What ends with a line's end, and a last line without one if it is whole all the same."""
    end = data.rfind(b"\n") + 1
    try:
        _entry(data[end:])
    except ValueError:
        return data[:end]
    return data + b"\n"


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _root(path: Path, line: bytes) -> Path | None:
    """The folder that the first line of a log names; None when it is not such a line."""
    try:
        found = json.loads(line)
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
class AnnotatorLabels(Segment):
    """What one annotator says of one segment.

    Attributes
    ----------
    annotator, file : str
    start_time, end_time : float
    presence : mapping of str to str
        Presence by label; the label "" stands for all classes (negative: none of them is heard;
        uncertain: passed over).
    entries : tuple of LabelEntry
        The answers it follows from, oldest first.
    """

    annotator: str
    presence: Mapping[str, str]
    entries: tuple[LabelEntry, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the classes that are present, sorted."""
        return tuple(sorted(label for label, what in self.presence.items() if what == POSITIVE))

    @property
    def is_complete(self) -> bool:
        """Whether it says which classes are present, and not only which are not."""
        return bool(self.labels) or self.presence.get("") == NEGATIVE


@dataclass(frozen=True)
class Disagreement(Segment):
    """A segment of which annotators say different things.

    Attributes
    ----------
    file : str
    start_time, end_time : float
    answers : mapping of str to tuple of str
        Labels, by annotator.
    consensus : tuple of str or None
        What more than half of them say; None without a majority.
    """

    answers: Mapping[str, tuple[str, ...]]
    consensus: tuple[str, ...] | None


@dataclass(frozen=True)
class ResolvedLabels:
    """The labels that hold after all answers of a log.

    Attributes
    ----------
    root : Path
        The folder of the recordings.
    by_annotator : tuple of AnnotatorLabels
        By file, start, end and annotator.
    name : str
    """

    root: Path
    by_annotator: tuple[AnnotatorLabels, ...]
    name: str = "labels"

    def __len__(self) -> int:
        return len(self._by_segment)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Every label that anybody gave, sorted."""
        return tuple(sorted({label for one in self.by_annotator for label in one.labels}))

    @cached_property
    def disagreements(self) -> tuple[Disagreement, ...]:
        """Where annotators differ."""
        return tuple(
            Disagreement(
                its[0].file,
                its[0].start_time,
                its[0].end_time,
                {one.annotator: one.labels for one in its if one.is_complete},
                majority_labels(its),
            )
            for its in self._by_segment.values()
            if len({one.labels for one in its if one.is_complete}) > 1
        )

    @cached_property
    def events(self) -> Events:
        """A row for each label of each segment, with its presence.

        A segment of which nothing is known (passed over, or annotators differ) is a row without
        a label, uncertain. Where none of the classes is heard each class is negative.
        """
        return Events.from_rows(
            {
                "file": its[0].file,
                "start_time": its[0].start_time,
                "end_time": its[0].end_time,
                "label": label,
                "presence": presence,
            }
            for its in self._by_segment.values()
            for label, presence in self._merged(its)
        )

    def clips(
        self,
        *,
        classes: Iterable[str] | None = None,
        group: str = "auto",
        background: str | None = BACKGROUND,
    ) -> Clips:
        """Each segment as a clip to learn from: see :func:`clips_from_events`."""
        notes = []
        if self.disagreements:
            open_ones = sum(one.consensus is None for one in self.disagreements)
            notes.append(
                f"annotators differ on {len(self.disagreements)} segments; {open_ones} of them "
                "have no majority and no label"
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

    @cached_property
    def _by_segment(self) -> dict[SegmentKey, list[AnnotatorLabels]]:
        found: dict[SegmentKey, list[AnnotatorLabels]] = {}
        for one in self.by_annotator:
            found.setdefault(one.key, []).append(one)
        return found

    def _merged(self, its: list[AnnotatorLabels]) -> Iterator[tuple[str, str]]:
        """Label and presence of what holds of a segment."""
        whole = [one for one in its if one.is_complete]
        consensus = majority_labels(its)
        if whole and consensus is None:
            yield "", UNCERTAIN
            return
        rows: dict[tuple[str, str], None] = {}
        for label in consensus or ():
            rows[label, POSITIVE] = None
        if consensus == ():
            rows |= dict.fromkeys((label, NEGATIVE) for label in self.classes or ("",))
        for one in its:
            for label, presence in sorted(one.presence.items()):
                if label and (presence == NEGATIVE or (presence == UNCERTAIN and not whole)):
                    rows[label, presence] = None
        yield from rows or [("", UNCERTAIN)]


def majority_labels(its: Iterable[AnnotatorLabels]) -> tuple[str, ...] | None:
    """The labels that more than half of the annotators give to a segment; None if there are none.

    An annotator who only says what is not there, or passed over, has no vote.
    """
    votes = Counter(one.labels for one in its if one.is_complete)
    if not votes:
        return None
    best, n = votes.most_common(1)[0]
    return best if 2 * n > votes.total() else None


def current_answers(entries: Iterable[LabelEntry]) -> list[LabelEntry]:
    """The answers that nobody took back, oldest first; of two with one id the first."""
    by_id: dict[str, LabelEntry] = {}
    for entry in sorted(entries, key=lambda entry: entry.order):
        by_id.setdefault(entry.id, entry)
    taken_back: set[str] = set()
    for entry in reversed(by_id.values()):  # who takes back is newer than what is taken back
        if entry.undoes and entry.id not in taken_back:
            target = by_id.get(entry.undoes)
            if target is not None and target.order < entry.order:
                taken_back.add(entry.undoes)
    return [one for one in by_id.values() if not one.undoes and one.id not in taken_back]


def replay(entries: Iterable[LabelEntry]) -> tuple[AnnotatorLabels, ...]:
    """What each annotator says of each segment, by file, start, end and annotator."""
    said: dict[tuple[str, SegmentKey], dict[str, tuple[str, LabelEntry]]] = {}
    for entry in current_answers(entries):
        key = (entry.annotator, entry.key)
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
            AnnotatorLabels(
                newest.file,
                newest.start_time,
                newest.end_time,
                annotator,
                {label: presence for label, (presence, _) in found.items()},
                used,
            )
        )
    return tuple(
        sorted(result, key=lambda one: (one.file, one.start_time, one.end_time, one.annotator))
    )
