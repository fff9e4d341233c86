"""The options that say where the work is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from semisonic.base.options import option

LOCAL, RAY = "local", "ray"


def workers_option() -> Any:
    """A field of options: how many decode at once."""
    return option(
        None, "threads that decode, or processes for long work; by default one per core", minimum=1
    )


@dataclass(frozen=True)
class EngineOptions:
    """Where the work is done. No result depends on it, so a run goes on with another engine."""

    engine: str = option(
        LOCAL, "local: threads and processes of this machine; ray: calls on a Ray cluster (needs "
        "'semisonic[cluster]')", choices=(LOCAL, RAY),
    )  # fmt: skip
    address: str | None = option(
        None, "Ray cluster that is there: auto, HOST:PORT or ray://HOST:PORT; if not given, what "
        "the variable RAY_ADDRESS says, else a Ray of this machine, which ends with the command"
    )  # fmt: skip


@dataclass(frozen=True)
class TrainEngineOptions(EngineOptions):
    """Where a training is done, and by how many processes."""

    processes: int = option(
        1, "processes that train the one network together (distributed data parallel), each with "
        "its share of every batch; more than 1 need the engine ray", minimum=1,
    )  # fmt: skip
