"""Seconds of a stream to times by the clock on the wall, and back to when they were captured."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from semisonic.audio.live.block import Ticks


class StreamClock:
    """Knows when each moment of a stream was captured.

    Parameters
    ----------
    speed : float
        Of the source: seconds of sound per second. With 0 there is no capture time; the sound is
        then dated as though it had begun at ``began`` and been heard in real time.
    began : datetime, optional
        Time of the first sample; by default that of capture (with speed 0: now).
    """

    def __init__(
        self,
        speed: float,
        began: datetime | None = None,
        *,
        ticks: Ticks = time.monotonic,
        wall: Ticks = time.time,
    ) -> None:
        self._speed, self.ticks, self._wall = speed, ticks, wall
        if began is None and not speed:
            began = datetime.fromtimestamp(wall(), UTC).astimezone()
        self._began = None if began is None else began.timestamp()
        self._zone = None if began is None else began.tzinfo
        self._anchor = (0.0, ticks(), wall() - ticks())

    def anchor(self, position: float, captured: float) -> None:
        """Say that stream second ``position`` was captured at ``captured`` (of ``ticks``)."""
        # The distance of the two clocks is taken anew each time: the one on the wall is set.
        self._anchor = (position, captured, self._wall() - self.ticks())

    def captured(self, position: float) -> float:
        """When a stream second was captured, by ``ticks``; near the last block that is exact."""
        known, captured, _ = self._anchor
        return captured - (known - position) / (self._speed or 1.0)

    def lag(self, position: float) -> float:
        """Seconds since a stream second was captured."""
        return self.ticks() - self.captured(position)

    def at(self, position: float) -> datetime:
        """The date and time of a stream second."""
        if self._began is not None:
            return datetime.fromtimestamp(self._began + position, UTC).astimezone(self._zone)
        seconds = self.captured(position) + self._anchor[2]
        return datetime.fromtimestamp(seconds, UTC).astimezone()

    def now(self) -> datetime:
        """The date and time."""
        return datetime.fromtimestamp(self._wall(), UTC).astimezone()
