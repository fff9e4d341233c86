"""The jobs of an experiment in stages: trainings and filters, and what follows from what.

A job's name is a hash of everything its result depends on, the jobs before it included. So two
stages that are alike up to a point share the work up to there, and a finished job of an
interrupted run is found again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import DataError
from semisonic.base.files import digest
from semisonic.base.seeds import derive
from semisonic.data.clips import Clips
from semisonic.data.splits import Split, fold_splits
from semisonic.experiments.stages.recipe import CURATED, KEPT, NOISY, Network, Stage, StagesRecipe
from semisonic.inference.methods.label_filter import FilterOptions
from semisonic.inference.methods.objective import reads_pool

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class StageJob:
    """Train a stage and score the test clips once. Rows count labelled clips, then the pool."""

    name: str
    stage: Stage
    network: Network
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


@dataclass(frozen=True, eq=False)
class FilterJob:
    """Let the model of a stage decide which unchecked labels are kept."""

    name: str
    keep: FilterOptions
    fold: int
    draw: int
    of: StageJob
    rows: Rows


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
    if asked and labelled.is_certain[labelled.is_labelled].all():
        raise DataError(
            f"'{labelled.name}': found no clips whose labels nobody checked, which the stage "
            f"'{asked[0]}' learns from; expected a set with such a part, as FSDKaggle2019 has"
        )


def _stage_job(
    recipe: StagesRecipe,
    stage: Stage,
    split: Split,
    draw: int,
    seed: int,
    labelled: Clips,
    pool: Clips,
    done: dict[str, StageJob],
) -> StageJob:
    certain = labelled.is_certain[split.train]
    curated, noisy = split.train[certain], split.train[~certain]
    none = split.train[:0]
    start = done[stage.start] if stage.start else None
    chosen = None
    if stage.filter:
        chosen = _filter_job(stage.keep, done[stage.filter], noisy)
    unlabelled = none
    if reads_pool(stage.method, stage.how) or stage.method == "noisy-student":
        known = np.isin(pool.group, labelled.group[split.test])
        unlabelled = np.flatnonzero(~known) + len(labelled)
        if NOISY not in stage.data:
            unlabelled = np.concatenate([noisy, unlabelled])
    parts = (
        curated if CURATED in stage.data else none,
        noisy if {NOISY, KEPT} & set(stage.data) else none,
        unlabelled,
    )
    network = recipe.network_of(stage)
    reads = replace(stage, name="", model="", start="", filter="", against=())
    name = digest(
        "stage", reads, network, split.fold, seed, [rows.tolist() for rows in parts],
        split.validation.tolist(), start.name if start else "", chosen.name if chosen else "",
    )  # fmt: skip
    return StageJob(
        f"stage-{name}", stage, network, split.fold, draw, seed, *parts,
        split.validation, split.test, start, chosen,
    )  # fmt: skip


def _filter_job(keep: FilterOptions, of: StageJob, rows: Rows) -> FilterJob:
    name = f"filter-{digest('filter', keep, of.name, rows.tolist())}"
    return FilterJob(name, keep, of.fold, of.draw, of, rows)
