"""A file, played as though it were heard now."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from semisonic.audio.live.block import BLOCK_TIME, Block, Gap, Ticks
from semisonic.audio.source import Source, probe
from semisonic.base.errors import OptionError

_FAST_BLOCK_TIME = 1.0


class Playback:
    """A recording whose blocks come when they would be heard.

    Parameters
    ----------
    file : path
    speed : float
        1: in real time; 2: twice as fast; 0: as fast as it is taken.

    Raises
    ------
    OptionError
        When the speed is negative.
    AudioError
        When there is no such recording.
    """

    def __init__(
        self,
        file: str | os.PathLike[str],
        speed: float = 1.0,
        *,
        ticks: Ticks = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not speed >= 0:
            raise OptionError(f"speed: found {speed}, expected 0 or more")
        self._file = Path(file)
        self.name = str(file)
        self.speed = float(speed)
        self.sample_rate = probe(self._file).sample_rate
        self._ticks, self._sleep = ticks, sleep

    def blocks(self) -> Iterator[Block | Gap]:
        """The recording from its start to its end."""
        block_time = BLOCK_TIME * self.speed if self.speed else _FAST_BLOCK_TIME
        with Source(self._file) as source:
            began, position = self._ticks(), 0
            n_block = max(1, round(block_time * self.sample_rate))
            for samples in source.blocks(0.0, None, n_block):
                position += len(samples)
                captured = self._ticks()
                if self.speed:
                    due = began + position / self.sample_rate / self.speed
                    self._sleep(max(0.0, due - captured))
                    captured = due  # also when we are late: the world would not have waited
                yield Block(samples, captured)
