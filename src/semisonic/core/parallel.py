"""Many calls of one function at once: threads and processes of this machine, or a Ray cluster.

Memory does not grow with the number of tasks: they are taken from their iterator only when there
is room. The module knows functions and their results, and nothing of sounds.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import islice
from threading import Event
from typing import Any, Generic, Protocol, Self, TypeVar

from semisonic.core.errors import OptionError
from semisonic.core.options import option

_entering = threading.Lock()
_inside = 0
_limit: Any = None


def n_processors() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within the block the matrix products of numpy and scipy take one thread.

    A solver that makes thousands of small products loses by more: the threads wait for each other
    at each product, and on a machine that does other things, too, mostly for a processor. The
    limit holds for the whole process; it ends when the last block does that was entered meanwhile.
    """
    from threadpoolctl import ThreadpoolController

    global _inside, _limit
    with _entering:
        if not _inside:
            _limit = ThreadpoolController().limit(limits=1, user_api="blas")
        _inside += 1
    try:
        yield
    finally:
        with _entering:
            _inside -= 1
            if not _inside:
                _limit.restore_original_limits()


# Names of glibc's malloc.h; the first is as high as it may be.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST, _KEPT = 32 << 20, 64 << 20


def keep_freed_memory() -> None:
    """Let this process keep up to 64 MiB that it has freed, where its C library is glibc.

    As it is, glibc gives blocks of the size of a clip back to the system, which has to find and
    clear new pages for the next clip: a third of the time of decoding a wav file. Applications
    call this, and the processes that they start; a library leaves the allocator alone.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGEST)
    mallopt(_M_TRIM_THRESHOLD, _KEPT)


LOCAL, RAY = "local", "ray"


@dataclass(frozen=True)
class EngineOptions:
    """Where the work is done. No result depends on it, so a run goes on with another engine."""

    engine: str = option(
        LOCAL,
        "local: threads and processes of this machine; ray: calls on a Ray cluster (needs "
        "'semisonic[cluster]')",
        choices=(LOCAL, RAY),
    )
    address: str | None = option(
        None,
        "Ray cluster that is there: auto, HOST:PORT or ray://HOST:PORT; if not given, what "
        "the variable RAY_ADDRESS says, else a Ray of this machine, which ends with the command",
    )


T = TypeVar("T")
R = TypeVar("R")
T_in = TypeVar("T_in", contravariant=True)
R_out = TypeVar("R_out", covariant=True)


class Calls(AbstractContextManager["Calls[Any, Any]"], Protocol[T_in, R_out]):
    """Calls of one function with one argument. When the block is left, none is under way."""

    @property
    def capacity(self) -> int:
        """How many calls are worth having under way at once; it may change."""

    def submit(self, task: T_in) -> Any:
        """Begin a call; a future for it."""

    def wait(self, futures: Collection[Any]) -> Collection[Any]:
        """Wait until at least one of some calls is finished; those that are."""

    def result(self, future: Any) -> R_out:
        """What a finished call gave, or its error, raised."""


def in_any_order(calls: Calls[T, R], tasks: Iterable[T]) -> Iterator[R]:
    """Yield the results as they are finished. The first error is raised; nothing is begun then.

    What was finished together with the one that failed is yielded before the error is raised.

    Parameters
    ----------
    calls : Calls
    tasks : iterable
        Taken only when there is capacity.

    Yields
    ------
    object
        What each call gave.
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

    Yields
    ------
    object
        What each call gave.

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
            if len(running) >= calls.capacity:
                break
            running[calls.submit(task)] = task
            waiting.remove(task)
        for future in calls.wait(running):
            task = running.pop(future)
            calls.result(future)
            open_names.discard(task.name)
            update()


def ordered(tasks: Sequence[Task]) -> list[Task]:
    """The tasks with every one behind those it waits for, first come first served."""
    waiting, result = list(tasks), list[Task]()
    names = {task.name for task in tasks}
    while waiting:
        ready = [task for task in waiting if not names.intersection(task.after)]
        if not ready:
            raise ValueError(f"tasks wait for each other: {[task.name for task in waiting]}")
        task = ready[0]
        result.append(task)
        waiting.remove(task)
        names.discard(task.name)
    return result


class TaskMaker:
    """Makes the function that does tasks, once the process is prepared for them.

    Parameters
    ----------
    initializer, context
        Called once in each process before its first task.
    """

    def __init__(self, initializer: Callable[..., None], context: tuple[Any, ...]) -> None:
        self._initializer, self._context = initializer, context

    def __call__(self) -> Callable[[Task], None]:
        """Prepare this process."""
        import torch

        torch.set_num_threads(1)
        self._initializer(*self._context)
        return perform


def perform(task: Task) -> None:
    """Do one task."""
    task.function(*task.arguments)


TASKS_PER_WORKER = 2


def count_workers(workers: int | None) -> int:
    """The number asked for, or that of the processors this process may use.

    Parameters
    ----------
    workers : int or None

    Returns
    -------
    int

    Raises
    ------
    OptionError
        For less than one.
    """
    if workers is None:
        return n_processors()
    if workers < 1:
        raise OptionError(f"workers: found {workers}, expected 1 or more")
    return workers


class PoolCalls(Generic[T, R]):
    """Calls in a pool of the standard library: what threads and processes share.

    Parameters
    ----------
    pool : Executor
    capacity : int
        Calls under way or ready to begin.
    """

    def __init__(self, pool: Executor, capacity: int) -> None:
        self._pool, self.capacity = pool, capacity

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def wait(self, futures: Collection[Future[R]]) -> Collection[Future[R]]:
        """Those that are finished, at least one."""
        return wait(futures, return_when=FIRST_COMPLETED).done

    def result(self, future: Future[R]) -> R:
        """What a call gave, or its error, raised."""
        return future.result()


class ThreadCalls(PoolCalls[T, R]):
    """Calls in threads; see :class:`Calls`.

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
        self, make: Callable[[], Callable[[T], R]], workers: int, stop: threading.Event | None
    ) -> None:
        pool = ThreadPoolExecutor(workers, thread_name_prefix="semisonic")
        super().__init__(pool, TASKS_PER_WORKER * workers)
        self._make, self._stop = make, stop
        self._of_thread = threading.local()

    def __exit__(self, *error: object) -> None:
        if self._stop is not None:
            self._stop.set()
        super().__exit__(*error)

    def submit(self, task: T) -> Future[R]:
        """Begin a call."""
        return self._pool.submit(self._call, task)

    def _call(self, task: T) -> R:
        if not hasattr(self._of_thread, "function"):
            self._of_thread.function = self._make()
        result: R = self._of_thread.function(task)
        return result


class SerialCalls:
    """Tasks done one after the other in this thread, as they are submitted."""

    capacity = 1

    def __init__(self, initializer: Callable[..., None], context: tuple[Any, ...]) -> None:
        self._initializer, self._context = initializer, context

    def __enter__(self) -> SerialCalls:
        self._initializer(*self._context)
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, task: Any) -> Any:
        """Do the task."""
        task.function(*task.arguments)
        return task

    def wait(self, futures: Collection[Any]) -> Collection[Any]:
        """All of them."""
        return list(futures)

    def result(self, future: Any) -> None:
        """Nothing: an error was raised by :meth:`submit`."""


class Engine(Protocol):
    """Where calls are made.

    Attributes
    ----------
    in_threads : bool
        Whether functions run in threads of this process. They, tasks and results are pickled
        otherwise.
    is_local : bool
        Whether functions run on this machine, so that they may write into its files. Elsewhere
        they give back what is to be written.
    """

    in_threads: bool
    is_local: bool

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

    def tasks(
        self,
        initializer: Callable[..., None],
        context: tuple[Any, ...],
        *,
        workers: int,
        device: str = "cpu",
    ) -> Calls[Task, Any]:
        """Long tasks that compute with one thread each and write files.

        Parameters
        ----------
        initializer, context
            Called once in each process before its first task.
        workers : int
            Tasks at once; 0 or 1 does them in this process if the engine is local.
        device : str
        """

    def distributed(self, function: Callable[[], R], processes: int, device: str = "cpu") -> R:
        """Call a function in several processes at once, which talk by torch.distributed.

        Parameters
        ----------
        function : callable
            Saves its work and goes on from it: it is called again when a process dies.
        processes : int
        device : str
            ``cuda`` takes a card for each process.

        Returns
        -------
        What the first process gives.

        Raises
        ------
        OptionError
            When there is no room for so many.
        """


class LocalEngine:
    """Threads and processes of this machine; see :class:`Engine`.

    Parameters
    ----------
    in_threads : bool
        Whether calls are made in threads. Processes of one thread each are worth their start of a
        second or two when there is much to do: decoding consists of short calls into libraries,
        between which threads wait for Python's lock.
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
        """Calls in threads, or in processes."""
        n_workers = count_workers(workers)
        if self.in_threads:
            return ThreadCalls(make, n_workers, stop)
        from semisonic.core.processes import ProcessCalls

        return ProcessCalls(make, n_workers, capacity=TASKS_PER_WORKER * n_workers)

    def tasks(
        self,
        initializer: Callable[..., None],
        context: tuple[Any, ...],
        *,
        workers: int,
        device: str = "cpu",
    ) -> Calls[Task, Any]:
        """Tasks in processes, or here."""
        if workers <= 1:
            return SerialCalls(initializer, context)
        from semisonic.core.processes import ProcessCalls

        # Few are handed over at a time, so that an interrupt has little to undo.
        return ProcessCalls(TaskMaker(initializer, context), workers, capacity=workers + 1)

    def distributed(self, function: Callable[[], R], processes: int, device: str = "cpu") -> R:
        """Call the function here."""
        if processes > 1:
            raise OptionError(
                f"option 'processes': found {processes} with the engine 'local'; several processes "
                "that train one network are those of a cluster: add --engine ray (without "
                "--address it is this machine)"
            )
        return function()


LOCAL_ENGINE = LocalEngine()
PROCESS_ENGINE = LocalEngine(in_threads=False)


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

    Yields
    ------
    object
        The results.

    Examples
    --------
    >>> list(in_threads(len, ["one", "three"], ordered=True))
    [3, 5]
    """
    with LOCAL_ENGINE.calls(lambda: work, workers=workers, stop=stop) as calls:
        yield from (in_order if ordered else in_any_order)(calls, tasks)


@contextmanager
def open_engine(options: EngineOptions) -> Iterator[Engine]:
    """The engine that options name, for a block.

    Parameters
    ----------
    options : EngineOptions

    Yields
    ------
    Engine

    Raises
    ------
    OptionError
        When an address is given without ``ray``, when Ray is not installed, or when no cluster
        answers.
    """
    if options.engine == LOCAL:
        if options.address is not None:
            raise OptionError(
                f"option 'address': found '{options.address}' with the engine 'local'; an address "
                "is that of a Ray cluster: add --engine ray"
            )
        yield LOCAL_ENGINE
        return
    from semisonic.core.cluster import ray_engine

    with ray_engine(options.address) as engine:
        yield engine
