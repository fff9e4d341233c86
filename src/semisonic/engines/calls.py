"""Many calls of one function, a bounded number under way: in any order, in order, in a graph.

What is written here holds for every engine. Memory does not grow with the number of tasks: they
are taken from their iterator only when there is room.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")
T_in = TypeVar("T_in", contravariant=True)
R_out = TypeVar("R_out", covariant=True)


class Calls(AbstractContextManager["Calls[Any, Any]"], Protocol[T_in, R_out]):
    """Calls of one function with one argument. When the block is left, none is under way."""

    @property
    def room(self) -> int:
        """How many calls are worth having under way at once; it may change."""

    def submit(self, task: T_in) -> Any:
        """Begin a call; a ticket for it."""

    def wait(self, tickets: Collection[Any]) -> Collection[Any]:
        """Wait until at least one of some tickets is finished; those that are."""

    def result(self, ticket: Any) -> R_out:
        """What a finished call gave, or its error, raised."""


def in_any_order(calls: Calls[T, R], tasks: Iterable[T]) -> Iterator[R]:
    """Yield the results as they are finished. The first error is raised; nothing is begun then.

    What was finished together with the one that failed is yielded before the error is raised.
    """
    source, running = iter(tasks), set[Any]()
    while True:
        running.update(_begun(calls, source, len(running)))
        if not running:
            return
        failed: BaseException | None = None
        for ticket in calls.wait(running):
            running.discard(ticket)
            try:
                result = calls.result(ticket)
            except BaseException as error:
                failed = failed or error
                continue
            yield result
        if failed is not None:
            raise failed


def in_order(calls: Calls[T, R], tasks: Iterable[T]) -> Iterator[R]:
    """Yield the results in the order of the tasks. The first error is raised.

    Of results that wait for an earlier one there are at most as many as there is room for.
    """
    source, waiting = iter(tasks), deque[Any]()
    while True:
        waiting.extend(_begun(calls, source, len(waiting)))
        if not waiting:
            return
        ticket = waiting.popleft()
        calls.wait([ticket])
        yield calls.result(ticket)


def _begun(calls: Calls[T, R], source: Iterator[T], n_open: int) -> Iterator[Any]:
    """Begin as many calls as there is room for besides those that are open; their tickets."""
    return map(calls.submit, islice(source, max(0, calls.room - n_open)))


@dataclass(frozen=True)
class Task:
    """A function of this package with its arguments, and the tasks that must end before."""

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    after: tuple[str, ...] = ()


def run_graph(calls: Calls[Task, Any], tasks: Sequence[Task], update: Callable[[], object]) -> None:
    """Do all tasks, each after those it names; the first error is raised, and nothing is begun.

    Parameters
    ----------
    calls : Calls
        Do one task.
    tasks : sequence of Task
        ``after`` may name tasks that are not in the list: they count as done.
    update : callable
        Called after each task that is done.

    Raises
    ------
    ValueError
        When tasks wait for each other.
    """
    waiting = ordered(tasks)
    open_names = {task.name for task in waiting}
    running: dict[Any, Task] = {}
    while waiting or running:
        for task in [one for one in waiting if not open_names.intersection(one.after)]:
            if len(running) >= calls.room:
                break
            running[calls.submit(task)] = task
            waiting.remove(task)
        for ticket in calls.wait(running):
            task = running.pop(ticket)
            calls.result(ticket)
            open_names.discard(task.name)
            update()


def ordered(tasks: Sequence[Task]) -> list[Task]:
    """The tasks with every one behind those it waits for, first come first served."""
    waiting, found = list(tasks), list[Task]()
    names = {task.name for task in tasks}
    while waiting:
        ready = [task for task in waiting if not names.intersection(task.after)]
        if not ready:
            raise ValueError(f"tasks wait for each other: {[task.name for task in waiting]}")
        task = ready[0]
        found.append(task)
        waiting.remove(task)
        names.discard(task.name)
    return found
