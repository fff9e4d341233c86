"""Calls in threads of this process.

soundfile, soxr and torch let go of Python's lock while they compute, so threads are as
good as processes here and need no copies.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Generic, TypeVar

from semisonic.base.errors import OptionError
from semisonic.base.processors import n_processors

T = TypeVar("T")
R = TypeVar("R")

TASKS_PER_WORKER = 2


def count_workers(workers: int | None) -> int:
    """The number asked for, or that of the processors this process may use."""
    if workers is None:
        return n_processors()
    if workers < 1:
        raise OptionError(f"workers: found {workers}, expected 1 or more")
    return workers


class ThreadCalls(Generic[T, R]):
    """Calls in threads; see :class:`semisonic.engines.Calls`.

    Parameters
    ----------
    make : callable
        Called once in each thread; gives the function.
    workers : int
    stop : Event, optional
        Set before calls under way are waited for, so that long ones can give up.
    """

    def __init__(
        self, make: Callable[[], Callable[[T], R]], workers: int, stop: threading.Event | None
    ) -> None:
        self._make, self._stop = make, stop
        self.room = TASKS_PER_WORKER * workers
        self._own = threading.local()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="semisonic")

    def __enter__(self) -> ThreadCalls[T, R]:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stop is not None:
            self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, task: T) -> Future[R]:
        """Begin a call."""
        return self._pool.submit(self._call, task)

    def wait(self, tickets: Collection[Future[R]]) -> Collection[Future[R]]:
        """Those that are finished, at least one."""
        return wait(tickets, return_when=FIRST_COMPLETED).done

    def result(self, ticket: Future[R]) -> R:
        """What a call gave."""
        return ticket.result()

    def _call(self, task: T) -> R:
        if not hasattr(self._own, "function"):
            self._own.function = self._make()
        result: R = self._own.function(task)
        return result


class OwnCalls:
    """Tasks done one after the other in this thread, as they are submitted."""

    room = 1

    def __init__(self, initializer: Callable[..., None], context: tuple[Any, ...]) -> None:
        self._initializer, self._context = initializer, context

    def __enter__(self) -> OwnCalls:
        self._initializer(*self._context)
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, task: Any) -> Any:
        """Do the task."""
        task.function(*task.arguments)
        return task

    def wait(self, tickets: Collection[Any]) -> Collection[Any]:
        """All of them."""
        return list(tickets)

    def result(self, ticket: Any) -> None:
        """Nothing: an error was raised by :meth:`submit`."""
