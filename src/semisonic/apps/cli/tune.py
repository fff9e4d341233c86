"""``semisonic tune``: a search over a recipe's options."""

from __future__ import annotations

from semisonic.apps.cli.parser import command_from
from semisonic.apps.cli.session import Session, Status
from semisonic.apps.cli.training_verbs import SYNTH
from semisonic.base.wording import counted
from semisonic.data import describe_layout
from semisonic.experiments import TuneOptions


def tune(options: TuneOptions, session: Session) -> Status:
    """Search over a recipe's options by results on training clips alone.

    What to search stands in the recipe's [tune] table, or is given with --search. The test folds
    are set apart; the best settings are left as a recipe, to be measured on them once.
    """
    session.log = options.output / "log.txt"
    if session.dry_run:
        return _plan(options, session)
    from semisonic.experiments import tune as search

    result = search(options)
    session.say(result.summary())
    return session.failed(result.failures, options.output / "bad_files.csv")


def _plan(options: TuneOptions, session: Session) -> Status:
    """Read recipe and space, which finds wrong names, and say how large the search is."""
    from semisonic.experiments.tuning.run import plan_trials
    from semisonic.experiments.tuning.target import read_target

    target = read_target(options)
    n_trials, _ = plan_trials(options, target)
    draws = target.recipe.budgets[0].draws
    session.note(
        f"{target.file}: {target.recipe.title}; {counted(n_trials, 'trial')} of "
        f"{counted(options.inner_folds, 'inner fold')} in {counted(draws, 'draw')}, "
        f"{counted(len(target.fronts()), 'front end')}"
    )
    for one in target.space:
        session.note(f"  {one.name}: {one}")
    for name in (options.data, options.unlabelled, options.source):
        if name is not None and str(name) != SYNTH:
            session.note(describe_layout(name))
    return Status.OK


command = command_from(
    TuneOptions,
    tune,
    name="tune",
    arguments=("recipe",),
    examples=[
        "semisonic tune tune-demo -o runs/tune",
        "semisonic tune tune-demo --data path/to/esc10 --trials 40 --test-folds 1",
        "semisonic tune cae-pretraining --data path/to/esc10 --sampler grid",
        "semisonic tune my-recipe.toml --search 'setting.train.learning_rate=1e-4..1e-2 log'",
    ],
    resumes=True,
    plans=True,
)
