"""Running jobs on this machine: two cores are two processes of one thread each.

That beats two threads in one process for the small networks of this package (measured
x1.7-2.0 against x1.3-1.75). On a GPU the jobs run one after the other in this process.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from semisonic.base.errors import SemisonicError
from semisonic.base.progress import bar
from semisonic.experiments import child


@dataclass(frozen=True)
class Task:
    """A function of this package with its arguments, and the tasks that must end before."""

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    after: tuple[str, ...] = ()


def run_tasks(
    tasks: Sequence[Task],
    *,
    workers: int,
    label: str,
    done: int = 0,
    initializer: Callable[..., None],
    context: tuple[Any, ...],
) -> None:
    """Run all tasks, each after those it names; the first error stops the rest.

    Parameters
    ----------
    tasks : sequence of Task
        ``after`` may name tasks that are not in the list: they count as done.
    workers : int
        Processes; 0 or 1 runs everything in this process.
    label : str
        Text of the progress bar.
    done : int
        Tasks that an earlier run has finished, for the bar.
    initializer, context
        Called once in each process before its first task.

    Raises
    ------
    SemisonicError
        When a worker process was killed, most often for memory.
    """
    with bar(len(tasks) + done, label, "job", initial=done) as shown:
        if workers <= 1:
            initializer(*context)
            for task in _in_order(tasks):
                task.function(*task.arguments)
                shown.update()
        else:
            _run_in_processes(tasks, workers, initializer, context, shown.update)


def _in_order(tasks: Sequence[Task]) -> list[Task]:
    """The tasks with every one behind those it waits for, first come first served."""
    waiting, ordered = list(tasks), list[Task]()
    names = {task.name for task in tasks}
    while waiting:
        ready = [task for task in waiting if not names.intersection(task.after)]
        if not ready:
            raise ValueError(f"tasks wait for each other: {[task.name for task in waiting]}")
        task = ready[0]
        ordered.append(task)
        waiting.remove(task)
        names.discard(task.name)
    return ordered


def _run_in_processes(
    tasks: Sequence[Task],
    workers: int,
    initializer: Callable[..., None],
    context: tuple[Any, ...],
    update: Callable[[], object],
) -> None:
    processes = multiprocessing.get_context("spawn")
    stop = processes.RawValue("b", 0)
    pool = ProcessPoolExecutor(
        workers,
        mp_context=processes,
        initializer=child.begin,
        initargs=(os.getpid(), stop, initializer, context),
    )
    waiting = _in_order(tasks)
    open_names = {task.name for task in waiting}
    running: dict[Future[Any], Task] = {}
    try:
        while waiting or running:
            # Few tasks are handed over at a time, so that an interrupt has little to undo.
            for task in [t for t in waiting if not open_names.intersection(t.after)]:
                if len(running) >= workers + 1:
                    break
                with child.born_quiet():
                    future = pool.submit(child.perform, task.function, task.arguments)
                running[future] = task
                waiting.remove(task)
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                task = running.pop(future)
                future.result()
                open_names.discard(task.name)
                update()
    except BrokenProcessPool as error:
        raise SemisonicError(
            "a worker process ended without a word, most often because memory ran out; "
            "run again with --workers 1: finished jobs are kept"
        ) from error
    finally:
        stop.value = 1
        pool.shutdown(wait=True, cancel_futures=True)
