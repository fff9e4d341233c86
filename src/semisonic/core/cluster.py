"""Calls on a Ray cluster, and the engine that options name.

Every call is a Ray task with one processor. If a node dies, Ray repeats its calls elsewhere, and
each result is used once. So calls must only return results, or write files under temporary names
and move them. Ray is imported when it is used.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import socket
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any, TypeVar

from semisonic.core.errors import OptionError, SemisonicError
from semisonic.core.options import LOCAL, EngineOptions
from semisonic.core.parallel import LOCAL_ENGINE, Calls, Engine
from semisonic.core.plugins import with_plugins

T = TypeVar("T")
R = TypeVar("R")

RETRIES = 5
"""Number of times that a call is repeated when its node or its process dies."""
CALLS_PER_CPU = 2
"""Calls that run or are ready to start, per processor, so that none waits for the driver."""
_LOOK_EVERY = 5.0  # seconds between two looks at the size of the cluster, which may grow
_KNOCK = 10.0  # seconds for a cluster to answer
_PATIENCE = 1.0  # seconds in which calls may end by themselves
_GRACE = 60.0  # seconds that calls which are given up have to end, for a training to be saved


@contextmanager
def open_engine(options: EngineOptions) -> Iterator[Engine]:
    """The engine that options name, for the length of a block.

    A program that is already connected to Ray stays connected, whatever the address.

    Raises
    ------
    OptionError
        When an address is given without ``ray``, when Ray is not installed or does not start, or
        when no cluster answers.
    """
    if options.engine == LOCAL:
        if options.address is not None:
            raise OptionError(
                f"option 'address': found '{options.address}' with the engine 'local'; an "
                "address needs a Ray cluster: add --engine ray"
            )
        yield LOCAL_ENGINE
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise OptionError(
            "option 'engine': found 'ray', but Ray is not installed; run pip install "
            "'semisonic[cluster]' on every machine of the cluster, or use 'local'"
        ) from error
    if ray.is_initialized():
        yield RayEngine(ray)
        return
    where = options.address or os.environ.get("RAY_ADDRESS") or "local"
    more = {"include_dashboard": False} if where == "local" else {}
    host, _, port = where.removeprefix("ray://").partition("/")[0].rpartition(":")
    try:
        if host and port.isdecimal():  # where nobody listens, Ray would try for minutes
            socket.create_connection((host, int(port)), _KNOCK).close()
        ray.init(address=where, log_to_driver=False, logging_level="ERROR", **more)
    except Exception as error:  # Ray raises a bare one when a start takes too long
        if where == "local":
            raise OptionError(
                f"option 'engine': Ray did not start on this machine ({_first_line(error)}). If "
                "the machine is busy, run the same command later, or use the engine 'local'"
            ) from error
        raise OptionError(
            f"option 'address': no Ray cluster answers at '{where}' ({_first_line(error)}). 'ray "
            "start --head' starts a cluster; 'ray status' shows a running one. A cluster that "
            "requires a token needs the variable RAY_AUTH_MODE=token and the file "
            "~/.ray/auth_token"
        ) from error
    try:
        yield RayEngine(ray)
    finally:
        ray.shutdown()


class RayEngine(Engine):
    """Calls on the cluster that this process is connected to."""

    is_local = False

    def __init__(self, ray: Any) -> None:
        super().__init__(in_threads=False)
        self._ray = ray

    def calls(
        self,
        make: Callable[[], Callable[[T], R]],
        *,
        workers: int | None = None,
        device: str = "cpu",
        stop: Event | None = None,
    ) -> Calls[T, R]:
        """Calls by Ray tasks."""
        return RayCalls(self._ray, make, workers, device)


class RayCalls(Calls[T, R]):
    """Calls by Ray tasks."""

    def __init__(
        self, ray: Any, make: Callable[[], Callable[[T], R]], workers: int | None, device: str
    ) -> None:
        self._ray, self._asked = ray, workers
        # with the folder, so that paths mean there what they mean here
        self._holder = [ray.put((os.getcwd(), with_plugins(make)))]
        self._resource = "GPU" if device.startswith("cuda") else "CPU"
        if not ray.cluster_resources().get(self._resource, self._resource == "CPU"):
            raise OptionError(
                f"option 'device': found '{device}', but no node of the Ray cluster has a "
                "graphics card; use 'cpu'"
            )
        self._remote = ray.remote(call_in_ray_task).options(
            num_cpus=1, num_gpus=int(self._resource == "GPU"), max_retries=RETRIES
        )
        self._open: set[Any] = set()
        self._capacity, self._looked = 0, -math.inf

    @property
    def capacity(self) -> int:
        """Twice the processors (or graphics cards) of the cluster, or the number requested."""
        if self._asked:
            return self._asked
        if time.monotonic() - self._looked > _LOOK_EVERY:
            there = self._ray.cluster_resources().get(self._resource, 1)
            self._capacity, self._looked = CALLS_PER_CPU * max(1, int(there)), time.monotonic()
        return self._capacity

    def __exit__(self, *_: object) -> None:
        if self._ray.is_initialized():  # else it was left late, and everything has ended already
            _cancel(self._ray, self._open)
            self._holder.clear()

    def submit(self, task: T) -> Any:
        """Start a call."""
        future = self._remote.remote(self._holder, task)
        self._open.add(future)
        return future

    def wait(self, futures: Collection[Any]) -> Collection[Any]:
        """The finished calls, at least one."""
        done: list[Any] = self._ray.wait(list(futures), num_returns=1)[0]
        return done

    def result(self, future: Any) -> R:
        """The result of a call."""
        self._open.discard(future)
        errors = self._ray.exceptions
        try:
            result: R = self._ray.get(future)
        except errors.RayTaskError as error:
            if isinstance(error.cause, SemisonicError):
                raise error.cause from error
            raise
        except errors.RayError as error:
            raise SemisonicError(
                f"a call on the cluster was started {RETRIES + 1} times and failed each time "
                "without an error message, usually because memory ran out or nodes were lost "
                f"({_first_line(error)}); run the command again: finished work is kept"
            ) from error
        return result


def _cancel(ray: Any, calls: Collection[Any]) -> None:
    """Cancel running calls, but let those end that are about to.

    Ray ends this whole process when a call is cancelled at the moment in which its result arrives
    (as of Ray 2.60). So short calls are never cancelled, and long ones hardly ever meet that
    moment.
    """
    left = list(calls)
    for seconds in (_PATIENCE, _GRACE):
        left = ray.wait(left, num_returns=len(left), timeout=seconds)[1] if left else []
        for call in left if seconds == _PATIENCE else ():
            ray.cancel(call, force=False)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


_made: dict[str, Callable[[Any], Any]] = {}


def call_in_ray_task(holder: list[Any], task: Any) -> Any:
    """Call the function that ``holder`` refers to, in a worker.

    Parameters
    ----------
    holder : list of one ObjectRef
        A reference to a folder and to what makes the function. In a list, Ray keeps it a
        reference, so each process fetches it once, not with each call.
    task : object
        The argument.
    """
    import ray

    key = holder[0].hex()
    if key not in _made:
        _made.clear()  # a worker has one function at a time, which may hold a large network
        folder, make = ray.get(holder[0])
        with contextlib.suppress(OSError):  # a node without this folder: whole paths still hold
            os.chdir(folder)
        _made[key] = make()
    return _made[key](task)
