"""``semisonic tune``: search for the best options of a recipe, on training clips only.

The test folds are set apart first. Optuna chooses the values of each trial; a trial trains the
recipe's setting with these values on inner folds, as jobs like those of ``semisonic run``. The
search itself keeps no state: a second call asks for the same trials and finds their jobs done.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from semisonic.core.errors import ModelError, OptionError, TrainingError
from semisonic.core.files import write_csv, write_text
from semisonic.core.options import check, from_mapping, nearest, to_dict, toml_text
from semisonic.core.parallel import PROCESS_ENGINE, in_any_order
from semisonic.core.progress import bar
from semisonic.core.seeds import derive
from semisonic.core.text import count_text, percent_text, points_text
from semisonic.data.clips import Clips
from semisonic.data.duplicates import clean_pool
from semisonic.evaluation.comparison import ChosenBest, chosen_best
from semisonic.evaluation.report.document import Number, Report, Verdict
from semisonic.experiments.material import with_folds
from semisonic.experiments.options import (
    GRID,
    TPE,
    TRIALS,
    RunOptions,
    TuneOptions,
    pairs,
    toml_or_text,
)
from semisonic.experiments.plan import MODEL, PICTURES, Job
from semisonic.experiments.recipe import (
    COMPARISON,
    PLAIN,
    Recipe,
    Setting,
    expand,
    load_table,
    put,
)
from semisonic.experiments.runner import (
    WORK,
    Experiment,
    ExperimentResult,
    command_line,
    load_data,
    open_experiment,
    plan_and_starts,
    with_number_format,
)
from semisonic.experiments.starts import SourceSet, load_source
from semisonic.experiments.worker import WorkerContext, here, start
from semisonic.recipes import find

BEST, FOLDS = "best.toml", "folds.csv"
ARMS = ("as the recipe has it", "tuned")
COMPLETE, PRUNED, FAILED = "complete", "pruned", "failed"
ONCE = (
    "The score of the best trial is optimistic, because the trial was chosen for a high score "
    "on these clips. To know what the search gained, score the test folds once."
)
KEEP = "no trial beat the recipe: keep its values"
_N_FOLDS = 5
_ON_A_CLUSTER = 8  # trials at once


def optuna() -> Any:
    """The package, without its messages.

    Raises
    ------
    OptionError
        If it is not installed.
    """
    try:
        import optuna as package
    except ImportError as error:
        raise OptionError(
            "'semisonic tune' needs the package optuna: run pip install 'semisonic[tune]'"
        ) from error
    package.logging.set_verbosity(package.logging.WARNING)
    return package


# What is searched: ranges and lists of values, by the dotted names of a setting's options.

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"\s*({_NUMBER})\s*\.\.\s*({_NUMBER})(\s+log)?\s*")
SETTING, BATCH = "setting.", "batch_size"
_FRONT = tuple(
    SETTING + name
    for name in ("mel.", "segments.hop", "segments.rest", "segments.copies", "classifier", "inputs")
)
"""What features, or the way clips are cut, depend on."""


class Dimension(NamedTuple):
    """What is searched under one name.

    Attributes
    ----------
    name : str
        As ``setting.fit.learning_rate``.
    text : str
        The range or the values as they were written.
    distribution : optuna.distributions.BaseDistribution
    values : dict of str to value
        Of a list, by their text: Optuna knows no lists. Empty for a range.
    """

    name: str
    text: str
    distribution: Any
    values: dict[str, Any]

    @property
    def short(self) -> str:
        """The name for tables."""
        return self.name.removeprefix(SETTING)


@dataclass(frozen=True)
class Space:
    """A recipe with one setting, its file's tables, and the search space."""

    file: Path
    table: dict[str, Any]
    recipe: Recipe
    dimensions: tuple[Dimension, ...]

    @property
    def base(self) -> Setting:
        """The setting as the recipe has it."""
        return self.recipe.settings[0]

    def fronts(self) -> list[Setting]:
        """A setting for every front end and way to cut clips that the search can come to."""
        lists = [one for one in self.dimensions if one.name.startswith(_FRONT)]
        found = []
        for values in product(*(one.values.values() for one in lists)):
            point = {one.name: value for one, value in zip(lists, values, strict=True)}
            try:
                found.append(with_values(self.base, point))
            except OptionError:
                continue  # values that do not go together: such a trial fails, and says so
        return found or [self.base]

    def grid(self) -> list[dict[str, str]]:
        """Every combination of the lists' values, by their text, the last changing fastest."""
        for one in self.dimensions:
            if not one.values:
                raise OptionError(
                    f"option 'sampler': a grid needs lists, but '{one.name}' is the range "
                    f"'{one.text}'; give its values, as in \"{one.name}=VALUE,VALUE\", or use "
                    "--sampler tpe"
                )
        names = [one.name for one in self.dimensions]
        labels = product(*(one.values for one in self.dimensions))
        return [dict(zip(names, point, strict=True)) for point in labels]


def read_space(options: TuneOptions) -> Space:
    """Read the recipe and the space.

    What the command line gives, with ``search``, is the whole space. Otherwise it is
    the recipe's ``[tune]``, or its ``[grid]`` if it has no such table.

    Raises
    ------
    OptionError
        For a wrong key or value, in the recipe or in the space; for a recipe with several
        settings or budgets.
    """
    file = find(options.recipe)
    table = load_table(file, quick=options.quick, changes=options.changes)
    if table.pop("kind", COMPARISON) != COMPARISON:
        raise OptionError(f"{file}: found a recipe in stages, expected one with settings")
    recipe = expand({**table, "grid": {}}, str(file))
    names, wanted = [setting.name for setting in recipe.settings], options.setting
    if wanted and wanted not in names:
        raise OptionError(f"option 'setting': {file} has no '{wanted}': {nearest(wanted, names)}")
    if not wanted and len(names) > 1:
        raise OptionError(
            f"{file}: found {len(names)} settings, expected one to search around; give it with "
            f"--setting, one of: {'; '.join(names)}"
        )
    if len(recipe.budgets) > 1:
        raise OptionError(
            f"{file}: found {len(recipe.budgets)} budgets, expected one to search under, as with "
            "--change 'budgets=[{labels_per_class = 4}]'"
        )
    base = recipe.settings[names.index(wanted) if wanted else 0]
    specs = {
        name.replace("-", "_"): spec for name, spec in map(_spec, pairs("search", options.search))
    }
    if not specs:
        grid = {SETTING.removesuffix("."): table.get("grid", {})}
        specs = _flat(table.get("tune", grid), "")
    if not specs:
        raise OptionError(
            f"{file}: found no [tune] table, so there is nothing to search; add one, or give "
            "--search 'setting.fit.learning_rate=1e-4..1e-2 log'"
        )
    dimensions = tuple(dimension(base, name, spec) for name, spec in specs.items())
    one = replace(
        recipe, settings=(base,), controls=(base,), ensembles=(), against=(), main="", folds=()
    )
    return Space(file, table, one, dimensions)


def _spec(given: tuple[str, str]) -> tuple[str, Any]:
    """A range as its text, and ``"x,y"`` as a list of values, such as a recipe has."""
    key, text = given
    whole = toml_or_text(text)
    if _RANGE.fullmatch(text) or isinstance(whole, list):
        return key, text if _RANGE.fullmatch(text) else whole
    return key, [toml_or_text(part.strip()) for part in text.split(",") if part.strip()]


def _flat(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Nested tables as one, by dotted names; the last of equal names counts."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{where}{str(key).replace('-', '_')}"
        found |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return found


def dimension(base: Setting, name: str, spec: Any) -> Dimension:
    """A range or a choice from a TOML file or the command line.

    Parameters
    ----------
    base : Setting
        The setting with the option; a range for a whole number has only whole numbers.
    name : str
    spec : str or list
        A range such as "1e-4..1e-2 log", or values.

    Raises
    ------
    OptionError
        For anything else, an option that is not there, a range that is empty, values that are
        not allowed, or the same value twice.
    """
    known = values_of(base)
    if name not in known:
        raise OptionError(
            f"search: unknown option '{name}': a search is over options of the setting; "
            f"{nearest(name, known)}"
        )
    own, where = known[name], f"search over '{name}': "
    if own is None:
        raise OptionError(
            f"{where}the recipe has no value to compare the best one with; give one with "
            f"--change {name}=…"
        )
    found = _RANGE.fullmatch(spec) if isinstance(spec, str) else None
    distributions = optuna().distributions
    if found is None:
        values = {label_of(value): value for value in spec} if isinstance(spec, list) else {}
        if len(values) < 2 or len(values) < len(spec):
            raise OptionError(
                f"{where}found {spec!r}, expected a range such as '1e-4..1e-2 log' or a list of "
                f"several different values; to set one value, use --change {name}=VALUE"
            )
        for value in spec:
            with_values(base, {name: value}, where)
        text, choices = ", ".join(values), distributions.CategoricalDistribution([*values])
        return Dimension(name, text, choices, values)
    text, log = found[0].strip(), bool(found[3])
    if isinstance(own, bool) or not isinstance(own, int | float) or name.startswith(_FRONT):
        raise OptionError(
            f"{where}found the range '{text}', expected a list of values, as the option is not "
            "a number, or is one of the front end, whose features are computed before the "
            "search"
        )
    low, high = map(json.loads, found.group(1, 2))
    for end in (low, high):
        with_values(base, {name: end}, where)
    kind = "IntDistribution" if isinstance(own, int) else "FloatDistribution"
    try:
        return Dimension(name, text, getattr(distributions, kind)(low, high, log=log), {})
    except ValueError as error:
        raise OptionError(f"{where}found the range '{text}': {error}") from error


def label_of(value: Any) -> str:
    """A value as text: texts unchanged, others as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def values_of(setting: Setting) -> dict[str, Any]:
    """The options of a setting by dotted name; ``batch_size`` is that of training."""
    found = {**_flat(to_dict(setting), SETTING), f"{SETTING}{BATCH}": setting.fit.batch_size}
    del found[f"{SETTING}name"]
    return found


def _places(name: str) -> tuple[str, ...]:
    """The place of an option in a setting; ``batch_size`` is that of both trainings."""
    short = name.removeprefix(SETTING)
    return (f"pretrain.{BATCH}", f"fit.{BATCH}") if short == BATCH else (short,)


def with_values(setting: Setting, point: Mapping[str, Any], where: str = "search: ") -> Setting:
    """A setting in which the options with these names (``setting.…``) have other values.

    Raises
    ------
    OptionError
        For a value that is not allowed, or values that do not go together.
    """
    table: dict[str, Any] = {}
    for name, value in point.items():
        for place in _places(name):
            put(table, place, value)
    return from_mapping(Setting, table, f"{where}{SETTING}", setting)


def best_recipe(space: Space, point: Mapping[str, Any], test_folds: Sequence[int]) -> str:
    """A recipe file that measures a point against the recipe's own values on the test folds."""
    base, own = space.base, values_of(space.base)
    setting = _unlike(to_dict(with_values(base, point)), to_dict(Setting()))
    control: dict[str, Any] = {name: getattr(base, name) for name in PLAIN}
    for name, value in point.items():
        for place in _places(name):
            put(setting, place, value)
            put(control, place, own[f"{SETTING}{place}"])
    kept = ("precision", "validation", "pretrain_draws", "validation_fold", "budgets", "synth")
    groups: dict[str, list[str]] = {}
    for name, group in space.recipe.categories:
        groups.setdefault(group, []).append(name)
    head = {
        "title": f"Tuned and not tuned: {space.recipe.title}",
        "question": "The gain from a search over settings, on clips that it did not use.",
        "folds": list(test_folds),
        "arms": list(ARMS),
        **{name: space.table[name] for name in (*kept, "source") if name in space.table},
        **({"categories": groups} if groups else {}),
        "setting": {**setting, "name": ARMS[1]},
        "control": control,
    }
    return "# Written by a search over settings: [control] holds the recipe's own values.\n" + (
        toml_text(head)
    )


def _unlike(values: Mapping[str, Any], plain: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are other than by default, tables within tables."""
    return {
        key: _unlike(value, plain[key]) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if value != plain[key]
    }


# The clips that a search may use: those of the test folds are set apart first. Their audio is
# opened for two things only, and only where it has to be: to keep copies of them out of a pool,
# and, in a set without folds, to see that copies of one sound come into one fold.


def set_apart(
    labelled: Clips, pool: Clips | None, experiment: Experiment, test_folds: Sequence[int]
) -> tuple[Clips, Clips | None, Clips]:
    """Take the test folds out of a labelled set and out of what goes with it.

    Returns
    -------
    rest : Clips
        What the search may use, without folds.
    pool : Clips or None
        Without copies and recordings of the test folds.
    labelled : Clips
        The whole set, with folds if it had none.

    Raises
    ------
    OptionError
        For a fold that there is not, or when none is left to search on.
    """
    options, notes = experiment.options, experiment.notes
    how: dict[str, Any] = {"near": experiment.listens_for_copies, "workers": options.workers}
    if not labelled.folds:
        group, cache = options.group, experiment.cache
        labelled, said = with_folds(labelled, _N_FOLDS, group, options.seed, cache=cache, **how)
        notes.extend(said)
    known = sorted({*labelled.fold[labelled.is_labelled].tolist()} - {0})
    wrong = ", ".join(str(fold) for fold in test_folds if fold not in known)
    tested = np.isin(labelled.fold, test_folds)
    groups = np.unique(labelled.group[tested])
    straddling = ~tested & np.isin(labelled.group, groups)
    rest = labelled[~tested & ~straddling]
    if wrong or not test_folds or not rest.is_verified.any():
        raise OptionError(
            f"option 'test_folds': found {wrong or list(test_folds)}, expected some of the folds "
            f"of '{labelled.name}', {', '.join(map(str, known))}, with clips left to search on"
        )
    if straddling.any():
        notes.append(
            f"{int(straddling.sum())} training clips are of recordings that are also in the "
            "test folds; the search does not use them."
        )
    if pool is not None:
        n = len(pool)
        # A name that a data set gives a recording is the same recording in both.
        pool = pool[~np.isin(pool.group, groups) | (pool.group == pool.file)]
        pool = clean_pool(pool, labelled[tested], **how).clips
        if n > len(pool):
            notes.append(
                f"{n - len(pool)} clips of the pool are copies or recordings of test "
                "clips; the search does not use them."
            )
    return rest.with_columns(fold=np.zeros(len(rest), np.int64)), pool, labelled


# Trials: each is a few jobs, one for each inner fold and draw, in turn.


@dataclass
class Trial:
    """One point of the search space and its result.

    Attributes
    ----------
    number : int
        From 0, in the order of beginning; -1 for the recipe's own values.
    settings : dict of str to value
    jobs : list of Job
        One for each draw and inner fold.
    accuracies : list of float
        Of each inner fold that was scored.
    seconds : float
        Of training.
    state : str
        "complete"; "pruned", stopped after some inner folds; or "failed".
    reason : str
        Why it failed.
    """

    number: int
    settings: dict[str, Any]
    jobs: list[Job] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    seconds: float = 0.0
    state: str = COMPLETE
    reason: str = ""

    @property
    def score(self) -> float:
        """Mean accuracy of the inner folds that were scored, 0 to 1; NaN for a failed trial."""
        is_scored = self.accuracies and self.state != FAILED
        return float(np.mean(self.accuracies)) if is_scored else float("nan")

    def fail(self, reason: str) -> None:
        """End it: its setting cannot be trained."""
        self.state, self.reason = FAILED, reason

    def to_dict(self) -> dict[str, Any]:
        """Plain values for files and tables."""
        names = ("number", "state", "score", "accuracies", "settings", "seconds", "reason")
        return {name: getattr(self, name) for name in names}

    def right_answers(self, folder: Path) -> pd.DataFrame:
        """By clip how often it is right, over draws (``right``), and its ``group``."""
        tables = [job.predictions(folder, "") for job in self.jobs]
        rows = pd.concat([one.frame.assign(right=one.correct.astype(float)) for one in tables])
        return rows.groupby("clip").agg(right=("right", "mean"), group=("group", "first"))


def attempt(job: Job) -> None:
    """Do a trial's job; one that cannot be trained leaves the reason in its record."""
    folder = here().folder
    reason = job.start.record(folder).get("failed") if job.start else None
    try:
        if reason is None:
            WORK[job.kind](job)
    except (TrainingError, ModelError, OptionError) as error:
        reason = str(error)
    if reason is not None:
        job.finish(folder, 0.0, failed=reason)
    for name in (MODEL, PICTURES):  # nobody looks at the models of trials
        (folder / job.name / name).unlink(missing_ok=True)


def _prepared(context: WorkerContext) -> Callable[[Job], None]:
    """Prepare a process, which computes with one thread; what does a job."""
    torch.set_num_threads(1)
    start(context)
    return attempt


@dataclass(frozen=True)
class Search:
    """What the trials of a search share."""

    experiment: Experiment
    space: Space
    context: WorkerContext
    source: SourceSet | None
    options: TuneOptions

    def run(self) -> tuple[Trial, list[Trial]]:
        """The recipe's own values, and all trials; finished work of an earlier call is not
        repeated.

        As many trials as there are processes begin together, so that with the same number of
        processes the same seed gives the same search.
        """
        package, options, dimensions = optuna(), self.options, self.space.dimensions
        points = self.space.grid() if options.sampler == GRID else []
        pruners, samplers, states = package.pruners, package.samplers, package.trial.TrialState
        pruner = pruners.NopPruner() if points else pruners.MedianPruner()
        study = package.create_study(direction="maximize", pruner=pruner)
        sampler = samplers.TPESampler if options.sampler == TPE else samplers.RandomSampler
        for one in points:
            study.enqueue_trial(one)
        n_trials, at_once = count_trials(options, self.space), self.experiment.at_once
        step = at_once or _ON_A_CLUSTER
        trials: list[Trial] = []
        with bar(n_trials + 1, "trials", "trial") as shown, self._processes(at_once) as do:
            default = Trial(-1, {})
            self._score([(default, None)], do)
            shown.update()
            for first in range(0, n_trials, step):
                batch = []
                for number in range(first, min(first + step, n_trials)):
                    study.sampler = sampler(seed=derive(options.seed, "trial", number) % (1 << 31))
                    asked = study.ask({one.name: one.distribution for one in dimensions})
                    values = {one.name: asked.params[one.name] for one in dimensions}
                    point = {
                        k.name: k.values.get(values[k.name], values[k.name]) for k in dimensions
                    }
                    batch.append((Trial(number, point), asked))
                self._score(batch, do)
                for trial, asked in batch:
                    if trial.state == COMPLETE:
                        study.tell(asked, trial.score)
                    else:
                        study.tell(asked, state=states.FAIL if trial.reason else states.PRUNED)
                    trials.append(trial)
                    shown.update()
        return default, trials

    @contextmanager
    def _processes(self, at_once: int) -> Iterator[Callable[[Iterable[Job]], object]]:
        """What does jobs of trials, as many at once as were asked for."""
        engine, device = self.experiment.engine, self.experiment.device
        if engine.is_local and at_once == 1:
            start(self.context)
            yield lambda jobs: [*map(attempt, jobs)]
            return
        engine = PROCESS_ENGINE if engine.is_local else engine
        make = partial(_prepared, self.context)
        with engine.calls(make, workers=at_once or None, device=device) as calls:
            yield lambda jobs: [*in_any_order(calls, jobs)]

    def _score(
        self, batch: Sequence[tuple[Trial, Any]], do: Callable[[Iterable[Job]], object]
    ) -> None:
        """Score trials on one inner fold after another, side by side."""
        folder = self.context.folder
        for trial, _ in batch:
            try:
                trial.jobs = self._jobs(with_values(self.space.base, trial.settings))
            except (TrainingError, ModelError, OptionError) as error:
                trial.fail(str(error))
        n_steps = max((len(trial.jobs) for trial, _ in batch), default=0)
        for step in range(n_steps):
            going = [one for one in batch if one[0].state == COMPLETE]
            jobs = [trial.jobs[step] for trial, _ in going]
            for part in ([job.start for job in jobs], jobs):  # first what others start from
                do({job.name: job for job in part if job and not job.is_done(folder)}.values())
            for (trial, asked), job in zip(going, jobs, strict=True):
                record = job.record(folder)
                trial.seconds += record["seconds"]
                trial.seconds += job.start.record(folder)["seconds"] if job.start else 0.0
                if "failed" in record:
                    trial.fail(record["failed"])
                    continue
                trial.accuracies.append(record["accuracy"])
                if asked is not None:
                    asked.report(trial.score, step + 1)
                    if step + 1 < n_steps and asked.should_prune():
                        trial.state = PRUNED

    def _jobs(self, setting: Setting) -> list[Job]:
        """A job for each draw and inner fold, and the encoders that they start from."""
        recipe = replace(self.space.recipe, settings=(setting,), controls=(setting,))
        plan, _ = plan_and_starts(self.experiment, recipe, self.context, self.source)
        return [job for _, job in plan.cells[1::2]]  # both arms are the setting, job by job


@dataclass(frozen=True, kw_only=True)
class TuneResult(ExperimentResult):
    """The result of a search.

    Attributes
    ----------
    best : mapping of str to value
        The best value of each option that was searched, by dotted name: of the best trial, or the
        recipe's own if no trial beat them.
    trials : list of Trial
    default : Trial
        The recipe's own values.
    chosen : ChosenBest or None
        What the best would reach without the luck of being chosen, from the same answers; None
        with fewer than two complete trials.
    recipe : Path
        The best settings as a recipe, against the recipe's own.
    command : str
        The command that measures them on the test folds.
    """

    best: Mapping[str, Any]
    trials: list[Trial]
    default: Trial
    chosen: ChosenBest | None
    recipe: Path
    command: str

    @property
    def score(self) -> float:
        """Mean accuracy of the best trial on inner folds, 0 to 1, which is optimistic."""
        return best_of(self.trials).score

    @property
    def default_score(self) -> float:
        """The same of the recipe's own values."""
        return self.default.score

    @property
    def without_luck(self) -> float:
        """What the best would reach had other clips chosen it; NaN with one complete trial."""
        return self.chosen.mean if self.chosen else float("nan")

    def summary(self) -> str:
        """For a terminal."""
        if KEEP in self.answers:
            return super().summary()
        return f"{super().summary()}\nTo measure it on the test folds, once:\n  {self.command}"


def best_of(trials: Sequence[Trial]) -> Trial:
    """The complete trial with the highest score, the first of equal ones.

    Raises
    ------
    OptionError
        If no trial succeeded.
    """
    complete = [trial for trial in trials if trial.state == COMPLETE]
    if not complete:
        raise OptionError(
            f"{count_text(len(trials), 'trial')} failed, and none succeeded; the first reason: "
            f"{trials[0].reason}"
        )
    return max(complete, key=lambda trial: (trial.score, -trial.number))


def without_luck(
    default: Trial, trials: Sequence[Trial], folder: Path, seed: int
) -> ChosenBest | None:
    """As if the best were chosen on other clips than it is scored on; None of a single trial."""
    answers = [one.right_answers(folder) for one in trials if one.state == COMPLETE]
    if len(answers) < 2:
        return None
    own = default.right_answers(folder) if default.state == COMPLETE else None
    return chosen_best(
        np.stack([one["right"].to_numpy() for one in answers]),
        answers[0]["group"].to_numpy(),
        against=None if own is None else own["right"].to_numpy(),
        seed=seed,
    )


def _answers(default: Trial, trials: Sequence[Trial], chosen: ChosenBest | None) -> list[str]:
    """What was found, in words."""
    best, failed = best_of(trials), [one for one in trials if one.state == FAILED]
    said = [KEEP] if best.score <= default.score else []
    said.append(
        f"inner accuracy: {percent_text(best.score)} for the best of "
        f"{count_text(len(trials), 'trial')}, {percent_text(default.score)} for the recipe's own "
        "values"
    )
    if default.state == FAILED:
        said.append(f"the recipe's own values could not be trained: {default.reason}")
    if chosen is not None:
        said.append(f"without the luck of the choice about {percent_text(chosen.mean)}")
    if failed:
        said.append(f"{count_text(len(failed), 'trial')} failed, the first: {failed[0].reason}")
    if chosen is not None and not np.isnan(chosen.gain):
        gain, low, high = (
            points_text(x, signed=True) for x in (chosen.gain, chosen.gain_low, chosen.gain_high)
        )
        shown = "better than" if chosen.is_gain else "not shown to be better than"
        said.append(
            f"Without the luck of the choice the best is {shown} the recipe's own values: "
            f"{gain} points ({low} to {high})."
        )
    return [*said, ONCE]


def count_trials(options: TuneOptions, space: Space) -> int:
    """The number of trials.

    Raises
    ------
    OptionError
        For a grid with ranges in it, or more trials than it has points.
    """
    if options.sampler != GRID:
        return options.trials or TRIALS
    n_points = len(space.grid())
    if options.trials and options.trials > n_points:
        raise OptionError(
            f"option 'trials': found {options.trials}, but the grid has "
            f"{count_text(n_points, 'point')}; leave the option out to try them all"
        )
    return options.trials or n_points


def tune(options: TuneOptions) -> TuneResult:
    """Search for the best options of a recipe, or continue a search.

    The test folds are set apart first. Each trial is scored on the inner folds of the rest.

    Raises
    ------
    OptionError, DataError
        For a wrong recipe or space, options of another run in the same folder, unusable data, a
        missing package optuna, or when every trial failed.
    """
    optuna()
    check(options)
    space = read_space(options)
    count_trials(options, space)
    recipe, dimensions = space.recipe, space.dimensions
    searched = {one.name: one.text for one in dimensions}
    with open_experiment(
        "tune", options, recipe, free=("trials",), searched=searched
    ) as experiment:
        run = experiment.run
        given, pool = load_data(experiment.options, recipe.synth)
        rest, pool, whole = set_apart(given, pool, experiment, options.test_folds)
        inputs = [(one.front, one.segments) for one in space.fronts()]
        n_inner = options.inner_folds
        context = experiment.gather((rest, pool), inputs, recipe.categories, inner_folds=n_inner)
        labelled = context.material.labelled
        starts = next((one.values for one in dimensions if one.name == f"{SETTING}start"), {})
        tried = tuple(replace(space.base, start=one) for one in {space.base.start, *starts})
        source = load_source(options, replace(recipe, settings=tried, controls=tried), labelled)
        if source is not None:
            run.add_data("source", source.key)
            experiment.notes.extend(source.notes)
        # One number format for the whole search.
        settled = with_number_format(recipe, torch.device(experiment.device))
        search = Search(experiment, replace(space, recipe=settled), context, source, options)
        default, trials = search.run()
        best, own = best_of(trials), values_of(space.base)
        chosen = without_luck(default, trials, experiment.jobs, options.seed)
        answers = _answers(default, trials, chosen)
        keeps = KEEP in answers
        point = {one.name: own[one.name] for one in dimensions} if keeps else best.settings
        columns = ["recipe (kept)", "best trial (worse)"] if keeps else ["recipe", "best"]
        table = pd.DataFrame(
            [(d.short, _text(own[d.name]), _text(best.settings[d.name])) for d in dimensions],
            columns=["option", *columns],
        )
        write_text(run.folder / BEST, best_recipe(space, point, options.test_folds))
        command = _measuring(options, None if given.folds else whole, run.folder)
        n_test = int((np.isin(whole.fold, options.test_folds) & whole.is_labelled).sum())
        subtitle = (
            f"{len(labelled)} training clips of '{labelled.name}', {len(labelled.classes)} "
            f"classes, in {n_inner} inner folds by recording; {n_test} clips of test folds "
            f"{', '.join(map(str, options.test_folds))} were not used"
        )
        result = TuneResult(
            best=point,
            trials=trials,
            default=default,
            chosen=chosen,
            recipe=options.output / BEST,
            command=command,
            table=table,
            answers=tuple(answers),
            report=run.folder / "report.html",
            failures=context.material.failures,
            notes=tuple(experiment.notes),
        )
        report = _report(experiment, space, result, subtitle)
        experiment.write_results(report.values["command"], recipe, report.data)
        return replace(result, report=report.write(run.folder))


def _measuring(options: TuneOptions, made: Clips | None, folder: Path) -> str:
    """The command that measures the best settings on the test folds, which were made or not."""
    same = {one.name for one in dataclasses.fields(RunOptions)}
    same -= {"quick", "change", "transductive", "recipe", "output"}
    values = {name: getattr(options, name) for name in same}
    output = options.output
    if made is not None:
        table = made.to_frame()
        table["file"] = [str(file.resolve()) for file in made.paths]
        table = table.astype(object).where(table.notna(), "")
        write_csv(folder / FOLDS, list(map(str, table)), table.itertuples(index=False))
        values |= {"data": output / FOLDS, "group": "auto"}
    test = output.with_name(f"{output.name}-test")
    run = RunOptions(recipe=str(output / BEST), output=test, **values)
    return command_line("run", run, exact=True)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else label_of(value)


def _report(experiment: Experiment, space: Space, result: TuneResult, subtitle: str) -> Report:
    """The page with its tables, and what goes into ``results.json``."""
    trials, best, chosen = result.trials, best_of(result.trials), result.chosen
    scores = [one.score for one in trials if one.state == COMPLETE and one is not best]
    n = len(best.accuracies)
    error = float(np.std(best.accuracies, ddof=1)) / np.sqrt(n) if n > 1 else np.nan
    claim, *more = result.answers
    report = Report(
        "tuning.j2",
        f"Search over settings: {space.recipe.title}",
        subtitle,
        keeps_recipe=claim == KEEP,
        best=best,
        chosen=chosen,
        measuring=result.command,
        n_close=sum(best.score - score <= error for score in scores),
        searched={one.short: one.text for one in space.dimensions},
        command=command_line("tune", experiment.options),
        provenance={name: str(value) for name, value in experiment.provenance.items()},
    )
    report.verdict = Verdict(claim[:1].upper() + claim[1:], ". ".join(more))
    report.numbers = [
        Number(percent_text(best.score), "inner accuracy of the best trial", "", "treated"),
        Number(percent_text(result.default_score), "the recipe's own values", "", "control"),
    ]
    if chosen is not None:
        note = f"{percent_text(chosen.low)} to {percent_text(chosen.high)}"
        report.numbers.append(
            Number(percent_text(chosen.mean), "without the luck of the choice", note)
        )
    report.warnings += experiment.notes
    report.frame("best", result.table)
    parts = [f"part {i + 1}" for i in range(max(len(one.accuracies) for one in trials))]
    rows = [
        (
            *(one.number, one.state, one.score, *map(_text, one.settings.values())),
            *(*one.accuracies, *[None] * (len(parts) - len(one.accuracies))),
            *(round(one.seconds, 1), one.reason),
        )
        for one in trials
    ]
    names = [one.short for one in space.dimensions]
    report.table(
        "trials",
        ["trial", "ended", "inner accuracy", *names, *parts, "seconds", "reason"],
        rows,
        formats=dict.fromkeys(("inner accuracy", *parts), percent_text),
        styles={best.number: "strong"},
    )
    report.data = {
        "space": {one.name: one.text for one in space.dimensions},
        "default": result.default.to_dict(),
        "best": best.to_dict(),
        "keeps_recipe": claim == KEEP,
        "without_luck": chosen,
        "trials": [one.to_dict() for one in trials],
    }
    return report
