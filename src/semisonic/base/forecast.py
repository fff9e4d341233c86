"""How long a piece of work will take, said once its first part was timed."""

from __future__ import annotations

import time

from semisonic.base.progress import say

FIRST_SECONDS = 5.0
"""Work is timed for so long before anything is said of the rest."""

WORTH_SAYING = 60.0
"""Seconds of the whole from which on it is said."""


class Forecast:
    """Counts finished things, and says once when all will be finished.

    Parameters
    ----------
    what : str
        The work, such as "decode".
    total : int
        Things to do now, without those that an earlier run did.
    unit : str
        What the things are called.
    """

    def __init__(self, what: str, total: int, unit: str = "clips") -> None:
        self.what, self.total, self.unit = what, total, unit
        self._begun, self._n_done, self._is_said = time.monotonic(), 0, False

    def done(self, n: int = 1) -> None:
        """Take in that ``n`` more are finished."""
        self._n_done += n
        if self._is_said:
            return
        seconds = time.monotonic() - self._begun
        if seconds < FIRST_SECONDS or not self._n_done:
            return
        self._is_said = True
        whole = seconds / self._n_done * self.total
        if whole >= WORTH_SAYING:
            say(f"{self.what}: about {duration(whole)} for {self.total:,} {self.unit}")


def duration(seconds: float) -> str:
    """A time as people say it: "14 min", "2 h 5 min"."""
    minutes = max(1, round(seconds / 60))
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def size(n_bytes: float) -> str:
    """Bytes as people say them: "6.5 GB", "120 MB"."""
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f} MB"
