"""Work in threads with a bounded number of tasks under way.

soundfile, soxr and torch let go of Python's lock while they compute, so threads are as
good as processes here and need no copies. ``Executor.map`` would take in all tasks at
once; here, memory does not grow with their number.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from threading import Event
from typing import TypeVar

from semisonic.base.errors import OptionError

Task = TypeVar("Task")
Result = TypeVar("Result")

TASKS_PER_WORKER = 2


def count_workers(workers: int | None) -> int:
    """The number asked for, or that of the processors this process may use."""
    if workers is None:
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    if workers < 1:
        raise OptionError(f"workers: found {workers}, expected 1 or more")
    return workers


def in_threads(
    work: Callable[[Task], Result],
    tasks: Iterable[Task],
    workers: int,
    *,
    stop: Event | None = None,
) -> Iterator[Result]:
    """Yield the results as they are finished, in no order.

    Tasks are taken from the iterable only when there is room: two for each worker. An
    error of ``work`` is raised here; tasks under way are finished then, others dropped. ``stop``
    is set before they are waited for, so that long ones can give up.
    """
    source = iter(tasks)
    waiting: set[Future[Result]] = set()
    with ThreadPoolExecutor(workers, thread_name_prefix="semisonic") as pool:
        try:
            while True:
                room = TASKS_PER_WORKER * workers - len(waiting)
                waiting.update(pool.submit(work, task) for task in islice(source, room))
                if not waiting:
                    return
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            if stop is not None:
                stop.set()
            for future in waiting:
                future.cancel()
