"""Work in threads with a bounded number of tasks under way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from threading import Event
from typing import TypeVar

from semisonic.core.parallel import LOCAL_ENGINE, in_any_order

Task = TypeVar("Task")
Result = TypeVar("Result")


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
    with LOCAL_ENGINE.calls(lambda: work, workers=workers, stop=stop) as calls:
        yield from in_any_order(calls, tasks)
