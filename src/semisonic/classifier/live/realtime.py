"""Keeping up with a live source: its clock, capture in a thread, skipped windows, statistics."""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from semisonic.audio.live import BLOCK_TIME, LiveBlock, LiveGap, LiveSource
from semisonic.core.text import count_text


class StreamClock:
    """Knows when each moment of a stream was captured.

    Parameters
    ----------
    speed : float
        Of the source: seconds of sound per second. With 0 there is no capture time; the sound is
        then dated as though it had begun at ``began`` and been recorded in real time.
    began : datetime, optional
        Time of the first sample; by default that of capture (with speed 0: now).
    """

    def __init__(
        self,
        speed: float,
        began: datetime | None = None,
        *,
        ticks: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
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


_WARN_EVERY = 10.0  # seconds between two warnings
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
        self._warned_at = float("-inf")
        self._warned_fast = False
        self._ahead = 0.0
        self._seen_at: float | None = None
        self.n_skipped = 0

    def watch(self, seconds: float, captured: float) -> None:
        """Count sound that came; warn once if it comes faster than in real time."""
        elapsed = (captured - (captured if self._seen_at is None else self._seen_at)) * self._speed
        self._ahead, self._seen_at = max(0.0, self._ahead + seconds - elapsed), captured
        if self._speed and self._ahead > _TOO_FAST and not self._warned_fast:
            self._warned_fast = True
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
            self._warn(lag)
        return not self._is_behind

    def _warn(self, lag: float) -> None:
        now = self._clock.ticks()
        if now - self._warned_at < _WARN_EVERY:
            return
        self._warned_at = now
        _log.warning(
            "slower than real time: %.1f s behind, windows are skipped (%d so far); a longer --hop "
            "or a smaller network keeps up; sound that was stored may wait with --speed 0",
            lag,
            self.n_skipped,
        )


WAITING_SECONDS = 30.0
"""Sound that may wait in real time before the source is made to wait (or to drop it)."""

_BLOCKS_IF_FAST = 4
_POLL = 0.1


class Ended:
    """The end of a source; ``error`` is why, None at its natural end."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class Capture:
    """Takes blocks of a source in a thread of its own, while the last ones are being scored."""

    def __init__(self, source: LiveSource) -> None:
        self._source = source
        n_waiting = math.ceil(WAITING_SECONDS / BLOCK_TIME) if source.speed else _BLOCKS_IF_FAST
        self._waiting: queue.Queue[LiveBlock | LiveGap | Ended] = queue.Queue(n_waiting)
        self._stopped = threading.Event()
        # A daemon: nothing can wake a thread that waits for standard input.
        self._thread = threading.Thread(target=self._work, name="capture", daemon=True)

    def start(self) -> None:
        """Begin to take blocks."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more; a device is closed, if it wakes up within a second."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def get(self, patience: float) -> LiveBlock | LiveGap | Ended | None:
        """The next item, or None when none came for ``patience`` seconds."""
        try:
            return self._waiting.get(timeout=patience)
        except queue.Empty:
            return None

    def _work(self) -> None:
        end = Ended()
        try:
            with closing(self._source.blocks()) as blocks:  # type: ignore[type-var]
                for item in blocks:
                    if not self._put(item):
                        return
        except BaseException as error:  # raised by the thread that takes the blocks
            end = Ended(error)
        self._put(end)

    def _put(self, item: LiveBlock | LiveGap | Ended) -> bool:
        """Hand an item over; False when nobody wants it any more."""
        while not self._stopped.is_set():
            try:
                self._waiting.put(item, timeout=_POLL)
            except queue.Full:
                continue
            return True
        return False


KEPT = 10_000
"""Windows whose times are kept for medians: more than an hour at a hop of half a second."""


def _last() -> deque[float]:
    return deque(maxlen=KEPT)


@dataclass
class LiveCounts:
    """Counts of a live run.

    Attributes
    ----------
    hop, speed : float
        Seconds from window to window; speed of the source.
    seconds : float
        Of sound, gaps not counted.
    busy_seconds : float
        Time taken for it: resampling, features, scores, events.
    n_windows, n_skipped, n_events : int
        Windows scored; windows left out because it was slower than real time; events begun.
    n_gaps, gap_seconds : int, float
        Gaps without sound between blocks, and how long they were as far as known.
    latencies, processing : deque of float
        Of the last windows: seconds from the capture of a window's last sample to its scores,
        and seconds of work a window.
    worst_latency : float
        Of all windows.
    """

    hop: float
    speed: float = 1.0
    seconds: float = 0.0
    busy_seconds: float = 0.0
    n_windows: int = 0
    n_skipped: int = 0
    n_events: int = 0
    n_gaps: int = 0
    gap_seconds: float = 0.0
    worst_latency: float = 0.0
    latencies: deque[float] = field(default_factory=_last)
    processing: deque[float] = field(default_factory=_last)

    def scored(self, latencies: list[float], busy: float) -> None:
        """Count windows that were scored together in ``busy`` seconds."""
        self.n_windows += len(latencies)
        for latency in latencies:
            self.processing.append(busy / len(latencies))
            self.latencies.append(latency)
            self.worst_latency = max(self.worst_latency, latency)

    @property
    def real_time_factor(self) -> float:
        """Time taken for a second of sound; above 1 it cannot keep up."""
        return self.busy_seconds / self.seconds if self.seconds else 0.0

    def summary(self) -> str:
        """All of it in a few lines, for a terminal."""
        lines = [
            f"heard {self.seconds:.1f} s: {count_text(self.n_windows, 'window')} scored, "
            f"{self.n_skipped} skipped, {count_text(self.n_events, 'event')}"
        ]
        if self.n_windows and self.speed:
            middle, high = 1000 * np.quantile(self.latencies, [0.5, 0.95])
            lines.append(
                f"latency from capture to score: median {middle:.0f} ms, 95 % {high:.0f} ms, "
                f"longest {1000 * self.worst_latency:.0f} ms"
            )
        if self.n_windows:
            work = float(np.median(self.processing))
            lines.append(
                f"work: {1000 * work:.1f} ms a window, {100 * work / self.hop:.1f} % of the hop of "
                f"{self.hop:g} s; real-time factor {self.real_time_factor:.3g}"
            )
        if self.n_gaps:
            lines.append(f"{self.n_gaps} gaps, {self.gap_seconds:.1f} s without sound")
        return "\n".join(lines)
