"""Many calls of one function at once, in threads or processes of this machine.

:mod:`semisonic.core.cluster` makes the same calls on a Ray cluster. Memory does not grow with the
number of tasks: they are taken from their iterator only when there is room.

Two cores are two processes of one thread each: that beats two threads in one process for trainings
of the small networks of this package (measured x1.7-2.0 against x1.3-1.75), and for anything that
looks at Python's lock often.

Ctrl-C in a terminal reaches every process of its group, at any moment: half-way through the start
of a worker, or twice. So workers form groups of their own, and the parent passes on what it was
told, once. A training then finishes its step and writes its checkpoint.
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
    """Put an item into a full queue when there is room; False when nobody takes items any more."""
    while not stopped.is_set():
        try:
            out.put(item, timeout=0.1)
        except queue.Full:
            continue
        return True
    return False


def count_workers(workers: int | None) -> int:
    """The number asked for, or that of the processors this process may use.

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
    """Within the block, which one thread enters at a time, BLAS takes one thread.

    A solver that makes thousands of small products loses by more: the threads wait for each other
    at each product, and on a machine that does other things, too, mostly for a processor.
    """
    from threadpoolctl import threadpool_limits

    with _blas, threadpool_limits(limits=1, user_api="blas"):
        yield


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Keep torch, if anybody uses it, from starting threads inside our threads."""
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
    """Let this process keep up to 64 MiB that it has freed, where its C library is glibc.

    As it is, glibc gives blocks of the size of a clip back to the system, which has to find and
    clear new pages for the next clip: a third of the time of decoding a wav file. Applications
    call this, and the processes that they start; a library leaves the allocator alone.
    """
    trim_threshold, mmap_threshold = -1, -3  # names of glibc's malloc.h
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return
    mallopt(mmap_threshold, 32 << 20)  # the most that it takes
    mallopt(trim_threshold, 64 << 20)


class Calls(Generic[T, R]):
    """Calls of one function with one argument, in threads. None is under way after the block.

    soundfile, soxr and torch let go of Python's lock while they compute, so threads are as
    good as processes here and need no copies.

    Parameters
    ----------
    make : callable
        Called once in each thread; gives the function.
    workers : int
    stop : Event, optional
        Set before calls under way are waited for, so that long ones can give up.
    """

    def __init__(
        self, make: Callable[[], Callable[[T], R]], workers: int, stop: Event | None = None
    ) -> None:
        self._make, self._workers, self._stop = make, workers, stop
        self._of_thread = threading.local()
        self._pool: Executor = ThreadPoolExecutor(workers, thread_name_prefix="semisonic")

    @property
    def capacity(self) -> int:
        """How many calls are worth having under way at once; on a cluster it may change."""
        return TASKS_PER_WORKER * self._workers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stop is not None:
            self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, task: T) -> Any:
        """Begin a call; a future for it."""
        return self._pool.submit(self._call, task)

    def _call(self, task: T) -> R:
        if not hasattr(self._of_thread, "function"):
            self._of_thread.function = self._make()
        result: R = self._of_thread.function(task)
        return result

    def wait(self, futures: Collection[Any]) -> Collection[Any]:
        """Wait until at least one of some calls is finished; those that are."""
        return wait(futures, return_when=FIRST_COMPLETED).done

    def result(self, future: Any) -> R:
        """What a finished call gave, or its error, raised."""
        result: R = future.result()
        return result


class ProcessCalls(Calls[T, R]):
    """Calls in processes; the function, tasks and results are pickled.

    Parameters
    ----------
    make : callable
        Called once in each process; gives the function.
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
        """What a call gave, or its error, raised."""
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


# In the worker processes.


_POLL = 0.5  # seconds between two looks at what the parent says
_stop: Any = None
_busy = False
_function: Callable[[Any], Any] | None = None


def start_worker(stop: Any, make: Callable[[], Callable[[Any], Any]]) -> None:
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
    """Interrupt the task under way when told to stop; end soon after a parent that was killed."""
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
    """Threads or processes of this machine; :mod:`semisonic.core.cluster` has the one of Ray.

    Parameters
    ----------
    in_threads : bool
        Whether functions run in threads of this process. Processes of one thread each are worth
        their start of a second or two when there is much to do: decoding consists of short calls
        into libraries, between which threads wait for Python's lock.

    Attributes
    ----------
    is_local : bool
        Whether functions run on this machine, so that they may write into its files. Elsewhere
        they give back what is to be written.
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
            Called once in each thread or process that works; gives the function.
        workers : int, optional
            Calls at once; by default as many as there are processors.
        device : str
            What a call computes on; ``cuda`` and the like take a card each on a cluster.
        stop : Event, optional
            Set when the calls are given up; only threads of this process see it.
        """
        n = count_workers(workers)
        return Calls(make, n, stop) if self.in_threads else ProcessCalls(make, n)


LOCAL_ENGINE = Engine()
PROCESS_ENGINE = Engine(in_threads=False)
_may_start_processes = False


def allow_processes(on: bool = True) -> None:
    """Let long work of the local engine go into processes, as the command line does.

    A library must not: a process begins by importing the main script, and one that does its work
    outside of ``if __name__ == "__main__"`` would begin it again.
    """
    global _may_start_processes
    _may_start_processes = on


def engine_for(engine: Engine, n: int, worth: int, workers: int | None = None) -> Engine:
    """The engine for some work: processes in place of threads where that is worth their start.

    Parameters
    ----------
    engine : Engine
        The one asked for; any but the local one is kept.
    n, worth : int
        How much there is to do, and from how much on processes are faster.
    workers : int, optional
        As for :meth:`Engine.calls`.
    """
    gains = n >= worth and count_workers(workers) > 1
    return PROCESS_ENGINE if gains and engine.in_threads and _may_start_processes else engine


# What is done with many calls.


def in_any_order(calls: Calls[T, R], tasks: Iterable[T]) -> Iterator[R]:
    """Yield the results as they are finished. The first error is raised; nothing is begun then.

    What was finished together with the one that failed is yielded before the error is raised.

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

    Of results that wait for an earlier one there are at most as many as there is room for.

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
    """Begin as many calls as there is room for besides those that are open; their futures."""
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
        From a task to its result. After an error of it, calls that were begun are finished and
        others dropped; then the error is raised here.
    tasks : iterable
        Taken only when there is room: two for each worker.
    workers : int, optional
        Threads; by default as many as there are processors.
    ordered : bool
        Give the results in the order of the tasks, and not as they are finished.
    stop : Event, optional
        Set before calls are waited for at an early end, so that long ones can give up.

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
    """Prepare this process for tasks, which take one thread each; what does one."""
    import torch

    torch.set_num_threads(1)
    initializer(*context)
    return _done


def _done(task: Task) -> None:
    task.function(*task.arguments)


def _in_order(tasks: Sequence[Task]) -> Iterator[Task]:
    """The tasks with every one behind those it waits for, first come first served."""
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
    """Do long tasks that write files, each after those it names; the first error stops the rest.

    Parameters
    ----------
    tasks : sequence of Task
        ``after`` may name tasks that are not in the list: they count as done.
    workers : int
        Tasks at once, each with one torch thread; 0 or 1 runs everything in this process, on the
        local engine. On a cluster 0 is as many as it has room for.
    label : str
        Text of the progress bar.
    done : int
        Tasks that an earlier run has finished, for the bar.
    initializer, context
        Called once in each process before its first task.
    engine : Engine
    device : str
        What each task computes on.

    Raises
    ------
    SemisonicError
        When a worker process was killed, most often for memory.
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
