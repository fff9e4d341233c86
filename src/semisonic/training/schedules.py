"""The course of the learning rate, as a function of the step number.

Papers: cosine, Loshchilov and Hutter 2017 (SGDR, without restarts); one-cycle, Smith and
Topin 2018, with the cosine-shaped rise and fall that fastai and torch use.

All but ``plateau`` are pure functions of the step, so a resumed training needs no state of
theirs. ``plateau`` remembers how often it fell and how long it has waited.
"""

from __future__ import annotations

import math
from typing import Any

from torch.optim import Optimizer

from semisonic.training.early_stopping import improves
from semisonic.training.optimisers import SCALE
from semisonic.training.options import FitOptions

ONECYCLE_RISE = 0.3  # share of all steps
ONECYCLE_START = 1 / 25  # of the highest rate
ONECYCLE_END = 1e-4  # of the first rate
ONECYCLE_MOMENTUM = (0.85, 0.95)  # at the highest and at the lowest rate


class Schedule:
    """Learning rate and momentum at each step.

    Parameters
    ----------
    options : FitOptions
        ``schedule``, ``learning_rate``, ``epochs`` or ``steps``, and the fields named
        after a schedule.
    steps_per_epoch : int
        Steps in one pass over the primary stream.
    """

    def __init__(self, options: FitOptions, steps_per_epoch: int) -> None:
        self.options = options
        self.steps_per_epoch = steps_per_epoch
        self.n_steps = options.n_steps(steps_per_epoch)
        self.n_warmup = min(round(options.warmup_epochs * steps_per_epoch), self.n_steps)
        self.n_falls = 0
        self.best = math.nan
        self.waited = 0

    def rate(self, step: int) -> float:
        """The learning rate of a step; steps count from 0."""
        top = self.options.learning_rate
        if self.options.schedule == "onecycle":
            return self._one_cycle(step, top * ONECYCLE_START, top, ONECYCLE_END)
        if step < self.n_warmup:
            return top * (step + 1) / self.n_warmup
        return self._after_warmup(step, top)

    def momentum(self, step: int) -> float | None:
        """The momentum of a step under ``onecycle``; None where it stays as it is."""
        if self.options.schedule != "onecycle":
            return None
        low, high = ONECYCLE_MOMENTUM
        return self._one_cycle(step, high, low, 1.0)

    def apply(self, optimizer: Optimizer, step: int) -> float:
        """Set the rate (and momentum) of an optimiser for a step; give the whole rate."""
        rate, momentum = self.rate(step), self.momentum(step)
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get(SCALE, 1.0)
            if momentum is None:
                continue
            if "betas" in group:
                group["betas"] = (momentum, group["betas"][1])
            else:
                group["momentum"] = momentum
        return rate

    def end_epoch(self, monitor: str, row: dict[str, float]) -> None:
        """Let ``plateau`` look at the row of an epoch; the others do not care."""
        if self.options.schedule != "plateau":
            return
        if improves(monitor, row[monitor], self.best):
            self.best, self.waited = row[monitor], 0
            return
        self.waited += 1
        if self.waited >= self.options.plateau_epochs:
            self.n_falls, self.waited = self.n_falls + 1, 0

    def _after_warmup(self, step: int, top: float) -> float:
        options = self.options
        if options.schedule == "step":
            return top * options.step_factor ** self._falls_by(step // self.steps_per_epoch)
        if options.schedule == "plateau":
            return max(top * options.step_factor**self.n_falls, options.min_learning_rate)
        if options.schedule == "cosine":
            done = (step - self.n_warmup) / max(1, self.n_steps - self.n_warmup)
            return _cosine(top, options.min_learning_rate, done)
        return top

    def _falls_by(self, epoch: int) -> int:
        if self.options.milestones:
            return sum(epoch >= milestone for milestone in self.options.milestones)
        return epoch // self.options.step_epochs

    def _one_cycle(self, step: int, start: float, middle: float, end: float) -> float:
        """From ``start`` to ``middle`` in the rising part, then to ``end`` times ``start``."""
        rising = self.n_warmup or ONECYCLE_RISE * self.n_steps
        peak = max(rising - 1.0, 1e-9)
        if step <= peak:
            return _cosine(start, middle, step / peak)
        return _cosine(middle, start * end, (step - peak) / max(self.n_steps - 1 - peak, 1e-9))

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        return {"n_falls": self.n_falls, "best": self.best, "waited": self.waited}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.n_falls, self.best, self.waited = state["n_falls"], state["best"], state["waited"]


def _cosine(start: float, end: float, done: float) -> float:
    """From ``start`` to ``end`` along half a cosine; ``done`` runs from 0 to 1."""
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))
