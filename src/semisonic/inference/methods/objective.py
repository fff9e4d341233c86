"""From a method's name to the objective that the loop minimises."""

from __future__ import annotations

from typing import Any

from torch import nn

from semisonic.base.errors import OptionError
from semisonic.base.options import nearest
from semisonic.inference.methods.options import METHODS, MethodOptions
from semisonic.inference.methods.views import mixing, view
from semisonic.learning import FixMatch, MeanTeacher, Objective, PiModel, Supervised
from semisonic.models import SoundModel

CLASSIFYING = ("supervised", "noisy-student")
"""Methods whose objective reads labelled clips only; the second adds labels between rounds."""


def reads_pool(method: str) -> bool:
    """Whether a method's objective reads unlabelled clips."""
    return method not in CLASSIFYING


def make_objective(
    method: str, model: SoundModel, options: MethodOptions, loss: nn.Module
) -> Objective:
    """The objective of a method, around a model whose standardisation is fitted.

    Parameters
    ----------
    method : str
        One of :data:`METHODS`.
    model : SoundModel
    options : MethodOptions
    loss : nn.Module
        Logits and targets to the loss of each row.

    Raises
    ------
    OptionError
        For an unknown method or an option that cannot work with the model.
    """
    mel = model.mel
    shared: dict[str, Any] = {
        "loss": loss,
        "augment": None if options.augment == "none" else view(options.augment, mel),
        "mix": mixing(options.mixup, mel),
    }
    views = {"weak": view("weak", mel), "strong": view("strong", mel)}
    weight, ramp = options.pool_weight, options.ramp_steps
    if method in CLASSIFYING:
        return Supervised(model, **shared)
    if method == "pi-model":
        return PiModel(model, **views, weight=weight, ramp_steps=ramp, **shared)
    if method == "mean-teacher":
        decay = options.teacher_decay
        return MeanTeacher(model, decay=decay, **views, weight=weight, ramp_steps=ramp, **shared)
    if method == "fixmatch":
        return FixMatch(
            model, **views, threshold=options.threshold, threshold_kind=options.threshold_kind,
            alignment=options.alignment, weight=weight, temperature=options.temperature,
            teacher_decay=options.teacher_decay, **shared,
        )  # fmt: skip
    raise OptionError(f"option 'method': found {method!r}; {nearest(method, METHODS)}")
