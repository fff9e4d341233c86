"""A recipe: the question an experiment asks, and every setting it asks it for.

A recipe is a TOML file. ``[setting]`` holds what all settings share, each ``[[settings]]``
table changes some of it, and ``[grid]`` multiplies the settings by lists of values::

    title = "Does pre-training help?"
    [[budgets]]
    labels_per_class = 4
    draws = 5
    [setting]
    model = "({filters})5c-2p-({filters})3c-2p-128fc"
    [setting.mel]
    n_mels = 28
    [grid]
    batch_size = [16, 32]
    [quick]
    "setting.train.epochs" = 5

Unknown keys are errors. The model's notation may name ``{filters}``; ``batch_size``
stands for both ``pretrain.batch_size`` and ``train.batch_size``.

``start = "trained"`` lets a setting begin from a classifier of another labelled set; ``[source]``
says how that is trained.

``classifier`` puts a simple classifier in place of the network; ``inputs`` says what it sees.
``[categories]`` has a key for each group of classes, with their names, or ``categories`` names a
table; the report then tells how often the group is right::

    [categories]
    animals = ["dog", "rooster"]
    weather = ["rain", "wind"]

Each setting is held against a control: the same without pre-training and without the pool.
``[control]``, or ``control`` of one of the settings, changes what the control is, and ``arms``
what both are called::

    arms = ["no augmentation", "strong"]
    [control]
    how.augment = "none"

``[tune]`` says what ``semisonic tune`` searches over; ``semisonic run`` leaves it out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from semisonic.base.errors import OptionError
from semisonic.base.options import option
from semisonic.data.splits import VALIDATION_FOLDS
from semisonic.data.synth import SynthOptions
from semisonic.evaluation.published_studies import STUDIES
from semisonic.features import CepstrumOptions, MelOptions
from semisonic.inference.generated_options import GeneratedOptions
from semisonic.inference.methods.advice import AUTO
from semisonic.inference.methods.options import METHODS, MethodOptions
from semisonic.inference.pretext import (
    OBJECTIVE_HELP,
    OBJECTIVES,
    RECONSTRUCTION,
    PretextOptions,
)
from semisonic.inference.segment_options import SegmentOptions
from semisonic.inference.simple.classifiers import CLASSIFIERS
from semisonic.inference.simple.inputs import (
    CEPSTRUM,
    EMBEDDING,
    INPUTS,
    INPUTS_HELP,
    front_of,
)
from semisonic.learning.losses import LossOptions
from semisonic.training.options import PRECISIONS, FitOptions

TRAINED = "trained"
"""A start from a classifier of another labelled set."""
DECODERS = ("unpool", "upsample", "subpixel", "unet")


@dataclass(frozen=True)
class Budget:
    """How many labels the training clips carry, and how often they are drawn."""

    labels_per_class: int = option(0, "labels per class, drawn by recording; 0: all", minimum=0)
    draws: int = option(1, "how often labels, inner split and weights are drawn", minimum=1)
    epochs: int = option(
        0, "epochs of training under this budget, as few labels make few steps per epoch; "
        "0: the setting's", minimum=0,
    )  # fmt: skip
    steps: int = option(
        0, "steps of training under this budget instead; 0: epochs count", minimum=0
    )

    @property
    def label(self) -> str:
        """What the budget is called in tables."""
        return f"{self.labels_per_class} per class" if self.labels_per_class else "all labels"


@dataclass(frozen=True)
class Setting:
    """One network, input and way of training, tried with and without pre-training."""

    name: str = option("default", "what the setting is called in tables")
    model: str = option("small", "registered name or architecture notation")
    filters: int = option(64, "number that {filters} in the notation stands for", minimum=1)
    objective: str = option(RECONSTRUCTION, OBJECTIVE_HELP, choices=OBJECTIVES)
    decoder: str = option(
        "unpool", "the auto-encoder's way back up, for objectives that have one", choices=DECODERS
    )
    standardize: str = option(
        "global", "statistics that features are standardised by", choices=("global", "mel", "none")
    )
    dropout: float = option(0.0, "dropout before the last layer", minimum=0.0, maximum=0.95)
    label_smoothing: float = option(
        0.0, "share of each label spread over all classes", minimum=0.0, maximum=0.9
    )
    pretraining: bool = option(True, "pre-train the encoder on the pool")
    start: str = option(
        "fresh", "what the encoder starts from, in pre-training if there is any: random weights, "
        "one that has learned to name made-up sounds, or that of a classifier of another set, "
        "see [source]", choices=("fresh", "synthetic", TRAINED),
    )  # fmt: skip
    method: str = option(
        "supervised", "how labels and the pool are learned from; auto chooses for each budget",
        choices=(AUTO, *METHODS),
    )  # fmt: skip
    pool: bool = option(True, "let training hear the unlabelled clips")
    classifier: str = option(
        "", "a simple classifier in place of a network; empty: the network",
        choices=("", *CLASSIFIERS),
    )  # fmt: skip
    inputs: str = option(CEPSTRUM, INPUTS_HELP, choices=INPUTS)
    group_first: bool = option(
        False, "the classifier names the group of classes first, then a class of it by a model "
        "of the group's own; see [categories]",
    )  # fmt: skip
    generated: GeneratedOptions = field(default_factory=GeneratedOptions)
    how: MethodOptions = field(default_factory=MethodOptions)
    loss: LossOptions = field(default_factory=LossOptions)
    mel: MelOptions = field(default_factory=MelOptions)
    segments: SegmentOptions = field(default_factory=SegmentOptions)
    pretext: PretextOptions = field(default_factory=PretextOptions)
    pretrain: FitOptions = field(default_factory=FitOptions)
    train: FitOptions = field(default_factory=FitOptions)

    @property
    def architecture(self) -> str:
        """The model's name or notation with the number of filters put in."""
        return self.model.replace("{filters}", str(self.filters))

    @property
    def front(self) -> MelOptions | CepstrumOptions:
        """The front end whose features the setting reads."""
        return front_of(self.inputs, self.mel) if self.classifier else self.mel

    @property
    def has_encoder(self) -> bool:
        """Whether an encoder is part of it."""
        return not self.classifier or self.inputs == EMBEDDING


@dataclass(frozen=True)
class SourceTraining:
    """How the classifier of another set is trained that settings start from; once for all."""

    validation: float = option(
        0.15, "share of that set held out, by recording, to measure the classifier by",
        minimum=0.0, maximum=0.5,
    )  # fmt: skip
    dropout: float = option(0.0, "dropout before the last layer", minimum=0.0, maximum=0.95)
    label_smoothing: float = option(
        0.0, "share of each label spread over all classes", minimum=0.0, maximum=0.9
    )
    how: MethodOptions = field(default_factory=MethodOptions)
    loss: LossOptions = field(default_factory=LossOptions)
    fit: FitOptions = field(default_factory=FitOptions)
    synth: SynthOptions = field(
        default_factory=lambda: SynthOptions(n_classes=20, n_pool=0, seed=11)
    )


@dataclass(frozen=True)
class Ensemble:
    """Settings whose probabilities are averaged into one more row of the report."""

    name: str = option("", "what it is called in tables")
    of: tuple[str, ...] = option((), "names of two or more settings")


@dataclass(frozen=True)
class Recipe:
    """An experiment: settings x budgets x draws x folds x arms."""

    title: str = option("Experiment", "headline of the report")
    question: str = option("", "what is asked, in a sentence")
    published: str = option(
        "", "published tables put beside ours", choices=("", "cae", "esc", *STUDIES)
    )
    side_by_side: bool = option(False, "show the settings beside each other, fold by fold")
    against: tuple[tuple[str, str], ...] = option(
        (), "pairs of settings or ensembles; the second is compared with the first, in both arms"
    )
    ensembles: tuple[Ensemble, ...] = option(
        (), "settings that answer together; from [[ensembles]]"
    )
    validation: float = option(
        0.15, "share of the training folds held out, by recording", minimum=0.0, maximum=0.5
    )
    pretrain_draws: int = option(
        0, "pre-trainings a fold and decoder, which the draws take in turn, as they cost "
        "most of the time; 0: one for each draw", minimum=0,
    )  # fmt: skip
    validation_fold: str = option(
        "inner", "the validation part: cut from the training folds, or the whole fold before the "
        "tested one, cyclic, as Piczak has it", choices=VALIDATION_FOLDS,
    )  # fmt: skip
    folds: tuple[int, ...] = option((), "test folds to run; all if empty", minimum=1)
    precision: str = option(
        "auto",
        "number format of all trainings that do not name their own; auto: bf16 where the "
        "device has instructions for it, so another machine may compute otherwise",
        choices=PRECISIONS,
    )
    arms: tuple[str, ...] = option(
        ("supervised", "pre-trained"), "names of the two arms: the control and what is tried"
    )
    main: str = option(
        "", "setting that the report opens with, in its row with the most draws; any setting if "
        "there is none of this name",
    )  # fmt: skip
    budgets: tuple[Budget, ...] = (Budget(),)
    settings: tuple[Setting, ...] = (Setting(),)
    controls: tuple[Setting, ...] = option(
        (), "what each setting is compared with; made from [control]"
    )
    synth: SynthOptions = field(default_factory=SynthOptions)
    source: SourceTraining = field(default_factory=SourceTraining)
    categories: tuple[tuple[str, str], ...] = option(
        (), "class and group of every class, from [categories] or a table with the columns class "
        "and group; by default the five groups of ESC-50, where the classes are its",
    )  # fmt: skip

    def __post_init__(self) -> None:
        if len(self.arms) != 2 or len(set(self.arms)) != 2:
            raise OptionError(
                f"recipe key 'arms': found {list(self.arms)}, expected two different names"
            )
        if not self.controls:
            plain = tuple(
                replace(setting, pretraining=False, method="supervised", pool=False)
                for setting in self.settings
            )
            object.__setattr__(self, "controls", plain)

    @property
    def control(self) -> str:
        """Name of the arm that the other is held against."""
        return self.arms[0]

    @property
    def treated(self) -> str:
        """Name of the arm that is tried."""
        return self.arms[1]

    @property
    def subject(self) -> str:
        """What helped or did not, at the head of a sentence; empty where classifiers compete."""
        if any(setting.classifier for setting in self.settings):
            return ""
        return "Pre-training" if self.treated == "pre-trained" else f"'{self.treated}'"
