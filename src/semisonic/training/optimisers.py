"""Optimisers by name: Adam, AdamW and SGD with Nesterov momentum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from semisonic.base.errors import ModelError, OptionError
from semisonic.base.options import nearest
from semisonic.training.options import OPTIMIZERS, FitOptions

if TYPE_CHECKING:
    from semisonic.models.encoder import Encoder


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
