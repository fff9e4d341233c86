"""The training strategy: what was asked for, what ``auto`` makes of it, and the network it is for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from semisonic.classifier.config import (
    AUTO,
    FEW,
    FITTED,
    FRESH,
    NO_OBJECTIVE,
    PROBE,
    PROTOTYPE,
    RECONSTRUCTION,
    SIMCLR,
    SOLVED,
    SYNTHETIC,
    WITHOUT_POOL,
    DataSummary,
    MethodOptions,
    followed,
    pretraining_fit,
    recommend,
)
from semisonic.classifier.options import DEFAULT_MODEL, PRETRAIN_FIT, TRAIN_FIT
from semisonic.classifier.pretraining import frontend_of
from semisonic.core.errors import OptionError
from semisonic.core.options import given
from semisonic.features.options import MelOptions
from semisonic.learning.options import LossOptions
from semisonic.models.notation import SIMPLE, looks_like_notation
from semisonic.models.pretrained import PretrainedEncoder
from semisonic.models.registry import create
from semisonic.training.options import FitOptions

# Which network and front end a training uses, when it starts from a pre-trained encoder.


def network_of(
    model: str, mel: MelOptions, start: PretrainedEncoder | None
) -> tuple[str, MelOptions]:
    """Network and front end: the encoder's where there is one, else those asked for.

    What is left at its default is taken from the encoder. The duration of clips is free, since
    encoders take any length.

    Raises
    ------
    OptionError
        When something else than the encoder's is asked for.
    """
    if start is None:
        return model, mel
    if start.name in SIMPLE:
        raise OptionError(
            f"option 'encoder': found the simple classifier '{start.name}', which has no encoder "
            "that learns; give that of a network"
        )
    theirs = frontend_of(start).options
    for own in dataclasses.fields(MelOptions):
        asked, given = getattr(mel, own.name), getattr(theirs, own.name)
        if own.name == "duration" and asked != own.default:
            theirs = dataclasses.replace(theirs, duration=asked)
        elif asked not in (given, own.default):
            raise OptionError(
                f"option '{own.name}': found {asked}, but the encoder was pre-trained with "
                f"{given}; leave the option out, or pre-train another encoder"
            )
    create(start.name, theirs.shape)  # refuses clips that are too short
    if model in (DEFAULT_MODEL, start.name):
        return start.name, theirs
    if not _continues(model, start):
        raise OptionError(
            f"option 'model': found '{model}', but the encoder is '{start.name}'; leave the "
            "option out, or name an architecture that begins with the encoder's"
        )
    return model, theirs


def check_network(model: str, mel: MelOptions, *, learns: bool = False) -> None:
    """See that a network can be made for a front end, before hours of decoding.

    Parameters
    ----------
    model : str
    mel : MelOptions
    learns : bool
        Whether its encoder has to learn something.

    Raises
    ------
    ModelError, OptionError
        For an unknown name, wrong notation, an input too small for it, or a simple classifier
        where something has to learn.
    """
    if learns and model in SIMPLE:
        raise OptionError(
            f"option 'model': found '{model}', a simple classifier, which has no encoder that "
            "learns; choose a network"
        )
    create(model, mel.shape)


def _continues(model: str, start: PretrainedEncoder) -> bool:
    """Whether a notation has the encoder's convolutions and pools (its dense layers are free)."""
    if not looks_like_notation(model):
        return False
    return create(model, frontend_of(start).options.shape).encoder.plan == start.encoder.plan


# A way to learn, as it was asked for and as it is settled.


@dataclass(frozen=True)
class Strategy:
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


def resolve_auto(
    asked: Strategy,
    situation: DataSummary,
    default: FitOptions = TRAIN_FIT,
    default_pretrain: FitOptions = PRETRAIN_FIT,
) -> Strategy:
    """The way with everything that was left to ``auto`` chosen.

    Options that were given hold all the same, see :func:`semisonic.core.options.given`;
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


def _fitted(asked: Strategy, situation: DataSummary) -> Strategy:
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


def _settled(asked: Strategy, situation: DataSummary, default: FitOptions) -> Strategy:
    if asked.method == FITTED:
        return _fitted(asked, situation)
    if asked.method == AUTO:
        trains, keeps = _wanted(asked)
        choice = recommend(
            replace(
                situation, start=asked.start, objective=asked.objective, trains=trains, keeps=keeps
            )
        )
        asked.how.check_for(choice.method)
        return Strategy(
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


def _wanted(asked: Strategy) -> tuple[str, str]:
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


def validation_share(
    asked: Strategy, share: float, default: float, labels_per_class: float
) -> float:
    """The share of labels to validate on.

    ``auto`` trains for a fixed time, and methods that solve for a class layer have no epoch to
    choose, so a validation part only measures; where labels are few they are all learned from,
    unless a part was asked for.
    """
    spare = asked.method in (AUTO, *SOLVED) and share == default and labels_per_class <= FEW
    return 0.0 if spare else share
