"""``semisonic run``: settings compared in two arms, from a recipe and recordings to a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from semisonic.core.files import write_csv
from semisonic.core.options import to_dict
from semisonic.data.categories import categories_of
from semisonic.data.clips import Clips
from semisonic.evaluation.comparison import Comparison
from semisonic.experiments.material import Material
from semisonic.experiments.options import RunOptions
from semisonic.experiments.plan import MODEL, PRETRAIN, TRAIN, Plan, Rows, make_plan
from semisonic.experiments.recipe import Recipe, read_recipe
from semisonic.experiments.report import write_report
from semisonic.experiments.results import (
    ExperimentResult,
    Finished,
    collect,
    comparison_table,
    short_trainings,
)
from semisonic.experiments.runner import load_data, open_experiment, warned
from semisonic.experiments.starts import load_source, make_starts
from semisonic.experiments.worker import WorkerContext, run_pretrain, run_train
from semisonic.recipes import find
from semisonic.training.devices import with_precision

EXAMPLES = 3
WORK = {PRETRAIN: run_pretrain, TRAIN: run_train}


@dataclass(frozen=True, kw_only=True)
class RunResult(ExperimentResult):
    """What ``run`` leaves; its answers are one honest sentence a setting.

    Attributes
    ----------
    model : Path or None
        A trained model of the last setting that is a network, to predict with: the arm that is
        tried, first fold.
    examples : Clips
        A few clips of the test fold, of different classes, that this model was not trained on.
    """

    model: Path | None
    examples: Clips


def run_recipe(options: RunOptions) -> RunResult:
    """Run, or go on with, an experiment.

    Raises
    ------
    OptionError, DataError
        For a wrong recipe, options of another run in the same folder, unusable data.
    """
    recipe = read_recipe(find(options.recipe), quick=options.quick, changes=options.changes)
    with conduct("run", recipe, options) as done:
        report = write_report(done, options)
    recipe, cells = done.recipe, done.plan.cells
    networks = [
        job
        for _, job in cells
        if job.arm == recipe.treated and job.draw == 0 and not job.setting.classifier
    ]
    shown = networks[-1] if networks else cells[0][1]
    return RunResult(
        table=comparison_table(done.comparisons),
        answers=tuple(_verdict(c, recipe) for c in done.comparisons),
        report=report,
        model=done.folder / shown.name / MODEL if networks else None,
        examples=_examples(done.material.labelled, shown.test),
        failures=done.material.failures,
        notes=done.material.notes,
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
        run, device, seed = opened.run, opened.device, options.seed
        recipe = with_number_format(recipe, torch.device(device))
        inputs = [(one.front, one.segments) for one in (*recipe.settings, *recipe.controls)]
        material, hashes = opened.gather(load_data(options, recipe.synth), inputs)
        if fitted is not None:
            recipe, said = fitted(recipe, material)
            material = replace(material, notes=(*material.notes, *said))
        labelled = material.labelled
        categories = categories_of(labelled.classes, dict(recipe.categories))
        source = load_source(options, recipe, labelled)
        plan = make_plan(
            recipe,
            labelled,
            material.pool,
            seed=seed,
            transductive=options.transductive,
            categories=categories,
            source=source.key if source else "",
        )
        material = warned(material, short_trainings(plan))
        _write_budgets(plan, labelled, run.folder)
        fits = [job.setting.fit for job in plan.of(TRAIN) if not job.setting.classifier]
        fits += [job.setting.pretrain for job in plan.of(PRETRAIN)]
        run.note(precision=sorted({fit.precision for fit in fits}))
        context = WorkerContext(opened.jobs, material, device, hashes, categories or {})
        notes = list(source.notes) if source else []
        if source is not None:
            run.add_data("source", source.key)
        notes += make_starts(
            [job.setting for job in plan.jobs],
            recipe,
            source,
            context,
            opened.cache,
            seed=seed,
            workers=options.workers,
        )
        material = replace(material, notes=(*material.notes, *notes))
        seconds = opened.do(plan.jobs, WORK, context)
        yield collect(run, recipe, plan, material, seconds)


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


def _write_budgets(plan: Plan, labelled: Clips, folder: Path) -> None:
    """The labelled clips of every draw, so that anybody can train on the same ones."""
    draws = {(job.budget.labels_per_class, job.draw, job.fold): job for _, job in plan.cells[::-1]}
    rows = [
        (*key, part, labelled.ids[row])
        for key, job in reversed(draws.items())
        for part in ("train", "validation")
        for row in getattr(job, part).tolist()
    ]
    write_csv(folder / "budgets.csv", ["labels_per_class", "draw", "fold", "part", "clip"], rows)


def _verdict(one: Comparison, recipe: Recipe) -> str:
    if not recipe.subject and one.outcome != "open":
        return one.verdict(name=one.setting)
    return f"{one.setting}: {one.verdict(recipe.subject)}"


def _examples(clips: Clips, rows: Rows) -> Clips:
    """The first clip of each of a few classes."""
    first = {clips.labels[row]: row for row in reversed(rows.tolist())}
    return clips[sorted(first.values())[:EXAMPLES]]
