"""The losses of an epoch, gathered without making the device wait at every step.

Reading a number off a graphics card stops it until it has caught up. So the scalars of the
steps are kept on the device and read together, a few times per second at most. Each step's
value is still seen, so a loss that is not finite is reported with the step it began at.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from semisonic.base.errors import TrainingError
from semisonic.training.distributed import World

READ_EVERY = 0.25  # seconds
READ_STEPS = 256  # at most so many steps unread


class EpochMeter:
    """Means of the loss and its terms over the steps of an epoch, weighted by their rows."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.sums: list[float] = []
        self.n_rows = 0
        self.latest = math.nan
        self._unread: list[tuple[int, int, float, list[Tensor]]] = []
        self._read_at = time.monotonic()

    def add(self, step: int, n_rows: int, rate: float, terms: Mapping[str, Tensor]) -> None:
        """Take in the scalars of a step, still on the device."""
        if not self.names:
            self.names = list(terms)
            self.sums = [0.0] * len(self.names)
        self._unread.append((step, n_rows, rate, [terms[name].detach() for name in self.names]))

    def is_due(self) -> bool:
        """Whether it is time to read."""
        return time.monotonic() - self._read_at >= READ_EVERY or len(self._unread) >= READ_STEPS

    def read(self) -> int:
        """Read what was added since the last time; give the number of steps.

        Raises
        ------
        TrainingError
            When a value is not finite: the step, the term and the learning rate.
        """
        self._read_at = time.monotonic()
        if not self._unread:
            return 0
        flat = [term.reshape(()).float() for _, _, _, terms in self._unread for term in terms]
        values = torch.stack(flat).tolist()
        n_steps, width = len(self._unread), len(self.names)
        for i, (step, n_rows, rate, _) in enumerate(self._unread):
            row = values[i * width : (i + 1) * width]
            for j, value in enumerate(row):
                if not math.isfinite(value):
                    raise NotFinite(step, self.names[j], value, rate)
                self.sums[j] += value * n_rows
            self.n_rows += n_rows
            self.latest = row[self.names.index("loss")]
        self._unread.clear()
        return n_steps

    def means(self, world: World, device: torch.device) -> dict[str, float]:
        """Read the rest; means over all rows of the epoch, of all processes together."""
        self.read()
        *sums, n_rows = world.sum([*self.sums, float(self.n_rows)], device)
        return {name: value / n_rows for name, value in zip(self.names, sums, strict=True)}

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold; :meth:`read` before."""
        return {"names": self.names, "sums": self.sums, "n_rows": self.n_rows}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.names, self.sums = list(state["names"]), list(state["sums"])
        self.n_rows = state["n_rows"]


class NotFinite(TrainingError):
    """A loss or term that became infinite or not a number, and at which step."""

    def __init__(self, step: int, term: str, value: float, rate: float) -> None:
        self.step, self.term, self.value, self.rate = step, term, value, rate
        super().__init__(f"step {step}: the term '{term}' became {value}")
