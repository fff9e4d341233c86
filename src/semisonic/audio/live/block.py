"""What a live source gives: blocks of sound, and the gaps between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import AudioError

BLOCK_TIME = 0.02
"""Seconds of a block: a window waits for the block it ends in, so this is part of the latency."""

Ticks = Callable[[], float]
"""A clock that never goes back, such as ``time.monotonic``; seconds."""


@dataclass(frozen=True)
class Block:
    """Some samples that follow the ones before.

    Attributes
    ----------
    samples : ndarray of float32, shape (n,)
        One channel, full scale ±1, at the rate of the source.
    captured : float
        When the last of them was captured, seconds of ``time.monotonic``.
    """

    samples: NDArray[np.float32]
    captured: float


@dataclass(frozen=True)
class Gap:
    """Sound that is missing between two blocks.

    Attributes
    ----------
    seconds : float
        How much, 0 if that is not known (yet).
    reason : str
    """

    seconds: float
    reason: str


class LiveSource(Protocol):
    """Anything that sound comes from, block by block.

    Attributes
    ----------
    name : str
        For messages.
    sample_rate : int
        Hz; that of every block.
    speed : float
        1: sound comes in real time, so who is too slow must leave something out. 0: it comes as
        fast as it is taken, and nothing is ever left out.
    """

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def sample_rate(self) -> int:
        """Hz."""

    @property
    def speed(self) -> float:
        """Seconds of sound per second; 0 for as fast as it is taken."""

    def blocks(self) -> Iterator[Block | Gap]:
        """The sound, to its end.

        Raises
        ------
        SourceLost
            When a device is gone; asking for blocks again may find it back.
        AudioError
            When there is no way to go on.
        """


class SourceLost(AudioError):
    """A device that gives no sound any more, and may come back."""
