"""``semisonic tune``: from a recipe and its space to the best settings, resumable at every step."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from semisonic.core.errors import OptionError
from semisonic.core.files import write_text
from semisonic.core.options import check, to_dict, toml_tables
from semisonic.core.parallel import Engine, Task, run_tasks
from semisonic.core.text import count_text, duration_text, percent_text, points_text
from semisonic.data.categories import categories_of
from semisonic.evaluation.plots.training import search_course
from semisonic.evaluation.report.document import Number, Report, Verdict
from semisonic.experiments.material import Material
from semisonic.experiments.options import (
    AUTO_PRUNER,
    GRID,
    MEDIAN,
    NO_PRUNER,
    TRIALS,
    RunOptions,
    TuneOptions,
)
from semisonic.experiments.recipe import PLAIN, Budget, Recipe, Setting, SourceTraining, put
from semisonic.experiments.results import ExperimentResult, ResultTable
from semisonic.experiments.run import with_number_format
from semisonic.experiments.runner import (
    OpenExperiment,
    command_line,
    listens_for_copies,
    load_data,
    open_experiment,
    provenance,
    tasks_at_once,
    write_results,
)
from semisonic.experiments.search_space import (
    BATCH,
    SETTING,
    Choices,
    Point,
    Space,
    Target,
    grid_points,
    label_of,
    read_target,
    value_of,
)
from semisonic.experiments.source import SourceModel, load_source
from semisonic.experiments.trials import (
    COMPLETE,
    DEFAULT,
    FAILED,
    PRUNED,
    SearchContext,
    SearchOutcome,
    SearchSplit,
    Trial,
    add_trials,
    mend,
    open_study,
    optuna,
    read_outcome,
    run_default,
    run_trial,
    set_apart,
    start,
    unfinished,
)
from semisonic.experiments.worker import WorkerContext
from semisonic.training.run_folder import RunFolder

# The best settings as a recipe: the recipe's own values against the tuned ones, on the test folds.
#
# Both are trained as the recipe says and scored once, so that what the search brought is
# measured on
# clips that had no say in it.


FILE = "best.toml"
ARMS = ("as the recipe has it", "tuned")


def best_recipe(target: Target, point: Point, test_folds: Sequence[int]) -> str:
    """A recipe file that measures a point against the recipe's own values.

    Parameters
    ----------
    target : Target
    point : mapping of str to value
        The best values, by dotted name.
    test_folds : sequence of int
        The folds that the search never heard.
    """
    recipe, base = target.recipe, target.base
    tuned = target.at(point)
    setting = _changed(tuned, Setting())
    setting["name"] = ARMS[1]
    control: dict[str, Any] = {name: getattr(base, name) for name in PLAIN}
    for name in point:
        short = name.removeprefix(SETTING)
        for place in (f"pretrain.{BATCH}", f"fit.{BATCH}") if short == BATCH else (short,):
            put(control, place, _plain_values(value_of(base, place)))
    head = {
        "title": f"Tuned, and as it was: {recipe.title}",
        "question": "What a search over settings brought, on clips that it never heard.",
        "folds": list(test_folds),
        "arms": list(ARMS),
        **_of_recipe(recipe),
        "budgets": [_changed(budget, Budget()) for budget in recipe.budgets],
        "setting": setting,
        "control": control,
    }
    for name, plain in (("synth", recipe.synth), ("source", recipe.source)):
        changed = _changed(plain, SourceTraining() if name == "source" else type(plain)())
        if changed:
            head[name] = changed
    return "# Written by a search over settings: [control] holds the recipe's own values.\n" + (
        toml_tables(head)
    )


def _of_recipe(recipe: Recipe) -> dict[str, Any]:
    """What the experiment takes over from the recipe as it is."""
    kept: dict[str, Any] = {
        name: getattr(recipe, name)
        for name in ("precision", "validation", "pretrain_draws", "validation_fold")
    }
    groups: dict[str, list[str]] = {}
    for name, group in recipe.categories:
        groups.setdefault(group, []).append(name)
    return kept | ({"categories": groups} if groups else {})


def _changed(options: Any, defaults: Any) -> dict[str, Any]:
    """The options that are not as they are by default, groups of options as mappings."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(options):
        value, default = getattr(options, field.name), getattr(defaults, field.name)
        if dataclasses.is_dataclass(value):
            below = _changed(value, default)
            if below:
                found[field.name] = below
        elif value != default:
            found[field.name] = _plain_values(value)
    return found


def _plain_values(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


# A search as plain values: for files, for tables, and as the command that repeats it.


def values_of(target: Target, outcome: SearchOutcome) -> dict[str, Any]:
    """The numbers of a search as plain values."""
    return {
        "space": {one.name: str(one) for one in target.space},
        "default": outcome.default,
        "best": outcome.best,
        "keeps_recipe": outcome.keeps_recipe,
        "without_luck": outcome.chosen,
        "trials": outcome.trials,
    }


def best_rows(target: Target, best: Trial) -> list[tuple[str, str, str]]:
    """Name, the recipe's value and the best one of each option that was searched."""
    return [
        (
            short(one.name),
            text_of(value_of(target.base, one.name)),
            text_of(best.settings[one.name]),
        )
        for one in target.space
    ]


def short(name: str) -> str:
    """An option's name as it stands in tables."""
    return name.removeprefix(SETTING)


def text_of(value: Any) -> str:
    """A value as it stands in tables."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return label_of(list(value) if isinstance(value, tuple) else value)


# The report of a search: what was found, how far to trust it, and what mattered.


ONCE = (
    "The score of the best trial is optimistic: it was chosen because it is high on these very "
    "clips. Only the test folds, scored once, say what the search brought."
)
KEEP = "no trial beat the recipe: keep its values"


def write_page(
    run: RunFolder,
    options: TuneOptions,
    target: Target,
    material: Material,
    outcome: SearchOutcome,
    *,
    command: str,
    n_test: int,
    notes: Sequence[str],
) -> Path:
    """Write ``report.html`` with tables and figures, and ``results.json``.

    Parameters
    ----------
    command : str
        What measures the best settings on the test folds.
    n_test : int
        Clips of the test folds.
    notes : sequence of str
        What a reader must know of the data.
    """
    labelled = material.labelled
    recipe = target.recipe
    repeating, best = command_line("tune", options), outcome.best
    report = Report(
        "tuning.j2",
        f"Search over settings: {recipe.title}",
        f"{len(labelled)} training clips of '{labelled.name}', {len(labelled.classes)} classes, "
        f"in {options.inner_folds} inner folds by recording; {n_test} clips of test "
        f"{_folds(options.test_folds)} were not heard",
        outcome=outcome,
        best=best,
        keep=KEEP.capitalize(),
        measuring=command,
        n_close=_n_close(outcome, best) if best else 0,
        searched={short(one.name): str(one) for one in target.space},
        command=repeating,
        provenance={k: str(v) for k, v in provenance(run, repeating).items() if k != "command"},
    )
    report.verdict = Verdict(_claim(outcome), " ".join((*gain_in_words(outcome), ONCE)))
    report.numbers = _numbers(outcome)
    report.warnings += notes
    if best is not None:
        report.table("best", ["option", *columns_of(outcome)], best_rows(target, best))
    report.figure(
        "course",
        search_course(
            [one.number for one in outcome.trials],
            [one.score for one in outcome.trials],
            [one.state == COMPLETE for one in outcome.trials],
            default=outcome.default.score,
        ),
    )
    _add_trials(report, outcome, target.space)
    report.data = values_of(target, outcome)
    write_results(run, repeating, recipe, report.data)
    return report.write(run.folder)


def gain_in_words(outcome: SearchOutcome) -> tuple[str, ...]:
    """What is left of the gain without the luck of the choice; nothing where it is not known."""
    chosen = outcome.chosen
    if chosen is None or np.isnan(chosen.gain):
        return ()
    gain = points_text(chosen.gain, signed=True)
    low, high = (points_text(end, signed=True) for end in (chosen.gain_low, chosen.gain_high))
    shown = "better than" if chosen.is_gain else "not shown to be better than"
    return (
        f"Without the luck of the choice the best is {shown} the recipe's own values: "
        f"{gain} points ({low} to {high}).",
    )


def columns_of(outcome: SearchOutcome) -> tuple[str, str]:
    """What the recipe's values and those of the best trial are called in tables."""
    if outcome.keeps_recipe:
        return "recipe (kept)", "best trial (worse)"
    return "recipe", "best"


def _claim(outcome: SearchOutcome) -> str:
    best, default = outcome.best, outcome.default
    if best is None:
        return "No trial came to its end"
    n_all = len(outcome.trials)
    if outcome.keeps_recipe:
        return (
            f"{KEEP.capitalize()}. None of {n_all} trials does better on inner folds: "
            f"{percent_text(best.score)} against {percent_text(default.score)}"
        )
    claim = f"The best of {n_all} trials reaches {percent_text(best.score)} on inner folds"
    if default.state == COMPLETE:
        claim += f", the recipe's own values {percent_text(default.score)}"
    return claim


def _numbers(outcome: SearchOutcome) -> list[Number]:
    best, default, chosen = outcome.best, outcome.default, outcome.chosen
    found = []
    if best is not None:
        gain = points_text(best.score - default.score, signed=True)
        note = f"{gain} points against the recipe" if default.state == COMPLETE else ""
        found.append(
            Number(percent_text(best.score), "inner accuracy of the best trial", note, "treated")
        )
    if chosen is not None:
        note = f"{percent_text(chosen.low)} to {percent_text(chosen.high)}"
        found.append(Number(percent_text(chosen.mean), "without the luck of the choice", note))
    if default.state == COMPLETE:
        found.append(
            Number(percent_text(default.score), "the recipe's own values", "same folds", "control")
        )
    ended = ", ".join(
        f"{len(outcome.of(state))} {word}"
        for state, word in ((COMPLETE, "complete"), (PRUNED, "given up early"), (FAILED, "failed"))
        if outcome.of(state)
    )
    found.append(Number(str(len(outcome.trials)), "trials", ended))
    spent = sum(trial.seconds for trial in (default, *outcome.trials))
    return [*found, Number(duration_text(spent), "training", "of one process")]


def _n_close(outcome: SearchOutcome, best: Trial) -> int:
    """Other complete trials within one standard error of the best over its inner folds."""
    runners = sorted(outcome.of(COMPLETE), key=lambda trial: -trial.score)[1:]
    n = len(best.accuracies)
    error = float(np.std(best.accuracies, ddof=1)) / np.sqrt(n) if n > 1 else np.nan
    return sum(best.score - one.score <= error for one in runners)


def _add_trials(report: Report, outcome: SearchOutcome, space: Space) -> None:
    n_steps = max((len(one.accuracies) for one in (outcome.default, *outcome.trials)), default=0)
    names = [short(one.name) for one in space]
    headers = [
        "trial",
        "ended",
        "inner accuracy",
        *names,
        *(f"part {i + 1}" for i in range(n_steps)),
        "seconds",
        "reason",
    ]
    rows = [
        [
            one.number,
            one.state,
            one.score,
            *(text_of(one.settings[d.name]) if d.name in one.settings else None for d in space),
            *one.accuracies,
            *[None] * (n_steps - len(one.accuracies)),
            round(one.seconds, 1),
            one.reason,
        ]
        for one in outcome.trials
    ]
    shares = ("inner accuracy", *(f"part {i + 1}" for i in range(n_steps)))
    best = outcome.best
    report.table(
        "trials",
        headers,
        rows,
        formats=dict.fromkeys(shares, percent_text),
        styles={i: "strong" for i, one in enumerate(outcome.trials) if one is best},
    )


def _folds(folds: Sequence[int]) -> str:
    return f"fold {folds[0]}" if len(folds) == 1 else f"folds {', '.join(map(str, folds))}"


# ``semisonic tune``: from a recipe and its space to the best settings, resumable at every step.


_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TuneResult(ExperimentResult):
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
    """

    best: Mapping[str, Any]
    score: float
    default_score: float
    without_luck: float
    outcome: SearchOutcome
    recipe: Path
    command: str

    def summary(self) -> str:
        """For a terminal."""
        if self.outcome.keeps_recipe:
            return super().summary()
        return f"{super().summary()}\nTo measure it on the test folds, once:\n  {self.command}"


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
    asked = {
        **to_dict(options),
        "contents": to_dict(target.recipe),
        "searched": {one.name: str(one) for one in target.space},
    }
    with open_experiment("tune", options, asked, free=("trials",)) as opened:
        run = opened.run
        search, apart = _prepare(opened, options, target)
        _run_trials(search, n_trials, points, options.workers, opened.engine)
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
            f"{count_text(len(points), 'point')}; "
            "leave the option out to try them all"
        )
    return options.trials or len(points), points


def _prepare(
    opened: OpenExperiment, options: TuneOptions, target: Target
) -> tuple[SearchContext, SearchSplit]:
    """Set the test folds apart, cut the inner folds and compute the features of all fronts."""
    run, device = opened.run, opened.device
    labelled, pool = load_data(options, target.recipe.synth)
    apart = set_apart(
        labelled,
        pool,
        options.test_folds,
        run.folder,
        seed=options.seed,
        near_copies=listens_for_copies(options),
        group=options.group,
        workers=options.workers,
    )
    inputs = [(one.front, one.segments) for one in target.fronts()]
    material, hashes = opened.gather(
        (apart.clips, apart.pool), inputs, inner_folds=options.inner_folds
    )
    material = replace(material, notes=(*apart.notes, *material.notes))
    categories = categories_of(material.labelled.classes, dict(target.recipe.categories)) or {}
    # One number format for the whole search.
    recipe = with_number_format(target.recipe, torch.device(device))
    target = replace(target, recipe=recipe)
    source = _source(options, target, material)
    if source is not None:
        run.add_data("source", source.key)
        material = replace(material, notes=(*material.notes, *source.notes))
    context = WorkerContext(opened.jobs, material, device, hashes, {}, categories)
    pruner = options.pruner
    if pruner == AUTO_PRUNER:
        pruner = NO_PRUNER if options.sampler == GRID else MEDIAN
    search = SearchContext(
        run.folder, target, context, opened.cache, options.sampler, pruner, options.seed, source
    )
    return search, apart


def _source(options: TuneOptions, target: Target, material: Material) -> SourceModel | None:
    """The set that some setting of the search begins from a classifier of."""
    starts = {target.base.start}
    for one in target.space:
        if one.name == "setting.start" and isinstance(one, Choices):
            starts |= set(one.values)
    settings = tuple(replace(target.base, start=name) for name in sorted(starts))
    recipe = replace(target.recipe, settings=settings, controls=settings)
    return load_source(options, recipe, material.labelled)


def _run_trials(
    search: SearchContext,
    n_trials: int,
    points: list[dict[str, Any]],
    workers: int | None,
    engine: Engine,
) -> None:
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
            tasks,
            workers=min(at_once, len(tasks)),
            label="trials",
            done=n_trials + 1 - len(tasks),
            initializer=start,
            context=(search,),
            engine=engine,
            device=search.jobs.device,
        )


def _report(
    run: RunFolder,
    options: TuneOptions,
    search: SearchContext,
    apart: SearchSplit,
    outcome: SearchOutcome,
) -> TuneResult:
    best, default, target = outcome.best, outcome.default, search.target
    if best is None:
        reasons = sorted({one.reason for one in outcome.of(FAILED)})
        raise OptionError(
            f"{count_text(len(outcome.trials), 'trial')}, and none succeeded; the first reason: "
            f"{reasons[0]}"
        )
    file = run.folder / FILE
    # As the recipe says, and not as it was settled on this machine.
    plain = replace(target, recipe=read_target(options).recipe)
    point = best.settings
    if outcome.keeps_recipe:
        point = {one.name: value_of(target.base, one.name) for one in target.space}
    write_text(file, best_recipe(plain, point, options.test_folds))
    folder = options.output
    same = {field.name for field in fields(RunOptions)} - {"quick", "change", "transductive"}
    measuring = RunOptions(**{name: getattr(options, name) for name in same})
    measuring = replace(
        measuring, recipe=str(folder / FILE), output=folder.with_name(f"{folder.name}-test")
    )
    if apart.folds_file:
        measuring = replace(measuring, data=folder / apart.folds_file.name, group="auto")
    command = command_line("run", measuring, exact=True)
    notes = search.jobs.material.notes
    report = write_page(
        run,
        options,
        target,
        search.jobs.material,
        outcome,
        command=command,
        n_test=apart.n_test,
        notes=notes,
    )
    luck = outcome.chosen.mean if outcome.chosen else float("nan")
    return TuneResult(
        best=point,
        score=best.score,
        default_score=default.score,
        without_luck=luck,
        outcome=outcome,
        recipe=file,
        command=command,
        table=ResultTable(["option", *columns_of(outcome)], best_rows(target, best)),
        answers=_answers(outcome, best.score, luck),
        report=report,
        failures=search.jobs.material.failures,
        notes=notes,
    )


def _answers(outcome: SearchOutcome, score: float, luck: float) -> tuple[str, ...]:
    default = outcome.default
    said = [KEEP] if outcome.keeps_recipe else []
    said += [
        f"inner accuracy: {percent_text(score)} for the best of "
        f"{count_text(len(outcome.trials), 'trial')}, {percent_text(default.score)} for the "
        "recipe's own values"
    ]
    if default.state == FAILED:
        said.append(f"the recipe's own values could not be trained: {default.reason}")
    if outcome.chosen is not None:
        said.append(f"without the luck of the choice about {percent_text(luck)}")
    said += gain_in_words(outcome)
    failed = outcome.of(FAILED)
    if failed:
        said.append(f"{count_text(len(failed), 'trial')} failed, the first: {failed[0].reason}")
    return (*said, ONCE)
