"""What a label file says, row by row, before its recordings are looked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from semisonic.data.events import POSITIVE, PRESENCES
from semisonic.data.labels.numbers import to_float

T = TypeVar("T")


@dataclass(frozen=True)
class Marked:
    """One event as a label file has it.

    ``file`` is the recording as the label file calls it, empty where it names none; then it is
    the recording that has the label file's name. ``end_time`` is NaN for "to its end".
    """

    where: str
    file: str
    start_time: float
    end_time: float
    label: str
    score: float = math.nan
    fmin_hz: float = math.nan
    fmax_hz: float = math.nan
    presence: str = POSITIVE


@dataclass
class LabelFile:
    """What one label file holds.

    Attributes
    ----------
    rows : list of Marked
        In the order of the file.
    problems : list of (place, reason)
        Rows that cannot be used.
    notes : dict of str to int
        What was decided on the way, and for how many rows; 0 where no number belongs to it.
    without_events : list of str
        Recordings it names in which nothing was found.
    classes : list of str
        The classes in the file's own order, where it has one.
    """

    path: Path
    rows: list[Marked] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    without_events: list[str] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)

    def add(
        self, lines: Iterable[tuple[int, T]], parse: Callable[[str, T], Iterable[Marked]]
    ) -> None:
        """Parse lines into rows; those it refuses (ValueError) become problems."""
        for line_number, line in lines:
            where = f"{self.path}, row {line_number}"
            try:
                self.rows += list(parse(where, line))
            except ValueError as error:
                self.problems.append((where, str(error)))


def marked(
    where: str,
    file: str,
    start: Decimal | None,
    end: Decimal | None,
    label: str,
    *,
    score: Decimal | None = None,
    fmin_hz: Decimal | None = None,
    fmax_hz: Decimal | None = None,
    presence: str = "",
) -> Marked:
    """A row that can be an event.

    Raises
    ------
    ValueError
        When its times, its score, its frequencies or its presence are impossible.
    """
    said: Any = presence.strip().lower() or POSITIVE
    if said not in PRESENCES:
        raise ValueError(f"found '{presence}', expected one of {', '.join(PRESENCES)}")
    begin = Decimal(0) if start is None else start
    if begin < 0 or (end is not None and end < begin):
        raise ValueError(f"found start {begin} s and end {end} s, expected 0 <= start <= end")
    if score is not None and not 0 <= score <= 1:
        raise ValueError(f"found the score {score}, expected 0 to 1")
    low, high = to_float(fmin_hz), to_float(fmax_hz)
    if low < 0 or high < low or high < 0:
        raise ValueError(f"found {low:g} to {high:g} Hz, expected 0 <= lowest <= highest")
    return Marked(
        where, file.strip().replace("\\", "/"), to_float(begin), to_float(end), label.strip(),
        to_float(score), low, high, said,
    )  # fmt: skip
