"""One worker process: it starts quietly, stops when it is told to, and leaves with its parent.

Ctrl-C in a terminal reaches every process of its group, at any moment: half-way through the
start of a worker, or twice. So workers form groups of their own, and the parent passes on what
it was told, once. A training then finishes its step and writes its checkpoint.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType
from typing import Any

from semisonic.base.memory import keep_freed_memory

_POLL = 0.5  # seconds between two looks at the parent
_stop: Any = None
_busy = False
_function: Callable[[Any], Any] | None = None


def begin(parent: int, stop: Any, make: Callable[[], Callable[[Any], Any]]) -> None:
    """Prepare this process for calls; called once, before the first.

    ``stop`` is a shared number (``RawValue``), 1 when the work is to stop: looking at it needs
    no lock, which a killed process could take with it.
    """
    global _stop, _function
    _stop = stop
    signal.signal(signal.SIGINT, _interrupt)
    if hasattr(os, "setpgrp"):  # not on Windows, where nothing is blocked either
        os.setpgrp()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_watch, args=(parent, stop), daemon=True).start()
    keep_freed_memory()
    _function = make()
    if "torch" in sys.modules:  # sound is decoded without it, and it takes seconds to load
        sys.modules["torch"].set_num_threads(1)


def call(task: Any) -> Any:
    """Call the function, unless the work was stopped while the task waited."""
    global _busy
    if _function is None or _stop.value:
        return None
    _busy = True
    try:
        return _function(task)
    finally:
        _busy = False


@contextmanager
def born_quiet() -> Iterator[None]:
    """Processes started within the block hear no Ctrl-C until they begin to listen.

    For this process it waits until the block is left: to start a worker takes seconds.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows: a call is interrupted while it runs
        yield
        return
    resource_tracker.ensure_running()  # or it would let signals through when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    if _busy:
        raise KeyboardInterrupt


def _watch(parent: int, stop: Any) -> None:
    """Interrupt the task under way when told to stop; end soon after a parent that was killed."""
    told = False
    while os.getppid() == parent:
        if not told and stop.value and _busy:
            told = True
            if os.name == "nt":  # where os.kill would end the process at once
                _thread.interrupt_main()
            else:
                os.kill(os.getpid(), signal.SIGINT)
        time.sleep(_POLL)
    os._exit(1)
