"""Tasks in processes of this machine: two cores are two processes of one thread each.

That beats two threads in one process for the small networks of this package (measured
x1.7-2.0 against x1.3-1.75).
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Collection
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from semisonic.base.errors import SemisonicError
from semisonic.engines import child
from semisonic.engines.calls import Task


class ProcessCalls:
    """Tasks in processes; see :class:`semisonic.engines.Calls`.

    Parameters
    ----------
    initializer, context
        Called once in each process before its first task.
    workers : int
        Processes.
    """

    def __init__(
        self, initializer: Callable[..., None], context: tuple[Any, ...], workers: int
    ) -> None:
        # Few tasks are handed over at a time, so that an interrupt has little to undo.
        self.room = workers + 1
        processes = multiprocessing.get_context("spawn")
        self._stop = processes.RawValue("b", 0)
        self._pool = ProcessPoolExecutor(
            workers,
            mp_context=processes,
            initializer=child.begin,
            initargs=(os.getpid(), self._stop, initializer, context),
        )

    def __enter__(self) -> ProcessCalls:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.value = 1
        self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, task: Task) -> Future[Any]:
        """Begin a task."""
        try:
            with child.born_quiet():
                return self._pool.submit(child.perform, task.function, task.arguments)
        except BrokenProcessPool as error:
            raise _ended() from error

    def wait(self, tickets: Collection[Future[Any]]) -> Collection[Future[Any]]:
        """Those that are finished, at least one."""
        return wait(tickets, return_when=FIRST_COMPLETED).done

    def result(self, ticket: Future[Any]) -> None:
        """Raise the task's error, if it had one."""
        try:
            ticket.result()
        except BrokenProcessPool as error:
            raise _ended() from error


def _ended() -> SemisonicError:
    return SemisonicError(
        "a worker process ended without a word, most often because memory ran out; "
        "run again with --workers 1: finished jobs are kept"
    )
