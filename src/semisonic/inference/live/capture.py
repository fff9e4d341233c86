"""A thread that takes sound from its source while the last of it is still being scored."""

from __future__ import annotations

import math
import queue
import threading
from contextlib import closing

from semisonic.audio.live import BLOCK_TIME, Block, Gap, LiveSource

WAITING_SECONDS = 30.0
"""Sound that may wait in real time before the source is made to wait (or to drop it)."""

_BLOCKS_IF_FAST = 4
_POLL = 0.1


class Ended:
    """The end of a source; ``error`` is why, None at its natural end."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class Capture:
    """Blocks of a source, taken by a thread of its own into a bounded queue."""

    def __init__(self, source: LiveSource) -> None:
        self._source = source
        n_waiting = math.ceil(WAITING_SECONDS / BLOCK_TIME) if source.speed else _BLOCKS_IF_FAST
        self._waiting: queue.Queue[Block | Gap | Ended] = queue.Queue(n_waiting)
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

    def get(self, patience: float) -> Block | Gap | Ended | None:
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
        except BaseException as error:  # goes to the thread that listens, which raises it
            end = Ended(error)
        self._put(end)

    def _put(self, item: Block | Gap | Ended) -> bool:
        """Hand an item over; False when nobody wants it any more."""
        while not self._stopped.is_set():
            try:
                self._waiting.put(item, timeout=_POLL)
            except queue.Full:
                continue
            return True
        return False
