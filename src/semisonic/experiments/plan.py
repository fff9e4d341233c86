"""The jobs of an experiment: who is trained on what, and what follows from what.

Both arms of a comparison share split, seed, label budget and classifier; they differ in
the encoder's first weights alone. A job's name is a hash of everything its result depends
on, so equal work is done once (the control is the same for every decoder) and a finished
job of an interrupted run is found again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import OptionError
from semisonic.base.files import digest
from semisonic.base.seeds import derive, generator
from semisonic.data.budgets import label_budget
from semisonic.data.clips import Clips
from semisonic.data.splits import Split, fold_splits
from semisonic.experiments.recipe import TRAINED, Budget, Recipe, Setting
from semisonic.features.options import WAVE
from semisonic.inference.learn import HELD_OUT_SHARE
from semisonic.inference.methods.advice import AUTO, GIVEN, NO_OBJECTIVE, Situation
from semisonic.inference.methods.options import PROBE, MethodOptions
from semisonic.inference.methods.way import Way, settle
from semisonic.inference.pretext import RECONSTRUCTION, WITHOUT_DECODER, PretextOptions
from semisonic.inference.segment_options import MEAN
from semisonic.inference.simple.classifiers import CLASSIFIERS
from semisonic.inference.simple.inputs import EMBEDDING, MEL
from semisonic.training.options import FitOptions

Rows = NDArray[np.int64]


SIMPLE_VERSION = 1
"""Part of the names of jobs that train no network: raise it when a classifier changes."""


@dataclass(frozen=True, eq=False)
class PretrainJob:
    """Pre-train an encoder. Row numbers count the joined table: labelled clips, then pool."""

    name: str
    setting: Setting
    fold: int
    draw: int
    seed: int
    rows: Rows
    held_out: Rows
    show: Rows


@dataclass(frozen=True, eq=False)
class TrainJob:
    """Train a classifier and score its test fold once."""

    name: str
    setting: Setting
    budget: Budget
    arm: str
    fold: int
    draw: int
    seed: int
    train: Rows
    validation: Rows
    test: Rows
    pool: Rows
    start: PretrainJob | None


@dataclass(frozen=True)
class Plan:
    """All jobs, in an order in which each one's start comes before it."""

    pretrain: tuple[PretrainJob, ...]
    train: tuple[TrainJob, ...]
    cells: tuple[tuple[str, TrainJob], ...]
    """The rows of the result: a setting's name in tables and the job that gives it."""


def make_plan(
    recipe: Recipe,
    labelled: Clips,
    pool: Clips,
    *,
    seed: int = 0,
    transductive: bool = False,
    categories: Mapping[str, str] | None = None,
    source: str = "",
) -> Plan:
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
                situation = Situation(len(labels) / len(labelled.classes), len(labels), n_pool)
                settled = _settled(_under(setting, budget), situation)
                start = None
                if settled.pretraining and settled.has_encoder:
                    parts = (rows, held_out) if setting.pool else (labels, labels[:0])
                    start = _pretrain_job(
                        settled, split, turn, seed_of_turn, *parts,
                        one_of_each_class(labelled, split.test), source,
                    )  # fmt: skip
                    start = pretrain.setdefault(start.name, start)
                make = partial(_train_job, source=source)
                if settled.classifier:
                    make = partial(simple_job, categories=categories, source=source)
                job = make(
                    settled, budget, arm, split, draw, seed_of_draw, labels, validation,
                    pool_rows if setting.pool else pool_rows[:0], start,
                )  # fmt: skip
                train.setdefault(job.name, job)
                cells.append((cell_name(setting, budget, recipe), job))
    return Plan(tuple(pretrain.values()), tuple(train.values()), tuple(cells))


def _arms(recipe: Recipe) -> Iterator[tuple[str, Setting]]:
    """Both arms of each setting, side by side."""
    for control, treated in zip(recipe.controls, recipe.settings, strict=True):
        yield recipe.control, control
        yield recipe.treated, treated


def cell_name(setting: Setting, budget: Budget, recipe: Recipe) -> str:
    """What a setting under a budget is called: only what tells it from the others."""
    parts = [setting.name] if len(recipe.settings) > 1 else []
    parts += [budget.label] if len(recipe.budgets) > 1 or not parts else []
    return ", ".join(parts)


def pretraining_way(setting: Setting) -> str:
    """What tells one way of pre-training from another in pictures and tables."""
    if setting.objective == RECONSTRUCTION:
        return setting.decoder
    if setting.objective in WITHOUT_DECODER:
        return setting.objective
    return f"{setting.objective}, {setting.decoder}"


def one_of_each_class(labelled: Clips, rows: Rows) -> Rows:
    """The first clip of every class among some rows, for pictures."""
    target = labelled.target()[rows]
    return rows[np.sort(np.unique(target, return_index=True)[1])]


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


def _pretrain_job(
    setting: Setting,
    split: Split,
    draw: int,
    seed: int,
    rows: Rows,
    held_out: Rows,
    show: Rows,
    source: str,
) -> PretrainJob:
    if not setting.pretrain.heeds_validation:
        rows, held_out = np.sort(np.concatenate([rows, held_out])), held_out[:0]
    plain = Setting()  # what only the training after it reads is left out
    reads = replace(
        setting, name="", dropout=plain.dropout, label_smoothing=plain.label_smoothing,
        method=plain.method, pool=plain.pool, how=plain.how, loss=plain.loss, train=plain.train,
        segments=replace(setting.segments, voting=plain.segments.voting),
    )  # fmt: skip
    name = digest(
        "pre-train", reads, split.fold, seed, rows.tolist(), held_out.tolist(),
        *_begun(setting, source),
    )  # fmt: skip
    return PretrainJob(f"pretrain-{name}", setting, split.fold, draw, seed, rows, held_out, show)


def _under(setting: Setting, budget: Budget) -> Setting:
    """The setting with the length of training that the budget asks for."""
    if budget.epochs:
        setting = replace(setting, train=replace(setting.train, epochs=budget.epochs, steps=0))
    if budget.steps:
        setting = replace(setting, train=replace(setting.train, steps=budget.steps))
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


def _train_job(
    setting: Setting,
    budget: Budget,
    arm: str,
    split: Split,
    draw: int,
    seed: int,
    rows: Rows,
    validation: Rows,
    pool: Rows,
    start: PretrainJob | None,
    *,
    source: str,
) -> TrainJob:
    plain = Setting()  # of what is not read, or told by the rows
    reads = replace(
        setting, name="", pretrain=plain.pretrain, pool=plain.pool,
        segments=replace(setting.segments, voting=plain.segments.voting),  # both are written
    )  # fmt: skip
    if start is None:
        reads = replace(reads, decoder="unpool", objective=RECONSTRUCTION, pretext=PretextOptions())
    if setting.method == PROBE:
        reads = replace(
            reads, train=plain.train, loss=plain.loss, dropout=plain.dropout,
            label_smoothing=plain.label_smoothing,
        )  # fmt: skip
    if setting.method == "supervised":
        reads, pool = replace(reads, how=_without_pool(setting.how)), pool[:0]
    # What is trained on is named by rows: a method that hears the test clips is another job.
    name = digest(
        "train", reads, split.fold, seed, rows.tolist(), validation.tolist(),
        pool.tolist(), start.name if start else "", *_begun(setting, source),
        *reads.train.by_layer,
    )  # fmt: skip
    return TrainJob(
        f"train-{name}", setting, budget, arm, split.fold, draw, seed, rows, validation,
        split.test, pool, start,
    )  # fmt: skip


def _begun(setting: Setting, source: str) -> list[object]:
    """What a job's name says of the set that its encoder was trained on before; often nothing."""
    return [source] if setting.start == TRAINED else []


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
    if embeds and not setting.pretraining and setting.start == "fresh":
        raise OptionError(
            f"setting '{setting.name}': inputs 'embedding' need an encoder that has learned "
            "something: pretraining = true, or start = 'synthetic'"
        )


def simple_job(
    setting: Setting,
    budget: Budget,
    arm: str,
    split: Split,
    draw: int,
    seed: int,
    rows: Rows,
    validation: Rows,
    pool: Rows,
    start: PretrainJob | None,
    *,
    categories: Mapping[str, str] | None = None,
    source: str = "",
) -> TrainJob:
    """The job of a simple classifier. It hears no pool and has no epoch to choose.

    Its name is made of what it reads alone: one that has nothing random in it is the same work
    in every draw of the same labels.
    """
    cut = setting.segments
    reads: list[object] = [setting.classifier, setting.inputs, setting.front.key()]
    reads.append((cut.hop, cut.rest, cut.copies))
    reads.append(seed if CLASSIFIERS[setting.classifier].is_random else "")
    reads.append(sorted((categories or {}).items()) if setting.group_first else "")
    if start is not None:
        reads.append(start.name)
    elif setting.inputs == EMBEDDING:
        reads += [setting.architecture, setting.standardize, setting.start]
        reads += _begun(setting, source)
    name = digest("simple", SIMPLE_VERSION, *reads, split.fold, rows.tolist())
    return TrainJob(
        f"train-{name}", setting, budget, arm, split.fold, draw, seed, rows, validation,
        split.test, pool[:0], start,
    )  # fmt: skip


def _settled(setting: Setting, situation: Situation) -> Setting:
    """The setting with the method, the start and their options that ``auto`` chooses."""
    if setting.method != AUTO or setting.classifier:
        return setting
    objective = setting.objective if setting.pretraining else AUTO
    begin = GIVEN if setting.start == TRAINED else setting.start
    asked = Way(
        AUTO, objective, begin, setting.how, setting.train, setting.pretrain,
        setting.dropout,
    )  # fmt: skip
    way = settle(asked, situation, FitOptions(), FitOptions())
    pretrains = way.objective != NO_OBJECTIVE
    return replace(
        setting, method=way.method, how=way.how, train=way.fit, dropout=way.dropout,
        pretraining=pretrains, pretrain=way.pretrain,
        objective=way.objective if pretrains else setting.objective,
        start=setting.start if way.start == GIVEN else way.start,
    )  # fmt: skip


def _without_pool(how: MethodOptions) -> MethodOptions:
    """What supervised training reads of a method's options."""
    return MethodOptions(augment=how.augment, mixup=how.mixup)
