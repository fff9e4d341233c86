"""From a method's name to the objective that the loop minimises."""

from __future__ import annotations

from typing import Any

from torch import nn

from semisonic.base.errors import OptionError
from semisonic.base.options import nearest
from semisonic.inference.methods.options import METHODS, MethodOptions, check_noisy
from semisonic.inference.methods.views import mixing, view
from semisonic.inference.pretext_objectives import choose_decoder
from semisonic.learning import (
    FixMatch,
    Joint,
    MeanTeacher,
    Objective,
    PiModel,
    Reconstruction,
    Supervised,
)
from semisonic.models import AutoEncoder, SoundModel

CLASSIFYING = ("supervised", "noisy-student")
"""Methods whose objective reads labelled clips only; the second adds labels between rounds."""


def reads_pool(method: str, options: MethodOptions) -> bool:
    """Whether a method's objective reads unlabelled clips."""
    return method not in CLASSIFYING and (method != "joint" or options.weight_for(method) > 0)


def make_objective(
    method: str,
    model: SoundModel,
    options: MethodOptions,
    loss: nn.Module,
    seed: int = 0,
    *,
    noisy_loss: nn.Module | None = None,
    noisy_weight: float = 1.0,
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
    seed : int
        Of what the objective adds to the model: the decoder of "joint".
    noisy_loss, noisy_weight
        Of clips whose labels nobody checked, if there is a stream of them; see
        :class:`~semisonic.learning.Supervised`.

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
    if noisy_loss is not None:
        check_noisy(method)
        shared |= {"noisy_loss": noisy_loss, "noisy_weight": noisy_weight}
    views = {"weak": view("weak", mel), "strong": view(options.pool_augment, mel)}
    weight, decay = options.weight_for(method), options.decay_for(method)
    ramp = options.ramp_steps
    if method in CLASSIFYING:
        return Supervised(model, **shared)
    if method == "joint":
        decoder = choose_decoder("auto", model.name, mel)
        autoencoder = AutoEncoder(model.encoder, decoder, seed=seed)
        task = Reconstruction(autoencoder, model.frontend.standardize)
        return Joint(Supervised(model, **shared), task, weight)
    if method == "pi-model":
        return PiModel(model, **views, weight=weight, ramp_steps=ramp, **shared)
    if method == "mean-teacher":
        return MeanTeacher(model, decay=decay, **views, weight=weight, ramp_steps=ramp, **shared)
    if method == "fixmatch":
        return FixMatch(
            model, **views, threshold=options.threshold, threshold_kind=options.threshold_kind,
            alignment=options.alignment, weight=weight, temperature=options.temperature,
            teacher_decay=decay, **shared,
        )  # fmt: skip
    raise OptionError(f"option 'method': found {method!r}; {nearest(method, METHODS)}")
