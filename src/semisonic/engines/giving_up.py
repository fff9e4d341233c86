"""Give up calls that a Ray cluster still makes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

_PATIENCE = 1.0  # seconds in which calls may end by themselves


def give_up(ray: Any, calls: Collection[Any], grace: float, *, force: bool = False) -> None:
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
