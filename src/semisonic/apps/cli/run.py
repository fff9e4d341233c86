"""``semisonic run``: a whole experiment from a recipe."""

from __future__ import annotations

import dataclasses

from semisonic import recipes
from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status
from semisonic.experiments import RunOptions


def run(options: RunOptions, session: Session) -> Status:
    """Run a recipe: train with and without pre-training, cross-validate, compare, report."""
    session.log = options.output / "log.txt"
    options = dataclasses.replace(options, recipe=str(recipes.find(options.recipe)))
    if session.dry_run:
        return Status.OK
    from semisonic.experiments import run_recipe

    result = run_recipe(options)
    session.say(result.table)
    for line in (*result.verdicts, *result.notes):
        session.say(line)
    session.say(f"report: {result.report}")
    status = session.failed(result.failures, options.output / "bad_files.csv")
    return status


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
