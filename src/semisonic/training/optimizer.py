"""Optimisers and schedules; which weights are kept: moving averages, early stopping.

Papers on averages of the weights, which are often better than the last ones: Polyak and Juditsky
1992 (averaging); Tarvainen and Valpola 2017, "Mean teachers", for the exponential form and the
lower decay of the first steps.

Papers on schedules: cosine, Loshchilov and Hutter 2017 (SGDR, without restarts); one-cycle, Smith
and Topin 2018, with the cosine-shaped rise and fall that fastai and torch use.

All but ``plateau`` are pure functions of the step, so a resumed training needs no state of
theirs. ``plateau`` remembers how often it fell and how long it has waited.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from semisonic.core.errors import ModelError, OptionError
from semisonic.core.options import nearest
from semisonic.training.options import OPTIMIZERS, FitOptions

if TYPE_CHECKING:
    from semisonic.models.encoder import Encoder


_LOWER_IS_BETTER = ("loss", "error", "mse", "mae", "db2")


def lower_is_better(column: str) -> bool:
    """Whether a column of the history improves by falling, told from its name.

    Losses and errors (names that end in loss, error, mse, mae or db2) fall; everything else,
    such as an accuracy or an average precision, rises.
    """
    return column.lower().endswith(_LOWER_IS_BETTER)


def improves(column: str, value: float, best: float) -> bool:
    """Whether ``value`` is strictly better than ``best``; NaN never is, and loses to all.

    Parameters
    ----------
    column : str
        Of the history; of losses and the like the lower is the better.
    value, best : float
    """
    if math.isnan(value):
        return False
    if math.isnan(best):
        return True
    return value < best if lower_is_better(column) else value > best


class EarlyStopping:
    """Follows one column of the history and keeps the weights of its best epoch.

    Of several epochs that are equally good, the first is kept.

    Parameters
    ----------
    monitor : str
        The column.
    patience : int
        Epochs without improvement after which :attr:`stop` is true; 0 never stops.
    keep_weights : bool
        Whether to keep the best weights.
    """

    def __init__(self, monitor: str, patience: int, keep_weights: bool = True) -> None:
        self.monitor = monitor
        self.patience = patience
        self.keep_weights = keep_weights
        self.best_epoch = 0
        self.best_value = math.nan
        self.best_weights: dict[str, Tensor] = {}
        self.waited = 0

    @property
    def stop(self) -> bool:
        """Whether patience is used up."""
        return 0 < self.patience <= self.waited

    def look(self, row: dict[str, float], weights: dict[str, Tensor]) -> bool:
        """Take the row of an epoch and its weights (copied); say whether it is the best.

        Raises
        ------
        OptionError
            When the history has no such column.
        """
        if self.monitor not in row:
            raise OptionError(
                f"option 'monitor': the history has no column '{self.monitor}'; "
                f"{nearest(self.monitor, row)}"
            )
        better = improves(self.monitor, row[self.monitor], self.best_value)
        if better or self.best_epoch == 0:
            self.best_epoch = int(row["epoch"])
            self.best_value = row[self.monitor]
            if self.keep_weights:
                self.best_weights = {name: t.detach().clone() for name, t in weights.items()}
        self.waited = 0 if better else self.waited + 1
        return better

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        return {
            "best_epoch": self.best_epoch,
            "best_value": self.best_value,
            "best_weights": self.best_weights,
            "waited": self.waited,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.best_epoch = state["best_epoch"]
        self.best_value = state["best_value"]
        self.best_weights = state["best_weights"]
        self.waited = state["waited"]


Weights = dict[str, Tensor]


def weights_of(module: nn.Module) -> Weights:
    """All that a saved module consists of, by name: parameters and buffers, not copied."""
    state: Weights = module.state_dict()
    return state


@torch.no_grad()
def put_weights(module: nn.Module, weights: Weights) -> None:
    """Copy weights into a module, each into its own memory and layout."""
    for name, tensor in weights_of(module).items():
        tensor.copy_(weights[name])


class WeightAverage:
    """Exponential moving average of a module's parameters and buffers.

    After step n the decay is the smaller of ``decay`` and (1 + n) / (10 + n), so that the
    random first weights are soon forgotten. The running means and variances of batch
    normalisation are averaged like the weights they belong to; whole numbers (its count of
    batches) are copied.

    Parameters
    ----------
    module : nn.Module
        Read at each :meth:`update`.
    decay : float
        From 0 to less than 1.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.n_updates = 0
        self.weights: Weights = {name: t.detach().clone() for name, t in weights_of(module).items()}
        self._pairs = self._pair(module)

    def _pair(self, module: nn.Module) -> list[tuple[Tensor, Tensor]]:
        # state_dict() shares memory with the module, and walking it every step is slow.
        return [(self.weights[name], t.detach()) for name, t in weights_of(module).items()]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the module's weights after a step."""
        self.n_updates += 1
        decay = min(self.decay, (1 + self.n_updates) / (10 + self.n_updates))
        for average, current in self._pairs:
            if average.is_floating_point():
                average.lerp_(current, 1.0 - decay)
            else:
                average.copy_(current)

    @contextmanager
    def in_place_of(self, module: nn.Module) -> Iterator[None]:
        """Within the block the module carries the averaged weights."""
        current = {name: t.detach().clone() for name, t in weights_of(module).items()}
        put_weights(module, self.weights)
        try:
            yield
        finally:
            put_weights(module, current)

    def state(self) -> dict[str, object]:
        """What a checkpoint must hold."""
        return {"n_updates": self.n_updates, "weights": self.weights}

    @torch.no_grad()
    def load(self, n_updates: int, weights: Weights) -> None:
        """Go on from a checkpoint."""
        self.n_updates = n_updates
        for name, tensor in self.weights.items():
            tensor.copy_(weights[name])


SCALE = "rate_scale"
"""The key of a group's share of the learning rate."""


def make_optimizer(
    module: nn.Module, options: FitOptions, body: Encoder | None = None
) -> Optimizer:
    """The optimiser of all weights of ``module`` that are to be trained.

    With ``options.layer_decay`` the weights of each layer of ``body`` are groups of their own,
    whose rate is a share of the others': the decay to the power of the steps down from what
    stands on the body (Howard and Ruder 2018, "Universal language model fine-tuning for text
    classification", discriminative fine-tuning; they divide by 2.6 a layer). The first group
    has the whole rate.

    Weight decay acts on kernels and matrices only. Biases and the scales of normalisation
    (all that have fewer than two dimensions) are left alone: pulling them to zero does not
    make a network simpler.

    Raises
    ------
    ModelError
        When no weight of the module asks for a gradient.
    OptionError
        When the name of the optimiser is unknown.
    """
    weights = [p for p in module.parameters() if p.requires_grad]
    if not weights:
        raise ModelError(
            f"{type(module).__name__} has no weights to train: all are frozen, or there are none"
        )
    scale = _scales(body, options.layer_decay)
    groups = []
    for share in sorted({scale.get(p, 1.0) for p in weights}, reverse=True):
        mine = [p for p in weights if scale.get(p, 1.0) == share]
        for params, decay in (
            ([p for p in mine if p.ndim >= 2], options.weight_decay),
            ([p for p in mine if p.ndim < 2], 0.0),
        ):
            if params:
                groups.append({"params": params, "weight_decay": decay, SCALE: share})
    rate = options.learning_rate
    # One kernel for all weights instead of several for each; on processors it gains nothing.
    fused = True if all(weight.is_cuda for weight in weights) else None
    if options.optimizer == "adam":
        return Adam(groups, lr=rate, fused=fused)
    if options.optimizer == "adamw":
        return AdamW(groups, lr=rate, fused=fused)
    if options.optimizer == "sgd":
        nesterov = options.momentum > 0
        return SGD(groups, lr=rate, momentum=options.momentum, nesterov=nesterov, fused=fused)
    raise OptionError(
        f"option 'optimizer': found {options.optimizer!r}; {nearest(options.optimizer, OPTIMIZERS)}"
    )


def _scales(body: Encoder | None, decay: float) -> dict[nn.Parameter, float]:
    """The share of the rate of each weight of the body, where it is not the whole."""
    if body is None or decay == 1.0:
        return {}
    layers = body.weight_layers()
    deepest = decay ** len(layers)
    scale = dict.fromkeys(body.parameters(), deepest)  # also of weights that are in no layer
    for steps, layer in enumerate(reversed(layers), start=1):
        scale.update(dict.fromkeys(layer.parameters(), decay**steps))
    return scale


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
