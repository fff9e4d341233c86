"""What is said when a sound begins and ends."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

START, END = "start", "end"
QUIET, GAP, ENDED, STOPPED = "quiet", "gap", "end of stream", "stopped"
"""Why an event ended: the score fell, sound was missing, the stream was over, a person stopped."""
TOO_SHORT = "too short"
"""Why an event was none after all: what followed was so much surer that little of it is left."""


@dataclass(frozen=True)
class LiveEvent:
    """The start or the end of an event.

    Attributes
    ----------
    kind : {"start", "end"}
    id : int
        The same for both; counts from 1.
    label : str
    start_time : float
        Seconds since the stream began. At the start as far as it is known then: the line of the
        end has the time that holds.
    score : float
        The highest, at the start that so far; 0 to 1.
    threshold : float
        Of the class.
    end_time : float or None
        Seconds since the stream began; None at the start.
    reason : str
        At the end: "quiet", "gap", "end of stream", "stopped", or "too short" for an event
        that was none after all.
    start_at, end_at, said_at : datetime or None
        The same two times, and that of this line, by the clock on the wall.
    clip : str
        The file its sound was saved in.
    """

    kind: str
    id: int
    label: str
    start_time: float
    score: float
    threshold: float
    end_time: float | None = None
    reason: str = ""
    start_at: datetime | None = None
    end_at: datetime | None = None
    said_at: datetime | None = None
    clip: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them; what is not known is left out."""
        found: dict[str, Any] = {"event": self.kind, "id": self.id, "label": self.label}
        found["time"] = stamp(self.said_at)
        found["start"] = stamp(self.start_at)
        found["start_time"] = round(self.start_time, 3)
        if self.end_time is not None:
            found["end"] = stamp(self.end_at)
            found["end_time"] = round(self.end_time, 3)
        found["score"] = round(self.score, 4)
        found["threshold"] = round(self.threshold, 4)
        found["reason"] = self.reason or None
        found["clip"] = self.clip or None
        return {key: value for key, value in found.items() if value is not None}

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)


def stamp(moment: datetime | None) -> str | None:
    """ISO 8601 with milliseconds and the distance from UTC."""
    return None if moment is None else moment.isoformat(timespec="milliseconds")
