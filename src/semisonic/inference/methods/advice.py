"""``--method auto``: the recommended way to learn, from what there is to learn from.

The settings come from trials at four labels a class on inner validation parts of ESC-10's
training folds. Where few labels end (:data:`FEW`), how small a pool may be
(:data:`LEAST_POOL`) and what is done above are judgements that were not measured.
``docs/few-labels.md`` tells what was measured on test folds. No torch here.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from typing import TypeVar

from semisonic.inference.methods.options import MethodOptions
from semisonic.training.options import FitOptions

T = TypeVar("T")
AUTO = "auto"

FEW = 16.0
"""Labels a class up to which the pool is learned from while training."""
LEAST_POOL = 60
"""Clips below which a pool is not worth its time."""

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
LONG_STEPS = 4000
"""Steps where labels are many: there is more to learn."""
POOL_STEPS = 1600
"""Steps of methods that learn from the pool: guesses become right late."""
DROPOUT = 0.3


@dataclass(frozen=True)
class Situation:
    """What there is to learn from.

    Attributes
    ----------
    labels_per_class : float
        Mean number of labelled clips a class.
    n_pool : int
        Unlabelled clips beside them.
    multi_label : bool
    has_encoder : bool
        Whether an encoder was given to start from.
    """

    labels_per_class: float
    n_pool: int
    multi_label: bool = False
    has_encoder: bool = False


@dataclass(frozen=True)
class Choice:
    """A way to learn: the method and what goes with it.

    Attributes
    ----------
    method : str
    synthetic_start : bool
        Start from an encoder that has learned to name made-up sounds.
    how : MethodOptions
    fit : FitOptions
    dropout : float
    because : str
        The choice and its reasons, in one sentence.
    """

    method: str
    synthetic_start: bool
    how: MethodOptions
    fit: FitOptions
    dropout: float
    because: str


def advise(situation: Situation) -> Choice:
    """The recommended way to learn."""
    few = situation.labels_per_class <= FEW
    start = few and not situation.has_encoder
    begun = "from an encoder that has learned made-up sounds" if start else "from fresh weights"
    if situation.has_encoder:
        begun = "from the encoder given"
    labels = f"{situation.labels_per_class:.3g} labels a class"
    if few and situation.n_pool >= LEAST_POOL and not situation.multi_label:
        how = MethodOptions(augment="mixed", mixup=0.4, threshold=0.9, pool_ratio=2.0)
        fit = replace(FIT, steps=POOL_STEPS)
        because = (
            f"fixmatch {begun}: {labels} are few, and a pool of {situation.n_pool} clips can be "
            "guessed and learned from"
        )
        return Choice("fixmatch", start, how, fit, DROPOUT, because)
    how = MethodOptions(augment="mixed" if few else "strong", mixup=0.4)
    fit = FIT if few else replace(FIT, steps=LONG_STEPS)
    why = [labels + (" are few" if few else " are many")]
    if not situation.n_pool:
        why.append("there is no pool")
    elif situation.multi_label and few:
        why.append("guesses about clips of several labels mislead more than they help")
    elif few:
        why.append(f"a pool of {situation.n_pool} clips is too small to matter")
    else:
        why.append("the pool would add little to them")
    return Choice(
        "supervised", start, how, fit, DROPOUT, f"supervised {begun}: " + ", and ".join(why)
    )


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
