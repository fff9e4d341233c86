"""Several processes that train one network together, when launched by ``torchrun``.

Each process reads its share of every batch; torch's DistributedDataParallel averages the
gradients. Validation, files and progress are the first process's business. Without
``torchrun`` all of this is one process that talks to nobody.
"""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class World:
    """The processes that train together, seen from one of them."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module whose backward pass averages gradients over all processes."""
        return DistributedDataParallel(module) if self.size > 1 else module

    def share(self, n_rows: int, device: torch.device) -> float | Tensor:
        """What to multiply a mean over this process's rows by before gradients are averaged.

        It is 1 where all processes have equally many rows. In a last, uneven batch it makes
        every row count the same.
        """
        if self.size == 1:
            return 1.0
        total = torch.tensor(float(n_rows), device=device)
        distributed.all_reduce(total)
        return n_rows * self.size / total

    def sum(self, values: list[float], device: torch.device) -> list[float]:
        """Each value summed over all processes."""
        if self.size == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64, device=device)
        distributed.all_reduce(total)
        return cast("list[float]", total.tolist())

    def tell(self, value: Any) -> Any:
        """The value that the first process has, in all of them."""
        if self.size == 1:
            return value
        told = [value]
        distributed.broadcast_object_list(told, src=0)
        return told[0]

    def equalise(self, module: nn.Module) -> None:
        """Give all processes the weights and buffers of the first."""
        if self.size > 1:
            for tensor in module.state_dict().values():
                distributed.broadcast(tensor, src=0)

    def wait(self) -> None:
        """Return when all processes have come here."""
        if self.size > 1:
            distributed.barrier()


def join(device: torch.device) -> World:
    """Join the processes that ``torchrun`` started, if it did; they stay joined until exit."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return World()
    if not distributed.is_initialized():
        if device.type == "cuda":
            torch.cuda.set_device(device)
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(_leave)
    return World(distributed.get_rank(), distributed.get_world_size())


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()
