"""How a classifier is trained: options of methods, pre-training and segments, and what ``auto``
chooses. No torch here.
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
"""Methods that keep the encoder unchanged and solve for the class layer."""
WITHOUT_POOL = ("supervised", PROBE)
"""Methods that need no pool; a probe uses one if there is one."""
WITH_NOISY = ("supervised", "pi-model", "noisy-student")
"""Methods that treat clips with unverified labels as a separate part."""

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
"""Which methods use an option; all methods use the others."""

VIEWS = ("none", "weak", "mixed", "strong")


@dataclass(frozen=True)
class MethodOptions:
    """How to learn from labelled and unlabelled clips."""

    augment: str = option(
        "none",
        "random changes of labelled clips in training; mixed: weak or strong for each clip",
        choices=OpenChoices(VIEWS, OWN_AUGMENTATIONS),
    )
    pool_augment: str = option(
        "strong",
        "pi-model, fixmatch: random changes of unlabelled clips, in the view to learn from",
        choices=OpenChoices(VIEWS, OWN_AUGMENTATIONS),
    )
    mixup: float = option(
        0.0,
        "mix pairs of clips and their labels, with shares from Beta(x, x); 0: off",
        minimum=0.0,
        maximum=10.0,
    )
    pool_ratio: float = option(
        2.0, "unlabelled clips for each labelled clip in a step", minimum=0.1, maximum=50.0
    )
    pool_weight: float | None = option(
        None,
        "weight of the loss of unlabelled clips relative to labelled ones; probe: largest "
        "weight of all pseudo-labels together; joint: weight of the reconstruction; pi-model: "
        "weight of a mean square; by default 30 for pi-model, else 1",
        minimum=0.0,
    )
    ramp_steps: int = option(0, "pi-model: steps in which this weight rises from 0", minimum=0)
    threshold: float = option(
        0.9,
        "probe, fixmatch, noisy-student: lowest score of a pseudo-label",
        minimum=0.0,
        maximum=1.0,
    )
    alignment: float | None = option(
        None,
        "probe, fixmatch, noisy-student: how far pseudo-labels are adjusted to the class "
        "frequencies of the labels; by default a probe chooses it by leaving labels out, "
        "else 1",
        minimum=0.0,
        maximum=1.0,
    )
    rounds: int = option(
        2,
        "noisy-student: number of students after the first teacher; probe: rounds of pseudo-labels",
        minimum=1,
    )
    loss: str = option(
        "cross-entropy",
        "loss of labelled clips; bootstrap and lq are more robust to wrong labels",
        choices=OpenChoices(LOSSES, OWN_LOSSES),
    )
    bootstrap_beta: float = option(
        0.95,
        "loss bootstrap: weight of the label; the rest is the weight of the network's own answer",
        minimum=0.01,
        maximum=1.0,
    )
    lq_power: float = option(
        0.7,
        "loss lq: exponent; near 0 the loss is cross-entropy, at 1 absolute error",
        minimum=0.01,
        maximum=1.0,
    )
    noise_rate: float = option(
        0.0,
        "small-loss selection: share of each batch to leave out as wrongly labelled; 0: off",
        minimum=0.0,
        maximum=0.95,
    )
    selection_epochs: float = option(
        10.0,
        "small-loss selection: epochs in which this share rises to its full value",
        minimum=0.0,
    )
    solve_head: bool = option(
        False,
        "supervised: after training, solve for a new class layer, on the embeddings of the "
        "unchanged labelled clips",
    )

    def readers(self) -> dict[str, tuple[str, ...]]:
        """Changed options that only some methods use, with the names of these methods."""
        return {
            field.name: READERS[field.name]
            for field in dataclasses.fields(self)
            if field.name in READERS and getattr(self, field.name) != field.default
        }

    def check_for(self, method: str) -> None:
        """Raise OptionError if an option was changed that the method does not use."""
        _refuse_unread(self, READERS, "method", method)

    @property
    def alignment_strength(self) -> float:
        """The strength of alignment: the one given, or 1."""
        return 1.0 if self.alignment is None else self.alignment

    def weight_for(self, method: str) -> float:
        """The weight of unlabelled clips: the one given, or the method's own."""
        if self.pool_weight is not None:
            return self.pool_weight
        return 30.0 if method == "pi-model" else 1.0


def _refuse_unread(
    options: Any, readers: Mapping[str, tuple[str, ...]], kind: str, chosen: str
) -> None:
    """Raise OptionError with the name of an unused option, and what it is for."""
    for field in dataclasses.fields(options):
        value, of = getattr(options, field.name), readers.get(field.name, (chosen,))
        if value != field.default and chosen not in of:
            raise OptionError(
                f"option '{field.name}': found {value}, but the {kind} '{chosen}' does not use "
                f"it; it is for {', '.join(of)}"
            )


SAME = "same"
"""Value of ``noisy_loss``: unverified labels have the same loss as the others."""


def check_noisy(method: str) -> None:
    """Raise OptionError if a method cannot treat unverified labels separately."""
    if method not in WITH_NOISY:
        raise OptionError(
            f"option 'method': '{method}' cannot weight unverified labels separately; use one "
            f"of {', '.join(WITH_NOISY)}, or leave these clips out"
        )


# What an encoder can be pre-trained by, and the options of each objective.
#
# This file imports no torch: the command line and recipes read it.


RECONSTRUCTION, DENOISING, LAYERWISE, SIMCLR = "reconstruction", "denoising", "layer-wise", "simclr"
OBJECTIVES = (RECONSTRUCTION, DENOISING, LAYERWISE, SIMCLR)
WITHOUT_DECODER = (SIMCLR,)
"""Objectives that compare views of a clip and train an encoder without a decoder."""

OBJECTIVE_HELP = "objective of pre-training"


_READ_BY = {"layer_epochs": (LAYERWISE,), "views": (SIMCLR,), "view_share": (SIMCLR,)}


@dataclass(frozen=True)
class PretextOptions:
    """Options of the pre-training objectives; each option is for one objective."""

    layer_epochs: int = option(
        5, "layer-wise: epochs of each layer alone, before those of the whole encoder", minimum=1
    )
    views: str = option(
        "strong",
        "simclr: random changes of the views of a clip",
        choices=OpenChoices(("none", "weak", "strong"), OWN_AUGMENTATIONS),
    )
    view_share: float = option(
        0.5,
        "simclr: length of a view as a share of the clip, cut at random; 1: the whole clip",
        minimum=0.05,
        maximum=1.0,
    )

    def check_for(self, objective: str) -> None:
        """Raise OptionError if an option was changed that the objective does not use."""
        check(self)
        _refuse_unread(self, _READ_BY, "objective", objective)


def check_pretraining(
    objective: str, decoder: str, pretext: PretextOptions, fit: FitOptions
) -> None:
    """Raise OptionError if an option was given that pre-training does not use."""
    pretext.check_for(objective)
    for name, off in (("freeze_epochs", 0.0), ("layer_decay", 1.0)):
        if getattr(fit, name) != off:
            raise OptionError(
                f"option '{name}' of pre-training: found {getattr(fit, name)}, but only the "
                "training of a classifier uses it; leave the option out"
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
        "step between the starts of segments; 0: the length of a segment, without overlap",
        unit="s",
        minimum=0.0,
    )
    rest: bool = option(True, "add a last segment for the rest of a clip, which ends with the clip")
    silence_db: float | None = option(
        None,
        "leave out segments with at most this mean level, unless their clip has nothing louder; "
        "by default all are kept",
        unit="dB",
        maximum=0.0,
    )
    voting: str = option(
        MEAN,
        "how segments vote for a clip: mean of their probabilities, or majority",
        choices=VOTINGS,
    )
    copies: tuple[str, ...] = option(
        (),
        "add changed copies of each training clip, one for each name: class-wise (delay, pitch "
        "and stretch within Piczak's limits of its class), pitch (up to 4 semitones), stretch "
        "(0.8 to 1.2), pitch-or-stretch (one of them), white or pink (noise at 10 to 17 dB)",
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
"""Options of a training loop that apply to every training and do not ask for one."""


@dataclass(frozen=True)
class TrainConfig:
    """The configuration of a training, for every way to train a classifier.

    ``SoundClassifier.fit``, ``train``, ``find-rate``, ``suspects``, ``run``, ``curve`` and
    ``tune`` use it. If ``method`` or ``objective`` is "auto", :func:`resolve_auto` chooses what
    was not given.

    Examples
    --------
    >>> config = TrainConfig("cnn3", dropout=0.2, fit=FitOptions(epochs=5))
    >>> config.fit.epochs
    5
    """

    model: str = option(DEFAULT_MODEL, "name of an architecture, or architecture notation")
    method: str = option(
        "supervised",
        "how to learn from labels and unlabelled recordings; auto chooses by their number, with "
        "a message why",
        choices=(AUTO, *METHODS),
    )
    objective: str = option(
        NO_OBJECTIVE,
        f"{OBJECTIVE_HELP}; none: no pre-training",
        choices=(AUTO, NO_OBJECTIVE, *OBJECTIVES),
    )
    decoder: str = option("auto", "decoder of the auto-encoder", choices=DECODERS)
    standardize: str = option(
        "global",
        "statistics for standardising features: of all features, of each mel band, or none",
        choices=STANDARDIZE,
    )
    dropout: float = option(
        0.0, "share of the embedding to drop in training", minimum=0.0, maximum=0.95
    )
    label_smoothing: float = option(
        0.0, "share of each label to spread over all classes", minimum=0.0, maximum=0.9
    )
    mel: MelOptions = option(
        MelOptions(),
        "front end; with other values than these (except the duration), 'auto' first trains an "
        "encoder on synthetic sounds, once for all runs",
    )
    method_params: MethodOptions = option(MethodOptions(), "method")
    noisy_weight: float = option(
        1.0,
        "weight of a clip with unverified labels (such as FSDKaggle's noisy part), relative to "
        "others",
        minimum=0.0,
        maximum=100.0,
    )
    noisy_loss: str = option(
        SAME,
        "loss of clips with unverified labels, with the parameters of the option loss",
        choices=OpenChoices((SAME, *LOSSES), OWN_LOSSES),
    )
    fit: FitOptions = option(TRAIN_FIT, "training loop")
    pretrain: FitOptions = option(PRETRAIN_FIT, "training loop of the pre-training")
    pretext: PretextOptions = option(PretextOptions(), "pre-training objective")

    @property
    def has_noisy_part(self) -> bool:
        """Whether unverified labels are treated differently from verified ones."""
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
"""What the encoder starts from: random weights; an encoder that was trained to distinguish sounds
(that of a classifier, or one pre-trained by comparing views); one trained to rebuild spectrograms;
one trained on synthetic sounds; or a published general encoder.
"""

VALIDATION = 0.15
"""Default share of the labels for validation."""
FEW = 16.0
"""Labels per class up to which the encoder is not changed by training on labels."""
LEAST_HEARD = 200
"""Number of clips, labelled ones included, below which contrastive learning is not used."""

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
"""Training from random weights with few labels: the control for the recommended method."""
PRETRAIN = replace(FIT, steps=600, batch_size=64, learning_rate=2e-3)
"""Contrastive pre-training on all clips, which keeps the average of the weights."""
FINE_TUNE = replace(FIT, learning_rate=1e-3)
DROPOUT = 0.3
_BEGUN = {
    FRESH: "a new encoder",
    GIVEN: "the given encoder, which was trained to distinguish sounds",
    DRAWN: "the given encoder, which was trained to rebuild spectrograms",
    SYNTHETIC: "an encoder trained on synthetic sounds",
    GENERAL: "a published general encoder",
}

GENERAL_NOTE = (
    "with so few labels, a general encoder, trained with labels of others, may give better "
    "results; if you may use one, get it (semisonic encoder get yamnet, in Python "
    "semisonic.get_encoder('yamnet')) and set the option 'encoder' to yamnet"
)
"""The advice if ``auto`` starts from no given encoder; see
``docs/guides/general-encoders.md``.
"""


@dataclass(frozen=True)
class DataSummary:
    """The data to learn from, in numbers.

    Attributes
    ----------
    labels_per_class : float
        Mean number of labelled clips per class.
    n_labelled : int
    n_pool : int
        Number of unlabelled clips.
    start : {"fresh", "given", "drawn", "synthetic", "general"}
        What the encoder is to start from.
    """

    labels_per_class: float
    n_labelled: int
    n_pool: int = 0
    start: str = FRESH


class Resolved(NamedTuple):
    """A configuration in which ``auto`` has chosen everything.

    ``start`` is what the encoder starts from; ``because`` is what ``auto`` chose and why, empty if
    it had nothing to choose.
    """

    config: TrainConfig
    start: str
    because: str = ""


def recommend(
    data: DataSummary, objective: str = AUTO, *, trains: str = "", keeps: str = ""
) -> Resolved:
    """The recommended method.

    A probe is for encoders that are known to distinguish sounds; one that was trained to rebuild
    spectrograms is trained further even with few labels. A published general encoder was trained
    on thousands of times more clips: it is not changed, unless an objective or an option of the
    training was given.

    Parameters
    ----------
    data : DataSummary
    objective : str
        The objective that was given, or ``auto``.
    trains, keeps : str
        The option that asks for training the encoder, or for keeping it; empty without one.
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
        why = f"{labels}too few to change the encoder"
        if keeps:
            why = f"option '{keeps}' needs it ({labels}given)"
        elif start == GENERAL:
            why = "it was trained on far more clips than there are here"
        return Resolved(config, start, f"{PROBE} on {begun}: {why}")
    config = TrainConfig(
        objective=objective,
        dropout=DROPOUT,
        method_params=MethodOptions(
            augment="mixed" if few else "strong", mixup=0.4, solve_head=not few
        ),
        fit=FIT if few else FINE_TUNE,
    )
    why = "enough to train the encoder further"
    if trains:
        why = f"used to train the encoder, as option '{trains}' asks for"
    elif few:
        why = "few, but the encoder may not distinguish sounds yet"
    return Resolved(config, start, f"supervised from {begun}: {labels}{why}")


def resolve_auto(config: TrainConfig, data: DataSummary, *, trains: str = "") -> Resolved:
    """Choose what a configuration leaves to ``auto``.

    Options that were given are kept, see :func:`semisonic.core.options.given`.

    Parameters
    ----------
    config : TrainConfig
        Or a class derived from it; fields with their default count as not given.
    data : DataSummary
        The data to learn from, and what the encoder is to start from.
    trains : str
        An option or a verb that asks for training the encoder; empty without one.

    Raises
    ------
    OptionError
        If an option would do nothing: one that the method does not use, or a pool that it does not
        learn from.
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
                "option 'unlabelled': the method 'supervised' without pre-training does not "
                "learn from these recordings; give another method or an objective for "
                "pre-training, or leave the option out"
            )
    fit = pretraining_fit(config.objective, config.pretrain, default.pretrain, config.fit)
    return Resolved(replace(config, pretrain=fit), start, because)


def _asked_of_encoder(config: TrainConfig, trains: str) -> tuple[str, str]:
    """An option for training the encoder, and one for a probe; empty if none is given."""
    readers = config.method_params.readers().items()
    training = [name for name, of in readers if "supervised" in of and PROBE not in of]
    keeping = [name for name, of in readers if PROBE in of and "supervised" not in of]
    training = [*([trains] if trains else []), *training]
    if training and keeping:
        raise OptionError(
            f"options '{training[0]}' and '{keeping[0]}': the first asks for training the "
            "encoder, the second is for a method that keeps it; leave one of them out, or give "
            "a method"
        )
    return (training or [""])[0], (keeping or [""])[0]


def _of_training(config: TrainConfig) -> Iterator[tuple[str, Any, bool, bool]]:
    """Options that only training uses: name, value, whether it was changed, and given."""
    named = given(config.fit, TRAIN_FIT)
    for name in (field.name for field in dataclasses.fields(config.fit)):
        value = getattr(config.fit, name)
        if name not in OF_ANY_TRAINING:
            yield name, value, value != getattr(TRAIN_FIT, name), name in named
    for name in ("dropout", "label_smoothing"):
        value = getattr(config, name)
        yield name, value, bool(value), bool(value)


def asks_training(config: TrainConfig) -> str:
    """The first given option that only training uses, or an empty text."""
    return next((name for name, _, _, is_given in _of_training(config) if is_given), "")


def check_read(method: str, config: TrainConfig) -> None:
    """Raise OptionError for a changed option of training if the method solves for a class layer."""
    for name, value, is_changed, _ in _of_training(config) if method in SOLVED else ():
        if is_changed:
            raise OptionError(
                f"option '{name}': found {value}, but the method '{method}' does not train the "
                "encoder and does not use it; to train the encoder, give the method "
                "'supervised'"
            )


def check_freezing(fit: FitOptions, has_start: bool) -> None:
    """Raise OptionError if an encoder is to be frozen that was not trained yet."""
    if fit.freeze_epochs and not has_start:
        raise OptionError(
            f"option 'freeze_epochs': found {fit.freeze_epochs:g}, but the encoder starts from "
            "random weights, and freezing would keep them; give an encoder to start from, or a "
            "pool to pre-train it on"
        )


def check_trainable(name: str, is_trainable: bool, method: str, objective: str) -> None:
    """Raise OptionError if an encoder is to be trained that cannot be trained."""
    if is_trainable or (method in SOLVED and objective == NO_OBJECTIVE):
        return
    what = f"the method '{method}'" if method not in SOLVED else f"the objective '{objective}'"
    raise OptionError(
        f"option 'encoder': '{name}' is run by onnxruntime and cannot be trained, but {what} "
        f"would train it; give the method '{PROBE}' without pre-training, which trains a layer "
        "on its embeddings, or an encoder that can be trained, such as yamnet"
    )


EPOCH_CHOICE = ("patience", "monitor", "restore_best")
"""Options of a training loop that use the held-out labels."""


def validation_share(config: TrainConfig, share: float, labels_per_class: float) -> float:
    """The share of labels for validation: 0 with few labels, unless it was asked for.

    Up to :data:`FEW` labels per class, the two that would be held out say too little about the
    best epoch, and training needs them. A share other than :data:`VALIDATION` asks for validation;
    so do changed options about the choice of the epoch, if the part has a label of each class.
    """
    if share != VALIDATION or labels_per_class > FEW:
        return share
    choice = any(getattr(config.fit, one) != getattr(TRAIN_FIT, one) for one in EPOCH_CHOICE)
    return share if choice and labels_per_class * share >= 1 else 0.0


def all_learned_note(labels_per_class: float) -> str:
    """The message if :func:`validation_share` holds nothing out."""
    return (
        f"with {labels_per_class:.3g} labels per class (up to {FEW:g}), none are held out to "
        "choose the epoch, so training uses all; to hold some out, set the option 'validation' "
        "to another share, such as 0.2"
    )


def pretraining_fit(
    objective: str, asked: FitOptions, default: FitOptions, training: FitOptions | None = None
) -> FitOptions:
    """How pre-training runs: simclr has recommended values for options that were not given.

    Options given for any training in ``training``, that of the following training, apply here too.
    """
    if training is not None:
        alike = (given(training, TRAIN_FIT) & OF_ANY_TRAINING) - given(asked, default)
        asked = changed(asked, **{name: getattr(training, name) for name in alike})
    return followed(PRETRAIN if objective == SIMCLR else asked, asked, default)


def followed(advice: T, asked: T, default: T) -> T:
    """The recommended options, with those that were given.

    ``advice``, ``asked`` and ``default`` are options of one class; options given in ``asked`` take
    precedence, see :func:`semisonic.core.options.given`. Given epochs take precedence over
    recommended steps. Every option of the result counts as given.
    """
    values = {name: getattr(asked, name) for name in given(asked, default)}
    if "epochs" in values and "steps" not in values:
        values |= {"steps": 0, "epoch_steps": asked.epoch_steps}  # type: ignore[attr-defined]
    settled = replace(advice, **values)  # type: ignore[type-var]
    return mark_given(settled, (field.name for field in dataclasses.fields(settled)))  # type: ignore[arg-type]
