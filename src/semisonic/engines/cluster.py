"""The engine that makes its calls on a Ray cluster.

Every call is a Ray task with one processor. A call whose node dies is made again elsewhere by
Ray, and its result is taken once: so calls must only give back results, or write files under
temporary names and move them. Ray is imported when it is used.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any, Generic, TypeVar

from semisonic.base.errors import OptionError, SemisonicError
from semisonic.base.plugins import with_plugins
from semisonic.engines import remote
from semisonic.engines.calls import Calls, Task
from semisonic.engines.giving_up import give_up
from semisonic.engines.tasks import TaskMaker
from semisonic.engines.together import run_together

T = TypeVar("T")
R = TypeVar("R")

RETRIES = 5
"""Times that a call is made again when its node or its process dies."""
CALLS_PER_CPU = 2
"""Calls under way or ready to begin, so that no processor waits for the driver."""
_LOOK_EVERY = 5.0  # seconds between two looks at the size of the cluster, which may grow
_KNOCK = 10.0  # seconds for a cluster to answer
_GRACE = 60.0  # seconds that calls which are given up have to end, for a training to be saved


def import_ray() -> Any:
    """The package ``ray``, quiet and without telemetry.

    Raises
    ------
    OptionError
        When it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise OptionError(
            "option 'engine': found 'ray', but Ray is not installed; pip install "
            "'semisonic[cluster]' (on every machine of the cluster), or take 'local'"
        ) from error
    return ray


@contextmanager
def connected(address: str | None) -> Iterator[RayEngine]:
    """An engine on the cluster at an address, or on a Ray of this machine.

    A program that is connected to Ray already stays so, whatever the address.

    Raises
    ------
    OptionError
        When Ray is not installed, or no cluster answers.
    """
    ray = import_ray()
    if ray.is_initialized():
        yield RayEngine(ray)
        return
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    more = {"include_dashboard": False} if where == "local" else {}
    try:
        _knock(where)
        ray.init(address=where, log_to_driver=False, logging_level="ERROR", **more)
    except (OSError, RuntimeError, ValueError, ImportError) as error:
        raise OptionError(
            f"option 'address': no Ray cluster answers at '{where}' ({_first_line(error)}). "
            "'ray start --head' starts one; 'ray status' tells of one that is there; one that asks "
            "for a token needs the variable RAY_AUTH_MODE=token and the file ~/.ray/auth_token"
        ) from error
    try:
        yield RayEngine(ray)
    finally:
        ray.shutdown()


def _knock(where: str) -> None:
    """Raise OSError when nobody listens at HOST:PORT, which Ray would try for minutes."""
    host, _, port = where.removeprefix("ray://").partition("/")[0].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), _KNOCK).close()


class RayEngine:
    """Calls on the cluster that this process is connected to; see :class:`Engine`."""

    in_threads = is_local = False

    def __init__(self, ray: Any) -> None:
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

    def tasks(
        self,
        initializer: Callable[..., None],
        context: tuple[Any, ...],
        *,
        workers: int,
        device: str = "cpu",
    ) -> Calls[Task, Any]:
        """Tasks by Ray tasks."""
        return RayCalls(self._ray, TaskMaker(initializer, context), workers, device)

    def together(self, function: Callable[[], R], processes: int, device: str = "cpu") -> R:
        """One function in several processes."""
        return run_together(self._ray, function, processes, on_card=device.startswith("cuda"))


class RayCalls(Generic[T, R]):
    """Calls by Ray tasks; see :class:`semisonic.engines.Calls`."""

    def __init__(
        self, ray: Any, make: Callable[[], Callable[[T], R]], workers: int | None, device: str
    ) -> None:
        self._ray, self._workers = ray, workers
        self._holder = [
            ray.put((os.getcwd(), with_plugins(make)))
        ]  # paths mean there what they mean here
        self._on_card = device.startswith("cuda")
        if self._on_card and not ray.cluster_resources().get("GPU"):
            raise OptionError(
                f"option 'device': found '{device}', but no node of the Ray cluster has a card; "
                "take 'cpu'"
            )
        self._call = ray.remote(remote.call).options(
            num_cpus=1, num_gpus=int(self._on_card), max_retries=RETRIES
        )
        self._open: set[Any] = set()
        self._room, self._looked = 0, -math.inf

    @property
    def room(self) -> int:
        """Twice the processors (or cards) of the cluster, or as many calls as were asked for."""
        if self._workers:
            return self._workers
        if time.monotonic() - self._looked > _LOOK_EVERY:
            there = self._ray.cluster_resources().get("GPU" if self._on_card else "CPU", 1)
            self._room, self._looked = CALLS_PER_CPU * max(1, int(there)), time.monotonic()
        return self._room

    def __enter__(self) -> RayCalls[T, R]:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._ray.is_initialized():  # left late, and everything has ended already
            return
        give_up(self._ray, self._open, _GRACE)
        self._open.clear()
        self._holder.clear()

    def submit(self, task: T) -> Any:
        """Begin a call."""
        ticket = self._call.remote(self._holder, task)
        self._open.add(ticket)
        return ticket

    def wait(self, tickets: Collection[Any]) -> Collection[Any]:
        """Those that are finished, at least one."""
        done: list[Any] = self._ray.wait(list(tickets), num_returns=1)[0]
        return done

    def result(self, ticket: Any) -> R:
        """What a call gave."""
        self._open.discard(ticket)
        errors = self._ray.exceptions
        try:
            result: R = self._ray.get(ticket)
        except errors.RayTaskError as error:
            if isinstance(error.cause, SemisonicError):
                raise error.cause from error
            raise
        except errors.RayError as error:
            raise SemisonicError(
                f"a call on the cluster was begun {RETRIES + 1} times and ended each time without "
                f"a word, most often because memory ran out or nodes were lost "
                f"({_first_line(error)}); run again: finished work is kept"
            ) from error
        return result


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
