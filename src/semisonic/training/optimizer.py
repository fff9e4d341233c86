"""Optimisers, schedules of the learning rate, and which epoch is the best.

Papers: cosine, Loshchilov and Hutter 2017 (SGDR, without restarts); one-cycle, Smith and Topin
2018, with the cosine-shaped rise and fall that fastai and torch use.

All of it is a function of the step and of the history, so a resumed training needs no other state.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from semisonic.core.errors import ModelError
from semisonic.training.options import FitOptions

if TYPE_CHECKING:
    from semisonic.models.encoder import Encoder

SCALE = "rate_scale"
"""The key of a group's share of the learning rate."""

ONECYCLE_RISE = 0.3  # share of all steps
ONECYCLE_START = 1 / 25  # of the highest rate
ONECYCLE_END = 1e-4  # of the first rate
ONECYCLE_MOMENTUM = (0.85, 0.95)  # at the highest and at the lowest rate

_LOWER_IS_BETTER = ("loss", "error", "mse", "mae", "db2")


def lower_is_better(column: str) -> bool:
    """Whether a column of the history improves by falling, told from its name.

    Losses and errors (names that end in loss, error, mse, mae or db2) fall; everything else,
    such as an accuracy or an average precision, rises.
    """
    return column.lower().endswith(_LOWER_IS_BETTER)


def best_epoch(history: Sequence[Mapping[str, float]], column: str) -> int:
    """The epoch, from 1, with the best value of a column; the first of equally good ones.

    Parameters
    ----------
    history : sequence of mapping
        At least one row.
    column : str

    Returns
    -------
    int

    Examples
    --------
    >>> best_epoch([{"val_loss": 3.0}, {"val_loss": 1.0}, {"val_loss": 1.0}], "val_loss")
    2
    """
    sign = 1.0 if lower_is_better(column) else -1.0
    costs = [math.inf if math.isnan(row[column]) else sign * row[column] for row in history]
    return costs.index(min(costs)) + 1


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

    Parameters
    ----------
    module : nn.Module
    options : FitOptions
    body : Encoder, optional

    Returns
    -------
    Optimizer

    Raises
    ------
    ModelError
        When no weight of the module asks for a gradient.
    """
    weights = [p for p in module.parameters() if p.requires_grad]
    if not weights:
        raise ModelError(
            f"{type(module).__name__} has no weights to train: all are frozen, or there are none"
        )
    scale = _scales(body, options.layer_decay)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for weight in weights:
        groups.setdefault((scale.get(weight, 1.0), weight.ndim >= 2), []).append(weight)
    decays = [
        {
            "params": groups[share, is_matrix],
            "weight_decay": options.weight_decay if is_matrix else 0.0,
            SCALE: share,
        }
        for share, is_matrix in sorted(groups, reverse=True)
    ]
    rate = options.learning_rate
    # One kernel for all weights instead of several for each; on processors it gains nothing.
    fused = True if all(weight.is_cuda for weight in weights) else None
    if options.optimizer == "sgd":
        nesterov = options.momentum > 0
        return SGD(decays, lr=rate, momentum=options.momentum, nesterov=nesterov, fused=fused)
    kind = AdamW if options.optimizer == "adamw" else Adam
    return kind(decays, lr=rate, fused=fused)


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


def learning_rate(options: FitOptions, step: int, steps_per_epoch: int) -> float:
    """The learning rate of a step; steps count from 0."""
    top, n_steps = options.learning_rate, options.n_steps(steps_per_epoch)
    n_warmup = min(round(options.warmup_epochs * steps_per_epoch), n_steps)
    if options.schedule == "onecycle":
        return _one_cycle(step, n_steps, n_warmup, (top * ONECYCLE_START, top), ONECYCLE_END)
    if step < n_warmup:
        return top * (step + 1) / n_warmup
    if options.schedule == "cosine":
        return _cosine(top, 0.0, (step - n_warmup) / max(1, n_steps - n_warmup))
    if options.schedule == "step":
        return top * options.step_factor ** (step // steps_per_epoch // options.step_epochs)
    return top


def momentum(options: FitOptions, step: int, steps_per_epoch: int) -> float | None:
    """The momentum of a step under ``onecycle``; None where it stays as it is."""
    if options.schedule != "onecycle":
        return None
    n_steps = options.n_steps(steps_per_epoch)
    n_warmup = min(round(options.warmup_epochs * steps_per_epoch), n_steps)
    return _one_cycle(step, n_steps, n_warmup, ONECYCLE_MOMENTUM[::-1], 1.0)


def _one_cycle(
    step: int, n_steps: int, n_warmup: int, rise: tuple[float, float], end: float
) -> float:
    """From the start of ``rise`` to its top, then to ``end`` times the start."""
    start, top = rise
    peak = max((n_warmup or ONECYCLE_RISE * n_steps) - 1.0, 1e-9)
    if step <= peak:
        return _cosine(start, top, step / peak)
    return _cosine(top, start * end, (step - peak) / max(n_steps - 1 - peak, 1e-9))


def _cosine(start: float, end: float, done: float) -> float:
    """From ``start`` to ``end`` along half a cosine; ``done`` runs from 0 to 1."""
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))


def set_rate(optimizer: Optimizer, rate: float, momentum: float | None = None) -> None:
    """Give each group of an optimiser its share of a rate, and a momentum unless it is None."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get(SCALE, 1.0)
        if momentum is not None and "betas" in group:
            group["betas"] = (momentum, group["betas"][1])
        elif momentum is not None:
            group["momentum"] = momentum
