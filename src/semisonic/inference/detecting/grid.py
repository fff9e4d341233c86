"""The common grid of frames that the scores of overlapping windows are averaged on.

Windows start every ``hop``; a hop is a whole number of frames, so windows and frames stay in
step over any length. A recording is scored in parts of some minutes. Each part is heard for
itself, with the windows that reach into it from both sides: so what is found does not depend
on which parts were scored when, and a run that was killed goes on with the next part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import OptionError

PART = 300.0
"""Seconds of a part, about."""


@dataclass(frozen=True)
class Stretch:
    """A part of a recording: its frames, and the samples that are heard for them.

    Attributes
    ----------
    number : int
    first, last : int
        Frames, the last exclusive.
    start, end : int
        Samples at the model's rate; the end may lie behind the recording's.
    """

    number: int
    first: int
    last: int
    start: int
    end: int


@dataclass(frozen=True)
class Grid:
    """Windows and frames, in samples at the model's rate.

    Attributes
    ----------
    sample_rate : int
        Hz.
    n_window, n_hop, n_frame : int
        Lengths of a window, of the way to the next, and of a frame.
    """

    sample_rate: int
    n_window: int
    n_hop: int
    n_frame: int

    @classmethod
    def of(cls, sample_rate: int, n_window: int, hop: float, frames_per_hop: int = 1) -> Grid:
        """The grid whose hop is nearest to the one asked for.

        Raises
        ------
        OptionError
            When the hop is longer than a window, or shorter than the frames it is to hold.
        """
        n_frame = round(hop * sample_rate / frames_per_hop)
        if not 1 <= n_frame * frames_per_hop <= n_window:
            raise OptionError(
                f"option 'hop': found {hop:g} s, expected more than 0 s and at most the model's "
                f"clip length, {n_window / sample_rate:g} s"
            )
        return cls(sample_rate, n_window, n_frame * frames_per_hop, n_frame)

    @property
    def frame(self) -> float:
        """Seconds of a frame."""
        return self.n_frame / self.sample_rate

    @property
    def hop(self) -> float:
        """Seconds from window to window."""
        return self.n_hop / self.sample_rate

    @property
    def frames_of_part(self) -> int:
        """Frames of a whole part."""
        per_hop = self.n_hop // self.n_frame
        return max(1, round(PART / self.hop)) * per_hop

    def n_frames(self, n_samples: int) -> int:
        """Frames of a recording; the last may be cut short by its end."""
        return -(-n_samples // self.n_frame)

    def parts(self, n_samples: int) -> list[Stretch]:
        """The parts of a recording of so many samples at the model's rate."""
        total, size = self.n_frames(n_samples), self.frames_of_part
        return [
            self._part(number, first, min(first + size, total), n_samples)
            for number, first in enumerate(range(0, total, size))
        ]

    def _part(self, number: int, first: int, last: int, n_samples: int) -> Stretch:
        """The part with these frames, and all windows that touch them."""
        window, hop = self.n_window, self.n_hop
        earliest = max(0, -(-(first * self.n_frame - window + 1) // hop))
        # A start from which no whole window fits would be filled up with silence.
        earliest = min(earliest, max(0, n_samples - window) // hop)
        latest = -(-last * self.n_frame // hop) - 1
        end = latest * hop + window
        if last * self.n_frame > n_samples - window:  # the window that ends with the recording
            end = max(end, n_samples)
        return Stretch(number, first, last, earliest * hop, end)

    def middles(self, first: int, last: int) -> NDArray[np.float64]:
        """Middles of frames, s."""
        middles: NDArray[np.float64] = (np.arange(first, last, dtype=np.float64) + 0.5) * self.frame
        return middles


class Average:
    """The mean of what overlapping windows say of each frame.

    Parameters
    ----------
    grid : Grid
    n_classes : int
    times : ndarray of float64, shape (n_points,), optional
        Times within a window, s, at which it gives scores; without it a window gives one
        answer for all of its length.
    part : Stretch, optional
        Frames outside it are left out; all frames are wanted by default.
    """

    def __init__(
        self,
        grid: Grid,
        n_classes: int,
        times: NDArray[np.float64] | None = None,
        part: Stretch | None = None,
    ) -> None:
        self.grid, self.times = grid, times
        self._first = 0 if part is None else part.first
        self._last = None if part is None else part.last
        self._sum = np.zeros((0, n_classes))
        self._count = np.zeros(0, np.int64)

    def add(self, start_time: float, end_time: float, scores: NDArray[np.float64]) -> None:
        """Add a window; it may begin with that before it, but not earlier.

        Parameters
        ----------
        start_time, end_time : float
            In the recording, s.
        scores : ndarray, shape (n_classes,), or (n_points, n_classes) with ``times``
        """
        low = max(self.frame_of(start_time), self._first)
        high = int(np.ceil(end_time / self.grid.frame - 1e-6))
        high = max(low, high if self._last is None else min(high, self._last))
        more = high - self._first - len(self._count)
        if more > 0:
            self._sum = np.concatenate([self._sum, np.zeros((more, self._sum.shape[1]))])
            self._count = np.concatenate([self._count, np.zeros(more, np.int64)])
        rows = slice(low - self._first, high - self._first)
        if self.times is None:
            self._sum[rows] += scores
        else:
            at = self.grid.middles(low, high) - start_time
            self._sum[rows] += _between(self.times, scores, at)
        self._count[rows] += 1

    def frame_of(self, start_time: float) -> int:
        """The first frame of a window."""
        return round(start_time / self.grid.frame)

    def take(self, before: int | None = None) -> NDArray[np.float64]:
        """Scores, shape (n, n_classes), of the next frames up to the last that was heard.

        Parameters
        ----------
        before : int, optional
            Only frames before this one, which no later window may reach.
        """
        n = len(self._count) if before is None else before - self._first
        n = min(max(n, 0), len(self._count))
        mean: NDArray[np.float64] = self._sum[:n] / np.maximum(self._count[:n], 1)[:, None]
        self._sum, self._count, self._first = self._sum[n:], self._count[n:], self._first + n
        return mean


def _between(
    times: NDArray[np.float64], scores: NDArray[np.float64], at: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Straight lines between points; before the first and behind the last their values."""
    if len(times) == 1:
        return np.repeat(scores, len(at), axis=0)
    left = np.clip(np.searchsorted(times, at) - 1, 0, len(times) - 2)
    share = np.clip((at - times[left]) / (times[left + 1] - times[left]), 0.0, 1.0)[:, None]
    result: NDArray[np.float64] = scores[left] * (1 - share) + scores[left + 1] * share
    return result
