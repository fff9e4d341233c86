"""``semisonic run``: settings compared in two arms, from a recipe and recordings to a report."""

from __future__ import annotations

from semisonic.evaluation.comparison import Comparison
from semisonic.experiments.options import RunOptions
from semisonic.experiments.plan import MODEL
from semisonic.experiments.recipe import Recipe, StagesRecipe, read_recipe
from semisonic.experiments.report import write_report
from semisonic.experiments.runner import (
    RunResult,
    compare_arms,
    comparison_table,
    gather_for,
    open_experiment,
    some_of_each,
)
from semisonic.experiments.stages import run_stages
from semisonic.recipes import find


def run_recipe(options: RunOptions) -> RunResult:
    """Run, or go on with, an experiment.

    Raises
    ------
    OptionError, DataError
        For a wrong recipe, options of another run in the same folder, unusable data.
    """
    recipe = read_recipe(find(options.recipe), quick=options.quick, changes=options.changes)
    if isinstance(recipe, StagesRecipe):
        return run_stages(options, recipe)
    with open_experiment("run", options, recipe) as experiment:
        done = compare_arms(experiment, recipe, gather_for(experiment, recipe))
        report = write_report(done)
    cells = done.plan.cells
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
        model=experiment.jobs / shown.name / MODEL if networks else None,
        examples=some_of_each(done.material.labelled, shown.test),
        failures=done.material.failures,
        notes=tuple(experiment.notes),
    )


def _verdict(one: Comparison, recipe: Recipe) -> str:
    if not recipe.subject and one.outcome != "open":
        return one.verdict(name=one.setting)
    return f"{one.setting}: {one.verdict(recipe.subject)}"
