"""What a Ray worker does: make the function of a call once, then call it."""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
from collections.abc import Callable
from typing import Any

_made: dict[str, Callable[[Any], Any]] = {}


def call(holder: list[Any], task: Any) -> Any:
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


def meeting_point() -> tuple[str, int]:
    """The address of this node and a port that is free there now."""
    util: Any = importlib.import_module("ray.util")
    with socket.socket() as found:
        found.bind(("", 0))
        return util.get_node_ip_address(), found.getsockname()[1]


def join_in(holder: list[Any], where: tuple[str, int], rank: int, size: int) -> Any:
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
        "MASTER_ADDR": where[0], "MASTER_PORT": str(where[1]), "WORLD_SIZE": str(size),
        "RANK": str(rank), "LOCAL_RANK": "0",  # Ray shows a process its own card only
    }  # fmt: skip
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
