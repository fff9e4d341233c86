"""The interface of an engine, the local one, and how the options' engine is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any, Protocol, TypeVar

from semisonic.base.errors import OptionError
from semisonic.engines.calls import Calls, Task
from semisonic.engines.options import LOCAL, EngineOptions
from semisonic.engines.tasks import TaskMaker
from semisonic.engines.threads import (
    TASKS_PER_WORKER,
    OwnCalls,
    ThreadCalls,
    count_workers,
)

T = TypeVar("T")
R = TypeVar("R")


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

    def together(self, function: Callable[[], R], processes: int, device: str = "cpu") -> R:
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
        from semisonic.engines.processes import ProcessCalls

        return ProcessCalls(make, n_workers, room=TASKS_PER_WORKER * n_workers)

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
            return OwnCalls(initializer, context)
        from semisonic.engines.processes import ProcessCalls

        # Few are handed over at a time, so that an interrupt has little to undo.
        return ProcessCalls(TaskMaker(initializer, context), workers, room=workers + 1)

    def together(self, function: Callable[[], R], processes: int, device: str = "cpu") -> R:
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


def spread(engine: Engine, n: int, worth: int, workers: int | None = None) -> Engine:
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


@contextmanager
def open_engine(options: EngineOptions) -> Iterator[Engine]:
    """The engine that options name, for a block.

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
    from semisonic.engines.cluster import connected

    with connected(options.address) as engine:
        yield engine
