"""Calls in processes of this machine: two cores are two processes of one thread each.

That beats two threads in one process for trainings of the small networks of this package
(measured x1.7-2.0 against x1.3-1.75), and for anything that looks at Python's lock often.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Collection
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Generic, TypeVar

from semisonic.base.errors import SemisonicError
from semisonic.base.plugins import with_plugins
from semisonic.engines import child

T = TypeVar("T")
R = TypeVar("R")


class ProcessCalls(Generic[T, R]):
    """Calls in processes; see :class:`semisonic.engines.Calls`.

    Parameters
    ----------
    make : callable
        Called once in each process; gives the function. It, tasks and results are pickled.
    workers : int
        Processes.
    room : int
        Calls under way or ready to begin.
    """

    def __init__(self, make: Callable[[], Callable[[T], R]], workers: int, room: int) -> None:
        self.room = room
        processes = multiprocessing.get_context("spawn")
        self._stop = processes.RawValue("b", 0)
        self._pool = ProcessPoolExecutor(
            workers,
            mp_context=processes,
            initializer=child.begin,
            initargs=(os.getpid(), self._stop, with_plugins(make)),
        )

    def __enter__(self) -> ProcessCalls[T, R]:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.value = 1
        self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, task: T) -> Future[R]:
        """Begin a call."""
        try:
            with child.born_quiet():
                return self._pool.submit(child.call, task)
        except BrokenProcessPool as error:
            raise _ended() from error

    def wait(self, tickets: Collection[Future[R]]) -> Collection[Future[R]]:
        """Those that are finished, at least one."""
        return wait(tickets, return_when=FIRST_COMPLETED).done

    def result(self, ticket: Future[R]) -> R:
        """What a call gave, or its error, raised."""
        try:
            return ticket.result()
        except BrokenProcessPool as error:
            raise _ended() from error


def _ended() -> SemisonicError:
    return SemisonicError(
        "a worker process ended without a word, most often because memory ran out; "
        "run again with --workers 1: finished work is kept"
    )
