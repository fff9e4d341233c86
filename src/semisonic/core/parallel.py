"""Parallel calls of one function, in threads or processes of this machine.

:mod:`semisonic.core.cluster` makes the same calls on a Ray cluster. Memory does not grow with the
number of tasks: they are read from their iterator only when a worker is free.

Two cores run two processes of one thread each. This is faster than two threads in one process for
trainings of the small networks of this package (measured x1.7-2.0 against x1.3-1.75), and for all
work that often needs Python's lock.

Ctrl-C in a terminal reaches every process of its group, at any moment: during the start of a
worker, or twice. So workers form their own groups, and the parent passes the signal on once. A
training then finishes its step and writes its checkpoint.
"""

from __future__ import annotations

import _thread
import ctypes
import multiprocessing
import os
import queue
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing import resource_tracker
from threading import Event
from types import FrameType
from typing import Any, Generic, Self, TypeVar

from semisonic.core.errors import OptionError, SemisonicError
from semisonic.core.plugins import with_plugins
from semisonic.core.progress import bar

T = TypeVar("T")
R = TypeVar("R")
TASKS_PER_WORKER = 2


def hand_over(out: queue.Queue[T], item: T, stopped: Event) -> bool:
    """Put an item into a queue, waiting for room; False if nobody takes items any more."""
    while not stopped.is_set():
        try:
            out.put(item, timeout=0.1)
        except queue.Full:
            continue
        return True
    return False


def count_workers(workers: int | None) -> int:
    """The number requested, or the number of processors that this process may use.

    Raises
    ------
    OptionError
        For less than one.
    """
    if workers is None:
        known = hasattr(os, "sched_getaffinity")
        return len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1
    if workers < 1:
        raise OptionError(f"workers: found {workers}, expected 1 or more")
    return workers


_blas = threading.RLock()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread within the block, which one thread enters at a time.

    Solvers with thousands of small products are slower with more: the threads wait for each other
    at each product, and on a busy machine mostly for a processor.
    """
    from threadpoolctl import threadpool_limits

    with _blas, threadpool_limits(limits=1, user_api="blas"):
        yield


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Keep torch, if it is used, from starting threads inside our threads."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def keep_freed_memory() -> None:
    """Let this process keep up to 64 MiB of freed memory, if its C library is glibc.

    By default, glibc returns blocks of the size of a clip to the system, which has to find and
    clear new pages for the next clip: a third of the time of decoding a WAV file. Applications and
    their processes call this; a library must not change the allocator.
    """
    trim_threshold, mmap_threshold = -1, -3  # names of glibc's malloc.h
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return
    mallopt(mmap_threshold, 32 << 20)  # the most that it takes
    mallopt(trim_threshold, 64 << 20)


class Calls(Generic[T, R]):
    """Calls of one function with one argument, in threads. None is running after the block.

    soundfile, soxr and torch release Python's lock while they compute, so threads are as fast as
    processes here and need no copies.

    Parameters
    ----------
    make : callable
        Called once in each thread; returns the function.
    workers : int
    stop : Event, optional
        Set before waiting for running calls, so that long ones can stop early.
    """

    def __init__(
        self, make: Callable[[], Callable[[T], R]], workers: int, stop: Event | None = None
    ) -> None:
        self._make, self._workers, self._stop = make, workers, stop
        self._of_thread = threading.local()
        self._pool: Executor = ThreadPoolExecutor(workers, thread_name_prefix="semisonic")

    @property
    def capacity(self) -> int:
        """Number of calls that should run at once; on a cluster it may change."""
        return TASKS_PER_WORKER * self._workers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stop is not None:
            self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, task: T) -> Any:
        """Start a call; return its future."""
        return self._pool.submit(self._call, task)

    def _call(self, task: T) -> R:
        if not hasattr(self._of_thread, "function"):
            self._of_thread.function = self._make()
        result: R = self._of_thread.function(task)
        return result

    def wait(self, futures: Collection[Any]) -> Collection[Any]:
        """Wait until at least one of the calls is finished; return the finished ones."""
        return wait(futures, return_when=FIRST_COMPLETED).done

    def result(self, future: Any) -> R:
        """The result of a finished call; its error is raised."""
        result: R = future.result()
        return result


class ProcessCalls(Calls[T, R]):
    """Calls in processes; the function, tasks and results are pickled.

    Parameters
    ----------
    make : callable
        Called once in each process; returns the function.
    workers : int
        Processes.
    """

    def __init__(self, make: Callable[[], Callable[[T], R]], workers: int) -> None:
        processes = multiprocessing.get_context("spawn")
        self._workers, self._told = workers, processes.RawValue("b", 0)
        self._pool = ProcessPoolExecutor(
            workers,
            mp_context=processes,
            initializer=start_worker,
            initargs=(self._told, with_plugins(make)),
        )

    def __exit__(self, *_: object) -> None:
        self._told.value = 1
        self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, task: T) -> Any:
        """Begin a call."""
        with _told_of_death(), _signals_blocked():
            return self._pool.submit(call_in_worker, task)

    def result(self, future: Any) -> R:
        """The result of a call; its error is raised."""
        with _told_of_death():
            return super().result(future)


@contextmanager
def _told_of_death() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise SemisonicError(
            "a worker process ended without an error message, usually because memory ran out; "
            "run the command again with --workers 1: finished work is kept"
        ) from error


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Processes started within the block ignore Ctrl-C until they are ready for it.

    In this process it is delayed until the end of the block, as starting a worker takes seconds.
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


# In the worker processes.


_POLL = 0.5  # seconds between two looks at what the parent says
_stop: Any = None
_busy = False
_function: Callable[[Any], Any] | None = None


def start_worker(stop: Any, make: Callable[[], Callable[[Any], Any]]) -> None:
    """Prepare this process for calls; called once, before the first call.

    ``stop`` is a shared number (``RawValue``), 1 when the work should stop. Reading it needs no
    lock, which a killed process could keep.
    """
    global _stop, _function
    _stop = stop
    signal.signal(signal.SIGINT, _interrupt)
    if hasattr(os, "setpgrp"):  # not on Windows, where nothing is blocked either
        os.setpgrp()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_watch, args=(stop,), daemon=True).start()
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


def _interrupt(number: int, frame: FrameType | None) -> None:
    if _busy:
        raise KeyboardInterrupt


def _watch(stop: Any) -> None:
    """Interrupt the running task on request; end soon after a killed parent."""
    is_interrupted, parent = False, multiprocessing.parent_process()
    while parent is not None and parent.is_alive():
        if not is_interrupted and stop.value and _busy:
            is_interrupted = True
            if os.name == "nt":  # where os.kill would end the process at once
                _thread.interrupt_main()
            else:
                os.kill(os.getpid(), signal.SIGINT)
        parent.join(_POLL)
    os._exit(1)


# Where calls are made.


class Engine:
    """Threads or processes of this machine; for Ray see :mod:`semisonic.core.cluster`.

    Parameters
    ----------
    in_threads : bool
        Whether functions run in threads of this process. For much work, processes of one thread
        each are worth a start of a second or two: decoding consists of short calls into libraries,
        between which threads wait for Python's lock.

    Attributes
    ----------
    is_local : bool
        Whether functions run on this machine and may write to its files. Otherwise they return the
        data to be written.
    """

    is_local = True

    def __init__(self, *, in_threads: bool = True) -> None:
        self.in_threads = in_threads

    def calls(
        self,
        make: Callable[[], Callable[[T], R]],
        *,
        workers: int | None = None,
        device: str = "cpu",
        stop: Event | None = None,
    ) -> Calls[T, R]:
        """Calls of a function.

        Parameters
        ----------
        make : callable
            Called once in each thread or process; returns the function.
        workers : int, optional
            Number of parallel calls; by default the number of processors.
        device : str
            Device of a call; on a cluster, ``cuda`` takes a graphics card per call.
        stop : Event, optional
            Set when the calls are abandoned; only threads of this process see it.
        """
        n = count_workers(workers)
        return Calls(make, n, stop) if self.in_threads else ProcessCalls(make, n)


LOCAL_ENGINE = Engine()
PROCESS_ENGINE = Engine(in_threads=False)
_may_start_processes = False


def allow_processes(on: bool = True) -> None:
    """Let the local engine do long work in processes, as the command line does.

    A library must not do this: a process first imports the main script, and a script that works
    outside of ``if __name__ == "__main__"`` would start its work again.
    """
    global _may_start_processes
    _may_start_processes = on


def engine_for(engine: Engine, n: int, worth: int, workers: int | None = None) -> Engine:
    """The engine for some work: processes instead of threads if there is enough to do.

    Parameters
    ----------
    engine : Engine
        The engine requested; any other than the local one is kept.
    n, worth : int
        Amount of work, and the amount from which processes are faster.
    workers : int, optional
        As for :meth:`Engine.calls`.
    """
    gains = n >= worth and count_workers(workers) > 1
    return PROCESS_ENGINE if gains and engine.in_threads and _may_start_processes else engine


# What is done with many calls.


def in_any_order(calls: Calls[T, R], tasks: Iterable[T]) -> Iterator[R]:
    """Yield results as calls finish. The first error is raised, and no other call starts.

    Results that finished together with the failed call are yielded first.

    Parameters
    ----------
    calls : Calls
    tasks : iterable
        Taken only when there is capacity.
    """
    source, running = iter(tasks), set[Any]()
    while True:
        running.update(_begun(calls, source, len(running)))
        if not running:
            return
        failed: BaseException | None = None
        for future in calls.wait(running):
            running.discard(future)
            try:
                result = calls.result(future)
            except BaseException as error:
                failed = failed or error
                continue
            yield result
        if failed is not None:
            raise failed


def in_order(calls: Calls[T, R], tasks: Iterable[T]) -> Iterator[R]:
    """Yield the results in the order of the tasks. The first error is raised.

    At most as many results wait for an earlier one as calls can run at once.

    Parameters
    ----------
    calls : Calls
    tasks : iterable
        Taken only when there is capacity.

    Examples
    --------
    >>> with LOCAL_ENGINE.calls(lambda: abs, workers=2) as calls:
    ...     list(in_order(calls, [-1, 2, -3]))
    [1, 2, 3]
    """
    source, waiting = iter(tasks), deque[Any]()
    while True:
        waiting.extend(_begun(calls, source, len(waiting)))
        if not waiting:
            return
        future = waiting.popleft()
        calls.wait([future])
        yield calls.result(future)


def _begun(calls: Calls[T, R], source: Iterator[T], n_open: int) -> Iterator[Any]:
    """Start as many calls as there is room for; return their futures."""
    return map(calls.submit, islice(source, max(0, calls.capacity - n_open)))


def in_threads(
    work: Callable[[T], R],
    tasks: Iterable[T],
    workers: int | None = None,
    *,
    ordered: bool = False,
    stop: Event | None = None,
) -> Iterator[R]:
    """Call a function for each task, in threads.

    Parameters
    ----------
    work : callable
        Takes a task and returns its result. After an error, running calls finish and others are
        dropped; then the error is raised.
    tasks : iterable
        Read only when needed: two for each worker.
    workers : int, optional
        Number of threads; by default the number of processors.
    ordered : bool
        Yield results in the order of the tasks instead of as they finish.
    stop : Event, optional
        Set at an early end before waiting for calls, so that long ones can stop.

    Examples
    --------
    >>> list(in_threads(len, ["one", "three"], ordered=True))
    [3, 5]
    """
    with LOCAL_ENGINE.calls(lambda: work, workers=workers, stop=stop) as calls:
        yield from (in_order if ordered else in_any_order)(calls, tasks)


@dataclass(frozen=True)
class Task:
    """A function of this package with its arguments, and the tasks that must end before."""

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    after: tuple[str, ...] = ()


def _prepared(initializer: Callable[..., None], context: tuple[Any, ...]) -> Callable[[Task], None]:
    """Prepare this process for tasks of one thread each; return the function that does one."""
    import torch

    torch.set_num_threads(1)
    initializer(*context)
    return _done


def _done(task: Task) -> None:
    task.function(*task.arguments)


def _in_order(tasks: Sequence[Task]) -> Iterator[Task]:
    """The tasks in their order, each moved behind those that it waits for."""
    waiting = {task.name: task for task in tasks}
    while waiting:
        free = [name for name, one in waiting.items() if not waiting.keys() & set(one.after)]
        if not free:
            raise ValueError(f"tasks wait for each other: {', '.join(waiting)}")
        yield waiting.pop(free[0])


def run_tasks(
    tasks: Sequence[Task],
    *,
    workers: int,
    label: str,
    done: int = 0,
    initializer: Callable[..., None],
    context: tuple[Any, ...],
    engine: Engine = LOCAL_ENGINE,
    device: str = "cpu",
) -> None:
    """Do long tasks that write files, each after its prerequisites; the first error stops the
    rest.

    Parameters
    ----------
    tasks : sequence of Task
        ``after`` may name tasks that are not in the list: they count as done.
    workers : int
        Number of parallel tasks, each with one torch thread; 0 or 1 runs everything in this
        process on the local engine. On a cluster, 0 means as many as it has room for.
    label : str
        Text of the progress bar.
    done : int
        Number of tasks that an earlier run finished, for the bar.
    initializer, context
        Called once in each process before its first task.
    engine : Engine
    device : str
        Device of each task.

    Raises
    ------
    SemisonicError
        When a worker process was killed, usually because memory ran out.
    """
    with bar(len(tasks) + done, label, "job", initial=done) as shown:
        if engine.is_local and workers <= 1:
            with one_torch_thread():  # as in a process: some sums differ with two in the last bit
                initializer(*context)
                for task in _in_order(tasks):
                    _done(task)
                    shown.update()
            return
        make = partial(_prepared, initializer, context)
        where = PROCESS_ENGINE if engine.is_local else engine
        with where.calls(make, workers=workers or None, device=device) as calls:
            waiting, running = list(tasks), dict[Any, Task]()
            open_names = {task.name for task in tasks}
            while waiting or running:
                # Few are handed over at a time, so that an interrupt has little to undo.
                room = min(calls.capacity, workers + 1) if workers else calls.capacity
                ready = [task for task in waiting if not open_names.intersection(task.after)]
                for task in ready[: max(0, room - len(running))]:
                    running[calls.submit(task)] = task
                    waiting.remove(task)
                for future in calls.wait(running):
                    calls.result(future)
                    open_names.discard(running.pop(future).name)
                    shown.update()
