"""Experiments in stages: the recipe, the filter of unverified labels, and the jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from semisonic.classifier.config import METHODS, SOLVED, TrainConfig, check_noisy
from semisonic.classifier.training import reads_pool
from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import digest, read_csv, write_csv
from semisonic.core.options import from_mapping, nearest, option
from semisonic.core.seeds import derive
from semisonic.data.clips import Clips
from semisonic.data.splits import Split, fold_splits
from semisonic.evaluation.published import STUDIES
from semisonic.experiments.recipe import STAGES, ExperimentRecipe, load_table, merged
from semisonic.training.options import FitOptions

# Which labels of clips that nobody checked are kept: those a model trained on others agrees with.
#
# Paper: the rule of the k best classes is that of a student system for FSDKaggle2019 (k = 5 of 80
# classes); the threshold is the usual one of pseudo-labels (Lee 2013), asked of labels that are
# there already.
#
# A label is kept where both rules agree that are in use. The model says nothing new: no label is
# added, and a clip that has none left is an unlabelled one. Each decision is a row of a table.


_COLUMNS = ("clip", "label", "kept", "reason", "rank", "score")
_YES = {True: "yes", False: "no"}


@dataclass(frozen=True)
class FilterOptions:
    """Which labels that nobody checked are kept."""

    top_k: int = option(
        5, "keep a label that is among the model's so many best classes; 0: any rank", minimum=0
    )
    threshold: float = option(
        0.0, "keep a label with at least this score; 0: any score", minimum=0.0, maximum=1.0
    )


def filter_labels(
    clips: Sequence[str],
    labels: Sequence[Sequence[str]],
    scores: NDArray[np.float64],
    classes: Sequence[str],
    options: FilterOptions,
) -> pd.DataFrame:
    """Decide about each label of each clip.

    Parameters
    ----------
    clips : sequence of str, length n
    labels : sequence of sequences of str, length n
    scores : ndarray, shape (n, n_classes)
        Probabilities by a model in evaluation mode.
    classes : sequence of str
    options : FilterOptions

    Returns
    -------
    DataFrame
        A row for each label of each clip, in their order: ``clip``, ``label``, ``kept``,
        ``reason``, ``rank`` (of the class among all, from 1; equal scores are ranked by class
        number) and ``score``.

    Raises
    ------
    DataError
        When scores are not finite or of another shape.
    OptionError
        When neither rule is in use.
    """
    if not options.top_k and not options.threshold:
        raise OptionError(
            "filter: found top_k 0 and threshold 0, which keep every label; expected one above 0"
        )
    if scores.shape != (len(clips), len(classes)) or not np.isfinite(scores).all():
        raise DataError(
            f"filter: found scores of shape {scores.shape}, expected finite ones of shape "
            f"({len(clips)}, {len(classes)})"
        )
    column = {name: number for number, name in enumerate(classes)}
    rank = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1) + 1
    found = []
    for row, (clip, names) in enumerate(zip(clips, labels, strict=True)):
        for name in names:
            place, score = int(rank[row, column[name]]), float(scores[row, column[name]])
            kept, reason = _judged(place, score, options)
            found.append((clip, name, kept, reason, place, score))
    return pd.DataFrame(found, columns=list(_COLUMNS))


def _judged(rank: int, score: float, options: FilterOptions) -> tuple[bool, str]:
    k, least = options.top_k, options.threshold
    if k and rank > k:
        return False, f"rank {rank} is not among the best {k}"
    if score < least:
        return False, f"score {score:.3f} is below {least:g}"
    said = [f"rank {rank} is among the best {k}"] if k else []
    said += [f"score {score:.3f} is at least {least:g}"] if least else []
    return True, ", ".join(said)


def kept_labels(decisions: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """The labels that each clip is left with; none for one that becomes unlabelled."""
    found: dict[str, tuple[str, ...]] = dict.fromkeys(decisions["clip"], ())
    for clip, names in decisions[decisions["kept"]].groupby("clip", sort=False)["label"]:
        found[str(clip)] = tuple(names)
    return found


def write_decisions(path: Path, decisions: pd.DataFrame) -> None:
    """Write a CSV file with a row per label; :func:`read_decisions` gives the same back."""
    rows = decisions.assign(kept=decisions["kept"].map(_YES), score=decisions["score"].map(repr))
    write_csv(path, _COLUMNS, rows.itertuples(index=False))


def read_decisions(path: Path) -> pd.DataFrame:
    """Read what :func:`write_decisions` wrote.

    Raises
    ------
    DataError
        For a file that is something else.
    """
    rows = pd.DataFrame(read_csv(path), columns=list(_COLUMNS))
    kept = rows["kept"].map({text: value for value, text in _YES.items()})
    try:
        types = {"kept": bool, "rank": int, "score": float}
        if kept.isna().any():
            raise ValueError(f"row {2 + int(kept.isna().argmax())}: expected yes or no in 'kept'")
        return rows.assign(kept=kept).astype(types)
    except ValueError as error:
        raise DataError(f"{path}: no table of decisions about labels: {error}") from error


# A recipe in stages: what is trained on which labels, from what, and held against what.
#
# The file says ``kind = "stages"``. ``[network]`` is what all stages share, ``[stage]`` what they
# share of how they are trained, and each ``[[stages]]`` table is one training::
#
#     kind = "stages"
#     draws = 3
#     [network]
#     model = "small"
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
#
# Every stage is scored on the test clips, so each row of the report is a stage. What a stage needs
# must stand above it.


CURATED, NOISY, KEPT = PARTS = ("curated", "noisy", "kept")
WAYS = tuple(method for method in METHODS if method not in SOLVED)
POOLINGS = ("scores", "logits")


@dataclass(frozen=True)
class TrainingStage(TrainConfig):
    """One training, its network included; stages share what tables above them say."""

    name: str = option("", "what the stage is called in tables")
    start: str = option("", "stage whose weights are trained further; random ones if empty")
    data: tuple[str, ...] = option(
        (CURATED,),
        "labels that are learned: curated; noisy, all that nobody checked; kept, what "
        "a filter leaves of those",
        choices=PARTS,
    )
    filter: str = option("", "stage whose model filters the noisy labels; for the data 'kept'")
    against: tuple[str, ...] = option((), "stages that this one is compared with in the report")
    method: str = option(
        "supervised",
        "how clips without a label are learned from: the noisy ones that the "
        "stage learns no label of, and the pool",
        choices=WAYS,
    )
    keep: FilterOptions = option(FilterOptions(), "filter of labels")
    fit: FitOptions = option(FitOptions(), "training loop")
    length: int = option(
        1, "train so many times as long as 'fit' says, as two stages in a row would", minimum=1
    )

    @property
    def whole_fit(self) -> FitOptions:
        """How the stage is trained, its length considered."""
        steps, epochs = self.fit.steps * self.length, self.fit.epochs * self.length
        return replace(self.fit, steps=steps, epochs=epochs)

    @property
    def config(self) -> TrainConfig:
        """What is trained, and how, the stage's length considered."""
        return replace(self, fit=self.whole_fit)

    @property
    def is_beside(self) -> bool:
        """Whether noisy or kept labels are learned beside curated ones, as a part of their own."""
        return CURATED in self.data and len(self.data) > 1


@dataclass(frozen=True, kw_only=True)
class StagesRecipe(ExperimentRecipe):
    """An experiment: stages x draws x folds."""

    published: str = option("", "published study put beside ours", choices=("", *STUDIES))
    main: str = option("", "stage that the report opens with; the last if empty")
    draws: int = option(3, "how often the held-out part and first weights are drawn", minimum=1)
    pooling: str = option(
        "scores",
        "answer for a clip: mean of its windows' probabilities, or of their logits",
        choices=POOLINGS,
    )
    stages: tuple[TrainingStage, ...] = option((), "the trainings, one a [[stages]] table")

    def __post_init__(self) -> None:
        known: list[str] = []
        for stage in self.stages:
            _check_stage(stage, known)
            known.append(stage.name)
            if stage.start and stage.model != self.stage(stage.start).model:
                raise OptionError(
                    f"recipe, stage '{stage.name}': model: '{stage.model}' cannot start from "
                    f"'{stage.start}', which is another network"
                )
        if self.main and self.main not in known:
            raise OptionError(
                f"recipe key 'main': no stage '{self.main}'; {_near(self.main, known)}"
            )

    @property
    def headline(self) -> TrainingStage:
        """The stage that the report opens with."""
        return self.stage(self.main) if self.main else self.stages[-1]

    def stage(self, name: str) -> TrainingStage:
        """A stage by its name."""
        return next(stage for stage in self.stages if stage.name == name)


def read_stages(
    path: str | Path, *, quick: bool = False, changes: Mapping[str, Any] | None = None
) -> StagesRecipe:
    """Read a recipe file of the kind "stages".

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
    network, shared = table.pop("network", {}), table.pop("stage", {})
    own = table.pop("stages", [])
    for name, found in (("network", network), ("stage", shared)):
        if not isinstance(found, dict):
            raise OptionError(f"{where}: '{name}': found {found!r}, expected [{name}]")
    if not (isinstance(own, list) and own and all(isinstance(one, dict) for one in own)):
        raise OptionError(f"{where}: 'stages': found {own!r}, expected one or more [[stages]]")
    if "pooling" in network:
        table["pooling"] = network.pop("pooling")
    shared = merged(network, shared)
    stages: list[TrainingStage] = []
    for one in own:
        values = merged(merged({}, shared), one)
        before = [stage for stage in stages if stage.name == one.get("start")]
        if before and not one.get("model"):
            values["model"] = before[0].model  # weights go on in the network they are of
        stages.append(from_mapping(TrainingStage, values, f"{where}: stages."))
    return from_mapping(StagesRecipe, {**table, "stages": tuple(stages)}, f"{where}: ")


def _check_stage(stage: TrainingStage, known: list[str]) -> None:
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
    if not stage.is_beside and stage.has_noisy_part:
        raise OptionError(
            f"{where}: noisy_weight and noisy_loss are for noisy or kept labels beside "
            "curated ones; use 'loss' here"
        )
    if stage.is_beside:
        check_noisy(stage.method)
    stage.method_params.check_for(stage.method)


def _near(name: str, known: list[str]) -> str:
    return nearest(name, known) if known else "it is the first"


# The jobs of an experiment in stages: trainings and filters, and what follows from what.
#
# A job's name is a hash of everything its result depends on, the jobs before it included. So two
# stages that are alike up to a point share the work up to there, and a finished job of an
# interrupted run is found again.


Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class StageJob:
    """Train a stage and score the test clips once. Rows count labelled clips, then the pool."""

    name: str
    stage: TrainingStage
    fold: int
    draw: int
    seed: int
    curated: Rows
    noisy: Rows
    """Clips with unchecked labels that are learned, or of which a filter leaves some."""
    unlabelled: Rows
    """Clips that may be learned from without a label; clips that keep one are not."""
    validation: Rows
    test: Rows
    start: StageJob | None
    filter: FilterJob | None
    pooling: str

    @property
    def needs(self) -> tuple[str, ...]:
        """The stage that it goes on from, and the filter of its labels."""
        return tuple(one.name for one in (self.start, self.filter) if one is not None)


@dataclass(frozen=True, eq=False)
class FilterJob:
    """Let the model of a stage decide which unchecked labels are kept."""

    name: str
    keep: FilterOptions
    fold: int
    draw: int
    of: StageJob
    rows: Rows

    @property
    def needs(self) -> tuple[str, ...]:
        """The stage whose model filters."""
        return (self.of.name,)


@dataclass(frozen=True)
class StagesPlan:
    """All jobs, each behind those it needs."""

    jobs: tuple[StageJob | FilterJob, ...]
    cells: tuple[tuple[str, StageJob], ...]
    """The rows of the result: a stage's name and the job that gives it."""

    @property
    def filters(self) -> tuple[FilterJob, ...]:
        """The filters among the jobs."""
        return tuple(job for job in self.jobs if isinstance(job, FilterJob))


def make_stages_plan(
    recipe: StagesRecipe, labelled: Clips, pool: Clips, *, seed: int = 0
) -> StagesPlan:
    """Plan every draw, fold and stage.

    Parameters
    ----------
    recipe : StagesRecipe
    labelled : Clips
        Those with checked labels are divided into training, validation and test, by recording;
        the others train only, and not where their recording is tested.
    pool : Clips
        Unlabelled; those of a tested recording are not heard.
    seed : int

    Raises
    ------
    DataError
        When a stage needs unchecked labels and the data have none.
    """
    _check_noisy_part(recipe, labelled)
    jobs: dict[str, StageJob | FilterJob] = {}
    cells: list[tuple[str, StageJob]] = []
    for draw in range(recipe.draws):
        seed_of_draw = derive(seed, "draw", draw) % (1 << 31)
        for split in fold_splits(labelled, validation=recipe.validation, seed=seed_of_draw):
            if recipe.folds and split.fold not in recipe.folds:
                continue
            done: dict[str, StageJob] = {}
            for stage in recipe.stages:
                job = _stage_job(recipe, stage, split, draw, seed_of_draw, labelled, pool, done)
                if job.filter is not None:
                    jobs.setdefault(job.filter.name, job.filter)
                jobs.setdefault(job.name, job)
                done[stage.name] = job
                cells.append((stage.name, job))
    return StagesPlan(tuple(jobs.values()), tuple(cells))


def _check_noisy_part(recipe: StagesRecipe, labelled: Clips) -> None:
    asked = [stage.name for stage in recipe.stages if {NOISY, KEPT} & set(stage.data)]
    if asked and labelled.is_verified[labelled.is_labelled].all():
        raise DataError(
            f"'{labelled.name}': found no clips whose labels nobody checked, which the stage "
            f"'{asked[0]}' learns from; expected a set with such a part, as FSDKaggle2019 has"
        )


def _stage_job(
    recipe: StagesRecipe,
    stage: TrainingStage,
    split: Split,
    draw: int,
    seed: int,
    labelled: Clips,
    pool: Clips,
    done: dict[str, StageJob],
) -> StageJob:
    certain = labelled.is_verified[split.train]
    curated, noisy = split.train[certain], split.train[~certain]
    none = split.train[:0]
    start = done[stage.start] if stage.start else None
    chosen = None
    if stage.filter:
        chosen = _filter_job(stage.keep, done[stage.filter], noisy)
    unlabelled = none
    if reads_pool(stage.method, stage.method_params) or stage.method == "noisy-student":
        known = np.isin(pool.group, labelled.group[split.test])
        unlabelled = np.flatnonzero(~known) + len(labelled)
        if NOISY not in stage.data:
            unlabelled = np.concatenate([noisy, unlabelled])
    parts = (
        curated if CURATED in stage.data else none,
        noisy if {NOISY, KEPT} & set(stage.data) else none,
        unlabelled,
    )
    reads = replace(stage, name="", start="", filter="", against=())
    name = digest(
        "stage",
        reads,
        split.fold,
        seed,
        [rows.tolist() for rows in parts],
        split.validation.tolist(),
        start.name if start else "",
        chosen.name if chosen else "",
    )
    return StageJob(
        f"stage-{name}",
        stage,
        split.fold,
        draw,
        seed,
        *parts,
        split.validation,
        split.test,
        start,
        chosen,
        recipe.pooling,
    )


def _filter_job(keep: FilterOptions, of: StageJob, rows: Rows) -> FilterJob:
    name = f"filter-{digest('filter', keep, of.name, rows.tolist())}"
    return FilterJob(name, keep, of.fold, of.draw, of, rows)
