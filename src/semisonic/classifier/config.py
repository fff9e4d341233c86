"""How a classifier is trained: options of methods, pre-training and segments, and what ``auto``
takes. No torch here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from semisonic.core.errors import OptionError
from semisonic.core.options import OpenChoices, changed, check, given, mark_given, option
from semisonic.features.options import OWN_AUGMENTATIONS, MelOptions
from semisonic.learning.options import LOSSES, OWN_LOSSES
from semisonic.training.options import FitOptions

# The options of all methods. No torch here: the command line reads this file.


METHODS = ("supervised", "probe", "joint", "pi-model", "fixmatch", "noisy-student")
PROBE = "probe"
SOLVED = (PROBE,)
"""Methods that leave the encoder as it is and solve for the class layer."""
WITHOUT_POOL = ("supervised", PROBE)
"""The others need a pool; a probe uses one if there is one."""
WITH_NOISY = ("supervised", "pi-model", "noisy-student")
"""Methods that take clips with unverified labels as a part of their own."""

_TRAINING = ("supervised", *METHODS[2:])
_WITH_PSEUDO_LABELS = ("probe", "fixmatch", "noisy-student")
READERS = {
    "augment": _TRAINING,
    "mixup": _TRAINING,
    "pool_augment": ("pi-model", "fixmatch"),
    "pool_ratio": METHODS[2:5],
    "pool_weight": METHODS[1:5],
    "ramp_steps": ("pi-model",),
    "threshold": _WITH_PSEUDO_LABELS,
    "alignment": _WITH_PSEUDO_LABELS,
    "rounds": ("probe", "noisy-student"),
    "loss": _TRAINING,
    "bootstrap_beta": _TRAINING,
    "lq_power": _TRAINING,
    "noise_rate": _TRAINING,
    "selection_epochs": _TRAINING,
    "solve_head": ("supervised",),
}
"""Which methods read an option; the others are for all."""

VIEWS = ("none", "weak", "mixed", "strong")


@dataclass(frozen=True)
class MethodOptions:
    """How labels and unlabelled clips are learned from."""

    augment: str = option(
        "none",
        "random changes of labelled clips in training; mixed: weak or strong ones",
        choices=OpenChoices(VIEWS, OWN_AUGMENTATIONS),
    )
    pool_augment: str = option(
        "strong",
        "pi-model, fixmatch: random changes of unlabelled clips, in the view that is learned from",
        choices=OpenChoices(VIEWS, OWN_AUGMENTATIONS),
    )
    mixup: float = option(
        0.0, "blend pairs of clips, shares from Beta(x, x); 0 is off", minimum=0.0, maximum=10.0
    )
    pool_ratio: float = option(
        2.0, "unlabelled clips per step for each labelled one", minimum=0.1, maximum=50.0
    )
    pool_weight: float | None = option(
        None,
        "weight of the loss of unlabelled clips beside that of labelled ones; probe: of all "
        "pseudo-labels together, at most; joint: of their reconstruction; pi-model: of a mean "
        "square, 30 if not given; else 1",
        minimum=0.0,
    )
    ramp_steps: int = option(0, "pi-model: steps in which that weight rises", minimum=0)
    threshold: float = option(
        0.9,
        "probe, fixmatch, noisy-student: least confidence of a pseudo-label, as a score",
        minimum=0.0,
        maximum=1.0,
    )
    alignment: float | None = option(
        None,
        "probe, fixmatch, noisy-student: how far pseudo-labels are brought to the classes' "
        "frequencies among the labels, 0 to 1; probe: chosen by leaving labels out if not given, "
        "else 1",
        minimum=0.0,
        maximum=1.0,
    )
    rounds: int = option(
        2,
        "noisy-student: students after the first teacher; probe: rounds of pseudo-labels",
        minimum=1,
    )
    loss: str = option(
        "cross-entropy",
        "loss of labelled clips; bootstrap and lq believe wrong labels less",
        choices=OpenChoices(LOSSES, OWN_LOSSES),
    )
    bootstrap_beta: float = option(
        0.95,
        "loss bootstrap: weight of the label; the rest is the network's own answer",
        minimum=0.01,
        maximum=1.0,
    )
    lq_power: float = option(
        0.7, "loss lq: near 0 it is cross-entropy, at 1 absolute error", minimum=0.01, maximum=1.0
    )
    noise_rate: float = option(
        0.0,
        "small-loss selection: share of each batch left out as wrongly labelled; 0 is off",
        minimum=0.0,
        maximum=0.95,
    )
    selection_epochs: float = option(
        10.0, "small-loss selection: epochs until the whole share is left out", minimum=0.0
    )
    solve_head: bool = option(
        False,
        "supervised: after the training, solve for the class layer anew, on the embeddings of "
        "the labelled clips as they are",
    )

    def readers(self) -> dict[str, tuple[str, ...]]:
        """Options given otherwise than by default that not all methods read, with those that do."""
        return {
            field.name: READERS[field.name]
            for field in dataclasses.fields(self)
            if field.name in READERS and getattr(self, field.name) != field.default
        }

    def check_for(self, method: str) -> None:
        """Raise OptionError where an option was changed that the method does not read."""
        _refuse_unread(self, READERS, "method", method)

    @property
    def alignment_strength(self) -> float:
        """The strength of alignment: the one given, or all of it."""
        return 1.0 if self.alignment is None else self.alignment

    def weight_for(self, method: str) -> float:
        """The weight of unlabelled clips: the one given, or the method's own."""
        if self.pool_weight is not None:
            return self.pool_weight
        return 30.0 if method == "pi-model" else 1.0


def _refuse_unread(
    options: Any, readers: Mapping[str, tuple[str, ...]], kind: str, chosen: str
) -> None:
    """Raise OptionError with the name of an unread option, and who does read it."""
    for field in dataclasses.fields(options):
        value, of = getattr(options, field.name), readers.get(field.name, (chosen,))
        if value != field.default and chosen not in of:
            raise OptionError(
                f"option '{field.name}': found {value}, but the {kind} '{chosen}' does not read "
                f"it; it is for {', '.join(of)}"
            )


SAME = "same"
"""As ``noisy_loss``: unverified labels have the loss of the others."""


def check_noisy(method: str) -> None:
    """Raise OptionError where a method has no place for unverified labels beside others."""
    if method not in WITH_NOISY:
        raise OptionError(
            f"option 'method': '{method}' has no place for unverified labels beside verified ones; "
            f"use one of {', '.join(WITH_NOISY)}, or leave them out"
        )


# What an encoder can be pre-trained by, and the options of each objective.
#
# This file imports no torch: the command line and recipes read it.


RECONSTRUCTION, DENOISING, LAYERWISE, SIMCLR = "reconstruction", "denoising", "layer-wise", "simclr"
OBJECTIVES = (RECONSTRUCTION, DENOISING, LAYERWISE, SIMCLR)
WITHOUT_DECODER = (SIMCLR,)
"""Objectives that compare views of a clip and give an encoder alone."""

OBJECTIVE_HELP = "what pre-training asks of the encoder"


_READ_BY = {"layer_epochs": (LAYERWISE,), "views": (SIMCLR,), "view_share": (SIMCLR,)}


@dataclass(frozen=True)
class PretextOptions:
    """Options of the pre-training objectives, each of which one objective reads."""

    layer_epochs: int = option(
        5, "layer-wise: epochs of each layer by itself, before those of the whole", minimum=1
    )
    views: str = option(
        "strong",
        "simclr: how the views of a clip are changed",
        choices=OpenChoices(("none", "weak", "strong"), OWN_AUGMENTATIONS),
    )
    view_share: float = option(
        0.5,
        "simclr: length of a view as a share of the clip, cut at random; 1: all of it",
        minimum=0.05,
        maximum=1.0,
    )

    def check_for(self, objective: str) -> None:
        """Raise OptionError where an option was changed that the objective does not read."""
        check(self)
        _refuse_unread(self, _READ_BY, "objective", objective)


def check_pretraining(
    objective: str, decoder: str, pretext: PretextOptions, fit: FitOptions
) -> None:
    """Raise OptionError where an option was given that pre-training does not read."""
    pretext.check_for(objective)
    for name, off in (("freeze_epochs", 0.0), ("layer_decay", 1.0)):
        if getattr(fit, name) != off:
            raise OptionError(
                f"option '{name}' of pre-training: found {getattr(fit, name)}, but only the "
                "training of a classifier reads it; leave the option out"
            )
    if decoder != "auto" and objective in WITHOUT_DECODER:
        raise OptionError(
            f"option 'decoder': found '{decoder}', but the objective '{objective}' has no "
            "decoder; leave the option out"
        )


# How clips are cut into segments, and how segments vote.


MEAN, MAJORITY = "mean", "majority"
VOTINGS = (MEAN, MAJORITY)
CLASS_WISE, PITCH, STRETCH, EITHER = "class-wise", "pitch", "stretch", "pitch-or-stretch"
WHITE, PINK = "white", "pink"
COPIES = (CLASS_WISE, PITCH, STRETCH, EITHER, WHITE, PINK)


@dataclass(frozen=True)
class SegmentOptions:
    """How clips are cut into segments of the front end's duration, and how segments vote."""

    hop: float = option(
        0.0,
        "from the start of a segment to that of the next; 0: segments do not overlap",
        unit="s",
        minimum=0.0,
    )
    rest: bool = option(
        True, "give the rest of a clip a last segment that ends where the clip ends"
    )
    silence_db: float | None = option(
        None,
        "mean level of a segment at or below which it is left out, unless its clip holds "
        "nothing louder; all are kept if not given",
        unit="dB",
        maximum=0.0,
    )
    voting: str = option(
        MEAN,
        "answer for a clip: mean of its segments' probabilities, or their majority",
        choices=VOTINGS,
    )
    copies: tuple[str, ...] = option(
        (),
        "changed copies of each training clip, one for each name: class-wise (delay, pitch and "
        "stretch within Piczak's limits of its class), pitch (up to 4 semitones), stretch (0.8 to "
        "1.2), pitch-or-stretch (one of them), white or pink (noise at 10 to 17 dB)",
        choices=COPIES,
    )


AUTO = "auto"
NO_OBJECTIVE = "none"
DECODERS = ("auto", "unpool", "upsample", "subpixel", "unet")
STANDARDIZE = ("global", "mel", "none")
DEFAULT_MODEL = "small"
PRETRAIN_FIT = FitOptions(epochs=50, patience=5, monitor="val_loss")
TRAIN_FIT = FitOptions(epochs=100, patience=15, monitor="val_choice")
OF_ANY_TRAINING = frozenset({"precision", "checkpoint_interval"})
"""Options of a training loop that hold for every training of a run and ask for none."""


@dataclass(frozen=True)
class TrainConfig:
    """What is trained, and how: the one configuration behind every way to train a classifier.

    ``SoundClassifier.fit``, ``train``, ``find-rate``, ``suspects``, ``run``, ``curve`` and
    ``tune`` all read it. With ``method`` or ``objective`` "auto",
    :func:`resolve_auto` chooses what was left open.

    Examples
    --------
    >>> config = TrainConfig("cnn3", dropout=0.2, fit=FitOptions(epochs=5))
    >>> config.fit.epochs
    5
    """

    model: str = option(DEFAULT_MODEL, "architecture notation or the name of an architecture")
    method: str = option(
        "supervised",
        "how labels and unlabelled recordings are learned from; auto chooses by "
        "their number, and says why",
        choices=(AUTO, *METHODS),
    )
    objective: str = option(
        NO_OBJECTIVE,
        f"{OBJECTIVE_HELP}; none: no pre-training",
        choices=(AUTO, NO_OBJECTIVE, *OBJECTIVES),
    )
    decoder: str = option("auto", "the auto-encoder's way back up", choices=DECODERS)
    standardize: str = option(
        "global", "statistics that features are standardised by", choices=STANDARDIZE
    )
    dropout: float = option(
        0.0, "share of the embedding dropped in training", minimum=0.0, maximum=0.95
    )
    label_smoothing: float = option(
        0.0, "share of each label spread over all classes", minimum=0.0, maximum=0.9
    )
    mel: MelOptions = option(
        MelOptions(),
        "front end; with values other than these (the duration excepted) 'auto' first makes a "
        "start from synthetic sounds, once for all runs",
    )
    method_params: MethodOptions = option(MethodOptions(), "method")
    noisy_weight: float = option(
        1.0,
        "weight of a clip with unverified labels (FSDKaggle's noisy part) beside another",
        minimum=0.0,
        maximum=100.0,
    )
    noisy_loss: str = option(
        SAME,
        "loss of such clips, with the parameters of the option loss",
        choices=OpenChoices((SAME, *LOSSES), OWN_LOSSES),
    )
    fit: FitOptions = option(TRAIN_FIT, "training loop")
    pretrain: FitOptions = option(PRETRAIN_FIT, "training loop of the pre-training")
    pretext: PretextOptions = option(PretextOptions(), "pre-training objective")

    @property
    def has_noisy_part(self) -> bool:
        """Whether unverified labels are learned otherwise than verified ones."""
        return self.noisy_weight != 1.0 or self.noisy_loss != SAME


# ``--method auto``: the recommended way to learn, from what there is to learn from.
#
# First the encoder learns what sounds are, without labels: synthetic sounds, then contrastive
# learning on all clips at hand. Where labels are few they choose among what it has learned (a
# linear probe); where they are many they train it further. An encoder that was given keeps its
# weights where few labels meet one that tells sounds apart: its file says how it was made.
#
# The settings come from trials on inner validation parts of ESC-10's training folds. Where few
# labels end (:data:`FEW`) and how few clips are worth pre-training on (:data:`LEAST_HEARD`) are
# judgements. ``docs/explanation/few-labels.md`` tells what was measured. No torch here.


T = TypeVar("T")
FRESH, GIVEN, DRAWN = "fresh", "given", "drawn"
SYNTHETIC, GENERAL = "synthetic", "general"
"""What the encoder starts from: random weights; an encoder that learned to tell sounds apart (that
of a classifier, or one pre-trained by comparing views); one that learned to rebuild spectrograms;
one trained on synthetic sounds; or one of a published general network."""

VALIDATION = 0.15
"""Share of the labels that validate, unless another is asked for."""
FEW = 16.0
"""Labels a class up to which the encoder is left as it is while labels are learned."""
LEAST_HEARD = 200
"""Clips, labelled ones included, below which there is too little for contrastive learning."""

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
PRETRAIN = replace(FIT, steps=600, batch_size=64, learning_rate=2e-3)
"""Contrastive pre-training: for so long, on all clips, with the average of the weights kept."""
FINE_TUNE = replace(FIT, learning_rate=1e-3)
DROPOUT = 0.3
_BEGUN = {
    FRESH: "a fresh encoder",
    GIVEN: "the encoder given, which has learned to tell sounds apart",
    DRAWN: "the encoder given, which has learned to rebuild spectrograms",
    SYNTHETIC: "an encoder that has learned synthetic sounds",
    GENERAL: "a published general encoder",
}

GENERAL_NOTE = (
    "note: with so few labels an encoder trained with other people's labels may serve better; if "
    "you may use one: semisonic encoder get yamnet, then the same command with --encoder yamnet"
)
"""What ``auto`` says where it starts from nothing; see ``docs/guides/general-encoders.md``."""


@dataclass(frozen=True)
class DataSummary:
    """What there is to learn from.

    Attributes
    ----------
    labels_per_class : float
        Mean number of labelled clips per class.
    n_labelled : int
    n_pool : int
        Unlabelled clips beside them.
    start : {"fresh", "given", "drawn", "synthetic", "general"}
        What the encoder was asked to start from.
    """

    labels_per_class: float
    n_labelled: int
    n_pool: int = 0
    start: str = FRESH


class Resolved(NamedTuple):
    """A configuration in which nothing is left to ``auto``.

    ``start`` is what the encoder starts from; ``because`` what ``auto`` chose and why, empty where
    nothing was left to it.
    """

    config: TrainConfig
    start: str
    because: str = ""


def recommend(
    data: DataSummary, objective: str = AUTO, *, trains: str = "", keeps: str = ""
) -> Resolved:
    """The recommended way to learn.

    A probe is for encoders that are known to tell sounds apart; one that learned to rebuild
    spectrograms is trained further also with few labels. A published general encoder has learned
    from thousands of times more than is at hand: it is not changed, unless an objective or an
    option of the training was asked for.

    Parameters
    ----------
    data : DataSummary
    objective : str
        What pre-training was asked to be; ``auto`` where that is left open.
    trains, keeps : str
        The option that asks for the encoder to be trained, or to be kept; empty without one.
    """
    few, n_clips = data.labels_per_class <= FEW, data.n_labelled + data.n_pool
    start, asked = data.start, objective
    if objective == AUTO:
        worth_it = start != GENERAL and n_clips >= LEAST_HEARD
        objective = SIMCLR if worth_it else NO_OBJECTIVE
    if start == FRESH and asked in (AUTO, NO_OBJECTIVE):
        start = SYNTHETIC
    begun = _BEGUN[start]
    if objective == SIMCLR:
        begun += f", pre-trained (simclr) on {n_clips} clips ({data.n_pool} without labels)"
    elif objective != NO_OBJECTIVE:
        begun += f", pre-trained ({objective}) on {n_clips} clips"
    elif asked == AUTO and start != GENERAL:
        begun += f", as {n_clips} clips are too few for pre-training"
    labels = f"{data.labels_per_class:.3g} labels per class are "
    tells_apart = (
        start == GENERAL
        or (start in (SYNTHETIC, GIVEN) and objective == NO_OBJECTIVE)
        or objective in WITHOUT_DECODER
    )
    if not trains and (keeps or (tells_apart and (few or start == GENERAL))):
        params = MethodOptions(threshold=0.7)
        config = TrainConfig(method=PROBE, objective=objective, method_params=params)
        why = f"{labels}too few to change what it has learned"
        if keeps:
            why = f"option '{keeps}' is for it ({labels}given)"
        elif start == GENERAL:
            why = "it has learned from far more clips than there are here"
        return Resolved(config, start, f"{PROBE} on {begun}: {why}")
    config = TrainConfig(
        objective=objective,
        dropout=DROPOUT,
        method_params=MethodOptions(
            augment="mixed" if few else "strong", mixup=0.4, solve_head=not few
        ),
        fit=FIT if few else FINE_TUNE,
    )
    why = "enough to train it further"
    if trains:
        why = f"learned by training it, as option '{trains}' asks for"
    elif few:
        why = "few, but it may not tell sounds apart yet"
    return Resolved(config, start, f"supervised from {begun}: {labels}{why}")


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
        read, or a pool that no method learns from.
    """
    default, start, because = type(config)(), data.start, ""
    if config.method == AUTO:
        trains, keeps = _asked_of_encoder(config, trains)
        advice = recommend(data, config.objective, trains=trains, keeps=keeps)
        advised, start, because = advice.config, advice.start, advice.because
        config.method_params.check_for(advised.method)
        trained = advised.method not in SOLVED
        config = replace(
            config,
            method=advised.method,
            objective=advised.objective,
            method_params=followed(advised.method_params, config.method_params, MethodOptions()),
            fit=followed(advised.fit, config.fit, default.fit) if trained else config.fit,
            dropout=config.dropout if "dropout" in given(config, default) else advised.dropout,
        )
    else:
        config.method_params.check_for(config.method)
        if config.objective == AUTO:
            first = config.method in WITHOUT_POOL and data.n_pool and start == FRESH
            suited = SIMCLR if config.method in SOLVED else RECONSTRUCTION
            config = replace(config, objective=suited if first else NO_OBJECTIVE)
        if data.n_pool and config.method == "supervised" and config.objective == NO_OBJECTIVE:
            raise OptionError(
                "option 'unlabelled': the method 'supervised' without pre-training does not learn "
                "from these recordings; choose another method, an objective for pre-training, or "
                "leave them out"
            )
    fit = pretraining_fit(config.objective, config.pretrain, default.pretrain, config.fit)
    return Resolved(replace(config, pretrain=fit), start, because)


def _asked_of_encoder(config: TrainConfig, trains: str) -> tuple[str, str]:
    """An option for a training of the encoder, and one for a probe; empty where none is given."""
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


def _of_training(config: TrainConfig) -> Iterator[tuple[str, Any, bool, bool]]:
    """Options that only a training reads: name, value, whether it was changed, and given."""
    named = given(config.fit, TRAIN_FIT)
    for name in (field.name for field in dataclasses.fields(config.fit)):
        value = getattr(config.fit, name)
        if name not in OF_ANY_TRAINING:
            yield name, value, value != getattr(TRAIN_FIT, name), name in named
    for name in ("dropout", "label_smoothing"):
        value = getattr(config, name)
        yield name, value, bool(value), bool(value)


def asks_training(config: TrainConfig) -> str:
    """The first option that was given and that only a training reads; or nothing."""
    return next((name for name, _, _, is_given in _of_training(config) if is_given), "")


def check_read(method: str, config: TrainConfig) -> None:
    """Raise OptionError for a changed option of training where a class layer is solved for."""
    for name, value, is_changed, _ in _of_training(config) if method in SOLVED else ():
        if is_changed:
            raise OptionError(
                f"option '{name}': found {value}, but the method '{method}' only chooses among "
                "what the encoder has learned and does not read it; to train the encoder give the "
                "method 'supervised'"
            )


def check_freezing(fit: FitOptions, has_start: bool) -> None:
    """Raise OptionError where an encoder is to be frozen that has learned nothing yet."""
    if fit.freeze_epochs and not has_start:
        raise OptionError(
            f"option 'freeze_epochs': found {fit.freeze_epochs:g}, but the encoder starts from "
            "random weights, which freezing would keep; give an encoder to start from, or a "
            "pool to pre-train it on"
        )


def check_trainable(name: str, is_trainable: bool, method: str, objective: str) -> None:
    """Raise OptionError where an encoder is to be trained that can only be kept as it is."""
    if is_trainable or (method in SOLVED and objective == NO_OBJECTIVE):
        return
    what = f"the method '{method}'" if method not in SOLVED else f"the objective '{objective}'"
    raise OptionError(
        f"option 'encoder': '{name}' is run by onnxruntime and cannot be trained, as {what} "
        f"would; give the method '{PROBE}' without pre-training, which learns a layer on its "
        "embeddings, or an encoder that can be trained, such as yamnet"
    )


EPOCH_CHOICE = ("patience", "monitor", "restore_best")
"""Options of a training loop that are about the held-out labels."""


def validation_share(config: TrainConfig, share: float, labels_per_class: float) -> float:
    """The share of labels to validate on: none of a few, unless it was asked for.

    Up to :data:`FEW` labels a class, two of them tell too little of which epoch is the best, and
    are missed in training. A share other than
    :data:`VALIDATION` asks for a part; so do changed options about the choice of the epoch, as
    long as the part has a label of each class.
    """
    if share != VALIDATION or labels_per_class > FEW:
        return share
    choice = any(getattr(config.fit, one) != getattr(TRAIN_FIT, one) for one in EPOCH_CHOICE)
    return share if choice and labels_per_class * share >= 1 else 0.0


def all_learned_note(labels_per_class: float) -> str:
    """What is said where :func:`validation_share` holds nothing out."""
    return (
        f"note: {labels_per_class:.3g} labels per class are too few to hold some out and choose "
        f"the epoch by them (up to {FEW:g} are), so all are learned from; for a part all the same "
        "give another share, such as --validation 0.2"
    )


def pretraining_fit(
    objective: str, asked: FitOptions, default: FitOptions, training: FitOptions | None = None
) -> FitOptions:
    """How pre-training runs: for simclr as advised, as far as nothing else was given.

    What was given for any training in ``training``, the options of what follows, holds here, too.
    """
    if training is not None:
        alike = (given(training, TRAIN_FIT) & OF_ANY_TRAINING) - given(asked, default)
        asked = changed(asked, **{name: getattr(training, name) for name in alike})
    return followed(PRETRAIN if objective == SIMCLR else asked, asked, default)


def followed(advice: T, asked: T, default: T) -> T:
    """The advice with every option that was given.

    ``advice``, ``asked`` and ``default`` are options of one kind; what was given in ``asked`` wins,
    see :func:`semisonic.core.options.given`. Epochs that were given win over steps that were
    advised. Nothing is left open in the result.
    """
    values = {name: getattr(asked, name) for name in given(asked, default)}
    if "epochs" in values and "steps" not in values:
        values |= {"steps": 0, "epoch_steps": asked.epoch_steps}  # type: ignore[attr-defined]
    settled = replace(advice, **values)  # type: ignore[type-var]
    return mark_given(settled, (field.name for field in dataclasses.fields(settled)))  # type: ignore[arg-type]
