"""The verbs of experiments: run, curve, tune."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from semisonic import recipes
from semisonic.cli.parser import Session, Status, ending_option, verb
from semisonic.cli.training_verbs import SYNTH
from semisonic.core.text import count_text, text_table
from semisonic.experiments.options import CurveOptions, RunOptions, TuneOptions

if TYPE_CHECKING:
    from semisonic.experiments.runner import RunResult


def _note_layouts(
    session: Session, data: Path | None, unlabelled: Path | None, source: Path | None = None
) -> None:
    """Say how each data set would be read."""
    from semisonic.data.datasets.load import describe_layout

    for path, pool in ((data, False), (unlabelled, True), (source, False)):
        if path is not None and str(path) != SYNTH:
            session.note(describe_layout(path, pool=pool))


def _list_recipes(_: click.Context) -> None:
    click.echo(text_table(["recipe", "what it compares"], list(recipes.titles().items())))


@verb(
    RunOptions,
    arguments=("recipe",),
    basic="list data unlabelled output quick change transductive device workers",
    examples=[
        "semisonic run demo -o runs/demo",
        "semisonic run cae-pretraining --data path/to/esc10 --unlabelled path/to/pool -o runs/cae",
        "semisonic run recipes/cae-pretraining.toml --quick",
    ],
    resumes=True,
    plans=True,
    extra=[ending_option("list", "list the recipes of the package, and exit", _list_recipes)],
)
def run(options: RunOptions, session: Session) -> Status:
    """Run a recipe: train its configurations, cross-validate, compare, write a report."""
    session.log = options.output / "log.txt"
    if session.dry_run:
        return _run_plan(options, session)
    recipes.find(options.recipe)  # a wrong name is said before torch is loaded
    from semisonic.experiments.run import run_recipe

    result = run_recipe(options)
    session.say(result.summary())
    if result.model is not None:
        _show_model(result, result.model, options, session)
    return session.failed(result.failures, options.output / "bad_files.csv")


def _show_model(result: RunResult, file: Path, options: RunOptions, session: Session) -> None:
    """Show what the trained model makes of a few test clips, and of a minute mixed from others."""
    from semisonic.classifier.detection.detect import run_detect
    from semisonic.classifier.model_file import open_model
    from semisonic.classifier.options import EventOptions
    from semisonic.classifier.predict import predict_files
    from semisonic.core import progress
    from semisonic.experiments.minute import write_minute

    progress.show_progress(False)  # a bar would stand in the middle of the answer
    truth = [", ".join(labels) for labels in result.examples.labels]
    n_clips = count_text(len(truth), "clip")
    session.say(f"\nThe trained model on {n_clips} that it was not trained on: {', '.join(truth)}")
    model = open_model(file)
    session.say(predict_files(model, result.examples).summary())
    folder = file.parent / "minute"
    if not model.multi_label:
        recording, table = write_minute(
            result.tested, folder, model.mel.sample_rate, seed=options.seed
        )
        found = run_detect(
            file, [recording], folder / "found", EventOptions(), truth=table, device=options.device
        )
        session.say("\nEvents in a minute of sound, mixed from clips that it was not trained on:")
        session.say(found.summary())
        session.say(f"the page with the events: {folder / 'found' / 'detections.html'}")
    session.say(f"next: semisonic predict {file.parent} RECORDINGS")


def _run_plan(options: RunOptions, session: Session) -> Status:
    """Read the recipe and the labels, so that errors show; print its size and what is too short."""
    file = recipes.find(options.recipe)
    from semisonic.experiments.recipe import StagesRecipe, read_recipe

    recipe = read_recipe(file, quick=options.quick, changes=options.changes)
    if isinstance(recipe, StagesRecipe):
        size = f"{count_text(len(recipe.stages), 'stage')}, {count_text(recipe.draws, 'draw')}"
    else:
        budgets = (f"{one.label} in {count_text(one.draws, 'draw')}" for one in recipe.budgets)
        size = ", ".join([count_text(len(recipe.settings), "setting"), *budgets])
    session.note(f"{file}: {recipe.title}; {size}")
    _note_layouts(session, options.data, options.unlabelled, options.source)
    if str(options.data) != SYNTH:
        from semisonic.experiments.run import expected_warnings

        for warning in expected_warnings(options, recipe):
            session.note(warning)
    return Status.OK


@verb(
    CurveOptions,
    arguments=("data",),
    basic="unlabelled output labels draws folds method model device",
    examples=[
        "semisonic curve path/to/labelled --unlabelled path/to/pool -o runs/curve",
        "semisonic curve path/to/labelled --labels 2,4,8 --draws 5",
    ],
    resumes=True,
    plans=True,
)
def curve(options: CurveOptions, session: Session) -> Status:
    """Answer two questions: how many labels do I need, and do my unlabelled recordings help?

    Trains classifiers with several numbers of labels per class, with and without the pool, on all
    folds and several draws of labels.
    """
    session.log = options.output / "log.txt"
    if session.dry_run:
        _note_layouts(session, options.data, options.unlabelled)
        return Status.OK
    from semisonic.experiments.curve import learning_curve

    result = learning_curve(options)
    session.say(result.summary())
    return session.failed(result.failures, options.output / "bad_files.csv")


@verb(
    TuneOptions,
    arguments=("recipe",),
    basic="data unlabelled output quick search trials sampler inner_folds test_folds device",
    examples=[
        "semisonic tune tune-demo -o runs/tune",
        "semisonic tune tune-demo --data path/to/esc10 --trials 40 --test-folds 1",
        "semisonic tune cae-pretraining --data path/to/esc10 --sampler grid",
        "semisonic tune my-recipe.toml --search 'setting.fit.learning_rate=1e-4..1e-2 log'",
    ],
    resumes=True,
    plans=True,
)
def tune(options: TuneOptions, session: Session) -> Status:
    """Search for the best options of a recipe, by results on training clips only.

    The recipe's [tune] table, or --search, gives what to search. The test folds are set apart. The
    best settings are written as a recipe, to be measured once on these folds.
    """
    session.log = options.output / "log.txt"
    if session.dry_run:
        return _tune_plan(options, session)
    from semisonic.experiments.tune import tune as search

    result = search(options)
    session.say(result.summary())
    return session.failed(result.failures, options.output / "bad_files.csv")


def _tune_plan(options: TuneOptions, session: Session) -> Status:
    """Read the recipe and the search space, so that errors show; say how large the search is."""
    from semisonic.experiments.tune import count_trials, read_space

    space = read_space(options)
    n_trials = count_trials(options, space)
    draws = space.recipe.budgets[0].draws
    session.note(
        f"{space.file}: {space.recipe.title}; {count_text(n_trials, 'trial')} of "
        f"{count_text(options.inner_folds, 'inner fold')} in {count_text(draws, 'draw')}, "
        f"{count_text(len(space.fronts()), 'front end')}"
    )
    for one in space.dimensions:
        session.note(f"  {one.name}: {one.text}")
    _note_layouts(session, options.data, options.unlabelled, options.source)
    return Status.OK
