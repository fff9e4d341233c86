"""Calls in processes of this machine: two cores are two processes of one thread each.

That beats two threads in one process for trainings of the small networks of this package (measured
x1.7-2.0 against x1.3-1.75), and for anything that looks at Python's lock often.

Ctrl-C in a terminal reaches every process of its group, at any moment: half-way through the start
of a worker, or twice. So workers form groups of their own, and the parent passes on what it was
told, once. A training then finishes its step and writes its checkpoint.
"""

from __future__ import annotations

import _thread
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType
from typing import Any, TypeVar

from semisonic.core.errors import SemisonicError
from semisonic.core.parallel import PoolCalls, keep_freed_memory
from semisonic.core.plugins import with_plugins

_POLL = 0.5  # seconds between two looks at the parent
_stop: Any = None
_busy = False
_function: Callable[[Any], Any] | None = None


def start_worker(parent: int, stop: Any, make: Callable[[], Callable[[Any], Any]]) -> None:
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


def call_in_worker(task: Any) -> Any:
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
def signals_blocked() -> Iterator[None]:
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
    is_interrupted = False
    while os.getppid() == parent:
        if not is_interrupted and stop.value and _busy:
            is_interrupted = True
            if os.name == "nt":  # where os.kill would end the process at once
                _thread.interrupt_main()
            else:
                os.kill(os.getpid(), signal.SIGINT)
        time.sleep(_POLL)
    os._exit(1)


T = TypeVar("T")
R = TypeVar("R")


class ProcessCalls(PoolCalls[T, R]):
    """Calls in processes; see :class:`semisonic.core.parallel.Calls`.

    Parameters
    ----------
    make : callable
        Called once in each process; gives the function. It, tasks and results are pickled.
    workers : int
        Processes.
    capacity : int
        Calls under way or ready to begin.
    """

    def __init__(self, make: Callable[[], Callable[[T], R]], workers: int, capacity: int) -> None:
        processes = multiprocessing.get_context("spawn")
        self._stop = processes.RawValue("b", 0)
        pool = ProcessPoolExecutor(
            workers,
            mp_context=processes,
            initializer=start_worker,
            initargs=(os.getpid(), self._stop, with_plugins(make)),
        )
        super().__init__(pool, capacity)

    def __exit__(self, *error: object) -> None:
        self._stop.value = 1
        super().__exit__(*error)

    def submit(self, task: T) -> Future[R]:
        """Begin a call."""
        try:
            with signals_blocked():
                return self._pool.submit(call_in_worker, task)
        except BrokenProcessPool as error:
            raise _ended() from error

    def result(self, future: Future[R]) -> R:
        """What a call gave, or its error, raised."""
        try:
            return super().result(future)
        except BrokenProcessPool as error:
            raise _ended() from error


def _ended() -> SemisonicError:
    return SemisonicError(
        "a worker process ended without a word, most often because memory ran out; "
        "run again with --workers 1: finished work is kept"
    )
