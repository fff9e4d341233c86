"""A training by as many processes as were asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from semisonic.engines import Engine, TrainEngineOptions

Outcome = TypeVar("Outcome")


def trained(
    training: Callable[..., Outcome], where: TrainEngineOptions, engine: Engine, device: str
) -> Outcome:
    """Call a training here, or in several processes of the engine.

    Parameters
    ----------
    training : callable
        Takes ``device``; goes on from its checkpoint when it is called again.
    where : TrainEngineOptions
    engine : Engine
    device : str
        In several processes "auto" is the processor.
    """
    if where.processes == 1:
        return training(device=device)
    place = "cpu" if device == "auto" else device
    return engine.together(partial(training, device=place), where.processes, place)
