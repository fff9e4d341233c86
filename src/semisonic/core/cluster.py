"""Calls on a Ray cluster, and the engine that options name.

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
from typing import Any, TypeVar

from semisonic.core.errors import OptionError, SemisonicError
from semisonic.core.options import LOCAL, EngineOptions
from semisonic.core.parallel import LOCAL_ENGINE, Calls, Engine
from semisonic.core.plugins import with_plugins

T = TypeVar("T")
R = TypeVar("R")

RETRIES = 5
"""Times that a call is made again when its node or its process dies."""
CALLS_PER_CPU = 2
"""Calls under way or ready to begin, so that no processor waits for the driver."""
TRIES = 3
"""Times that processes which train together are begun."""
_LOOK_EVERY = 5.0  # seconds between two looks at the size of the cluster, which may grow
_KNOCK = 10.0  # seconds for a cluster to answer
_PLACES = 60.0  # seconds to wait for places
_PATIENCE = 1.0  # seconds in which calls may end by themselves
_GRACE = 60.0  # seconds that calls which are given up have to end, for a training to be saved


@contextmanager
def open_engine(options: EngineOptions) -> Iterator[Engine]:
    """The engine that options name, for a block.

    A program that is connected to Ray already stays so, whatever the address.

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
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise OptionError(
            "option 'engine': found 'ray', but Ray is not installed; pip install "
            "'semisonic[cluster]' (on every machine of the cluster), or take 'local'"
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

    def distributed(self, function: Callable[[], R], processes: int, device: str = "cpu") -> R:
        """One function in several processes, which find each other as those of ``torchrun`` do.

        They are Ray tasks that get their places all at once or not at all. When one of them dies,
        the others cannot go on: all are ended and begun again.
        """
        from ray.util.placement_group import placement_group, remove_placement_group

        ray, n_cards = self._ray, int(device.startswith("cuda"))
        place = {"CPU": 1, "GPU": 1} if n_cards else {"CPU": 1}
        group = placement_group([place] * processes, strategy="PACK")
        try:
            if not group.wait(_PLACES):
                there = ray.cluster_resources()
                raise OptionError(
                    f"option 'processes': found {processes}, but the Ray cluster has no room for "
                    f"so many at once (it has {there.get('CPU', 0):g} processors and "
                    f"{there.get('GPU', 0):g} cards); give fewer, or add nodes"
                )
            held = ray.put((os.getcwd(), function))
            for _ in range(TRIES):
                try:
                    result: R = _together(ray, held, group, n_cards, processes)
                except ConnectionError as error:
                    died = error
                    continue
                return result
            raise SemisonicError(
                f"processes that train together died {TRIES} times ({died}); run again: it goes on "
                "from the last checkpoint"
            ) from died
        finally:
            remove_placement_group(group)


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
                f"option 'device': found '{device}', but no node of the Ray cluster has a card; "
                "take 'cpu'"
            )
        self._remote = ray.remote(call_in_ray_task).options(
            num_cpus=1, num_gpus=int(self._resource == "GPU"), max_retries=RETRIES
        )
        self._open: set[Any] = set()
        self._capacity, self._looked = 0, -math.inf

    @property
    def capacity(self) -> int:
        """Twice the processors (or cards) of the cluster, or as many calls as were asked for."""
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
        """Begin a call."""
        future = self._remote.remote(self._holder, task)
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


def _cancel(ray: Any, calls: Collection[Any], *, force: bool = False) -> None:
    """End what is under way; what is about to end by itself is let to.

    Ray ends this whole process when a call is cancelled in the very instant in which its result
    arrives (as of Ray 2.60). So short calls are never cancelled, and long ones hardly ever meet
    that instant. ``force`` ends their processes, in place of a ``KeyboardInterrupt`` in them.
    """
    left = list(calls)
    for seconds in (_PATIENCE, _GRACE):
        left = ray.wait(left, num_returns=len(left), timeout=seconds)[1] if left else []
        for call in left if seconds == _PATIENCE else ():
            ray.cancel(call, force=force)


def _together(ray: Any, held: Any, group: Any, n_cards: int, processes: int) -> Any:
    """One try of a function in several processes; ConnectionError when a process died."""
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    def at(place: int, function: Callable[..., Any]) -> Any:
        strategy = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=place)
        return ray.remote(function).options(
            num_cpus=1, num_gpus=n_cards, max_retries=0, scheduling_strategy=strategy
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
        if _has_died(ray, begun):
            raise ConnectionError(str(error.cause)) from error
        raise
    except errors.RayError as error:
        raise ConnectionError(type(error).__name__) from error
    except KeyboardInterrupt:
        if begun:
            ray.cancel(begun[0], force=False)  # it saves; the others wait for it meanwhile
            ray.wait(begun[:1], timeout=_GRACE)
        raise
    finally:
        _cancel(ray, begun, force=True)


def _has_died(ray: Any, begun: list[Any]) -> bool:
    """Whether a process died, so that the error of another is only that it was left alone."""
    for one in ray.wait(begun, num_returns=len(begun), timeout=5.0)[0]:
        try:
            ray.get(one)
        except ray.exceptions.RayTaskError:
            continue
        except ray.exceptions.RayError:
            return True
    return False


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


# In the workers. What they take stands in a list: in it Ray leaves it a reference, so that it is
# fetched once by each process, not with each call.


_made: dict[str, Callable[[Any], Any]] = {}


def call_in_ray_task(holder: list[Any], task: Any) -> Any:
    """Call the function that the folder and the maker in ``holder`` give."""
    key = holder[0].hex()
    if key not in _made:
        _made.clear()  # a worker has one function at a time, which may hold a large network
        _made[key] = _fetched(holder)()
    return _made[key](task)


def _fetched(holder: list[Any]) -> Callable[[], Any]:
    """The function that a holder refers to, after the step into its folder."""
    import ray

    folder, function = ray.get(holder[0])
    with contextlib.suppress(OSError):  # a node without this folder: whole paths still hold
        os.chdir(folder)
    found: Callable[[], Any] = function
    return found


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
    import torch
    from torch import distributed

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
        result = _fetched(holder)()
        return result if rank == 0 else None
    finally:
        for name in own:  # Ray gives this process other work afterwards
            del os.environ[name]
        if distributed.is_initialized():
            distributed.destroy_process_group()
