"""What ``auto`` makes of a training configuration, and the network that the training is for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, replace

from semisonic.classifier.config import (
    AUTO,
    DEFAULT_MODEL,
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
    TRAIN_FIT,
    WITHOUT_POOL,
    DataSummary,
    MethodOptions,
    TrainConfig,
    followed,
    pretraining_fit,
    recommend,
)
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


@dataclass(frozen=True)
class Resolved:
    """A configuration in which nothing is left to ``auto``.

    Attributes
    ----------
    config : TrainConfig
    start : {"fresh", "given", "drawn", "synthetic", "general"}
        What the encoder starts from.
    because : str
        What ``auto`` chose and why; empty where nothing was left to it.
    """

    config: TrainConfig
    start: str
    because: str = ""


def resolve_auto(config: TrainConfig, data: DataSummary, *, trains: str = "") -> Resolved:
    """Choose everything that a configuration leaves to ``auto``.

    Options that were given hold all the same, see :func:`semisonic.core.options.given`.

    Parameters
    ----------
    config : TrainConfig
        Or a class made from it; what its fields are by default counts as not given.
    data : DataSummary
        What there is to learn from, and what the encoder was asked to start from.
    trains : str
        An option or a verb that asks for the encoder to be trained; empty without one.

    Raises
    ------
    OptionError
        When something is asked for that would do nothing: an option that the method does not
        read, or a pool that nobody would hear.
    """
    default = type(config)()
    resolved = _resolved(config, data, default, trains)
    fit = pretraining_fit(resolved.config.objective, config.pretrain, default.pretrain)
    return replace(resolved, config=replace(resolved.config, pretrain=fit))


def _resolved(
    config: TrainConfig, data: DataSummary, default: TrainConfig, trains: str
) -> Resolved:
    start = data.start
    if config.method == FITTED:
        return _without_network(config, data)
    if config.method == AUTO:
        trains, keeps = _asked_of_encoder(config, trains)
        choice = recommend(replace(data, objective=config.objective, trains=trains, keeps=keeps))
        config.method_params.check_for(choice.method)
        keeps_fit = choice.method in SOLVED
        return Resolved(
            replace(
                config,
                method=choice.method,
                objective=choice.objective,
                method_params=followed(choice.method_params, config.method_params, MethodOptions()),
                fit=config.fit if keeps_fit else followed(choice.fit, config.fit, default.fit),
                dropout=config.dropout if "dropout" in given(config, default) else choice.dropout,
            ),
            choice.start,
            choice.because,
        )
    config.method_params.check_for(config.method)
    if config.objective == AUTO:
        hears_first = config.method in WITHOUT_POOL and data.n_pool and start == FRESH
        suited = SIMCLR if config.method in SOLVED else RECONSTRUCTION
        config = replace(config, objective=suited if hears_first else NO_OBJECTIVE)
    if config.method == PROTOTYPE and (start, config.objective) == (FRESH, NO_OBJECTIVE):
        start = SYNTHETIC  # random weights tell nothing apart
    if data.n_pool and config.method == "supervised" and config.objective == NO_OBJECTIVE:
        raise OptionError(
            "option 'unlabelled': the method 'supervised' without pre-training does not hear "
            "these recordings; choose another method, an objective for pre-training, or leave "
            "them out"
        )
    return Resolved(config, start)


def _without_network(config: TrainConfig, data: DataSummary) -> Resolved:
    """Statistics learn nothing, so neither a start nor a pool has a place."""
    config.method_params.check_for(FITTED)
    wrong = (
        ("encoder", data.start != FRESH, "has no encoder that could start from another"),
        ("objective", config.objective not in (AUTO, NO_OBJECTIVE), "is never pre-trained"),
        ("unlabelled", bool(data.n_pool), "learns from labelled clips alone"),
    )
    for name, is_wrong, why in wrong:
        if is_wrong:
            raise OptionError(
                f"option '{name}': a simple classifier {why}; leave the option out, or choose a "
                "network as model"
            )
    return Resolved(replace(config, objective=NO_OBJECTIVE), data.start)


def _asked_of_encoder(config: TrainConfig, trains: str) -> tuple[str, str]:
    """An option for a training of the encoder, and one for a probe; empty where none is given.

    Raises
    ------
    OptionError
        When both are given.
    """
    readers = config.method_params.readers().items()
    training = [name for name, of in readers if "supervised" in of and PROBE not in of]
    keeping = [name for name, of in readers if PROBE in of and "supervised" not in of]
    training = [*([trains] if trains else []), *training]
    if training and keeping:
        raise OptionError(
            f"options '{training[0]}' and '{keeping[0]}': the first asks for a training, the "
            "second is for a method that keeps the encoder; leave one of them out, or give a method"
        )
    return (training or [""])[0], (keeping or [""])[0]


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


def asks_training(config: TrainConfig) -> str:
    """The first option that was given and that only a training reads; or nothing."""
    for options, plain in ((config.fit, TRAIN_FIT), (config.loss, LossOptions())):
        named = given(options, plain)
        for one in dataclasses.fields(options):
            if one.name in named:
                return one.name
    return next((name for name, _ in _of_training(config)), "")


def _of_training(config: TrainConfig) -> Iterator[tuple[str, object]]:
    """Options of a training that are given otherwise than by default, with their values."""
    for options, plain in ((config.fit, TRAIN_FIT), (config.loss, LossOptions())):
        for one in dataclasses.fields(options):
            if getattr(options, one.name) != getattr(plain, one.name):
                yield one.name, getattr(options, one.name)
    for name in ("dropout", "label_smoothing"):
        if getattr(config, name):
            yield name, getattr(config, name)


def check_read(method: str, config: TrainConfig) -> None:
    """Refuse options of training where nothing is trained but a linear layer.

    Raises
    ------
    OptionError
        With the option's name, when it was changed and the method solves for its class layer.
    """
    if method not in SOLVED:
        return
    for name, value in _of_training(config):
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


def validation_share(method: str, share: float, default: float, labels_per_class: float) -> float:
    """The share of labels to validate on.

    ``auto`` trains for a fixed time, and methods that solve for a class layer have no epoch to
    choose, so a validation part only measures; where labels are few they are all learned from,
    unless a part was asked for.
    """
    spare = method in (AUTO, *SOLVED) and share == default and labels_per_class <= FEW
    return 0.0 if spare else share
