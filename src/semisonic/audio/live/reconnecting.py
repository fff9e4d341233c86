"""A source that is asked again when it was lost."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence

from semisonic.audio.live.block import Block, Gap, LiveSource, SourceLost, Ticks

PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds before each new try; the last one is repeated."""

_log = logging.getLogger(__name__)


class Reconnecting:
    """A device that may disappear and come back, as one source with a gap.

    A device that never gave a block is an error at once: that is a wrong name or a missing
    cable, not a loss.

    Parameters
    ----------
    source : LiveSource
        Whose ``blocks`` raises :class:`SourceLost` and may be called again.
    pauses : sequence of float
        Seconds before each new try; the last one is repeated for ever.
    """

    def __init__(
        self,
        source: LiveSource,
        pauses: Sequence[float] = PAUSES,
        *,
        ticks: Ticks = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._source, self._pauses = source, tuple(pauses)
        self._ticks, self._sleep = ticks, sleep
        self.name, self.sample_rate, self.speed = source.name, source.sample_rate, source.speed

    def blocks(self) -> Iterator[Block | Gap]:
        """The blocks of the source; a gap where it was away."""
        last: float | None = None
        n_tries = 0
        while True:
            try:
                for item in self._source.blocks():
                    if isinstance(item, Block):
                        if n_tries and last is not None:
                            yield self._back(item, last)
                        n_tries, last = 0, item.captured
                    yield item
            except SourceLost as error:
                if last is None:
                    raise
                if not n_tries:
                    yield Gap(0.0, error.reason)
                pause = self._pauses[min(n_tries, len(self._pauses) - 1)]
                n_tries += 1
                _log.warning(
                    "%s: %s; trying again in %g s (try %d)",
                    self.name, error.reason, pause, n_tries,
                )  # fmt: skip
                self._sleep(pause)
            else:
                return

    def _back(self, first: Block, last: float) -> Gap:
        away = max(0.0, first.captured - len(first.samples) / self.sample_rate - last)
        _log.warning("%s: back after %.1f s", self.name, away)
        return Gap(away, "the device was away")
