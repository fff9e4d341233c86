"""The jobs of an experiment, each after those it needs, wherever the engine does them.

On a GPU of this machine they run one after the other in this process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from semisonic.base.progress import bar
from semisonic.engines import LOCAL_ENGINE, Engine, Task, run_graph

__all__ = ["Task", "run_tasks"]


def run_tasks(
    tasks: Sequence[Task],
    *,
    workers: int,
    label: str,
    done: int = 0,
    initializer: Callable[..., None],
    context: tuple[Any, ...],
    engine: Engine = LOCAL_ENGINE,
    device: str = "cpu",
) -> None:
    """Run all tasks, each after those it names; the first error stops the rest.

    Parameters
    ----------
    tasks : sequence of Task
        ``after`` may name tasks that are not in the list: they count as done.
    workers : int
        Tasks at once; 0 or 1 runs everything in this process, on the local engine. On a cluster
        0 is as many as it has room for.
    label : str
        Text of the progress bar.
    done : int
        Tasks that an earlier run has finished, for the bar.
    initializer, context
        Called once in each process before its first task.
    engine : Engine
    device : str
        What each task computes on.

    Raises
    ------
    SemisonicError
        When a worker process was killed, most often for memory.
    """
    with (
        bar(len(tasks) + done, label, "job", initial=done) as shown,
        engine.tasks(initializer, context, workers=workers, device=device) as calls,
    ):
        run_graph(calls, tasks, shown.update)
