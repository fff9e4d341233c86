"""Which windows to leave out when scoring is slower than real time."""

from __future__ import annotations

import logging

from semisonic.inference.live.clock import StreamClock

_SAY_EVERY = 10.0  # seconds between two warnings
_TOO_FAST = 5.0  # seconds that sound may come early, as from a buffer that is emptied
_log = logging.getLogger(__name__)


class Pace:
    """Keeps up with a live source: once the lag is too long, only the newest window is scored.

    Parameters
    ----------
    clock : StreamClock
    speed : float
        Of the source; with 0 every window is wanted.
    hop, max_lag : float
        Seconds.

    Attributes
    ----------
    n_skipped : int
        Windows left out.
    """

    def __init__(self, clock: StreamClock, speed: float, hop: float, max_lag: float) -> None:
        self._clock, self._speed, self._hop, self._max_lag = clock, speed, hop, max_lag
        self._is_behind = False
        self._said_at = float("-inf")
        self._said_fast = False
        self._ahead = 0.0
        self._seen_at: float | None = None
        self.n_skipped = 0

    def watch(self, seconds: float, captured: float) -> None:
        """Take note that so much sound came; say once if it comes faster than it is made."""
        elapsed = (captured - (captured if self._seen_at is None else self._seen_at)) * self._speed
        self._ahead, self._seen_at = max(0.0, self._ahead + seconds - elapsed), captured
        if self._speed and self._ahead > _TOO_FAST and not self._said_fast:
            self._said_fast = True
            _log.warning(
                "sound comes faster than in real time: dates are those of reading, and windows may "
                "be skipped; for sound that was stored give --speed 0"
            )

    def wants(self, end_time: float) -> bool:
        """Whether the window that ends at this second of the stream is to be scored."""
        if not self._speed:
            return True
        lag = self._clock.lag(end_time)
        # Down to the newest window, but never below what blocks and filters cost anyway.
        self._is_behind = lag > (
            max(self._hop, self._max_lag / 2) if self._is_behind else self._max_lag
        )
        if self._is_behind:
            self.n_skipped += 1
            self._say(lag)
        return not self._is_behind

    def _say(self, lag: float) -> None:
        now = self._clock.ticks()
        if now - self._said_at < _SAY_EVERY:
            return
        self._said_at = now
        _log.warning(
            "slower than real time: %.1f s behind, windows are skipped (%d so far); a longer --hop "
            "or a smaller network keeps up; sound that was stored may wait with --speed 0",
            lag, self.n_skipped,
        )  # fmt: skip
