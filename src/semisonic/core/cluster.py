"""Calls on a Ray cluster.

Every call is a Ray task with one processor. A call whose node dies is made again elsewhere by Ray,
and its result is taken once: so calls must only give back results, or write files under temporary
names and move them. Ray is imported when it is used.
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
from typing import Any, Generic, TypeVar

from semisonic.core.errors import OptionError, SemisonicError
from semisonic.core.parallel import Calls, Task, TaskMaker
from semisonic.core.plugins import with_plugins

_made: dict[str, Callable[[Any], Any]] = {}


def call_in_ray_task(holder: list[Any], task: Any) -> Any:
    """Call the function that ``holder`` refers to.

    Parameters
    ----------
    holder : list of one ObjectRef
        Of a folder and of what makes the function. In a list Ray leaves it a reference, so that
        it is fetched once by each process, not with each call.
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


def free_address() -> tuple[str, int]:
    """The address of this node and a port that is free there now."""
    util: Any = importlib.import_module("ray.util")
    with socket.socket() as found:
        found.bind(("", 0))
        return util.get_node_ip_address(), found.getsockname()[1]


def run_rank(holder: list[Any], where: tuple[str, int], rank: int, size: int) -> Any:
    """Call a function as one of several processes; what it gives in the first of them.

    Parameters
    ----------
    holder : list of one ObjectRef
        Of a folder and the function.
    where : (str, int)
        Where the first process listens.
    rank, size : int
    """
    import ray
    import torch
    from torch import distributed

    folder, function = ray.get(holder[0])
    with contextlib.suppress(OSError):
        os.chdir(folder)
    own = {
        "MASTER_ADDR": where[0],
        "MASTER_PORT": str(where[1]),
        "WORLD_SIZE": str(size),
        "RANK": str(rank),
        "LOCAL_RANK": "0",  # Ray shows a process its own card only
    }
    torch.set_num_threads(1)
    os.environ.update(own)
    try:
        result = function()
        return result if rank == 0 else None
    finally:
        for name in own:  # Ray gives this process other work afterwards
            del os.environ[name]
        if distributed.is_initialized():
            distributed.destroy_process_group()


_PATIENCE = 1.0  # seconds in which calls may end by themselves


def cancel_calls(ray: Any, calls: Collection[Any], grace: float, *, force: bool = False) -> None:
    """End what is under way; what is about to end by itself is let to.

    Ray ends this whole process when a call is cancelled in the very instant in which its result
    arrives (as of Ray 2.60). So short calls are never cancelled, and long ones hardly ever meet
    that instant.

    Parameters
    ----------
    ray : module
    calls : collection of ObjectRef
    grace : float
        Seconds that a cancelled call has to end.
    force : bool
        End the processes of the calls, in place of a ``KeyboardInterrupt`` in them.
    """
    left = _left(ray, calls, _PATIENCE)
    for call in left:
        ray.cancel(call, force=force)
    _left(ray, left, grace)


def _left(ray: Any, calls: Collection[Any], seconds: float) -> list[Any]:
    """The calls that are still under way some time later, unless all end before."""
    if not calls:
        return []
    left: list[Any] = ray.wait(list(calls), num_returns=len(calls), timeout=seconds)[1]
    return left


R = TypeVar("R")

TRIES = 3
_PLACES = 60.0  # seconds to wait for places
_SAVE = 60.0  # seconds that the first process has to save its work when it is interrupted


def run_distributed(ray: Any, function: Callable[[], R], processes: int, *, on_card: bool) -> R:
    """Call a function in several processes; what the first of them gives.

    The processes find each other as those of ``torchrun`` do, by variables of their environment.
    They are Ray tasks that get their places all at once or not at all. When one of them dies, the
    others cannot go on: all are ended and begun again, and go on from what the function has saved.

    Parameters
    ----------
    ray : module
    function : callable
        Saves its work, so that it goes on when it is called again.
    processes : int
    on_card : bool
        Whether each process takes a card.

    Raises
    ------
    OptionError
        When the cluster has no places for them.
    SemisonicError
        When processes died again and again.
    """
    from ray.util.placement_group import placement_group, remove_placement_group

    bundle = {"CPU": 1, **({"GPU": 1} if on_card else {})}
    group = placement_group([bundle] * processes, strategy="PACK")
    try:
        if not group.wait(_PLACES):
            there = ray.cluster_resources()
            raise OptionError(
                f"option 'processes': found {processes}, but the Ray cluster has no room for so "
                f"many at once (it has {there.get('CPU', 0):g} processors and "
                f"{there.get('GPU', 0):g} cards); give fewer, or add nodes"
            )
        held = ray.put((os.getcwd(), function))
        for _ in range(TRIES):
            try:
                return _once(ray, held, group, bundle, processes)  # type: ignore[no-any-return]
            except ConnectionError as error:
                died = error
        raise SemisonicError(
            f"processes that train together died {TRIES} times ({died}); run again: it goes on "
            "from the last checkpoint"
        ) from died
    finally:
        remove_placement_group(group)


def _once(ray: Any, held: Any, group: Any, bundle: dict[str, int], processes: int) -> Any:
    """One try; ConnectionError when a process died."""
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    def at(place: int, function: Callable[..., Any]) -> Any:
        strategy = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=place)
        return ray.remote(function).options(
            num_cpus=1, num_gpus=bundle.get("GPU", 0), max_retries=0, scheduling_strategy=strategy
        )

    errors = ray.exceptions
    begun: list[Any] = []
    try:
        where = ray.get(at(0, free_address).remote())
        begun += [
            at(rank, run_rank).remote([held], where, rank, processes) for rank in range(processes)
        ]
        waiting = list(begun)
        while waiting:
            done, waiting = ray.wait(waiting, num_returns=1)
            ray.get(done)  # the first error is that of the process that had it
        return ray.get(begun[0])
    except errors.RayTaskError as error:
        if isinstance(error.cause, SemisonicError):
            raise error.cause from error
        if _lost(ray, begun):
            raise ConnectionError(str(error.cause)) from error
        raise
    except errors.RayError as error:
        raise ConnectionError(type(error).__name__) from error
    except KeyboardInterrupt:
        if begun:
            ray.cancel(begun[0], force=False)  # it saves; the others wait for it meanwhile
            ray.wait(begun[:1], timeout=_SAVE)
        raise
    finally:
        cancel_calls(ray, begun, _SAVE, force=True)


def _lost(ray: Any, begun: list[Any]) -> bool:
    """Whether a process died, so that the error of another is only that it was left alone."""
    ready, _ = ray.wait(begun, num_returns=len(begun), timeout=5.0)
    for one in ready:
        try:
            ray.get(one)
        except ray.exceptions.RayTaskError:
            continue
        except ray.exceptions.RayError:
            return True
    return False


T = TypeVar("T")


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
def ray_engine(address: str | None) -> Iterator[RayEngine]:
    """An engine on the cluster at an address, or on a Ray of this machine.

    A program that is connected to Ray already stays so, whatever the address.

    Parameters
    ----------
    address : str or None
        As ``EngineOptions.address``.

    Yields
    ------
    RayEngine

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

    def distributed(self, function: Callable[[], R], processes: int, device: str = "cpu") -> R:
        """One function in several processes."""
        return run_distributed(self._ray, function, processes, on_card=device.startswith("cuda"))


class RayCalls(Generic[T, R]):
    """Calls by Ray tasks; see :class:`semisonic.core.parallel.Calls`."""

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
        self._call = ray.remote(call_in_ray_task).options(
            num_cpus=1, num_gpus=int(self._on_card), max_retries=RETRIES
        )
        self._open: set[Any] = set()
        self._capacity, self._looked = 0, -math.inf

    @property
    def capacity(self) -> int:
        """Twice the processors (or cards) of the cluster, or as many calls as were asked for."""
        if self._workers:
            return self._workers
        if time.monotonic() - self._looked > _LOOK_EVERY:
            there = self._ray.cluster_resources().get("GPU" if self._on_card else "CPU", 1)
            self._capacity, self._looked = CALLS_PER_CPU * max(1, int(there)), time.monotonic()
        return self._capacity

    def __enter__(self) -> RayCalls[T, R]:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._ray.is_initialized():  # left late, and everything has ended already
            return
        cancel_calls(self._ray, self._open, _GRACE)
        self._open.clear()
        self._holder.clear()

    def submit(self, task: T) -> Any:
        """Begin a call."""
        future = self._call.remote(self._holder, task)
        self._open.add(future)
        return future

    def wait(self, futures: Collection[Any]) -> Collection[Any]:
        """Those that are finished, at least one."""
        done: list[Any] = self._ray.wait(list(futures), num_returns=1)[0]
        return done

    def result(self, future: Any) -> R:
        """What a call gave."""
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
                f"a call on the cluster was begun {RETRIES + 1} times and ended each time without "
                f"a word, most often because memory ran out or nodes were lost "
                f"({_first_line(error)}); run again: finished work is kept"
            ) from error
        return result


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
