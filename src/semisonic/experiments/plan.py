"""The jobs of an experiment: who is trained on what, and what follows from what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.classifier.config import (
    AUTO,
    GIVEN,
    MEAN,
    NO_OBJECTIVE,
    RECONSTRUCTION,
    WITHOUT_DECODER,
    DataSummary,
    resolve_auto,
)
from semisonic.classifier.job import HELD_OUT_SHARE
from semisonic.classifier.simple import EMBEDDING, MEL
from semisonic.core.errors import OptionError
from semisonic.core.options import changed
from semisonic.core.seeds import derive, generator
from semisonic.data.budgets import label_budget
from semisonic.data.clips import Clips
from semisonic.data.splits import Split, fold_splits
from semisonic.experiments.jobs import (
    PretrainJob,
    Rows,
    TrainJob,
    named_pretraining,
    named_training,
)
from semisonic.experiments.recipe import TRAINED, Budget, Recipe, Setting
from semisonic.features.options import WAVE


@dataclass(frozen=True)
class ExperimentPlan:
    """All jobs, in an order in which each one's start comes before it."""

    pretrain: tuple[PretrainJob, ...]
    train: tuple[TrainJob, ...]
    cells: tuple[tuple[str, TrainJob], ...]
    """The rows of the result: a setting's name in tables and the job that gives it."""

    @property
    def jobs(self) -> tuple[PretrainJob | TrainJob, ...]:
        """Pre-trainings, then trainings."""
        return (*self.pretrain, *self.train)


def make_plan(
    recipe: Recipe,
    labelled: Clips,
    pool: Clips,
    *,
    seed: int = 0,
    transductive: bool = False,
    categories: Mapping[str, str] | None = None,
    source: str = "",
) -> ExperimentPlan:
    """Plan every fold, draw, budget, setting and arm of a recipe.

    Parameters
    ----------
    recipe : Recipe
    labelled : Clips
        Clips with one label each; folds are official ones or made by recording.
    pool : Clips
        Unlabelled clips; their rows follow those of ``labelled`` in the joined table. Those of
        a recording (group) that stands in the test fold are not heard.
    seed : int
    transductive : bool
        Let pre-training hear the test fold (without labels). Off unless asked for.
    categories : mapping of class to group, optional
        Read by settings that name the group first.
    source : str
        What tells the set apart that settings with ``start = "trained"`` begin from.

    Raises
    ------
    OptionError
        For a setting that needs groups of classes, or an encoder, and has none.
    """
    for _, setting in _arms(recipe):
        check_simple(setting, categories)
    pretrain: dict[str, PretrainJob] = {}
    train: dict[str, TrainJob] = {}
    cells: list[tuple[str, TrainJob]] = []
    joined_groups = np.concatenate([labelled.group, pool.group])
    for draw in range(max(budget.draws for budget in recipe.budgets)):
        turn = draw % recipe.pretrain_draws if recipe.pretrain_draws else draw
        seed_of_draw, seed_of_turn = (derive(seed, "draw", n) % (1 << 31) for n in (draw, turn))
        for split in _wanted(recipe, labelled, seed_of_turn):
            heard = [split.train, split.test] if transductive else [split.train]
            known = np.isin(pool.group, labelled.group[split.test]) & (not transductive)
            heard.insert(1, np.flatnonzero(~known) + len(labelled))
            rows, held_out = _hold_out(
                np.concatenate(heard), joined_groups, seed_of_turn, split.fold
            )
            pool_rows = np.sort(np.concatenate([rows, held_out]))
            for (arm, setting), budget in product(_arms(recipe), recipe.budgets):
                if draw >= budget.draws:
                    continue
                labels, validation = _labels(budget, split, seed_of_draw, labelled)
                n_pool = len(np.setdiff1d(pool_rows, labels)) if setting.pool else 0
                summary = DataSummary(len(labels) / len(labelled.classes), len(labels), n_pool)
                settled = _resolved(_under(setting, budget), summary)
                start = None
                if settled.pretrains and settled.has_encoder:
                    parts = (rows, held_out) if setting.pool else (labels, labels[:0])
                    shown = one_of_each_class(labelled, split.test)
                    start = PretrainJob("", settled, split.fold, turn, seed_of_turn, *parts, shown)
                    start = named_pretraining(start, source)
                    start = pretrain.setdefault(start.name, start)
                job = TrainJob(
                    "",
                    settled,
                    budget,
                    arm,
                    split.fold,
                    draw,
                    seed_of_draw,
                    labels,
                    validation,
                    split.test,
                    pool_rows if setting.pool else pool_rows[:0],
                    start,
                )
                job = named_training(job, source, categories)
                train.setdefault(job.name, job)
                cells.append((cell_name(setting.name, budget, recipe), job))
    return ExperimentPlan(tuple(pretrain.values()), tuple(train.values()), tuple(cells))


def _arms(recipe: Recipe) -> Iterator[tuple[str, Setting]]:
    """Both arms of each setting, side by side."""
    for control, treated in zip(recipe.controls, recipe.settings, strict=True):
        yield recipe.control, control
        yield recipe.treated, treated


def cell_name(setting: str, budget: Budget, recipe: Recipe) -> str:
    """What a setting under a budget is called: only what tells it from the others."""
    parts = [setting] if len(recipe.settings) > 1 else []
    parts += [budget.label] if len(recipe.budgets) > 1 or not parts else []
    return ", ".join(parts)


def pretraining_way(setting: Setting) -> str:
    """What tells one way of pre-training from another in pictures and tables."""
    if setting.objective == RECONSTRUCTION:
        return setting.decoder
    if setting.objective in (NO_OBJECTIVE, *WITHOUT_DECODER):
        return setting.objective
    return f"{setting.objective}, {setting.decoder}"


def one_of_each_class(labelled: Clips, rows: Rows) -> Rows:
    """The first clip of every class among some rows, for pictures."""
    target = labelled.target()[rows]
    return rows[np.sort(np.unique(target, return_index=True)[1])]


def labels_there(recipe: Recipe, labelled: Clips, seed: int = 0) -> list[tuple[int, str, float]]:
    """Of each training part: clips of the rarest class, its name, and the mean over classes."""
    found = []
    for split in _wanted(recipe, labelled, seed):
        counts = np.bincount(labelled.target()[split.train], minlength=len(labelled.classes))
        rarest = int(counts.argmin())
        found.append((int(counts[rarest]), labelled.classes[rarest], float(counts.mean())))
    return found


def _wanted(recipe: Recipe, labelled: Clips, seed: int) -> Sequence[Split]:
    way: Any = recipe.validation_fold
    splits = fold_splits(labelled, validation=recipe.validation, seed=seed, validation_fold=way)
    return [split for split in splits if not recipe.folds or split.fold in recipe.folds]


def _hold_out(rows: Rows, groups: NDArray[np.str_], seed: int, fold: int) -> tuple[Rows, Rows]:
    """Cut the held-out part of the pre-training clips, whole recordings at a time.

    A recording that is larger than the whole part stays, while there are smaller ones.
    """
    rng = generator(seed, "pre-training held out", fold)
    names = sorted(set(groups[rows].tolist()))
    chosen: set[str] = set()
    wanted, found = HELD_OUT_SHARE * len(rows), 0
    count = dict(zip(*np.unique(groups[rows], return_counts=True), strict=True))
    largest = max(wanted, min(count.values(), default=0))
    for i in rng.permutation(len(names)):
        if count[np.str_(names[i])] > largest:
            continue
        if found >= wanted or len(chosen) == len(names) - 1:
            break
        chosen.add(names[i])
        found += int(count[np.str_(names[i])])
    out = np.array([groups[row] in chosen for row in rows], dtype=np.bool_)
    return rows[~out], rows[out]


def _under(setting: Setting, budget: Budget) -> Setting:
    """The setting with the length of training that the budget asks for."""
    if budget.epochs:
        setting = replace(setting, fit=changed(setting.fit, epochs=budget.epochs, steps=0))
    if budget.steps:
        setting = replace(setting, fit=changed(setting.fit, steps=budget.steps))
    return setting


def _labels(budget: Budget, split: Split, seed: int, labelled: Clips) -> tuple[Rows, Rows]:
    """Rows to learn from and rows to validate on.

    The labels of a validation part would not be in a budget, so there is none under one:
    training lasts the recipe's epochs and ends with its last weights.
    """
    if not budget.labels_per_class:
        return split.train, split.validation
    everything = np.sort(np.concatenate([split.train, split.validation]))
    return label_budget(labelled, everything, budget.labels_per_class, seed), everything[:0]


def check_simple(setting: Setting, categories: Mapping[str, str] | None) -> None:
    """Raise OptionError where a simple classifier lacks what it needs."""
    if setting.group_first and not (setting.classifier and categories):
        need = "groups of classes: give [categories]" if setting.classifier else "a 'classifier'"
        raise OptionError(f"setting '{setting.name}': 'group_first' needs {need}")
    votes = setting.segments.voting != MEAN or setting.segments.silence_db is not None
    if setting.classifier and votes:
        raise OptionError(
            f"setting '{setting.name}': of a simple classifier all segments vote, with the mean of "
            "their scores; leave out segments.voting and segments.silence_db"
        )
    if setting.classifier and setting.inputs == MEL and setting.mel.input == WAVE:
        raise OptionError(
            f"setting '{setting.name}': inputs 'mel' are statistics of a spectrogram; found "
            "mel.input = 'wave'"
        )
    embeds = setting.classifier and setting.inputs == EMBEDDING
    if embeds and not setting.pretrains and setting.start == "fresh":
        raise OptionError(
            f"setting '{setting.name}': inputs 'embedding' need an encoder that has learned "
            "something: an objective, or start = 'synthetic'"
        )


def _resolved(setting: Setting, data: DataSummary) -> Setting:
    """The setting with the method, the start and their options that ``auto`` chooses."""
    if setting.method != AUTO or setting.classifier:
        return setting
    objective = setting.objective if setting.pretrains else AUTO
    data = replace(data, start=GIVEN if setting.start == TRAINED else setting.start)
    resolved = resolve_auto(changed(setting, objective=objective), data)
    config, start = resolved.config, resolved.start
    return replace(
        setting,
        method=config.method,
        method_params=config.method_params,
        fit=config.fit,
        dropout=config.dropout,
        pretrain=config.pretrain,
        objective=config.objective,
        start=setting.start if start == GIVEN else start,
    )
