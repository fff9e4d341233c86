"""``--method auto``: the recommended way to learn, from what there is to learn from.

First the encoder learns what sounds are, without labels: made-up sounds, then telling all clips
at hand apart. Where labels are few they choose among what it has learned (a linear probe); where
they are many they train it further.

The settings come from trials on inner validation parts of ESC-10's training folds. Where few
labels end (:data:`FEW`) and how few clips are worth telling apart (:data:`LEAST_HEARD`) are
judgements. ``docs/few-labels.md`` tells what was measured on test folds. No torch here.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from typing import TypeVar

from semisonic.inference.methods.options import PROBE, MethodOptions
from semisonic.inference.pretext import SIMCLR, WITHOUT_DECODER
from semisonic.training.options import FitOptions

T = TypeVar("T")
FRESH, GIVEN, SYNTHETIC, GENERAL = "fresh", "given", "synthetic", "general"
"""What the encoder starts from: random weights, an encoder, one of made-up sounds, or one of a
published general network."""

AUTO = "auto"
NO_OBJECTIVE = "none"

FEW = 16.0
"""Labels a class up to which the encoder is left as it is while labels are learned."""
LEAST_HEARD = 200
"""Clips, labelled ones included, below which there is too little to tell apart."""

FIT = FitOptions(
    steps=1000,
    epoch_steps=100,
    batch_size=20,
    optimizer="adamw",
    learning_rate=3e-3,
    weight_decay=0.01,
    schedule="onecycle",
    ema_decay=0.995,
    patience=0,
    restore_best=False,
)
"""Training from fresh weights with few labels: what the recommended way is held against."""
PRETRAIN = replace(FIT, steps=1500, batch_size=64, learning_rate=2e-3)
"""How clips are told apart: for so long, on all of them, with the average of the weights kept."""
FINE_TUNE = replace(FIT, steps=4000, learning_rate=1e-3)
DROPOUT = 0.3
BEGUN = {
    FRESH: "a fresh encoder",
    GIVEN: "the encoder given",
    SYNTHETIC: "an encoder that has learned made-up sounds",
    GENERAL: "a published general encoder",
}


@dataclass(frozen=True)
class Situation:
    """What there is to learn from.

    Attributes
    ----------
    labels_per_class : float
        Mean number of labelled clips a class.
    n_labelled : int
    n_pool : int
        Unlabelled clips beside them.
    multi_label : bool
    start : {"fresh", "given", "synthetic", "general"}
        What the encoder was asked to start from.
    objective : str
        What pre-training was asked to be; ``auto`` where that is left open.
    """

    labels_per_class: float
    n_labelled: int
    n_pool: int = 0
    multi_label: bool = False
    start: str = FRESH
    objective: str = AUTO


@dataclass(frozen=True)
class Choice:
    """A way to learn: the method and what goes with it.

    Attributes
    ----------
    method : str
    start : {"fresh", "given", "synthetic", "general"}
    objective : str
        What the encoder is pre-trained by on all clips; or ``none``.
    how : MethodOptions
    fit : FitOptions
        A probe does not read it.
    dropout : float
    because : str
        The choice and its reasons, in one sentence.
    """

    method: str
    start: str
    objective: str
    how: MethodOptions
    fit: FitOptions
    dropout: float
    because: str


def advise(situation: Situation) -> Choice:
    """The recommended way to learn.

    A probe is for encoders that are known to tell sounds apart; one that was given, or trained
    to draw spectrograms again, is trained further also with few labels. A published general
    encoder has heard thousands of times more than is at hand: it is never changed, unless an
    objective was asked for.
    """
    few = situation.labels_per_class <= FEW
    n_heard = situation.n_labelled + situation.n_pool
    objective = situation.objective
    if objective == AUTO and situation.start == GENERAL:
        objective = NO_OBJECTIVE
    if objective == AUTO:
        objective = SIMCLR if n_heard >= LEAST_HEARD else NO_OBJECTIVE
    start = situation.start
    if start == FRESH and situation.objective in (AUTO, NO_OBJECTIVE):
        start = SYNTHETIC
    begun = BEGUN[start]
    if objective == SIMCLR:
        begun += f", trained to tell {n_heard} clips apart ({situation.n_pool} without labels)"
    elif objective != NO_OBJECTIVE:
        begun += f", pre-trained on {n_heard} clips ({objective})"
    elif situation.objective == AUTO and start != GENERAL:
        begun += f", as {n_heard} clips are too few to be told apart"
    if start == GENERAL:
        heard_more = f"probe on {begun}: it has learned from far more clips than there are here"
        return Choice(
            PROBE, start, objective, MethodOptions(threshold=0.7), FitOptions(), 0.0, heard_more
        )
    labels = f"{situation.labels_per_class:.3g} labels a class are "
    tells_apart = start == SYNTHETIC and objective == NO_OBJECTIVE
    if few and (tells_apart or objective in WITHOUT_DECODER):
        because = f"probe on {begun}: {labels}too few to change what it has learned"
        how = MethodOptions(threshold=0.7)
        return Choice(PROBE, start, objective, how, FitOptions(), 0.0, because)
    how = MethodOptions(augment="mixed" if few else "strong", mixup=0.4)
    because = f"supervised from {begun}: {labels}" + (
        "few, but nobody knows what it can tell apart" if few else "enough to train it further"
    )
    fit = FIT if few else FINE_TUNE
    return Choice("supervised", start, objective, how, fit, DROPOUT, because)


def pretraining_fit(objective: str, asked: FitOptions, default: FitOptions) -> FitOptions:
    """How pre-training runs: for simclr as advised, as far as nothing else was asked for."""
    return followed(PRETRAIN, asked, default) if objective == SIMCLR else asked


def followed(advice: T, asked: T, default: T) -> T:
    """The advice with every option that was asked for otherwise.

    ``advice``, ``asked`` and ``default`` are options of one kind; what ``asked`` has other
    than ``default`` wins. Epochs that were asked for win over steps that were advised.
    """
    changed = {
        field.name: getattr(asked, field.name)
        for field in dataclasses.fields(asked)  # type: ignore[arg-type]
        if getattr(asked, field.name) != getattr(default, field.name)
    }
    if "epochs" in changed and "steps" not in changed:
        changed |= {"steps": 0, "epoch_steps": asked.epoch_steps}  # type: ignore[attr-defined]
    return replace(advice, **changed)  # type: ignore[type-var]
