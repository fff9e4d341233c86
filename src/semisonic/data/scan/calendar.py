"""When was recorded: seconds of sound in each hour of each day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from semisonic.data.scan.recording import Recording

CLOCK_SET = datetime(2001, 1, 1)
"""Times before this are those of a clock that nobody has set: many begin with the year 2000."""

_HOUR = 3600.0


@dataclass(frozen=True)
class Calendar:
    """Seconds recorded, by the recorders' clocks.

    Attributes
    ----------
    days : tuple of date
        Those on which anything was recorded, in order.
    seconds : ndarray of float64, shape (day, 24)
    """

    days: tuple[date, ...]
    seconds: NDArray[np.float64]

    @property
    def hours(self) -> NDArray[np.float64]:
        """Hours of sound, shape (day, 24); more than 1 where recorders ran side by side."""
        return self.seconds / _HOUR


def calendar(recordings: Iterable[Recording]) -> Calendar:
    """Spread recordings whose start is known over the hours they last.

    Those of a clock that was never set are left out.
    """
    found: dict[date, NDArray[np.float64]] = {}
    for recording in recordings:
        if recording.recorded_at is not None and not is_unset(recording.recorded_at):
            _spread(recording.recorded_at.replace(tzinfo=None), recording.measured.duration, found)
    days = sorted(found)
    table = np.array([found[day] for day in days]) if days else np.zeros((0, 24))
    return Calendar(tuple(days), table)


def is_unset(time: datetime) -> bool:
    """Whether a time is that of a clock that nobody has set."""
    return time.replace(tzinfo=None) < CLOCK_SET


def _spread(start: datetime, duration: float, found: dict[date, NDArray[np.float64]]) -> None:
    while duration > 0:
        hours = found.setdefault(start.date(), np.zeros(24))
        begun = start.minute * 60 + start.second + start.microsecond / 1e6
        here = min(duration, _HOUR - begun)
        hours[start.hour] += here
        duration -= here
        # To the next full hour exactly, so that rounding cannot stop the clock.
        start = start.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
