"""``semisonic tune``: search over a recipe's options by results on training clips alone.

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
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from semisonic.core.errors import ModelError, OptionError, TrainingError
from semisonic.core.files import write_csv, write_text
from semisonic.core.options import check, from_mapping, nearest, to_dict, toml_tables
from semisonic.core.parallel import PROCESS_ENGINE, in_any_order
from semisonic.core.progress import bar
from semisonic.core.seeds import derive
from semisonic.core.text import count_text, percent_text, points_text
from semisonic.data.categories import categories_of
from semisonic.data.clips import Clips
from semisonic.data.duplicates import clean_pool
from semisonic.evaluation.comparison import ChosenBest, chosen_best
from semisonic.evaluation.report.document import Number, Report, Verdict
from semisonic.experiments.material import with_folds
from semisonic.experiments.options import GRID, TPE, TRIALS, RunOptions, TuneOptions, parse_change
from semisonic.experiments.plan import MODEL, PICTURES, Job, make_plan
from semisonic.experiments.recipe import (
    COMPARISON,
    PLAIN,
    Recipe,
    Setting,
    expand,
    load_table,
    merged,
    put,
)
from semisonic.experiments.results import ExperimentResult
from semisonic.experiments.run import WORK, with_number_format
from semisonic.experiments.runner import (
    OpenExperiment,
    command_line,
    listens_for_copies,
    load_data,
    open_experiment,
    provenance,
    write_results,
)
from semisonic.experiments.starts import SourceSet, load_source, make_starts
from semisonic.experiments.worker import WorkerContext, here, start
from semisonic.recipes import find
from semisonic.training.run_folder import RunFolder

BEST, FOLDS = "best.toml", "folds.csv"
ARMS = ("as the recipe has it", "tuned")
COMPLETE, PRUNED, FAILED = "complete", "pruned", "failed"
ONCE = (
    "The score of the best trial is optimistic: it was chosen because it is high on these very "
    "clips. Only the test folds, scored once, say what the search brought."
)
KEEP = "no trial beat the recipe: keep its values"
_N_FOLDS = 5
_ON_A_CLUSTER = 8  # trials at once


def optuna() -> Any:
    """The package, told to be quiet.

    Raises
    ------
    OptionError
        When it is not there.
    """
    try:
        import optuna as package
    except ImportError as error:
        raise OptionError(
            "'semisonic tune' needs the package optuna: pip install 'semisonic[tune]'"
        ) from error
    package.logging.set_verbosity(package.logging.WARNING)
    return package


# What is searched: ranges and lists of values, by the dotted names of a setting's options.

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"\s*({_NUMBER})\s*\.\.\s*({_NUMBER})(?:\s+(?:(log)|step\s+({_NUMBER})))?\s*")
SETTING, BATCH = "setting.", "batch_size"
_FRONT = tuple(
    SETTING + name
    for name in ("mel.", "segments.hop", "segments.rest", "segments.copies", "classifier", "inputs")
)


@dataclass(frozen=True)
class Dimension:
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
        """The name as it stands in tables."""
        return self.name.removeprefix(SETTING)

    @property
    def is_of_front(self) -> bool:
        """Whether features, or the way clips are cut, depend on it."""
        return self.name.startswith(_FRONT)


@dataclass(frozen=True)
class Target:
    """A recipe with one setting, its file's tables, and the space that is searched around it."""

    recipe: Recipe
    table: dict[str, Any]
    space: tuple[Dimension, ...]
    file: Path

    @property
    def base(self) -> Setting:
        """The setting as the recipe has it."""
        return self.recipe.settings[0]

    def at(self, point: Mapping[str, Any]) -> Setting:
        """The setting with the values of a point; OptionError where they do not go together."""
        return with_values(self.base, point, "search: ")

    def fronts(self) -> list[Setting]:
        """A setting for every front end and way to cut clips that the search can come to."""
        lists = [one for one in self.space if one.is_of_front]
        found = []
        for values in product(*(one.values.values() for one in lists)):
            try:
                found.append(self.at({one.name: v for one, v in zip(lists, values, strict=True)}))
            except OptionError:
                continue  # values that do not go together: such a trial fails, and says so
        return found or [self.base]

    def grid(self) -> list[dict[str, str]]:
        """Every combination of the lists' values, by their text, the last changing fastest."""
        for one in self.space:
            if not one.values:
                raise OptionError(
                    f"option 'sampler': a grid needs lists, but '{one.name}' is the range "
                    f"'{one.text}'; give its values, as in \"{one.name}=VALUE,VALUE\", or use "
                    "--sampler tpe"
                )
        names = [one.name for one in self.space]
        return [
            dict(zip(names, labels, strict=True))
            for labels in product(*(one.values for one in self.space))
        ]


def read_target(options: TuneOptions) -> Target:
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
    kind = table.pop("kind", COMPARISON)
    if kind != COMPARISON:
        raise OptionError(
            f"{file}: found kind {kind!r}, but only one of kind {COMPARISON!r} has "
            "a setting to search around"
        )
    recipe = expand({**deepcopy(table), "grid": {}}, str(file))
    names, wanted = [setting.name for setting in recipe.settings], options.setting
    if wanted and wanted not in names:
        raise OptionError(f"option 'setting': {file} has no '{wanted}': {nearest(wanted, names)}")
    if not wanted and len(names) > 1:
        raise OptionError(
            f"{file}: found {len(names)} settings; say which to search around with --setting, "
            f"one of: {'; '.join(names)}"
        )
    if len(recipe.budgets) > 1:
        raise OptionError(
            f"{file}: found {len(recipe.budgets)} budgets, expected one to search under, as with "
            "--change 'budgets=[{labels_per_class = 4}]'"
        )
    number = names.index(wanted) if wanted else 0
    base = recipe.settings[number]
    specs = {name.replace("-", "_"): spec for name, spec in map(parse_search, options.search)}
    where = ""
    if not specs and "tune" in table:
        specs, where = _flat(table["tune"]), f"{file}: tune: "
    elif not specs:
        specs = {f"{SETTING}{name}": values for name, values in table.get("grid", {}).items()}
        where = f"{file}: grid: "
    if not specs:
        raise OptionError(
            f"{file}: nothing to search: the recipe has no [tune] table. Add one, or give "
            "--search 'setting.fit.learning_rate=1e-4..1e-2 log'"
        )
    space = tuple(dimension(base, name, spec, where) for name, spec in specs.items())
    own = table.get("settings", [{}])[number]
    table["setting"] = merged(merged({}, table.get("setting", {})), own)
    one = replace(
        recipe, settings=(base,), controls=(base,), ensembles=(), against=(), main="", folds=()
    )
    return Target(one, table, space, file)


def dimension(base: Setting, name: str, spec: Any, where: str = "") -> Dimension:
    """A range or a choice from what a TOML file or the command line says.

    Parameters
    ----------
    base : Setting
        Whose option it is: of whole numbers a range has whole numbers alone.
    name : str
    spec : str or list
        A range such as "1e-4..1e-2 log" or "0..0.5 step 0.1", or values.
    where : str
        Put before errors.

    Raises
    ------
    OptionError
        For anything else, an option that is not there, a range that is empty, values that are
        not allowed, or the same value twice.
    """
    own = value_of(base, name, where)
    where = f"{where}search over '{name}': "
    if own is None:
        raise OptionError(
            f"{where}the recipe gives it no value that the best one could be compared with; give "
            f"one with --change {name}=…"
        )
    distributions = optuna().distributions
    found = _RANGE.fullmatch(spec) if isinstance(spec, str) else None
    if found is None:
        if not isinstance(spec, list) or not spec:
            raise OptionError(
                f"{where}found {spec!r}, expected a range such as '1e-4..1e-2 log' or "
                "'0..0.5 step 0.1', or a list of values"
            )
        values = {label_of(value): value for value in spec}
        if len(values) < 2 or len(values) < len(spec):
            labels = list(map(label_of, spec))
            raise OptionError(
                f"{where}found {labels}, expected several different values; to set one use "
                f"--change {name}={labels[0]}"
            )
        for value in spec:
            with_values(base, {name: value}, where)
        return Dimension(
            name, ", ".join(values), distributions.CategoricalDistribution([*values]), values
        )
    text, log = found[0].strip(), found[3] is not None
    where = f"{where}found the range '{text}', "
    if isinstance(own, bool) or not isinstance(own, (int, float)):
        raise OptionError(f"{where}expected a list of values")
    if name.startswith(_FRONT):
        raise OptionError(
            f"{where}expected a list of values: features are computed before the search, once for "
            "each front end"
        )
    low, high, step = (float(part) if part else None for part in found.group(1, 2, 4))
    kind = distributions.FloatDistribution
    if isinstance(own, int):
        kind = distributions.IntDistribution
        if not all(float(number or 0).is_integer() for number in (low, high, step)):
            raise OptionError(f"{where}expected whole numbers")
        low, high, step = (1 if number is None else int(number) for number in (low, high, step))
    try:
        made = kind(low, high, log=log, step=step)
    except ValueError as error:
        raise OptionError(f"{where}{error}") from error
    for end in (low, high):
        with_values(base, {name: end}, where)
    return Dimension(name, text, made, {})


def label_of(value: Any) -> str:
    """A value as text: texts as they are, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def parse_search(text: str) -> tuple[str, Any]:
    """``"a.b=1..3"`` as ``("a.b", "1..3")`` and ``"a.b=x,y"`` as ``("a.b", ["x", "y"])``.

    Raises
    ------
    OptionError
        Without an equals sign.
    """
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise OptionError(f"option 'search': found '{text}', expected NAME=RANGE or NAME=A,B,C")
    if _RANGE.fullmatch(value):
        return key.strip(), value.strip()
    whole = parse_change(text)[1]
    if isinstance(whole, list):
        return key.strip(), whole
    return key.strip(), [parse_change(f"x={part}")[1] for part in value.split(",") if part.strip()]


def _flat(table: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Tables within tables as one, by dotted names; of a name that stands twice the last counts."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{where}{str(key).replace('-', '_')}"
        found |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return found


def _places(name: str) -> tuple[str, ...]:
    """Where in a setting an option stands; ``batch_size`` is that of both trainings."""
    short = name.removeprefix(SETTING)
    return (f"pretrain.{BATCH}", f"fit.{BATCH}") if short == BATCH else (short,)


def with_values(setting: Setting, values: Mapping[str, Any], where: str) -> Setting:
    """A setting in which the options with these names (``setting.…``) have other values.

    Raises
    ------
    OptionError
        As for a recipe: with the nearest name, or what is expected.
    """
    table: dict[str, Any] = {}
    for name, value in values.items():
        for place in _places(name):
            put(table, place, value)
    return from_mapping(Setting, merged(to_dict(setting), table), f"{where}{SETTING}")


def value_of(setting: Setting, name: str, where: str = "") -> Any:
    """The value that a setting has under a dotted name; of ``batch_size`` that of training.

    Raises
    ------
    OptionError
        When there is no such option, or it is a group of options.
    """
    if not name.startswith(SETTING) or name == f"{SETTING}name":
        raise OptionError(
            f"{where}unknown option '{name}': a search is over options of the setting, as "
            f"{SETTING}fit.learning_rate"
        )
    value: Any = setting
    path = SETTING
    for part in _places(name)[-1].split("."):
        known = [one.name for one in dataclasses.fields(value)] if _is_group(value) else []
        if part not in known:
            raise OptionError(f"{where}unknown option '{path}{part}': {nearest(part, known)}")
        value, path = getattr(value, part), f"{path}{part}."
    if _is_group(value):
        inner = ", ".join(one.name for one in dataclasses.fields(value))
        raise OptionError(
            f"{where}search over '{name}': a group of options, expected one of: {inner}"
        )
    return list(value) if isinstance(value, tuple) else value


def _is_group(value: Any) -> bool:
    return dataclasses.is_dataclass(value)


def best_recipe(target: Target, point: Mapping[str, Any], test_folds: Sequence[int]) -> str:
    """A recipe file that measures a point against the recipe's own values on the test folds."""
    table, recipe = target.table, target.recipe
    setting: dict[str, Any] = merged({}, table["setting"])
    setting.pop("control", None)
    if BATCH in setting:
        for place in _places(BATCH):
            put(setting, place, setting[BATCH])
        del setting[BATCH]
    control: dict[str, Any] = {name: getattr(target.base, name) for name in PLAIN}
    for name, value in point.items():
        for place in _places(name):
            put(setting, place, value)
            put(control, place, value_of(target.base, f"{SETTING}{place}"))
    groups: dict[str, list[str]] = {}
    for name, group in recipe.categories:
        groups.setdefault(group, []).append(name)
    kept = ("precision", "validation", "pretrain_draws", "validation_fold")
    head = {
        "title": f"Tuned, and as it was: {recipe.title}",
        "question": "What a search over settings brought, on clips that it never used.",
        "folds": list(test_folds),
        "arms": list(ARMS),
        **{name: table[name] for name in (*kept, "budgets", "synth", "source") if name in table},
        **({"categories": groups} if groups else {}),
        "setting": {**setting, "name": ARMS[1]},
        "control": control,
    }
    return "# Written by a search over settings: [control] holds the recipe's own values.\n" + (
        toml_tables(head)
    )


# The clips that a search may use: those of the test folds are set apart first. Their audio is
# opened for two things only, and only where it has to be: to keep copies of them out of a pool,
# and, in a set without folds, to see that copies of one sound come into one fold.


def set_apart(
    labelled: Clips, pool: Clips | None, options: TuneOptions, cache: Path
) -> tuple[Clips, Clips | None, Clips, list[str]]:
    """Take the test folds out of a labelled set and out of what goes with it.

    Returns
    -------
    rest : Clips
        What the search may use, without folds.
    pool : Clips or None
        Without copies and recordings of the test folds.
    labelled : Clips
        The whole set; with folds where it had none.
    notes : list of str

    Raises
    ------
    OptionError
        For a fold that there is not, or when none is left to search on.
    """
    near, workers = listens_for_copies(options), options.workers
    notes: list[str] = []
    if not labelled.folds:
        labelled, notes = with_folds(
            labelled, _N_FOLDS, options.group, options.seed, near=near, workers=workers, cache=cache
        )
    known = sorted({*labelled.fold[labelled.is_labelled].tolist()} - {0})
    test_folds = options.test_folds
    wrong = [fold for fold in test_folds if fold not in known]
    if wrong or not test_folds:
        raise OptionError(
            f"option 'test_folds': found {', '.join(map(str, wrong)) or 'none'}, expected some of "
            f"the folds of '{labelled.name}': {', '.join(map(str, known))}"
        )
    tested = np.isin(labelled.fold, test_folds)
    groups = np.unique(labelled.group[tested])
    straddling = ~tested & np.isin(labelled.group, groups)
    rest = labelled[~tested & ~straddling]
    if not rest.is_verified.any():
        raise OptionError(
            f"option 'test_folds': found {list(test_folds)} of {known}: no labelled clip is left "
            "to search on"
        )
    if straddling.any():
        notes.append(
            f"{int(straddling.sum())} training clips are of recordings that also stand in the test "
            "folds; the search does not use them."
        )
    if pool is not None:
        n = len(pool)
        # A name that a data set gives a recording is the same recording in both.
        pool = pool[~np.isin(pool.group, groups) | (pool.group == pool.file)]
        pool = clean_pool(pool, labelled[tested], near=near, workers=workers).clips
        if n > len(pool):
            notes.append(
                f"{n - len(pool)} clips of the pool are copies or recordings of test "
                "clips; the search does not use them."
            )
    return rest.with_columns(fold=np.zeros(len(rest), np.int64)), pool, labelled, notes


# Trials: each is a few jobs, one for each inner fold and draw, in turn.


@dataclass
class Trial:
    """One point of the space and what it reached.

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
        "complete"; "pruned", given up after some inner folds; or "failed".
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

    opened: OpenExperiment
    target: Target
    context: WorkerContext
    source: SourceSet | None
    options: TuneOptions

    def run(self) -> tuple[Trial, list[Trial]]:
        """The recipe's own values, and all trials; what an earlier call has done is not done again.

        As many trials as there are processes begin together, so that with the same number of
        processes the same seed gives the same search.
        """
        package, options, opened = optuna(), self.options, self.opened
        points = self.target.grid() if options.sampler == GRID else []
        n_trials = count_trials(options, self.target)
        pruners = package.pruners
        pruner = pruners.NopPruner() if points else pruners.MedianPruner()
        study = package.create_study(direction="maximize", pruner=pruner)
        samplers = package.samplers
        sampler = samplers.TPESampler if options.sampler == TPE else samplers.RandomSampler
        for point in points:
            study.enqueue_trial(point)
        distributions = {one.name: one.distribution for one in self.target.space}
        trials: list[Trial] = []
        at_once = opened.at_once or _ON_A_CLUSTER
        with bar(n_trials + 1, "trials", "trial") as shown, self._processes() as do:
            default = Trial(-1, {})
            self._score([(default, None)], do)
            shown.update()
            for first in range(0, n_trials, at_once):
                batch = []
                for number in range(first, min(first + at_once, n_trials)):
                    seed = derive(options.seed, "trial", number) % (1 << 31)
                    study.sampler = sampler(seed=seed)
                    asked = study.ask(distributions)
                    point = {
                        one.name: one.values.get(asked.params[one.name], asked.params[one.name])
                        for one in self.target.space
                    }
                    batch.append((Trial(number, point), asked))
                self._score(batch, do)
                states = package.trial.TrialState
                for trial, asked in batch:
                    if trial.state == COMPLETE:
                        study.tell(asked, trial.score)
                    else:
                        study.tell(asked, state=states.FAIL if trial.reason else states.PRUNED)
                    trials.append(trial)
                    shown.update()
        return default, trials

    @contextmanager
    def _processes(self) -> Iterator[Callable[[Iterable[Job]], None]]:
        """What does jobs of trials, as many at once as were asked for."""
        opened = self.opened
        if opened.engine.is_local and opened.at_once == 1:
            start(self.context)
            yield lambda jobs: [*map(attempt, jobs)].clear()
            return
        engine = PROCESS_ENGINE if opened.engine.is_local else opened.engine
        make = partial(_prepared, self.context)
        with engine.calls(make, workers=opened.at_once or None, device=opened.device) as calls:
            yield lambda jobs: [*in_any_order(calls, jobs)].clear()

    def _score(
        self, batch: Sequence[tuple[Trial, Any]], do: Callable[[Iterable[Job]], None]
    ) -> None:
        """Score trials on one inner fold after another, side by side."""
        folder = self.context.folder
        for trial, _ in batch:
            try:
                trial.jobs = self._jobs(self.target.at(trial.settings))
            except (TrainingError, ModelError, OptionError) as error:
                trial.fail(str(error))
        n_steps = max((len(trial.jobs) for trial, _ in batch), default=0)
        for step in range(n_steps):
            open_trials = [one for one in batch if one[0].state == COMPLETE]
            jobs = [trial.jobs[step] for trial, _ in open_trials]
            for part in ([job.start for job in jobs], jobs):  # first what others start from
                todo = {job.name: job for job in part if job and not job.is_done(folder)}
                do(todo.values())
            for (trial, asked), job in zip(open_trials, jobs, strict=True):
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
        material, options = self.context.material, self.options
        recipe = replace(self.target.recipe, settings=(setting,), controls=(setting,))
        plan = make_plan(
            recipe,
            material.labelled,
            material.pool,
            seed=options.seed,
            categories=self.context.categories or None,
            source=self.source.key if self.source else "",
        )
        make_starts(
            [job.setting for job in plan.jobs],
            recipe,
            self.source,
            self.context,
            self.opened.cache,
            seed=options.seed,
            workers=options.workers,
        )
        return [job for _, job in plan.cells[1::2]]  # both arms are the setting, job by job


@dataclass(frozen=True)
class SearchOutcome:
    """A finished search.

    Attributes
    ----------
    trials : list of Trial
    default : Trial
        The recipe's own values.
    best : Trial
        The complete trial with the highest score, the first of equal ones.
    chosen : ChosenBest or None
        What the best would reach without the luck of being chosen, from the same answers; None
        with fewer than two complete trials.
    """

    trials: list[Trial]
    default: Trial
    best: Trial
    chosen: ChosenBest | None

    @classmethod
    def of(cls, default: Trial, trials: list[Trial], folder: Path, seed: int) -> SearchOutcome:
        """The outcome of some trials; ``folder`` is that of their jobs.

        Raises
        ------
        OptionError
            When no trial succeeded.
        """
        complete = [trial for trial in trials if trial.state == COMPLETE]
        if not complete:
            reasons = sorted({one.reason for one in trials})
            raise OptionError(
                f"{count_text(len(trials), 'trial')}, and none succeeded; the first reason: "
                f"{reasons[0]}"
            )
        best, chosen = max(complete, key=lambda trial: (trial.score, -trial.number)), None
        if len(complete) > 1:
            # Without luck: as if the best were chosen on other clips than it is scored on.
            answers = [right_answers(trial, folder) for trial in complete]
            own = None
            if default.state == COMPLETE:
                own = right_answers(default, folder)["right"].to_numpy()
            right = np.stack([one["right"].to_numpy() for one in answers])
            chosen = chosen_best(right, answers[0]["group"].to_numpy(), against=own, seed=seed)
        return cls(trials, default, best, chosen)

    @property
    def keeps_recipe(self) -> bool:
        """Whether no trial does better than the recipe's own values."""
        return self.default.state == COMPLETE and self.best.score <= self.default.score

    def ended(self, state: str) -> list[Trial]:
        """The trials that ended so."""
        return [trial for trial in self.trials if trial.state == state]

    @property
    def gain(self) -> str:
        """What is left of the gain without the luck of the choice; empty where it is not known."""
        chosen = self.chosen
        if chosen is None or np.isnan(chosen.gain):
            return ""
        gain, low, high = (
            points_text(x, signed=True) for x in (chosen.gain, chosen.gain_low, chosen.gain_high)
        )
        shown = "better than" if chosen.is_gain else "not shown to be better than"
        return (
            f"Without the luck of the choice the best is {shown} the recipe's own values: "
            f"{gain} points ({low} to {high})."
        )


def right_answers(trial: Trial, folder: Path) -> pd.DataFrame:
    """By clip how often a scored trial is right, over draws (``right``), and its ``group``."""
    tables = [job.predictions(folder, "") for job in trial.jobs]
    answers = pd.concat(
        pd.DataFrame({"clip": one.clip, "group": one.group, "right": one.correct.astype(float)})
        for one in tables
    )
    return answers.groupby("clip").agg(right=("right", "mean"), group=("group", "first"))


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
    outcome : SearchOutcome
        All trials.
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


def count_trials(options: TuneOptions, target: Target) -> int:
    """How many trials there are.

    Raises
    ------
    OptionError
        For a grid with ranges in it, or more trials than it has points.
    """
    if options.sampler != GRID:
        return options.trials or TRIALS
    n_points = len(target.grid())
    if options.trials and options.trials > n_points:
        raise OptionError(
            f"option 'trials': found {options.trials}, but the grid has "
            f"{count_text(n_points, 'point')}; leave the option out to try them all"
        )
    return options.trials or n_points


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
    count_trials(options, target)
    searched = {one.name: one.text for one in target.space}
    asked = {**to_dict(options), "contents": to_dict(target.recipe), "searched": searched}
    with open_experiment("tune", options, asked, free=("trials",)) as opened:
        run, recipe = opened.run, target.recipe
        given, pool = load_data(options, recipe.synth)
        rest, pool, whole, notes = set_apart(given, pool, options, opened.cache)
        inputs = [(one.front, one.segments) for one in target.fronts()]
        material, hashes = opened.gather((rest, pool), inputs, inner_folds=options.inner_folds)
        categories = categories_of(material.labelled.classes, dict(recipe.categories)) or {}
        # One number format for the whole search.
        recipe = with_number_format(recipe, torch.device(opened.device))
        starts = {target.base.start}
        for one in target.space:
            if one.name == f"{SETTING}start":
                starts |= set(one.values)
        tried = tuple(replace(target.base, start=name) for name in sorted(starts))
        tried_recipe = replace(recipe, settings=tried, controls=tried)
        source = load_source(options, tried_recipe, material.labelled)
        notes += material.notes
        if source is not None:
            run.add_data("source", source.key)
            notes += source.notes
        context = WorkerContext(opened.jobs, material, opened.device, hashes, categories)
        search = Search(opened, replace(target, recipe=recipe), context, source, options)
        default, trials = search.run()
        outcome = SearchOutcome.of(default, trials, opened.jobs, options.seed)
        point = outcome.best.settings
        if outcome.keeps_recipe:
            point = {one.name: value_of(target.base, one.name) for one in target.space}
        write_text(run.folder / BEST, best_recipe(target, point, options.test_folds))
        command = _measuring(options, None if given.folds else whole, run.folder)
        n_test = int((np.isin(whole.fold, options.test_folds) & whole.is_labelled).sum())
        subtitle = (
            f"{len(material.labelled)} training clips of '{material.labelled.name}', "
            f"{len(material.labelled.classes)} classes, in {options.inner_folds} inner folds by "
            f"recording; {n_test} clips of test folds {', '.join(map(str, options.test_folds))} "
            "were not used"
        )
        table = _best_table(target, outcome)
        report = _write_page(run, options, target, outcome, subtitle, command, notes, table)
    return TuneResult(
        best=point,
        score=outcome.best.score,
        default_score=default.score,
        without_luck=outcome.chosen.mean if outcome.chosen else float("nan"),
        outcome=outcome,
        recipe=options.output / BEST,
        command=command,
        table=table,
        answers=_answers(outcome),
        report=report,
        failures=material.failures,
        notes=tuple(notes),
    )


def _measuring(options: TuneOptions, made: Clips | None, folder: Path) -> str:
    """The command that measures the best settings on the test folds, which were made or not."""
    same = {one.name for one in dataclasses.fields(RunOptions)} - {"quick", "change"}
    measuring = RunOptions(**{name: getattr(options, name) for name in same - {"transductive"}})
    output = options.output
    measuring = replace(
        measuring, recipe=str(output / BEST), output=output.with_name(f"{output.name}-test")
    )
    if made is not None:
        table = made.to_frame()
        table["file"] = [str(file.resolve()) for file in made.paths]
        table = table.astype(object).where(table.notna(), "")
        write_csv(folder / FOLDS, list(map(str, table)), table.itertuples(index=False))
        measuring = replace(measuring, data=output / FOLDS, group="auto")
    return command_line("run", measuring, exact=True)


def _best_table(target: Target, outcome: SearchOutcome) -> pd.DataFrame:
    """Name, the recipe's value and the best one of each option that was searched."""
    keeps = outcome.keeps_recipe
    columns = ["recipe (kept)", "best trial (worse)"] if keeps else ["recipe", "best"]
    rows = [
        (one.short, _text(value_of(target.base, one.name)), _text(outcome.best.settings[one.name]))
        for one in target.space
    ]
    return pd.DataFrame(rows, columns=["option", *columns])


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else label_of(value)


def _answers(outcome: SearchOutcome) -> tuple[str, ...]:
    best, default, failed = outcome.best, outcome.default, outcome.ended(FAILED)
    said = [KEEP] if outcome.keeps_recipe else []
    said += [
        f"inner accuracy: {percent_text(best.score)} for the best of "
        f"{count_text(len(outcome.trials), 'trial')}, {percent_text(default.score)} for the "
        "recipe's own values"
    ]
    if default.state == FAILED:
        said.append(f"the recipe's own values could not be trained: {default.reason}")
    if outcome.chosen is not None:
        said.append(f"without the luck of the choice about {percent_text(outcome.chosen.mean)}")
    if failed:
        said.append(f"{count_text(len(failed), 'trial')} failed, the first: {failed[0].reason}")
    return (*said, *filter(None, [outcome.gain]), ONCE)


def _write_page(
    run: RunFolder,
    options: TuneOptions,
    target: Target,
    outcome: SearchOutcome,
    subtitle: str,
    command: str,
    notes: Sequence[str],
    table: pd.DataFrame,
) -> Path:
    """Write ``report.html`` with its tables, and ``results.json``."""
    best, trials = outcome.best, outcome.trials
    repeating = command_line("tune", options)
    others = sorted((one.score for one in outcome.ended(COMPLETE)), reverse=True)[1:]
    n = len(best.accuracies)
    error = float(np.std(best.accuracies, ddof=1)) / np.sqrt(n) if n > 1 else np.nan
    report = Report(
        "tuning.j2",
        f"Search over settings: {target.recipe.title}",
        subtitle,
        outcome=outcome,
        measuring=command,
        n_close=sum(best.score - score <= error for score in others),
        searched={one.short: one.text for one in target.space},
        command=repeating,
        provenance={k: str(v) for k, v in provenance(run, repeating).items() if k != "command"},
    )
    claim, *more = _answers(outcome)
    report.verdict = Verdict(claim[:1].upper() + claim[1:], ". ".join(more))
    report.numbers = [
        Number(percent_text(best.score), "inner accuracy of the best trial", "", "treated"),
        Number(percent_text(outcome.default.score), "the recipe's own values", "", "control"),
    ]
    if outcome.chosen is not None:
        note = f"{percent_text(outcome.chosen.low)} to {percent_text(outcome.chosen.high)}"
        mean = percent_text(outcome.chosen.mean)
        report.numbers.append(Number(mean, "without the luck of the choice", note))
    report.warnings += notes
    report.table("best", list(map(str, table)), table.to_numpy().tolist())
    parts = [f"part {i + 1}" for i in range(max(len(one.accuracies) for one in trials))]
    rows = [
        (
            *(one.number, one.state, one.score, *map(_text, one.settings.values())),
            *(*one.accuracies, *[None] * (len(parts) - len(one.accuracies))),
            *(round(one.seconds, 1), one.reason),
        )
        for one in trials
    ]
    names = [one.short for one in target.space]
    report.table(
        "trials",
        ["trial", "ended", "inner accuracy", *names, *parts, "seconds", "reason"],
        rows,
        formats=dict.fromkeys(("inner accuracy", *parts), percent_text),
        styles={i: "strong" for i, one in enumerate(trials) if one is best},
    )
    report.data = {
        "space": {one.name: one.text for one in target.space},
        "default": outcome.default.to_dict(),
        "best": best.to_dict(),
        "keeps_recipe": outcome.keeps_recipe,
        "without_luck": outcome.chosen,
        "trials": [one.to_dict() for one in trials],
    }
    write_results(run, repeating, target.recipe, report.data)
    return report.write(run.folder)
