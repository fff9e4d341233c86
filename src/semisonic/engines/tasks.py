"""Long tasks as calls of one function, for engines that work in other processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from semisonic.engines.calls import Task


class TaskMaker:
    """Makes the function that does tasks, once the process is prepared for them.

    Parameters
    ----------
    initializer, context
        Called once in each process before its first task.
    """

    def __init__(self, initializer: Callable[..., None], context: tuple[Any, ...]) -> None:
        self._initializer, self._context = initializer, context

    def __call__(self) -> Callable[[Task], None]:
        """Prepare this process."""
        import torch

        torch.set_num_threads(1)
        self._initializer(*self._context)
        return perform


def perform(task: Task) -> None:
    """Do one task."""
    task.function(*task.arguments)
