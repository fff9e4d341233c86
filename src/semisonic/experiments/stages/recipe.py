"""A recipe in stages: what is trained on which labels, from what, and held against what.

The file says ``kind = "stages"``. ``[network]`` is what all stages share, ``[stage]`` what they
share of how they are trained, and each ``[[stages]]`` table is one training::

    kind = "stages"
    draws = 3
    [network]
    model = "small"
    [stage.fit]
    steps = 300
    [[stages]]
    name = "noisy"
    data = ["noisy"]
    [[stages]]
    name = "then curated"
    start = "noisy"            # the weights that "noisy" ended with, class layer and all
    [[stages]]
    name = "and kept"
    start = "then curated"
    filter = "then curated"    # whose answers decide which noisy labels are kept
    data = ["curated", "kept"]
    against = ["then curated"] # what it is held against in the report

Every stage is scored on the test clips, so each row of the report is a stage. What a stage needs
must stand above it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from semisonic.base.errors import OptionError
from semisonic.base.options import from_mapping, nearest, option
from semisonic.data.synth import SynthOptions
from semisonic.evaluation.published_studies import STUDIES
from semisonic.experiments.recipe_file import STAGES, load_table, merged
from semisonic.features import MelOptions
from semisonic.inference.methods.label_filter import FilterOptions
from semisonic.inference.methods.options import (
    METHODS,
    SOLVED,
    MethodOptions,
    NoisyOptions,
    check_noisy,
)
from semisonic.inference.options import STANDARDIZE
from semisonic.learning.losses import LossOptions
from semisonic.training.options import PRECISIONS, FitOptions

CURATED, NOISY, KEPT = PARTS = ("curated", "noisy", "kept")
WAYS = tuple(method for method in METHODS if method not in SOLVED)
POOLINGS = ("scores", "logits")


@dataclass(frozen=True)
class Network:
    """What all stages share, so that weights can be carried from one to the next."""

    model: str = option("small", "registered name or architecture notation")
    standardize: str = option(
        "global", "statistics that features are standardised by", choices=STANDARDIZE
    )
    dropout: float = option(0.0, "dropout before the last layer", minimum=0.0, maximum=0.95)
    pooling: str = option(
        "scores", "answer for a clip: mean of its windows' probabilities, or of their logits",
        choices=POOLINGS,
    )  # fmt: skip
    mel: MelOptions = field(default_factory=MelOptions)


@dataclass(frozen=True)
class Stage:
    """One training."""

    name: str = option("", "what the stage is called in tables")
    model: str = option(
        "", "another network for this stage and those that start from it; the shared one if empty"
    )
    start: str = option("", "stage whose weights are trained further; random ones if empty")
    data: tuple[str, ...] = option(
        (CURATED,), "labels that are learned: curated; noisy, all that nobody checked; kept, what "
        "a filter leaves of those", choices=PARTS,
    )  # fmt: skip
    filter: str = option("", "stage whose model filters the noisy labels; for the data 'kept'")
    against: tuple[str, ...] = option((), "stages that this one is compared with in the report")
    method: str = option(
        "supervised", "how clips without a label are learned from: the noisy ones that the "
        "stage learns no label of, and the pool", choices=WAYS,
    )  # fmt: skip
    how: MethodOptions = field(default_factory=MethodOptions)
    loss: LossOptions = field(default_factory=LossOptions)
    noisy: NoisyOptions = field(default_factory=NoisyOptions)
    keep: FilterOptions = field(default_factory=FilterOptions)
    fit: FitOptions = field(default_factory=FitOptions)
    length: int = option(
        1, "train so many times as long as 'fit' says, as two stages in a row would", minimum=1
    )

    @property
    def whole_fit(self) -> FitOptions:
        """How the stage is trained, its length considered."""
        steps, epochs = self.fit.steps * self.length, self.fit.epochs * self.length
        return replace(self.fit, steps=steps, epochs=epochs)

    @property
    def is_beside(self) -> bool:
        """Whether noisy or kept labels are learned beside curated ones, as a part of their own."""
        return CURATED in self.data and len(self.data) > 1


@dataclass(frozen=True)
class StagesRecipe:
    """An experiment: stages x draws x folds."""

    title: str = option("Experiment in stages", "headline of the report")
    question: str = option("", "what is asked, in a sentence")
    published: str = option("", "published study put beside ours", choices=("", *STUDIES))
    main: str = option("", "stage that the report opens with; the last if empty")
    validation: float = option(
        0.15, "share of the curated training clips held out to choose the epoch, by recording",
        minimum=0.0, maximum=0.5,
    )  # fmt: skip
    draws: int = option(3, "how often the held-out part and first weights are drawn", minimum=1)
    folds: tuple[int, ...] = option((), "test folds to run; all if empty", minimum=1)
    precision: str = option(
        "auto",
        "number format of all trainings that do not name their own; auto: bf16 where the "
        "device has instructions for it, so another machine may compute otherwise",
        choices=PRECISIONS,
    )
    network: Network = field(default_factory=Network)
    stages: tuple[Stage, ...] = option((), "the trainings, one a [[stages]] table")
    synth: SynthOptions = field(default_factory=SynthOptions)

    def __post_init__(self) -> None:
        known: list[str] = []
        for stage in self.stages:
            _check_stage(stage, known)
            known.append(stage.name)
            if stage.start and self.network_of(stage) != self.network_of(self.stage(stage.start)):
                raise OptionError(
                    f"recipe, stage '{stage.name}': model: '{stage.model}' cannot start from "
                    f"'{stage.start}', which is another network"
                )
        if self.main and self.main not in known:
            raise OptionError(
                f"recipe key 'main': no stage '{self.main}'; {_near(self.main, known)}"
            )

    def network_of(self, stage: Stage) -> Network:
        """The network of a stage: its own, that of the stage it starts from, or the shared one."""
        if stage.model or not stage.start:
            return replace(self.network, model=stage.model or self.network.model)
        return self.network_of(self.stage(stage.start))

    @property
    def headline(self) -> Stage:
        """The stage that the report opens with."""
        return self.stage(self.main) if self.main else self.stages[-1]

    def stage(self, name: str) -> Stage:
        """A stage by its name."""
        return next(stage for stage in self.stages if stage.name == name)


def read_stages(
    path: str | Path, *, quick: bool = False, changes: Mapping[str, Any] | None = None
) -> StagesRecipe:
    """Read a recipe file of the kind "stages"; see :func:`semisonic.experiments.read_recipe`.

    Raises
    ------
    OptionError
        For a file that is no such recipe, an unknown key, a value out of range, or a stage that
        needs one that does not stand above it.
    """
    where = str(path)
    table = load_table(path, quick=quick, changes=changes)
    if table.pop("kind", "") != STAGES:
        raise OptionError(f'{where}: not a recipe in stages, which says kind = "{STAGES}"')
    shared, own = table.pop("stage", {}), table.pop("stages", [])
    if not isinstance(shared, dict):
        raise OptionError(f"{where}: 'stage': found {shared!r}, expected [stage]")
    if not (isinstance(own, list) and own and all(isinstance(one, dict) for one in own)):
        raise OptionError(f"{where}: 'stages': found {own!r}, expected one or more [[stages]]")
    stages = tuple(
        from_mapping(Stage, merged(merged({}, shared), one), f"{where}: stages.") for one in own
    )
    return from_mapping(StagesRecipe, {**table, "stages": stages}, f"{where}: ")


def _check_stage(stage: Stage, known: list[str]) -> None:
    where = f"recipe, stage '{stage.name}'"
    if not stage.name or stage.name in known:
        raise OptionError(f"{where}: expected a name of its own for each stage")
    named = [("start", stage.start), ("filter", stage.filter)]
    for key, wanted in (*named, *(("against", one) for one in stage.against)):
        if wanted and wanted not in known:
            raise OptionError(
                f"{where}: {key}: no stage '{wanted}' above it; {_near(wanted, known)}"
            )
    if not stage.data or len(set(stage.data)) < len(stage.data):
        raise OptionError(f"{where}: data: found {list(stage.data)}, expected parts, each once")
    if NOISY in stage.data and KEPT in stage.data:
        raise OptionError(f"{where}: data: 'kept' labels are noisy ones; name one of the two")
    if (KEPT in stage.data) != bool(stage.filter):
        raise OptionError(f"{where}: the data 'kept' and the option 'filter' need each other")
    if not stage.filter and stage.keep != FilterOptions():
        raise OptionError(f"{where}: keep: given, but the stage filters no labels")
    if not stage.is_beside and stage.noisy != NoisyOptions():
        raise OptionError(
            f"{where}: noisy: for noisy or kept labels beside curated ones; use 'loss' here"
        )
    if stage.is_beside:
        check_noisy(stage.method)
    stage.how.check_for(stage.method)


def _near(name: str, known: list[str]) -> str:
    return nearest(name, known) if known else "it is the first"
