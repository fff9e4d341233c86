"""How a classifier is trained: options of methods, pre-training and segments, and what ``auto``
takes. No torch here.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from semisonic.core.errors import OptionError
from semisonic.core.options import OpenChoices, check, given, mark_given, option
from semisonic.features.options import REGISTERED, MelOptions
from semisonic.learning.options import LOSSES, LossOptions
from semisonic.training.options import FitOptions

# The options of all methods. No torch here: the command line reads this file.


METHODS = (
    "supervised",
    "probe",
    "prototype",
    "joint",
    "pi-model",
    "mean-teacher",
    "fixmatch",
    "noisy-student",
)
PROBE, PROTOTYPE = METHODS[1:3]
FITTED = "fitted"
"""What happens to simple classifiers; it goes with the model and is not asked for."""
LEFT_OUT = "probe or prototype"
"""The better of both, by leaving labelled recordings out; ``auto`` chooses it."""
SOLVED = (PROBE, PROTOTYPE, LEFT_OUT, FITTED)
"""Methods that leave the encoder as it is and solve for the class layer."""
WITHOUT_POOL = (*METHODS[:3], LEFT_OUT, FITTED)
"""The others need a pool; the second uses one if there is one."""
WITH_NOISY = ("supervised", "pi-model", "mean-teacher", "noisy-student")
"""Methods that take clips whose labels nobody checked as a part of their own."""

_TRAINING = ("supervised", *METHODS[3:])
_WITH_POOL = METHODS[3:7]
_GUESSING = ("probe", "fixmatch", "noisy-student")
_READERS = {
    "augment": _TRAINING,
    "mixup": _TRAINING,
    "pool_augment": ("pi-model", "mean-teacher", "fixmatch"),
    "pool_ratio": _WITH_POOL,
    "pool_weight": ("probe", *_WITH_POOL),
    "ramp_steps": ("pi-model", "mean-teacher"),
    "teacher_decay": ("mean-teacher", "fixmatch"),
    "threshold": _GUESSING,
    "threshold_kind": ("fixmatch",),
    "alignment": _GUESSING,
    "temperature": _GUESSING[1:],
    "rounds": ("probe", "noisy-student"),
}
"""Which methods read an option; the others are for all."""

VIEWS = ("none", "weak", "mixed", "strong")
THRESHOLDS = ("fixed", "relative", "adaptive")


@dataclass(frozen=True)
class MethodOptions:
    """How labels and unlabelled clips are learned from."""

    augment: str = option(
        "none",
        "random changes of labelled clips in training; mixed: weak or strong ones",
        choices=OpenChoices(VIEWS, REGISTERED),
    )
    pool_augment: str = option(
        "strong",
        "pi-model, mean-teacher, fixmatch: random changes of unlabelled clips, in the view that "
        "is learned from",
        choices=OpenChoices(VIEWS, REGISTERED),
    )
    mixup: float = option(
        0.0, "blend pairs of clips, shares from Beta(x, x); 0 is off", minimum=0.0, maximum=10.0
    )
    pool_ratio: float = option(
        2.0, "unlabelled clips per step for each labelled one", minimum=0.1, maximum=50.0
    )
    pool_weight: float | None = option(
        None,
        "weight of the loss of unlabelled clips beside that of labelled ones; probe: of "
        "all guesses together, at most; joint: of their reconstruction; pi-model, mean-teacher: "
        "of a mean square, 30 if not given; else 1",
        minimum=0.0,
    )
    ramp_steps: int = option(
        0, "pi-model, mean-teacher: steps in which that weight rises", minimum=0
    )
    teacher_decay: float | None = option(
        None,
        "fixmatch, mean-teacher: guesses come from the weights' moving average with this "
        "decay; 0: from the network itself. If not given 0.99 for mean-teacher, else 0",
        minimum=0.0,
        maximum=0.99999,
    )
    threshold: float = option(
        0.9,
        "probe, fixmatch, noisy-student: how sure a guess must be, as a score",
        minimum=0.0,
        maximum=1.0,
    )
    threshold_kind: str = option(
        "fixed",
        "fixmatch: fixed; relative to the sureness of labelled clips; or adaptive by class",
        choices=THRESHOLDS,
    )
    alignment: float = option(
        1.0,
        "probe, fixmatch, noisy-student: how far guesses are brought to the classes' "
        "frequencies among the labels, 0 to 1",
        minimum=0.0,
        maximum=1.0,
    )
    temperature: float = option(
        0.0,
        "fixmatch, noisy-student: 0 makes a guess a class; above, a distribution, sharpened "
        "below 1",
        minimum=0.0,
        maximum=10.0,
    )
    rounds: int = option(
        2, "noisy-student: students after the first teacher; probe: rounds of guesses", minimum=1
    )

    def readers(self) -> dict[str, tuple[str, ...]]:
        """Options given otherwise than by default that not all methods read, with those that do."""
        return {
            field.name: _READERS[field.name]
            for field in dataclasses.fields(self)
            if field.name in _READERS and getattr(self, field.name) != field.default
        }

    def check_for(self, method: str) -> None:
        """Refuse an option that the method does not read.

        Raises
        ------
        OptionError
            With its name, and the methods that do read it.
        """
        for name, readers in self.readers().items():
            if method not in readers:
                raise OptionError(
                    f"option '{name}': found {getattr(self, name)}, but the method '{method}' does "
                    f"not read it; it is for {', '.join(readers)}"
                )

    def weight_for(self, method: str) -> float:
        """The weight of unlabelled clips: the one given, or the method's own."""
        if self.pool_weight is not None:
            return self.pool_weight
        return 30.0 if method in ("pi-model", "mean-teacher") else 1.0

    def decay_for(self, method: str) -> float:
        """The teacher's decay: the one given, or the method's own."""
        if self.teacher_decay is not None:
            return self.teacher_decay
        return 0.99 if method == "mean-teacher" else 0.0


SAME = "same"
"""As ``noisy_loss``: unverified labels have the loss of the others."""


def check_noisy(method: str) -> None:
    """See that a method takes clips whose labels nobody checked as a part of their own.

    Raises
    ------
    OptionError
        When it does not.
    """
    if method not in WITH_NOISY:
        raise OptionError(
            f"option 'method': '{method}' has no place for labels that nobody checked beside "
            f"others; use one of {', '.join(WITH_NOISY)}, or leave them out"
        )


# What an encoder can be pre-trained by, and the options of each objective.
#
# This file imports no torch: the command line and recipes read it.


RECONSTRUCTION, DENOISING, LAYERWISE, SIMCLR = "reconstruction", "denoising", "layer-wise", "simclr"
OBJECTIVES = (RECONSTRUCTION, DENOISING, LAYERWISE, SIMCLR)
WITHOUT_DECODER = (SIMCLR,)
"""Objectives that compare views of a clip and give an encoder alone."""

OBJECTIVE_HELP = "what pre-training asks of the encoder"
PRETEXT_HELP = "pre-training objective"


def _option_of(objective: str, default: Any, text: str, **limits: Any) -> Any:
    """An option that one objective alone reads; its help says of which."""
    declared = option(default, f"{objective}: {text}", **limits)
    return dataclasses.field(
        default=default, metadata={**declared.metadata, "objective": objective}
    )


@dataclass(frozen=True)
class PretextOptions:
    """Options of the pre-training objectives, each of which one objective reads."""

    noise_db: float = _option_of(
        DENOISING, 6.0, "deviation of the noise on each cell; 0: none", unit="dB", minimum=0
    )
    cell_dropout: float = _option_of(
        DENOISING, 0.25, "share of cells that are dropped", minimum=0.0, maximum=0.95
    )
    layer_epochs: int = _option_of(
        LAYERWISE, 5, "epochs of each layer by itself; 0: none", minimum=0
    )
    together: bool = _option_of(LAYERWISE, True, "train the whole auto-encoder after its layers")
    views: str = _option_of(
        SIMCLR,
        "strong",
        "how the views of a clip are changed",
        choices=OpenChoices(("none", "weak", "strong"), REGISTERED),
    )
    view_share: float = _option_of(
        SIMCLR,
        0.5,
        "length of a view as a share of the clip, cut at random; 1: all of it",
        minimum=0.05,
        maximum=1.0,
    )
    view_background: float = _option_of(
        SIMCLR, 0.5, "share of views with another clip beneath", minimum=0.0, maximum=1.0
    )
    view_crop: float = _option_of(
        SIMCLR,
        0.25,
        "most that is cut off a view's bands, as a share; the rest is stretched over them",
        minimum=0.0,
        maximum=0.9,
    )
    projection: int = _option_of(SIMCLR, 128, "length of the vectors that are compared", minimum=2)
    contrast_temperature: float = _option_of(
        SIMCLR,
        0.2,
        "what similarities are divided by; smaller: the most alike of the other clips count more",
        minimum=0.01,
        maximum=10.0,
    )

    def check_for(self, objective: str) -> None:
        """See that only options were changed that an objective reads.

        Raises
        ------
        OptionError
            When an option of another objective was changed, which would do nothing, or when
            nothing is left to train.
        """
        check(self)
        if objective == LAYERWISE and not (self.layer_epochs or self.together):
            raise OptionError(
                "options 'layer_epochs', 'together': found 0 and false, so that nothing would be "
                "trained; give the layers epochs, or train the whole"
            )
        for field in dataclasses.fields(self):
            reader, value = field.metadata["objective"], getattr(self, field.name)
            if objective != reader and value != field.default:
                raise OptionError(
                    f"option '{field.name}': found {value}, but the objective '{objective}' does "
                    f"not read it; it is for {reader}"
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


@dataclass(frozen=True)
class TrainConfig:
    """What is trained, and how: the one configuration behind every way to train a classifier.

    ``SoundClassifier.fit``, ``train``, ``find-rate``, ``suspects``, ``run``, ``curve`` and
    ``tune`` all read it. With ``method`` or ``objective`` "auto",
    :func:`semisonic.classifier.strategy.resolve_auto` chooses what was left open.

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
        choices=(AUTO, *METHODS, LEFT_OUT, FITTED),
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
    mel: MelOptions = option(MelOptions(), "front end")
    method_params: MethodOptions = option(MethodOptions(), "method")
    noisy_weight: float = option(
        1.0,
        "weight of a clip whose labels nobody checked (FSDKaggle's noisy part) beside another",
        minimum=0.0,
        maximum=100.0,
    )
    noisy_loss: str = option(
        SAME, "loss of such clips, with the parameters of the option loss", choices=(SAME, *LOSSES)
    )
    loss: LossOptions = option(LossOptions(), "loss")
    fit: FitOptions = option(TRAIN_FIT, "training loop")
    pretrain: FitOptions = option(PRETRAIN_FIT, "training loop of the pre-training")
    pretext: PretextOptions = option(PretextOptions(), PRETEXT_HELP)

    @property
    def has_noisy_part(self) -> bool:
        """Whether unverified labels are learned otherwise than verified ones."""
        return self.noisy_weight != 1.0 or self.noisy_loss != SAME

    @property
    def loss_of_noisy(self) -> LossOptions:
        """The loss of unverified labels, beside that of the verified ones."""
        return self.loss if self.noisy_loss == SAME else replace(self.loss, loss=self.noisy_loss)


# ``--method auto``: the recommended way to learn, from what there is to learn from.
#
# First the encoder learns what sounds are, without labels: made-up sounds, then telling all clips
# at hand apart. Where labels are few they choose among what it has learned (a linear probe); where
# they are many they train it further. An encoder that was given keeps its weights where few labels
# meet one that was made by telling sounds apart: its file says how it was made.
#
# The settings come from trials on inner validation parts of ESC-10's training folds. Where few
# labels end (:data:`FEW`) and how few clips are worth telling apart (:data:`LEAST_HEARD`) are
# judgements. ``docs/few-labels.md`` tells what was measured on test folds. No torch here.


T = TypeVar("T")
FRESH, GIVEN, DRAWN = "fresh", "given", "drawn"
SYNTHETIC, GENERAL = "synthetic", "general"
"""What the encoder starts from: random weights; an encoder that learned to tell sounds apart (that
of a classifier, or one pre-trained by comparing views); one that learned to draw spectrograms; one
of made-up sounds; or one of a published general network."""

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
class DataSummary:
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
class Recommendation:
    """A way to learn: the method and what goes with it.

    Attributes
    ----------
    method : str
    start : {"fresh", "given", "drawn", "synthetic", "general"}
    objective : str
        What the encoder is pre-trained by on all clips; or ``none``.
    method_params : MethodOptions
    fit : FitOptions
        A probe does not read it.
    dropout : float
    because : str
        The choice and its reasons, in one sentence.
    """

    method: str
    start: str
    objective: str
    method_params: MethodOptions
    fit: FitOptions
    dropout: float
    because: str


def recommend(situation: DataSummary) -> Recommendation:
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
        params = MethodOptions() if compares else MethodOptions(threshold=0.7)
        return Recommendation(method, start, objective, params, FitOptions(), 0.0, because)
    params = MethodOptions(augment="mixed" if few else "strong", mixup=0.4)
    why = "enough to train it further"
    if situation.trains:
        why = f"learned by training it, as option '{situation.trains}' asks for"
    elif few:
        why = "few, but it may not tell sounds apart yet"
    because = f"supervised from {begun}: {labels}{why}"
    fit = FIT if few else FINE_TUNE
    return Recommendation("supervised", start, objective, params, fit, DROPOUT, because)


def pretraining_fit(objective: str, asked: FitOptions, default: FitOptions) -> FitOptions:
    """How pre-training runs: for simclr as advised, as far as nothing else was given."""
    return followed(PRETRAIN if objective == SIMCLR else asked, asked, default)


def followed(advice: T, asked: T, default: T) -> T:
    """The advice with every option that was given.

    ``advice``, ``asked`` and ``default`` are options of one kind; what was given in ``asked`` wins,
    see :func:`semisonic.core.options.given`. Epochs that were given win over steps that were
    advised. Nothing is left open in the result.
    """
    changed = {name: getattr(asked, name) for name in given(asked, default)}
    if "epochs" in changed and "steps" not in changed:
        changed |= {"steps": 0, "epoch_steps": asked.epoch_steps}  # type: ignore[attr-defined]
    settled = replace(advice, **changed)  # type: ignore[type-var]
    return mark_given(settled, (field.name for field in dataclasses.fields(settled)))  # type: ignore[arg-type]
