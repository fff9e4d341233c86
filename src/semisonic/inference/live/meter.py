"""What a live run did: windows, latency, the share of time it took, and what was lost."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from semisonic.base.wording import counted

KEPT = 10_000
"""Windows whose times are kept for medians: more than an hour at a hop of half a second."""


def _last() -> deque[float]:
    return deque(maxlen=KEPT)


@dataclass
class Meter:
    """Counts of a live run.

    Attributes
    ----------
    hop, speed : float
        Seconds from window to window; speed of the source.
    seconds : float
        Sound heard, gaps not counted.
    busy_seconds : float
        Time taken for it: resampling, features, scores, events.
    n_windows, n_skipped, n_events : int
        Windows scored; windows left out because it was slower than real time; events begun.
    n_gaps, gap_seconds : int, float
        Stretches without sound between blocks, and how long they were as far as known.
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
            f"heard {self.seconds:.1f} s: {counted(self.n_windows, 'window')} scored, "
            f"{self.n_skipped} skipped, {counted(self.n_events, 'event')}"
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
