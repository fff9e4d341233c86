"""``semisonic run`` for a recipe in stages: from recordings to a report, resumable at every job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from semisonic.base.errors import OptionError
from semisonic.base.options import to_dict
from semisonic.base.wording import p_value, percent, points
from semisonic.data import synth
from semisonic.engines import open_engine
from semisonic.experiments.engine import Task
from semisonic.experiments.job_folder import MODEL, is_done
from semisonic.experiments.material import WHOLE
from semisonic.experiments.method_notes import too_few_steps
from semisonic.experiments.options import SYNTH, RunOptions
from semisonic.experiments.results import Table
from semisonic.experiments.run import (
    EXAMPLES,
    FREE,
    ExperimentResult,
    material_of,
    plans_of,
    train_all,
    warned,
)
from semisonic.experiments.stages.plan import FilterJob, StageJob, StagesPlan, make_stages_plan
from semisonic.experiments.stages.recipe import StagesRecipe, read_stages
from semisonic.experiments.stages.report import gain_rows, write_stages_report
from semisonic.experiments.stages.results import StagesOutcome, collect_stages, true_labels
from semisonic.experiments.stages.worker import run_filter, run_stage
from semisonic.experiments.worker import Context
from semisonic.recipes import find
from semisonic.training import RunFolder, choose_device
from semisonic.training.precision import with_plan

_HEADERS = ("stage", "lwlrap", "mAP", "compared with", "gain", "p", "earns its place")


def run_stages(options: RunOptions) -> ExperimentResult:
    """Run, or go on with, an experiment in stages.

    Raises
    ------
    OptionError, DataError
        For a wrong recipe, options of another run in the same folder, unusable data.
    """
    recipe = read_stages(find(options.recipe), quick=options.quick, changes=options.changes)
    if options.transductive:
        raise OptionError(
            "option 'transductive': a recipe in stages never hears the test clips; leave it out"
        )
    if options.source is not None:
        raise OptionError(
            "option 'source': a stage starts from random weights or from another stage; leave it "
            "out"
        )
    place = choose_device(options.device)
    device = str(place)
    asked = {**to_dict(options), "contents": to_dict(recipe)}
    stages = (
        replace(stage, fit=with_plan(stage.fit, place, recipe.precision)) for stage in recipe.stages
    )
    recipe = replace(recipe, stages=tuple(stages))
    with (
        RunFolder(options.output, "run", asked, seeds=options.seed, free=FREE) as run,
        open_engine(options.where) as engine,
    ):
        cache, jobs = options.cache or run.folder / "cache", run.folder / "jobs"
        inputs = [(recipe.network.mel, WHOLE)]
        material, hashes = material_of(
            run, options, recipe.synth, inputs, cache, engine, several=True
        )
        plan = make_stages_plan(recipe, material.labelled, material.pool, seed=options.seed)
        run.note(precision=plans_of(stage.fit for stage in recipe.stages))
        material = warned(material, _short_stages(plan))
        todo = [_task(job) for job in plan.jobs if not is_done(jobs, job)]
        context = Context(jobs, material, device, hashes)
        train_all(todo, len(plan.jobs) - len(todo), context, options.workers, engine)
        outcome = collect_stages(recipe, plan, jobs, _truth(options, recipe))
        report = write_stages_report(run, options, recipe, material, outcome)
        shown = _shown_job(recipe, plan)
        _leave_models(plan, jobs)
    test = material.labelled[shown.test]
    return ExperimentResult(
        table=_table(outcome),
        verdicts=tuple(f"{c.setting}: {c.verdict()}" for c in outcome.comparisons),
        report=report,
        model=jobs / shown.name / MODEL,
        examples=test[:: max(1, len(test) // EXAMPLES)][:EXAMPLES],
        failures=material.failures,
        notes=material.notes,
    )


def _short_stages(plan: StagesPlan) -> list[str]:
    """A warning where stages end before each of their clips was heard once."""
    stages = (
        (name, job.stage.whole_fit, len(job.curated) + len(job.noisy)) for name, job in plan.cells
    )
    return too_few_steps("the stage", "stage.fit.steps", stages)


def _task(job: StageJob | FilterJob) -> Task:
    if isinstance(job, FilterJob):
        return Task(job.name, run_filter, (job,), (job.of.name,))
    before = tuple(one.name for one in (job.start, job.filter) if one is not None)
    return Task(job.name, run_stage, (job,), before)


def _truth(options: RunOptions, recipe: StagesRecipe) -> Mapping[str, tuple[str, ...]] | None:
    """The true labels of all clips, where somebody knows them: of made-up sounds."""
    if str(options.data) != SYNTH:
        return None
    labelled, _ = synth.load(synth.make_in_cache(recipe.synth), true_labels=True)
    return true_labels(labelled)


def _shown_job(recipe: StagesRecipe, plan: StagesPlan) -> StageJob:
    return next(job for name, job in plan.cells if name == recipe.headline.name)


def _leave_models(plan: StagesPlan, folder: Path) -> None:
    """Keep the models of the first draw; those of the others were for the stages after them."""
    for job in plan.jobs:
        if job.draw > 0:
            (folder / job.name / MODEL).unlink(missing_ok=True)


def _table(outcome: StagesOutcome) -> Table:
    """All stages with their numbers, and below each what it is held against."""
    gains = {(row[0], row[1]): row[2:] for row in gain_rows(outcome)}
    rows = []
    for one in outcome.stages:
        head = [one.name, percent(one.lwlrap.mean), percent(one.mean_average_precision)]
        compared = [gains[one.name, c.a.name] for c in one.comparisons]
        lines = [
            [c.a.name, points(gain.value, signed=True), p_value(p), said]
            for c, (gain, _, p, said) in zip(one.comparisons, compared, strict=True)
        ]
        for line in lines or [[""] * 4]:
            rows.append([*head, *line])
            head = [""] * len(head)
    return Table(_HEADERS, rows)
