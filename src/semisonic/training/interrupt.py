"""Ctrl-C during a training: finish the step, write a checkpoint, then stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """Whether Ctrl-C was pressed. The second time it stops at once."""

    def __init__(self) -> None:
        self.pressed = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal."""
        self.pressed += 1
        if self.pressed > 1:
            raise KeyboardInterrupt

    def check(self) -> None:
        """Raise KeyboardInterrupt if the key was pressed; call between two steps."""
        if self.pressed:
            raise KeyboardInterrupt

    @property
    def is_orderly(self) -> bool:
        """Whether weights and step number belong together when the block is left."""
        return self.pressed < 2


@contextmanager
def deferred_interrupt() -> Iterator[Interrupt]:
    """Within the block Ctrl-C only takes note; :meth:`Interrupt.check` acts on it.

    Signals reach the main thread only: in another one, nothing is changed.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN or before is None:  # ignored on purpose, or not Python's
        yield interrupt
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)
