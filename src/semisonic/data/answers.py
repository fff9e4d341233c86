"""Answers of people about stretches of recordings, as a label log keeps them: a line each.

An answer is one line of JSON. Nothing is ever changed in a log: another opinion is another line,
and a mistake is taken back by a line that names it. :mod:`semisonic.data.standing` says what
holds in the end.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from semisonic.data.clips import LABEL_SEPARATOR
from semisonic.data.events import NEGATIVE, POSITIVE, PRESENCES, UNCERTAIN

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
class Entry:
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
    annotator: str
    file: str
    start_time: float
    end_time: float
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
                "file": self.file, "start_time": self.start_time, "end_time": self.end_time,
                "labels": list(self.labels), "presence": self.presence,
            }  # fmt: skip
        about |= {name: text for name in ("note", "source") if (text := getattr(self, name))}
        return json.dumps({**about, **self.more}, ensure_ascii=False)

    @classmethod
    def from_line(cls, line: str) -> Entry:
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
                id=str(own["id"]), time=in_utc(str(own["time"])),
                annotator=str(own.get("annotator") or ""),
                file=str(own.get("file") or "").replace("\\", "/"),
                start_time=float(own.get("start_time") or 0.0),
                end_time=float(own.get("end_time") or 0.0),
                labels=tuple(dict.fromkeys(str(label).strip() for label in labels)),
                presence=str(own.get("presence") or POSITIVE),
                note=str(own.get("note") or ""), source=str(own.get("source") or ""),
                undoes=str(own.get("undoes") or ""), more=found,
            )  # fmt: skip
        except TypeError as error:
            raise ValueError(f"a value of a wrong kind: {error}") from error


_FIELDS = (
    "id", "time", "annotator", "file", "start_time", "end_time", "labels", "presence", "note",
    "source", "undoes",
)  # fmt: skip


def fault(entry: Entry) -> str:
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
