"""``semisonic run``: a whole experiment from a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from semisonic import recipes
from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status, table
from semisonic.apps.cli.training_verbs import SYNTH
from semisonic.base import progress
from semisonic.base.wording import counted
from semisonic.data import describe_layout
from semisonic.experiments import RunOptions

if TYPE_CHECKING:
    from semisonic.experiments import ExperimentResult

STAGES = "stages"
"""The kind of recipe that is run by stages."""


def run(options: RunOptions, session: Session) -> Status:
    """Run a recipe: train with and without what it tries, cross-validate, compare, report."""
    session.log = options.output / "log.txt"
    if session.dry_run:
        return _plan(options, session)
    file = recipes.find(options.recipe)
    from semisonic.experiments import recipe_kind, run_recipe, run_stages

    in_stages = recipe_kind(file) == STAGES
    result = run_stages(options) if in_stages else run_recipe(options)
    session.say(result.summary())
    if result.model is not None:
        _predict(result, result.model, session)
    return session.failed(result.failures, options.output / "bad_files.csv")


def _predict(result: ExperimentResult, model: Path, session: Session) -> None:
    """Let the trained model hear a few clips of its test fold."""
    from semisonic.inference import open_model, predict_files

    progress.show(False)  # a bar would stand in the middle of the answer
    truth = [", ".join(labels) for labels in result.examples.labels]
    n_heard = counted(len(truth), "clip")
    session.say(f"\nThe trained model on {n_heard} it has not heard: {', '.join(truth)}")
    session.say(predict_files(open_model(model), result.examples).summary())
    session.say(f"For more: semisonic predict {model} FILES")


def _plan(options: RunOptions, session: Session) -> Status:
    """Read the recipe, which finds wrong keys, and say how large the experiment is."""
    file = recipes.find(options.recipe)
    from semisonic.experiments import read_recipe, read_stages, recipe_kind

    if recipe_kind(file) == STAGES:
        stages = read_stages(file, quick=options.quick, changes=options.changes)
        size = f"{counted(len(stages.stages), 'stage')}, {counted(stages.draws, 'draw')}"
        session.note(f"{file}: {stages.title}; {size}")
    else:
        recipe = read_recipe(file, quick=options.quick, changes=options.changes)
        draws = ", ".join(f"{one.label} in {counted(one.draws, 'draw')}" for one in recipe.budgets)
        session.note(f"{file}: {recipe.title}; {counted(len(recipe.settings), 'setting')}, {draws}")
    for name in (options.data, options.unlabelled, options.source):
        if name is not None and str(name) != SYNTH:
            session.note(describe_layout(name))
    return Status.OK


def _list(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(table(["recipe", "what it asks"], list(recipes.titles().items())))
        ctx.exit()


command = command_from(
    RunOptions,
    run,
    name="run",
    arguments=("recipe",),
    examples=[
        "semisonic run demo -o runs/demo",
        "semisonic run cae-pretraining --data path/to/esc10 --unlabelled path/to/pool -o runs/cae",
        "semisonic run recipes/cae-pretraining.toml --quick",
    ],
    resumes=True,
    plans=True,
)
command.params.append(
    click.Option(
        ["--list"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_list,
        help="list the recipes that come with the package, and end",
    )
)
