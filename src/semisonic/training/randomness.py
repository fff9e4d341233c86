"""Torch's global random numbers during a training: seeded for every step, then given back.

Dropout and the like draw from the global generator. It is seeded from the seed, the step
and the process number before each step, so that a step draws the same numbers whether or
not the training was interrupted before it, and whatever was drawn in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def kept_randomness(device: torch.device) -> Iterator[None]:
    """Within the block random numbers may be drawn; after it the global state is as before."""
    cards = [device.index or 0] if device.type == "cuda" else []
    metal = torch.mps.get_rng_state() if device.type == "mps" else None
    try:
        with torch.random.fork_rng(devices=cards):
            yield
    finally:
        if metal is not None:
            torch.mps.set_rng_state(metal)


def seed_torch(seed: int, device: torch.device) -> None:
    """Seed the global generators of the processor and of ``device``."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
