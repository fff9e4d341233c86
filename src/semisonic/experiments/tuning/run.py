"""``semisonic tune``: from a recipe and its space to the best settings, resumable at every step."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from semisonic.base.errors import OptionError
from semisonic.base.files import write_text
from semisonic.base.options import check, to_dict
from semisonic.base.result import Result
from semisonic.base.wording import counted, percent
from semisonic.data.categories import categories_of
from semisonic.engines import Engine, open_engine
from semisonic.experiments.engine import Task, run_tasks
from semisonic.experiments.material import Material
from semisonic.experiments.options import ExperimentOptions, RunOptions
from semisonic.experiments.results import Table
from semisonic.experiments.run import (
    FREE,
    listens_for_copies,
    load_data,
    material_from,
    tasks_at_once,
    with_number_format,
)
from semisonic.experiments.source import Source, load_source
from semisonic.experiments.tune_options import AUTO, GRID, MEDIAN, NO_PRUNER, TRIALS, TuneOptions
from semisonic.experiments.tuning.apart import Apart, set_apart
from semisonic.experiments.tuning.best import FILE, best_recipe, measuring_command
from semisonic.experiments.tuning.outcome import FAILED, Outcome, read_outcome
from semisonic.experiments.tuning.page import KEEP, ONCE, columns_of, gain_in_words, write_page
from semisonic.experiments.tuning.plain import best_rows
from semisonic.experiments.tuning.space import Choice, grid_points
from semisonic.experiments.tuning.study import add_trials, mend, open_study, optuna, unfinished
from semisonic.experiments.tuning.target import Target, read_target, value_of
from semisonic.experiments.tuning.trial import (
    DEFAULT,
    SearchContext,
    run_default,
    run_trial,
    start,
)
from semisonic.experiments.worker import Context
from semisonic.training import RunFolder, choose_device

if TYPE_CHECKING:
    import pandas as pd

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TuneResult(Result):
    """What a search leaves.

    Attributes
    ----------
    best : mapping of str to value
        The best value of each option that was searched, by dotted name: of the best trial, or the
        recipe's own where no trial beat them.
    score, default_score : float
        Mean accuracy on inner folds, 0 to 1, of the best trial and of the recipe's own values.
        The first is optimistic.
    without_luck : float
        What the best would reach had other clips chosen it, estimated from the same trials; NaN
        with fewer than two complete trials.
    outcome : Outcome
        All trials, and what mattered.
    recipe : Path
        The best settings as a recipe, against the recipe's own.
    command : str
        What measures them on the test folds.
    table : Table
        The best values for a terminal.
    answers : tuple of str
        What was found, in words.
    report : Path
    failures : tuple of (clip, reason)
    notes : tuple of str
    """

    best: Mapping[str, Any]
    score: float
    default_score: float
    without_luck: float
    outcome: Outcome
    recipe: Path
    command: str
    table: Table
    answers: tuple[str, ...]
    report: Path
    failures: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    def summary(self) -> str:
        """For a terminal."""
        lines = [str(self.table), *self.answers, *self.notes, f"report: {self.report}"]
        if not self.outcome.keeps_recipe:
            lines.append(f"To measure it on the test folds, once:\n  {self.command}")
        return "\n".join(lines)

    def to_frame(self) -> pd.DataFrame:
        """The main table: a row an option, with its best value."""
        return self.table.to_frame()


def tune(options: TuneOptions) -> TuneResult:
    """Search over a recipe's options, or go on with a search.

    The test folds are set apart first. Each trial is scored on the inner folds of the rest.

    Raises
    ------
    OptionError, DataError
        For a wrong recipe or space, options of another run in the same folder, unusable data, a
        missing package optuna, or when every trial failed.
    """
    optuna()
    check(options)
    target = read_target(options)
    n_trials, points = plan_trials(options, target)
    free = (*FREE, "trials")
    asked = {
        **to_dict(options), "contents": to_dict(target.recipe),
        "searched": {one.name: str(one) for one in target.space},
    }  # fmt: skip
    device = str(choose_device(options.device))
    with (
        RunFolder(options.output, "tune", asked, seeds=options.seed, free=free) as run,
        open_engine(options.where) as engine,
    ):
        search, apart = _prepare(run, options, target, device, engine)
        _run_trials(search, n_trials, points, options.workers, engine)
        outcome = read_outcome(open_study(run.folder), search)
        return _report(run, options, search, apart, outcome)


def plan_trials(options: TuneOptions, target: Target) -> tuple[int, list[dict[str, Any]]]:
    """How many trials there are, and in a grid their values.

    Raises
    ------
    OptionError
        For a grid with ranges in it, or more trials than it has points.
    """
    if options.sampler != GRID:
        return options.trials or TRIALS, []
    points = grid_points(target.space)
    if options.trials and options.trials > len(points):
        raise OptionError(
            f"option 'trials': found {options.trials}, but the grid has "
            f"{counted(len(points), 'point')}; "
            "leave the option out to try them all"
        )
    return options.trials or len(points), points


def _prepare(
    run: RunFolder, options: TuneOptions, target: Target, device: str, engine: Engine
) -> tuple[SearchContext, Apart]:
    """Set the test folds apart, cut the inner folds and compute the features of all fronts."""
    cache, jobs = options.cache or run.folder / "cache", run.folder / "jobs"
    as_run = _as_run(options)
    labelled, pool = load_data(as_run, target.recipe.synth)
    apart = set_apart(
        labelled, pool, options.test_folds, run.folder, seed=options.seed,
        near_copies=listens_for_copies(as_run), group=options.group, workers=options.workers,
    )  # fmt: skip
    inputs = [(one.front, one.segments) for one in target.fronts()]
    material, hashes = material_from(
        run, as_run, (apart.clips, apart.pool), inputs, cache, engine,
        inner_folds=options.inner_folds,
    )  # fmt: skip
    material = replace(material, notes=(*apart.notes, *material.notes))
    categories = categories_of(material.labelled.classes, dict(target.recipe.categories)) or {}
    # One number format for the whole search.
    recipe = with_number_format(target.recipe, torch.device(device))
    target = replace(target, recipe=recipe)
    source = _source(as_run, target, material)
    if source is not None:
        run.add_data("source", source.key)
        material = replace(material, notes=(*material.notes, *source.notes))
    context = Context(jobs, material, device, hashes, {}, categories)
    pruner = options.pruner
    if pruner == AUTO:
        pruner = NO_PRUNER if options.sampler == GRID else MEDIAN
    search = SearchContext(
        run.folder, target, context, cache, options.sampler, pruner, options.seed, source
    )
    return search, apart


def _source(options: RunOptions, target: Target, material: Material) -> Source | None:
    """The set that some setting of the search begins from a classifier of."""
    starts = {target.base.start}
    for one in target.space:
        if one.name == "setting.start" and isinstance(one, Choice):
            starts |= set(one.values)
    settings = tuple(replace(target.base, start=name) for name in sorted(starts))
    recipe = replace(target.recipe, settings=settings, controls=settings)
    return load_source(options, recipe, material.labelled)


def _run_trials(
    search: SearchContext, n_trials: int, points: list[dict[str, Any]], workers: int | None,
    engine: Engine,
) -> None:  # fmt: skip
    """Run what is not done yet: the recipe's own values first, then the trials in order."""
    mend(search.folder)
    study = open_study(search.folder)
    add_trials(study, n_trials, points)
    todo = [number for number in unfinished(study) if number < n_trials]
    tasks = [Task(f"trial-{number}", run_trial, (number,)) for number in todo]
    if not (search.folder / DEFAULT).is_file():
        tasks.insert(0, Task("default", run_default, ()))
    at_once = tasks_at_once(workers, search.jobs.device, engine)
    _log.info("%d trials, %d of them to do, %d at once", n_trials, len(todo), at_once)
    if tasks:
        run_tasks(
            tasks, workers=min(at_once, len(tasks)), label="trials",
            done=n_trials + 1 - len(tasks), initializer=start, context=(search,), engine=engine,
            device=search.jobs.device,
        )  # fmt: skip


def _report(
    run: RunFolder, options: TuneOptions, search: SearchContext, apart: Apart, outcome: Outcome
) -> TuneResult:
    best, default, target = outcome.best, outcome.default, search.target
    if best is None:
        reasons = sorted({one.reason for one in outcome.of(FAILED)})
        raise OptionError(
            f"{counted(len(outcome.trials), 'trial')}, and none succeeded; the first reason: "
            f"{reasons[0]}"
        )
    file = run.folder / FILE
    # As the recipe says, and not as it was settled on this machine.
    plain = replace(target, recipe=read_target(options).recipe)
    point = best.point
    if outcome.keeps_recipe:
        point = {one.name: value_of(target.base, one.name) for one in target.space}
    write_text(file, best_recipe(plain, point, options.test_folds))
    folder = options.output
    command = measuring_command(
        options, folder / FILE,
        folder / apart.folds_file.name if apart.folds_file else None,
        folder.with_name(f"{folder.name}-test"),
    )  # fmt: skip
    notes = search.jobs.material.notes
    report = write_page(
        run, options, target, search.jobs.material, outcome, command=command,
        n_test=apart.n_test, notes=notes,
    )  # fmt: skip
    luck = outcome.chosen.mean if outcome.chosen else float("nan")
    return TuneResult(
        best=point, score=best.score, default_score=default.score, without_luck=luck,
        outcome=outcome, recipe=file, command=command,
        table=Table(["option", *columns_of(outcome)], best_rows(target, best)),
        answers=_answers(outcome, best.score, luck), report=report,
        failures=search.jobs.material.failures, notes=notes,
    )  # fmt: skip


def _answers(outcome: Outcome, score: float, luck: float) -> tuple[str, ...]:
    default = outcome.default
    said = [KEEP] if outcome.keeps_recipe else []
    said += [
        f"inner accuracy: {percent(score)} for the best of "
        f"{counted(len(outcome.trials), 'trial')}, {percent(default.score)} for the recipe's "
        "own values"
    ]
    if default.state == FAILED:
        said.append(f"the recipe's own values could not be trained: {default.reason}")
    if outcome.chosen is not None:
        said.append(f"without the luck of the choice about {percent(luck)}")
    said += gain_in_words(outcome)
    failed = outcome.of(FAILED)
    if failed:
        said.append(f"{counted(len(failed), 'trial')} failed, the first: {failed[0].reason}")
    return (*said, ONCE)


def _as_run(options: TuneOptions) -> RunOptions:
    """What both verbs read alike."""
    return RunOptions(**{one.name: getattr(options, one.name) for one in fields(ExperimentOptions)})
