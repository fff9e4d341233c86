"""``semisonic run``: settings compared in two arms, from a recipe and recordings to a report."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from semisonic.classifier.pretraining import synthetic_file
from semisonic.core.files import replacing, write_csv
from semisonic.core.options import to_dict
from semisonic.data.categories import categories_of
from semisonic.data.clips import Clips
from semisonic.evaluation.comparison import Comparison
from semisonic.experiments.jobs import MODEL, PretrainJob, Rows, TrainJob
from semisonic.experiments.material import Material
from semisonic.experiments.options import RunOptions
from semisonic.experiments.plan import ExperimentPlan, make_plan
from semisonic.experiments.recipe import Recipe, read_recipe
from semisonic.experiments.report import write_report
from semisonic.experiments.results import (
    ExperimentOutcome,
    ExperimentResult,
    ResultTable,
    collect,
    comparison_rows,
    short_trainings,
)
from semisonic.experiments.runner import load_data, open_experiment, warned
from semisonic.experiments.source import load_source, measured, network_key, trained_files
from semisonic.experiments.worker import WorkerContext, run_pretrain, run_train
from semisonic.recipes import find
from semisonic.training.devices import with_precision
from semisonic.training.run_folder import RunFolder

# ``semisonic run``: from a recipe and recordings to a report, resumable at every step.


EXAMPLES = 3
WORK: dict[type, Callable[[Any], None]] = {PretrainJob: run_pretrain, TrainJob: run_train}


@dataclass(frozen=True, kw_only=True)
class RunResult(ExperimentResult):
    """What ``run`` leaves; its answers are one honest sentence a setting.

    Attributes
    ----------
    model : Path or None
        A trained model of the last setting that is a network, to predict with: the arm that is
        tried, first fold.
    examples : Clips
        A few clips of the test fold, of different classes, that this model has not heard.
    """

    model: Path | None
    examples: Clips


@dataclass(frozen=True)
class Finished:
    """A finished experiment before it is reported."""

    run: RunFolder
    recipe: Recipe
    plan: ExperimentPlan
    material: Material
    outcome: ExperimentOutcome
    seconds: float


def run_recipe(options: RunOptions) -> RunResult:
    """Run, or go on with, an experiment.

    Raises
    ------
    OptionError, DataError
        For a wrong recipe, options of another run in the same folder, unusable data.
    """
    recipe = read_recipe(find(options.recipe), quick=options.quick, changes=options.changes)
    with conduct("run", recipe, options) as done:
        report = write_report(
            done.run,
            options,
            done.recipe,
            done.plan,
            done.material,
            done.outcome,
            seconds=done.seconds,
        )
        return _result(
            done.recipe, done.plan, done.material, done.outcome, report, done.run.folder / "jobs"
        )


@contextmanager
def conduct(
    command: str,
    recipe: Recipe,
    options: RunOptions,
    *,
    asked: Any = None,
    fitted: Callable[[Recipe, Material], tuple[Recipe, list[str]]] | None = None,
) -> Iterator[Finished]:
    """Run all jobs of a recipe in the options' run folder, or those not done yet.

    Within the block the run is still open: what is written there belongs to it.

    Parameters
    ----------
    command : str
    recipe : Recipe
    options : RunOptions
    asked : options, optional
        What the run's record holds and a second call must repeat; the options and the recipe if
        not given.
    fitted : callable, optional
        From the recipe and the data to the recipe that these allow, and what to say of it.
    """
    if asked is None:
        asked = {**to_dict(options), "contents": to_dict(recipe)}
    with open_experiment(command, options, asked) as opened:
        run, device = opened.run, opened.device
        recipe = with_number_format(recipe, torch.device(device))
        inputs = [(one.front, one.segments) for one in (*recipe.settings, *recipe.controls)]
        material, hashes = opened.gather(load_data(options, recipe.synth), inputs)
        if fitted is not None:
            recipe, said = fitted(recipe, material)
            material = replace(material, notes=(*material.notes, *said))
        categories = categories_of(material.labelled.classes, dict(recipe.categories))
        source = load_source(options, recipe, material.labelled)
        plan = make_plan(
            recipe,
            material.labelled,
            material.pool,
            seed=options.seed,
            transductive=options.transductive,
            categories=categories,
            source=source.key if source else "",
        )
        material = warned(material, short_trainings(recipe, plan))
        _write_budgets(plan, material, run.folder)
        fits = [job.setting.fit for job in plan.train if not job.setting.classifier]
        fits += [job.setting.pretrain for job in plan.pretrain]
        run.note(precision=sorted({fit.precision for fit in fits}))
        starts = synthetic_starts(plan, opened.cache, device, options.workers)
        if source is not None:
            run.add_data("source", source.key)
            trained = trained_files(
                source,
                [job.setting for job in plan.jobs],
                recipe,
                opened.cache,
                seed=options.seed,
                device=device,
                workers=options.workers,
            )
            starts |= trained
            notes = (*material.notes, *source.notes, *measured(trained.values()))
            material = replace(material, notes=notes)
        context = WorkerContext(opened.jobs, material, device, hashes, starts, categories or {})
        seconds = opened.do(plan.jobs, WORK, context)
        outcome = collect(recipe, plan, opened.jobs)
        yield Finished(run, recipe, plan, material, outcome, seconds)


def with_number_format(recipe: Recipe, device: torch.device) -> Recipe:
    """The recipe with the number format of every training written out, the same in both arms."""
    settings, controls = (
        tuple(
            replace(
                one,
                pretrain=with_precision(one.pretrain, device, recipe.precision),
                fit=with_precision(one.fit, device, recipe.precision),
            )
            for one in arm
        )
        for arm in (recipe.settings, recipe.controls)
    )
    return replace(recipe, settings=settings, controls=controls)


def synthetic_starts(
    plan: ExperimentPlan, cache: Path, device: str, workers: int | None
) -> dict[tuple[str, ...], Path]:
    """An encoder of made-up sounds for each network that starts from one.

    It comes from the user's cache; a copy stays with the run, where all machines see it.
    """
    settings = [
        job.setting
        for job in plan.jobs
        if job.setting.start == "synthetic" and job.setting.has_encoder
    ]
    starts = {}
    for key, setting in {network_key(setting): setting for setting in settings}.items():
        made = synthetic_file(
            setting.architecture,
            setting.mel,
            standardize=setting.standardize,
            device=device,
            workers=workers,
        )
        starts[key] = cache / made.name
        if not starts[key].is_file():
            with replacing(starts[key]) as part:
                shutil.copyfile(made, part)
    return starts


def _write_budgets(plan: ExperimentPlan, material: Material, folder: Path) -> None:
    """The labelled clips of every draw, so that anybody can train on the same ones."""
    ids = material.labelled.ids
    table: list[tuple[object, ...]] = []
    seen = set()
    for _, job in plan.cells:
        key = (job.budget.labels_per_class, job.draw, job.fold)
        if key in seen:
            continue
        seen.add(key)
        for part, rows in (("train", job.train), ("validation", job.validation)):
            table += [(*key, part, ids[row]) for row in rows.tolist()]
    write_csv(folder / "budgets.csv", ["labels_per_class", "draw", "fold", "part", "clip"], table)


def _result(
    recipe: Recipe,
    plan: ExperimentPlan,
    material: Material,
    outcome: ExperimentOutcome,
    report: Path,
    folder: Path,
) -> RunResult:
    headers, rows = comparison_rows(outcome)
    networks = [
        job
        for _, job in plan.cells
        if job.arm == recipe.treated and job.draw == 0 and not job.setting.classifier
    ]
    shown = networks[-1] if networks else plan.cells[0][1]
    return RunResult(
        table=ResultTable(headers, rows),
        answers=tuple(_verdict(c, recipe) for c in outcome.comparisons),
        report=report,
        model=folder / shown.name / MODEL if networks else None,
        examples=_examples(material.labelled, shown.test),
        failures=material.failures,
        notes=material.notes,
    )


def _verdict(one: Comparison, recipe: Recipe) -> str:
    if not recipe.subject and one.outcome != "open":
        return one.verdict(name=one.setting)
    return f"{one.setting}: {one.verdict(recipe.subject)}"


def _examples(clips: Clips, rows: Rows) -> Clips:
    """The first clip of each of a few classes."""
    first = {clips.labels[row]: row for row in reversed(rows.tolist())}
    return clips[sorted(first.values())[:EXAMPLES]]
