"""``--method auto``: the recommended way to learn, from what there is to learn from.

First the encoder learns what sounds are, without labels: made-up sounds, then telling all clips
at hand apart. Where labels are few they choose among what it has learned (a linear probe); where
they are many they train it further. An encoder that was given keeps its weights where few labels
meet one that was made by telling sounds apart: its file says how it was made.

The settings come from trials on inner validation parts of ESC-10's training folds. Where few
labels end (:data:`FEW`) and how few clips are worth telling apart (:data:`LEAST_HEARD`) are
judgements. ``docs/few-labels.md`` tells what was measured on test folds. No torch here.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from typing import TypeVar

from semisonic.base.options import given, mark_given
from semisonic.inference.methods.options import LEFT_OUT, PROBE, MethodOptions
from semisonic.inference.pretext import SIMCLR, WITHOUT_DECODER
from semisonic.training.options import FitOptions

T = TypeVar("T")
FRESH, GIVEN, DRAWN = "fresh", "given", "drawn"
SYNTHETIC, GENERAL = "synthetic", "general"
"""What the encoder starts from: random weights; an encoder that learned to tell sounds apart (that
of a classifier, or one pre-trained by comparing views); one that learned to draw spectrograms; one
of made-up sounds; or one of a published general network."""

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
    GIVEN: "the encoder given, which has learned to tell sounds apart",
    DRAWN: "the encoder given, which has learned to draw spectrograms",
    SYNTHETIC: "an encoder that has learned made-up sounds",
    GENERAL: "a published general encoder",
}


@dataclass(frozen=True)
class Situation:
    """What there is to learn from.

    Attributes
    ----------
    labels_per_class : float
        Mean number of labelled clips per class.
    n_labelled : int
    n_pool : int
        Unlabelled clips beside them.
    multi_label : bool
    start : {"fresh", "given", "drawn", "synthetic", "general"}
        What the encoder was asked to start from.
    objective : str
        What pre-training was asked to be; ``auto`` where that is left open.
    trains, keeps : str
        The option that asks for the encoder to be trained, or to be kept; empty without one.
    """

    labels_per_class: float
    n_labelled: int
    n_pool: int = 0
    multi_label: bool = False
    start: str = FRESH
    objective: str = AUTO
    trains: str = ""
    keeps: str = ""


@dataclass(frozen=True)
class Choice:
    """A way to learn: the method and what goes with it.

    Attributes
    ----------
    method : str
    start : {"fresh", "given", "drawn", "synthetic", "general"}
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

    A probe is for encoders that are known to tell sounds apart; one that learned to draw
    spectrograms is trained further also with few labels. A published general encoder has heard
    thousands of times more than is at hand: it is not changed, unless an objective or an option
    of the training was asked for. Without a pool to guess about, few labels choose between probe
    and prototype themselves.
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
    labels = f"{situation.labels_per_class:.3g} labels per class are "
    tells_apart = (
        start == GENERAL
        or (start in (SYNTHETIC, GIVEN) and objective == NO_OBJECTIVE)
        or objective in WITHOUT_DECODER
    )
    keeps = (few or start == GENERAL) and tells_apart
    if (keeps or situation.keeps) and not situation.trains:
        compares = few and not (situation.n_pool or situation.multi_label or situation.keeps)
        method = LEFT_OUT if compares else PROBE
        because = f"{method} on {begun}: {labels}too few to change what it has learned"
        if situation.keeps:
            because = f"{method} on {begun}: option '{situation.keeps}' is for it ({labels}given)"
        elif start == GENERAL:
            because = f"{method} on {begun}: it has learned from far more clips than there are here"
        how = MethodOptions() if compares else MethodOptions(threshold=0.7)
        return Choice(method, start, objective, how, FitOptions(), 0.0, because)
    how = MethodOptions(augment="mixed" if few else "strong", mixup=0.4)
    why = "enough to train it further"
    if situation.trains:
        why = f"learned by training it, as option '{situation.trains}' asks for"
    elif few:
        why = "few, but it may not tell sounds apart yet"
    because = f"supervised from {begun}: {labels}{why}"
    fit = FIT if few else FINE_TUNE
    return Choice("supervised", start, objective, how, fit, DROPOUT, because)


def pretraining_fit(objective: str, asked: FitOptions, default: FitOptions) -> FitOptions:
    """How pre-training runs: for simclr as advised, as far as nothing else was given."""
    return followed(PRETRAIN if objective == SIMCLR else asked, asked, default)


def followed(advice: T, asked: T, default: T) -> T:
    """The advice with every option that was given.

    ``advice``, ``asked`` and ``default`` are options of one kind; what was given in ``asked`` wins,
    see :func:`semisonic.base.options.given`. Epochs that were given win over steps that were
    advised. Nothing is left open in the result.
    """
    changed = {name: getattr(asked, name) for name in given(asked, default)}
    if "epochs" in changed and "steps" not in changed:
        changed |= {"steps": 0, "epoch_steps": asked.epoch_steps}  # type: ignore[attr-defined]
    settled = replace(advice, **changed)  # type: ignore[type-var]
    return mark_given(settled, (field.name for field in dataclasses.fields(settled)))  # type: ignore[arg-type]
