"""How much of the machine there is for this process, and how much of it a piece of work takes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_entering = threading.Lock()
_inside = 0
_limit: Any = None


def n_processors() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within the block the matrix products of numpy and scipy take one thread.

    A solver that makes thousands of small products loses by more: the threads wait for each other
    at each product, and on a machine that does other things, too, mostly for a processor. The
    limit holds for the whole process; it ends when the last block does that was entered meanwhile.
    """
    from threadpoolctl import ThreadpoolController

    global _inside, _limit
    with _entering:
        if not _inside:
            _limit = ThreadpoolController().limit(limits=1, user_api="blas")
        _inside += 1
    try:
        yield
    finally:
        with _entering:
            _inside -= 1
            if not _inside:
                _limit.restore_original_limits()
