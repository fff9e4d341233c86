"""A way to learn, as it was asked for and as it is settled."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from semisonic.base.errors import OptionError
from semisonic.base.options import given
from semisonic.inference.methods.advice import (
    AUTO,
    FEW,
    FRESH,
    NO_OBJECTIVE,
    SYNTHETIC,
    Situation,
    advise,
    followed,
    pretraining_fit,
)
from semisonic.inference.methods.options import (
    FITTED,
    PROBE,
    PROTOTYPE,
    SOLVED,
    WITHOUT_POOL,
    MethodOptions,
)
from semisonic.inference.options import PRETRAIN_FIT, TRAIN_FIT
from semisonic.inference.pretext import RECONSTRUCTION, SIMCLR
from semisonic.learning.losses import LossOptions
from semisonic.models.simple.names import SIMPLE
from semisonic.training.options import FitOptions


@dataclass(frozen=True)
class Way:
    """How labels and a pool are learned from.

    Attributes
    ----------
    method : str
        One of ``METHODS``, or ``auto``.
    objective : str
        What the encoder is pre-trained by on all clips that are heard; ``none``, or ``auto``.
    start : {"fresh", "given", "drawn", "synthetic", "general"}
    how : MethodOptions
    fit : FitOptions
    pretrain : FitOptions
        Of the pre-training.
    dropout : float or None
        None leaves it to ``auto``; otherwise there is none.
    because : str
        What ``auto`` chose and why; empty where nothing was left to it.
    trains : str
        An option or a verb that asks for the encoder to be trained; empty without one.
    """

    method: str = AUTO
    objective: str = AUTO
    start: str = FRESH
    how: MethodOptions = field(default_factory=MethodOptions)
    fit: FitOptions = field(default_factory=lambda: TRAIN_FIT)
    pretrain: FitOptions = field(default_factory=lambda: PRETRAIN_FIT)
    dropout: float | None = None
    because: str = ""
    trains: str = ""


def settle(
    asked: Way,
    situation: Situation,
    default: FitOptions = TRAIN_FIT,
    default_pretrain: FitOptions = PRETRAIN_FIT,
) -> Way:
    """The way with everything that was left to ``auto`` chosen.

    Options that were given hold all the same, see :func:`semisonic.base.options.given`;
    ``default`` and ``default_pretrain`` are what ``asked.fit`` and ``asked.pretrain`` are where
    nothing was given.

    Raises
    ------
    OptionError
        When something is asked for that would do nothing: an option that the method does not
        read, or a pool that nobody would hear.
    """
    settled = _settled(asked, situation, default)
    fit = pretraining_fit(settled.objective, asked.pretrain, default_pretrain)
    return replace(settled, pretrain=fit, dropout=settled.dropout or 0.0)


def asked_method(model: str, method: str) -> str:
    """The method that was asked for; that of a simple classifier goes with its name.

    Raises
    ------
    OptionError
        When another one is asked for.
    """
    if model not in SIMPLE:
        return method
    if method not in (AUTO, FITTED):
        raise OptionError(
            f"option 'method': found '{method}', but the model '{model}' is a simple classifier, "
            "which is fitted at once; leave the option out, or choose a network"
        )
    return FITTED


def _fitted(asked: Way, situation: Situation) -> Way:
    """Statistics learn nothing, so neither a start nor a pool has a place."""
    asked.how.check_for(FITTED)
    found = (
        ("encoder", asked.start != FRESH, "has no encoder that could start from another"),
        ("objective", asked.objective not in (AUTO, NO_OBJECTIVE), "is never pre-trained"),
        ("unlabelled", bool(situation.n_pool), "learns from labelled clips alone"),
    )
    for name, wrong, why in found:
        if wrong:
            raise OptionError(
                f"option '{name}': a simple classifier {why}; leave the option out, or choose a "
                "network as model"
            )
    return replace(asked, objective=NO_OBJECTIVE)


def _settled(asked: Way, situation: Situation, default: FitOptions) -> Way:
    if asked.method == FITTED:
        return _fitted(asked, situation)
    if asked.method == AUTO:
        trains, keeps = _wanted(asked)
        choice = advise(
            replace(
                situation, start=asked.start, objective=asked.objective, trains=trains, keeps=keeps
            )
        )
        asked.how.check_for(choice.method)
        return Way(
            choice.method,
            choice.objective,
            choice.start,
            followed(choice.how, asked.how, MethodOptions()),
            asked.fit if choice.method in SOLVED else followed(choice.fit, asked.fit, default),
            dropout=choice.dropout if asked.dropout is None else asked.dropout,
            because=choice.because,
        )
    asked.how.check_for(asked.method)
    if asked.objective == AUTO:
        hears_first = asked.method in WITHOUT_POOL and situation.n_pool and asked.start == FRESH
        suited = SIMCLR if asked.method in SOLVED else RECONSTRUCTION
        asked = replace(asked, objective=suited if hears_first else NO_OBJECTIVE)
    if asked.method == PROTOTYPE and (asked.start, asked.objective) == (FRESH, NO_OBJECTIVE):
        asked = replace(asked, start=SYNTHETIC)  # random weights tell nothing apart
    if situation.n_pool and asked.method == "supervised" and asked.objective == NO_OBJECTIVE:
        raise OptionError(
            "option 'unlabelled': the method 'supervised' without pre-training does not hear "
            "these recordings; choose another method, an objective for pre-training, or leave "
            "them out"
        )
    return asked


def _wanted(asked: Way) -> tuple[str, str]:
    """An option for a training of the encoder, and one for a probe; empty where none is given.

    Raises
    ------
    OptionError
        When both are given.
    """
    readers = asked.how.readers().items()
    trains = [name for name, of in readers if "supervised" in of and PROBE not in of]
    keeps = [name for name, of in readers if PROBE in of and "supervised" not in of]
    trains = [*([asked.trains] if asked.trains else []), *trains]
    if trains and keeps:
        raise OptionError(
            f"options '{trains[0]}' and '{keeps[0]}': the first asks for a training, the second is "
            "for a method that keeps the encoder; leave one of them out, or give a method"
        )
    return (trains or [""])[0], (keeps or [""])[0]


def asks_training(
    fit: FitOptions, loss: LossOptions, dropout: float, label_smoothing: float
) -> str:
    """The first option that was given and that only a training reads; or nothing."""
    for options, plain in ((fit, TRAIN_FIT), (loss, LossOptions())):
        named = given(options, plain)
        for one in dataclasses.fields(options):
            if one.name in named:
                return one.name
    return next((name for name, _ in _of_training(fit, loss, dropout, label_smoothing)), "")


def _of_training(
    fit: FitOptions, loss: LossOptions, dropout: float, label_smoothing: float
) -> Iterator[tuple[str, object]]:
    """Options of a training that are given otherwise than by default, with their values."""
    for options, plain in ((fit, TRAIN_FIT), (loss, LossOptions())):
        for one in dataclasses.fields(options):
            if getattr(options, one.name) != getattr(plain, one.name):
                yield one.name, getattr(options, one.name)
    for name, value in (("dropout", dropout), ("label_smoothing", label_smoothing)):
        if value:
            yield name, value


def check_read(
    method: str, fit: FitOptions, loss: LossOptions, dropout: float, label_smoothing: float
) -> None:
    """Refuse options of training where nothing is trained but a linear layer.

    Raises
    ------
    OptionError
        With the option's name, when it was changed and the method solves for its class layer.
    """
    if method not in SOLVED:
        return
    for name, value in _of_training(fit, loss, dropout, label_smoothing):
        if method == FITTED:
            raise OptionError(
                f"option '{name}': found {value}, but a simple classifier is fitted at once and "
                "does not read it; leave the option out, or choose a network as model"
            )
        raise OptionError(
            f"option '{name}': found {value}, but the method '{method}' only chooses among "
            "what the encoder has learned and does not read it; to train the encoder give the "
            "method 'supervised'"
        )


def check_freezing(fit: FitOptions, has_start: bool) -> None:
    """Refuse to freeze an encoder that has learned nothing yet.

    Raises
    ------
    OptionError
    """
    if fit.freeze_epochs and not has_start:
        raise OptionError(
            f"option 'freeze_epochs': found {fit.freeze_epochs:g}, but the encoder starts from "
            "random weights, which freezing would keep; give an encoder to start from, or a "
            "pool to pre-train it on"
        )


def validation_share(asked: Way, share: float, default: float, labels_per_class: float) -> float:
    """The share of labels to validate on.

    ``auto`` trains for a fixed time, and methods that solve for a class layer have no epoch to
    choose, so a validation part only measures; where labels are few they are all learned from,
    unless a part was asked for.
    """
    spare = asked.method in (AUTO, *SOLVED) and share == default and labels_per_class <= FEW
    return 0.0 if spare else share
