"""Sound that a browser sends, as a live source like a microphone."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator

import numpy as np

from semisonic.audio.live import Block, Gap
from semisonic.base.errors import AudioError

_WAITING = 512
_FULL_SCALE = np.float32(1 / 32768)


class BrowserSource:
    """16-bit mono samples that are put in from outside, block by block.

    Parameters
    ----------
    sample_rate : int
        Hz.
    """

    name = "the browser's microphone"
    speed = 1.0

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._waiting: queue.Queue[Block | Gap | None] = queue.Queue(_WAITING)

    def put(self, content: bytes) -> None:
        """Add samples, little endian.

        Raises
        ------
        AudioError
            For half a sample.
        """
        if len(content) % 2:
            raise AudioError(self.name, f"found {len(content)} bytes, expected 2 for each sample")
        samples = np.frombuffer(content, "<i2").astype(np.float32) * _FULL_SCALE
        block = Block(samples, time.monotonic())
        try:
            self._waiting.put_nowait(block)
        except queue.Full:
            self._drop(len(samples))

    def end(self) -> None:
        """There is no more."""
        while True:
            try:
                self._waiting.put_nowait(None)
                return
            except queue.Full:
                self._waiting.get_nowait()

    def blocks(self) -> Iterator[Block | Gap]:
        """The sound, to its end."""
        while (block := self._waiting.get()) is not None:
            yield block

    def _drop(self, n: int) -> None:
        """Lose the newest samples, and say so in place of the oldest that wait."""
        lost = n / self.sample_rate
        try:
            oldest = self._waiting.get_nowait()
        except queue.Empty:
            return
        lost += len(oldest.samples) / self.sample_rate if isinstance(oldest, Block) else 0.0
        self._waiting.put_nowait(Gap(lost, "scoring is slower than the sound comes"))
