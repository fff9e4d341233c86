"""Recipes: the question of an experiment, its settings, and the TOML file."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from semisonic.classifier.config import (
    AUTO,
    METHODS,
    NO_OBJECTIVE,
    OBJECTIVE_HELP,
    OBJECTIVES,
    RECONSTRUCTION,
    SOLVED,
    SegmentOptions,
    TrainConfig,
    check_noisy,
)
from semisonic.classifier.simple import (
    CEPSTRUM,
    CLASSIFIERS,
    INPUTS,
    INPUTS_HELP,
    front_of,
)
from semisonic.core.errors import OptionError
from semisonic.core.files import parse_toml
from semisonic.core.options import from_mapping, nearest, option
from semisonic.data.categories import read_categories
from semisonic.data.options import SynthOptions
from semisonic.data.splits import VALIDATION_FOLDS
from semisonic.evaluation.published import STUDIES
from semisonic.features.options import MelOptions, MfccInput
from semisonic.training.options import PRECISIONS, FitOptions

# A recipe: the question an experiment asks, and every setting it asks it for.
#
# A recipe is a TOML file. ``[setting]`` holds what all settings share, each ``[[settings]]``
# table changes some of it, and ``[grid]`` multiplies the settings by lists of values::
#
#     title = "Does pre-training help?"
#     [[budgets]]
#     labels_per_class = 4
#     draws = 5
#     [setting]
#     model = "({filters})5c-2p-({filters})3c-2p-128fc"
#     [setting.mel]
#     n_mels = 28
#     [grid]
#     batch_size = [16, 32]
#     [quick]
#     "setting.fit.epochs" = 5
#
# Unknown keys are errors. The model's notation may name ``{filters}``; ``batch_size``
# stands for both ``pretrain.batch_size`` and ``fit.batch_size``.
#
# ``start = "trained"`` lets a setting begin from a classifier of another labelled set; ``[source]``
# says how that is trained.
#
# ``classifier`` puts a simple classifier in place of the network; ``inputs`` says what it sees.
# ``[categories]`` has a key for each group of classes, with their names, or ``categories`` names a
# table; the report then tells how often the group is right::
#
#     [categories]
#     animals = ["dog", "rooster"]
#     weather = ["rain", "wind"]
#
# Each setting is held against a control: the same without pre-training and without the pool.
# ``[control]``, or ``control`` of one of the settings, changes what the control is, and ``arms``
# what both are called::
#
#     arms = ["no augmentation", "strong"]
#     [control]
#     method_params.augment = "none"
#
# ``[tune]`` says what ``semisonic tune`` searches over; ``semisonic run`` leaves it out.
#
# With ``kind = "stages"`` trainings go on from each other: ``[network]`` is what all stages share,
# ``[stage]`` what they share of how they are trained, and each ``[[stages]]`` table is one of them,
# below those that it needs::
#
#     kind = "stages"
#     [stage.fit]
#     steps = 300
#     [[stages]]
#     name = "noisy"
#     data = ["noisy"]
#     [[stages]]
#     name = "then curated"
#     start = "noisy"            # the weights that "noisy" ended with, class layer and all
#     [[stages]]
#     name = "and kept"
#     start = "then curated"
#     filter = "then curated"    # whose answers decide which noisy labels are kept
#     data = ["curated", "kept"]
#     against = ["then curated"] # what it is held against in the report


TRAINED = "trained"
"""The start from a classifier of another labelled set."""
CURATED, NOISY, KEPT = "curated", "noisy", "kept"
BEST = 5
"""A filter keeps a label that is among this number of best classes of the model."""
PLAIN: dict[str, Any] = {"objective": NO_OBJECTIVE, "method": "supervised", "pool": False}
"""What a control leaves out by default."""
DECODERS = ("unpool", "upsample", "subpixel", "unet")


@dataclass(frozen=True)
class Budget:
    """How many labels the training clips have, and how often they are drawn."""

    labels_per_class: int = option(0, "labels per class, drawn by recording; 0: all", minimum=0)
    draws: int = option(1, "number of draws of labels, inner split and weights", minimum=1)
    epochs: int = option(
        0,
        "epochs of training with this budget, as few labels make few steps per epoch; 0: as the "
        "setting",
        minimum=0,
    )

    @property
    def label(self) -> str:
        """The name of the budget in tables."""
        return f"{self.labels_per_class} per class" if self.labels_per_class else "all labels"


@dataclass(frozen=True)
class Setting(TrainConfig):
    """One training configuration, tried in both arms."""

    name: str = option("default", "name of the setting in tables")
    model: str = option("small", "name of an architecture, or architecture notation")
    filters: int = option(64, "number to put in for {filters} in the notation", minimum=1)
    objective: str = option(
        RECONSTRUCTION,
        f"{OBJECTIVE_HELP}; none: no pre-training, unless the method auto chooses one",
        choices=(NO_OBJECTIVE, *OBJECTIVES),
    )
    decoder: str = option(
        "unpool", "decoder of the auto-encoder, for objectives that have one", choices=DECODERS
    )
    start: str = option(
        "fresh",
        "start of the encoder, in pre-training if there is any: random weights, an encoder "
        "trained on synthetic sounds, or that of a classifier of another set, see [source]",
        choices=("fresh", "synthetic", TRAINED),
    )
    method: str = option(
        "supervised",
        "how to learn from labels and pool; auto chooses for each budget",
        choices=(AUTO, *METHODS),
    )
    pool: bool = option(True, "use the unlabelled clips in training")
    classifier: str = option(
        "",
        "simple classifier instead of a network; empty: the network",
        choices=("", *CLASSIFIERS),
    )
    inputs: str = option(CEPSTRUM, INPUTS_HELP, choices=INPUTS)
    group_first: bool = option(
        False,
        "first name the group of classes, then one of its classes by a separate model of the "
        "group; see [categories]",
    )
    segments: SegmentOptions = option(SegmentOptions(), "segments of clips")
    generated_ratio: float = option(
        0.0,
        "spectrogram patches per labelled clip in a step, generated by an adversarial network "
        "trained on the labelled training clips; 0: none",
        minimum=0.0,
        maximum=20.0,
    )
    generator_steps: int = option(600, "training steps of that network", minimum=1)
    fit: FitOptions = option(FitOptions(), "training loop")
    pretrain: FitOptions = option(FitOptions(), "training loop of the pre-training")

    @property
    def config(self) -> TrainConfig:
        """The training configuration with the number of filters put in."""
        return replace(self, model=self.architecture)

    @property
    def architecture(self) -> str:
        """The model's name or notation with the number of filters put in."""
        return self.model.replace("{filters}", str(self.filters))

    @property
    def front(self) -> MelOptions | MfccInput:
        """The front end whose features the setting reads."""
        return front_of(self.inputs, self.mel) if self.classifier else self.mel

    @property
    def pretrains(self) -> bool:
        """Whether the encoder is pre-trained on the pool."""
        return self.objective != NO_OBJECTIVE


@dataclass(frozen=True)
class SourceTraining(TrainConfig):
    """How the classifier of another set, which settings start from, is trained, once for all.

    Network, front end and standardisation are those of the setting that starts from it.
    """

    fit: FitOptions = option(FitOptions(), "training loop")
    validation: float = option(
        0.15,
        "share of that set to hold out, by recording, to measure the classifier",
        minimum=0.0,
        maximum=0.5,
    )
    synth: SynthOptions = option(
        SynthOptions(n_classes=20, n_pool=0, seed=11), "synthetic sounds, if no set is given"
    )


@dataclass(frozen=True, kw_only=True)
class ExperimentRecipe:
    """The keys of both kinds of recipes."""

    title: str = option("Experiment", "headline of the report")
    question: str = option("", "the question, in a sentence")
    validation: float = option(
        0.15,
        "share of the training clips with certain labels to hold out, by recording, to choose "
        "the epoch",
        minimum=0.0,
        maximum=0.5,
    )
    folds: tuple[int, ...] = option((), "test folds to run; all if empty", minimum=1)
    precision: str = option(
        "auto",
        "number format of trainings that do not set their own; auto: bf16 if the device has "
        "instructions for it, so results may differ between machines",
        choices=PRECISIONS,
    )
    synth: SynthOptions = option(SynthOptions(), "synthetic sounds")


@dataclass(frozen=True, kw_only=True)
class Recipe(ExperimentRecipe):
    """An experiment: settings x budgets x draws x folds x arms."""

    published: str = option(
        "", "published tables to show beside ours", choices=("", "esc", *STUDIES)
    )
    side_by_side: bool = option(False, "show the settings side by side, fold by fold")
    against: tuple[tuple[str, str], ...] = option(
        (), "pairs of settings or ensembles; the second is compared with the first, in both arms"
    )
    ensembles: tuple[tuple[str, tuple[str, ...]], ...] = option(
        (),
        "names of settings whose scores are averaged into one more row of the report; from "
        "[ensembles]",
    )
    pretrain_draws: int = option(
        0,
        "pre-trainings per fold and decoder, which the draws use in turn, as they take most of "
        "the time; 0: one for each draw",
        minimum=0,
    )
    validation_fold: str = option(
        "inner",
        "validation part: inner, cut from the training folds; previous, the whole fold before "
        "the test fold, cyclic, as in Piczak's study",
        choices=VALIDATION_FOLDS,
    )
    arms: tuple[str, ...] = option(
        ("supervised", "pre-trained"), "names of the two arms: the control and the treatment"
    )
    main: str = option(
        "",
        "setting of the headline of the report, in its row with the most draws; any setting if "
        "none has this name",
    )
    budgets: tuple[Budget, ...] = (Budget(),)
    settings: tuple[Setting, ...] = (Setting(),)
    controls: tuple[Setting, ...] = option((), "control of each setting; made from [control]")
    source: SourceTraining = field(default_factory=SourceTraining)
    categories: tuple[tuple[str, str], ...] = option(
        (),
        "class and group of every class, from [categories] or a table with the columns class "
        "and group; by default the five groups of ESC-50, for its classes",
    )

    def __post_init__(self) -> None:
        if len(self.arms) != 2 or len(set(self.arms)) != 2:
            raise OptionError(
                f"recipe key 'arms': found {list(self.arms)}, expected two different names"
            )
        if not self.controls:
            plain = tuple(replace(setting, **PLAIN) for setting in self.settings)
            object.__setattr__(self, "controls", plain)

    @property
    def names(self) -> list[str]:
        """The names of its settings and ensembles."""
        return [*(one.name for one in self.settings), *dict(self.ensembles)]

    @property
    def control(self) -> str:
        """Name of the control arm."""
        return self.arms[0]

    @property
    def treated(self) -> str:
        """Name of the other arm, the treatment."""
        return self.arms[1]

    @property
    def subject(self) -> str:
        """What helped or did not, to start a sentence; empty if classifiers are compared."""
        if any(setting.classifier for setting in self.settings):
            return ""
        return "Pre-training" if self.treated == "pre-trained" else f"'{self.treated}'"


@dataclass(frozen=True)
class TrainingStage(TrainConfig):
    """One training, with its network; stages inherit the keys of tables above them."""

    name: str = option("", "name of the stage in tables")
    start: str = option("", "stage whose weights are trained further; empty: random weights")
    data: tuple[str, ...] = option(
        (CURATED,),
        "labels to learn: curated; noisy, all unverified ones; kept, those that a filter keeps",
        choices=(CURATED, NOISY, KEPT),
    )
    filter: str = option("", "stage whose model filters the noisy labels, for the data 'kept'")
    against: tuple[str, ...] = option((), "stages to compare this one with in the report")
    method: str = option(
        "supervised",
        "how to learn from clips without labels: the noisy ones whose labels the stage does not "
        "learn, and the pool",
        choices=tuple(method for method in METHODS if method not in SOLVED),
    )
    keep_top_k: int = option(
        BEST,
        "keep a label that is among this number of best classes of the model; 0: any rank",
        minimum=0,
    )
    keep_threshold: float = option(
        0.0, "keep a label with at least this score; 0: any score", minimum=0.0, maximum=1.0
    )
    fit: FitOptions = option(FitOptions(), "training loop")
    length: int = option(
        1,
        "factor for the length of training given by 'fit', to match several stages in a row",
        minimum=1,
    )

    @property
    def is_beside(self) -> bool:
        """Whether noisy or kept labels are learned with curated ones, as a separate part."""
        return CURATED in self.data and len(self.data) > 1

    def check(self, above: Sequence[TrainingStage]) -> None:
        """Raise OptionError for keys that contradict each other or the stages above it."""
        models = {one.name: one.model for one in above}
        rule = (self.keep_top_k, self.keep_threshold)
        problems = {
            "expected a different name for each stage": not self.name or self.name in models
        }
        for key, names in (
            ("start", [self.start]),
            ("filter", [self.filter]),
            ("against", self.against),
        ):
            for wanted in filter(None, names):
                near = nearest(wanted, models) if models else "it is the first"
                problems[f"{key}: no stage '{wanted}' above it; {near}"] = wanted not in models
        problems |= {
            f"model: '{self.model}' cannot start from '{self.start}', which has another network": (
                models.get(self.start, self.model) != self.model
            ),
            f"data: found {list(self.data)}, expected parts, each once": (
                not self.data or len(set(self.data)) < len(self.data)
            ),
            "data: 'kept' labels are part of 'noisy'; give one of the two": (
                {NOISY, KEPT} <= set(self.data)
            ),
            "the data 'kept' and the option 'filter' need each other; give both or none": (
                (KEPT in self.data) != bool(self.filter)
            ),
            "keep_top_k or keep_threshold: the stage does not filter labels; leave them out": (
                not self.filter and rule != (BEST, 0.0)
            ),
            "keep_top_k and keep_threshold: found 0 for both, which keeps every label; expected "
            "one above 0": (bool(self.filter) and not any(rule)),
            "noisy_weight and noisy_loss are for noisy or kept labels together with curated "
            "ones; use 'loss' here": self.has_noisy_part and not self.is_beside,
        }
        for problem, is_there in problems.items():
            if is_there:
                raise OptionError(f"recipe, stage '{self.name}': {problem}")
        if self.is_beside:
            check_noisy(self.method)
        self.method_params.check_for(self.method)


@dataclass(frozen=True, kw_only=True)
class StagesRecipe(ExperimentRecipe):
    """An experiment: stages x draws x folds."""

    published: str = option("", "published study to show beside ours", choices=("", *STUDIES))
    main: str = option("", "stage of the headline of the report; empty: the last")
    draws: int = option(3, "number of draws of the held-out part and first weights", minimum=1)
    stages: tuple[TrainingStage, ...] = option((), "the trainings, one per [[stages]] table")

    def __post_init__(self) -> None:
        for number, stage in enumerate(self.stages):
            stage.check(self.stages[:number])
        names = [stage.name for stage in self.stages]
        if self.main and self.main not in names:
            raise OptionError(
                f"recipe key 'main': no stage '{self.main}'; {nearest(self.main, names)}"
            )

    @property
    def headline(self) -> str:
        """The stage of the headline of the report."""
        return self.main or self.stages[-1].name

    def stage(self, name: str) -> TrainingStage:
        """A stage by its name."""
        return next(stage for stage in self.stages if stage.name == name)


# Recipe files: TOML read, quick and other changes put in, settings and grids spelled out.


COMPARISON, STAGES = KINDS = ("comparison", "stages")
"""The values of a recipe's ``kind``; the first is the default."""


def read_recipe(
    path: str | Path, *, quick: bool = False, changes: Mapping[str, Any] | None = None
) -> Recipe | StagesRecipe:
    """Read a recipe file.

    Parameters
    ----------
    path : str or Path
    quick : bool
        Apply the recipe's ``[quick]`` table: a first look in minutes.
    changes : mapping, optional
        Dotted keys and values that replace those of the file, as ``{"setting.fit.epochs": 5}``.

    Raises
    ------
    OptionError
        For a file that is not TOML, an unknown key, a value out of range, or a stage that needs
        one that is not above it.
    """
    table = load_table(path, quick=quick, changes=changes)
    kind = table.pop("kind", COMPARISON)
    return (_stages if kind == STAGES else expand)(table, str(path))


def load_table(
    path: str | Path, *, quick: bool = False, changes: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The tables of a recipe file, with the changes of ``[quick]`` and of the caller.

    Raises
    ------
    OptionError
        For a file that is not TOML, an unknown kind, or a value in place of a table.
    """
    source = Path(path)
    try:
        table = parse_toml(source.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OptionError(f"recipe {source}: cannot be read: {error}") from error
    fast = table.pop("quick", {})
    if not isinstance(fast, dict):
        raise OptionError(f"{source}: 'quick': found {fast!r}, expected [quick]")
    for key, value in {**(fast if quick else {}), **(changes or {})}.items():
        put(table, key, value)
    kind = table.get("kind", COMPARISON)
    if kind not in KINDS:
        raise OptionError(f"{path}: kind: found {kind!r}; {nearest(str(kind), KINDS)}")
    for name in ("setting", "control", "grid", "tune", "network", "stage"):
        if not isinstance(table.get(name, {}), dict):
            raise OptionError(f"{source}: '{name}': found {table[name]!r}, expected [{name}]")
    for name in ("settings", "budgets", "stages"):
        rows = table.get(name, [{}])
        if not (isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows)):
            found = f"found {rows!r}, expected one or more [[{name}]]"
            raise OptionError(f"{source}: '{name}': {found}")
    for key, values in table.get("grid", {}).items():
        if not (isinstance(values, list) and values):
            found = f"found {values!r}, expected a list of values"
            raise OptionError(f"{source}: 'grid.{key}': {found}")
    return table


def put(table: dict[str, Any], dotted: str, value: Any) -> None:
    """Set ``table[a][b][c] = value`` for the key ``a.b.c``."""
    *path, last = dotted.replace("-", "_").split(".")
    for name in path:
        inner = table.setdefault(name, {})
        if not isinstance(inner, dict):
            raise OptionError(f"recipe key '{dotted}': '{name}' is not a table")
        table = inner
    table[last] = value


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of ``base`` with the keys of ``over`` put in, tables within tables."""
    found = deepcopy(dict(base))
    for key, value in over.items():
        inner = found.get(key)
        is_table = isinstance(value, Mapping) and isinstance(inner, dict)
        found[key] = merged(inner or {}, value) if is_table else deepcopy(value)
    return found


def _stages(table: dict[str, Any], where: str) -> StagesRecipe:
    """The recipe in stages that a file's tables describe."""
    shared = merged(table.pop("network", {}), table.pop("stage", {}))
    stages: list[TrainingStage] = []
    for own in table.pop("stages", [{}]):
        values = merged(shared, own)
        before = [stage for stage in stages if stage.name == own.get("start")]
        if before and not own.get("model"):
            values["model"] = before[0].model  # weights go on in the network they are of
        one = from_mapping(TrainingStage, values, f"{where}: stages.")
        steps, epochs = one.fit.steps * one.length, one.fit.epochs * one.length
        stages.append(replace(one, fit=replace(one.fit, steps=steps, epochs=epochs)))
    return from_mapping(StagesRecipe, {**table, "stages": tuple(stages)}, f"{where}: ")


def expand(table: dict[str, Any], where: str) -> Recipe:
    """The recipe of two arms that a file's tables describe; ``where`` is the file, for errors.

    ``[tune]`` is for a search over settings and left out here.

    Raises
    ------
    OptionError
        For an unknown key or a value out of range.
    """
    parts = {"tune", "setting", "control", "settings", "grid", "ensembles", "budgets"}
    head = {key: value for key, value in table.items() if key not in parts}
    shared, grid = table.get("setting", {}), table.get("grid", {})
    ensembles = _named_lists(table.get("ensembles", {}), "ensembles", where)
    head["ensembles"] = [(name, tuple(of)) for name, of in ensembles.items()]
    against = table.get("against", [])
    if not isinstance(against, list) or any(not _is_pair(one) for one in against):
        raise OptionError(
            f'{where}: \'against\': found {against!r}, expected pairs of names, as [["a", "b"]]'
        )
    head["against"] = [tuple(pair) for pair in against]
    head["categories"] = _categories(table.get("categories", {}), where)
    head["budgets"] = tuple(
        from_mapping(Budget, row, f"{where}: budgets.") for row in table.get("budgets", [{}])
    )
    settings, controls = [], []
    for own in table.get("settings", [{}]):
        changes = {key: value for key, value in own.items() if key != "control"}
        without = merged(merged(PLAIN, table.get("control", {})), own.get("control", {}))
        for values in itertools.product(*grid.values()):
            point = dict(zip(grid, values, strict=True))
            treated = merged(shared, changes)
            settings.append(_setting(treated, point, where))
            controls.append(_setting(merged(treated, without), point, where))
    names = [setting.name for setting in settings]
    for name in names:
        if names.count(name) > 1:
            raise OptionError(
                f"{where}: found two settings with the name '{name}'; give each its own name"
            )
    recipe = from_mapping(Recipe, head, f"{where}: ")
    for together, of in recipe.ensembles:
        if len(of) < 2 or together in names:
            raise OptionError(
                f"{where}: 'ensembles': found '{together}' of {list(of)}, expected a new name "
                "and two or more settings"
            )
    for key, wanted, among in (
        ("ensembles", [name for _, of in recipe.ensembles for name in of], names),
        ("against", [name for p in recipe.against for name in p], [*names, *ensembles]),
    ):
        for name in wanted:
            if name not in among:
                raise OptionError(f"{where}: '{key}': no setting '{name}': {nearest(name, among)}")
    return replace(recipe, settings=tuple(settings), controls=tuple(controls))


def _is_pair(given: Any) -> bool:
    return isinstance(given, list) and len(given) == 2


def _categories(given: Any, where: str) -> list[tuple[str, str]]:
    """Class and group of each class, from a table of the recipe or a file beside it."""
    if isinstance(given, str):
        return list(read_categories(Path(where).parent / given).items())
    groups = _named_lists(given, "categories", where)
    pairs = [(name, group) for group, names in groups.items() for name in names]
    for name, _ in pairs:
        if sum(one == name for one, _ in pairs) > 1:
            raise OptionError(f"{where}: 'categories': found '{name}' in two groups, expected one")
    return pairs


def _named_lists(given: Any, key: str, where: str) -> dict[str, list[str]]:
    """A table of lists of names."""
    if not isinstance(given, dict) or not all(
        isinstance(names, list) and all(isinstance(name, str) for name in names)
        for names in given.values()
    ):
        raise OptionError(
            f"{where}: '{key}': found {given!r}, expected [{key}] with a list of names for each key"
        )
    return given


def _setting(values: dict[str, Any], point: Mapping[str, Any], where: str) -> Setting:
    """A setting at a point of the grid; ``batch_size`` is that of both trainings."""
    values = deepcopy(values)
    for key, value in point.items():
        put(values, key, value)
    if "batch_size" in values:
        batch = values.pop("batch_size")
        for part in ("pretrain", "fit"):
            put(values, f"{part}.batch_size", batch)
    coordinates = [f"{key.split('.')[-1]} {value}" for key, value in point.items()]
    if coordinates:
        values["name"] = ", ".join([*filter(None, [values.get("name")]), *coordinates])
    return from_mapping(Setting, values, f"{where}: setting.")
