"""One function in several processes of a Ray cluster at once, which talk by torch.distributed.

The processes find each other as those of ``torchrun`` do, by variables of their environment. They
are Ray tasks that get their places all at once or not at all. When one of them dies, the others
cannot go on: all are ended and begun again, and go on from what the function has saved.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from semisonic.base.errors import OptionError, SemisonicError
from semisonic.engines import remote
from semisonic.engines.giving_up import give_up

R = TypeVar("R")

TRIES = 3
_PLACES = 60.0  # seconds to wait for places
_SAVE = 60.0  # seconds that the first process has to save its work when it is interrupted


def run_together(ray: Any, function: Callable[[], R], processes: int, *, on_card: bool) -> R:
    """Call a function in several processes; what the first of them gives.

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
        where = ray.get(at(0, remote.meeting_point).remote())
        begun += [
            at(rank, remote.join_in).remote([held], where, rank, processes)
            for rank in range(processes)
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
        give_up(ray, begun, _SAVE, force=True)


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
