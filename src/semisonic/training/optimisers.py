"""Optimisers by name: Adam, AdamW and SGD with Nesterov momentum."""

from __future__ import annotations

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from semisonic.base.errors import ModelError, OptionError
from semisonic.base.options import nearest
from semisonic.training.options import OPTIMIZERS, FitOptions


def make_optimizer(module: nn.Module, options: FitOptions) -> Optimizer:
    """The optimiser of all weights of ``module`` that are to be trained.

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
    groups = [
        {"params": [p for p in weights if p.ndim >= 2], "weight_decay": options.weight_decay},
        {"params": [p for p in weights if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    rate = options.learning_rate
    if options.optimizer == "adam":
        return Adam(groups, lr=rate)
    if options.optimizer == "adamw":
        return AdamW(groups, lr=rate)
    if options.optimizer == "sgd":
        nesterov = options.momentum > 0
        return SGD(groups, lr=rate, momentum=options.momentum, nesterov=nesterov)
    raise OptionError(
        f"option 'optimizer': found {options.optimizer!r}; {nearest(options.optimizer, OPTIMIZERS)}"
    )
