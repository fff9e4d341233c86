"""What one process of a search does: trials, each all inner folds with one setting.

The jobs of a trial are those of ``semisonic run``, under the same names, in folders of their own.
So what two trials have in common is done once, and a trial that was cut off goes on from the last
checkpoint of its job.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from semisonic.base.errors import ModelError, OptionError, TrainingError
from semisonic.base.files import write_json
from semisonic.base.lock import LOCK, alone
from semisonic.evaluation.results import Predictions
from semisonic.experiments import worker
from semisonic.experiments.job_folder import MODEL, PICTURES, is_done, read_job, read_predictions
from semisonic.experiments.jobs import PretrainJob, TrainJob
from semisonic.experiments.plan import Plan, make_plan
from semisonic.experiments.recipe import TRAINED, Setting
from semisonic.experiments.run import all_jobs, synthetic_starts
from semisonic.experiments.source import Source, trained_files
from semisonic.experiments.tuning.study import (
    ACCURACIES,
    REASON,
    SECONDS,
    open_study,
    optuna,
    seed_of,
    suggest,
    take,
)
from semisonic.experiments.tuning.target import Target

DEFAULT = "default.json"
"""What the recipe's own values reach, in the run folder."""


@dataclass(frozen=True)
class SearchContext:
    """What all trials of a search share."""

    folder: Path
    target: Target
    jobs: worker.Context
    cache: Path
    sampler: str
    pruner: str
    seed: int
    source: Source | None

    @property
    def n_steps(self) -> int:
        """Inner folds times draws: the scores that a whole trial has."""
        draws = self.target.recipe.budgets[0].draws
        return draws * len(self.jobs.material.labelled.folds)


_search: SearchContext | None = None


def start(search: SearchContext) -> None:
    """Set what the trials of this process share."""
    global _search
    _search = search


def run_trial(number: int) -> None:
    """Do one trial, or what is left of it: score its setting on one inner fold after another.

    A setting that cannot be trained, as its loss is no longer finite or its values do not go
    together, is a failed trial with a reason; the search goes on.
    """
    search = _here()
    study = open_study(
        search.folder, sampler=search.sampler, pruner=search.pruner, n_steps=search.n_steps,
        seed=seed_of(search.seed, number),
    )  # fmt: skip
    trial = take(study, search.folder, number)
    if trial is None:
        return
    states = optuna().trial.TrialState
    reported = study.get_trials(deepcopy=False)[number].intermediate_values
    found: list[float] = []
    seconds = 0.0
    try:
        setting = search.target.at(suggest(trial, search.target.space))
        for step, (accuracy, spent) in enumerate(_scores(search, setting), 1):
            found.append(accuracy)
            seconds += spent
            trial.set_user_attr(ACCURACIES, found)
            trial.set_user_attr(SECONDS, seconds)
            if step not in reported:
                trial.report(float(np.mean(found)), step)
            decided = step + 1 in reported  # to go on, before the process died
            if step < search.n_steps and not decided and trial.should_prune():
                study.tell(number, state=states.PRUNED)
                return
    except (TrainingError, ModelError, OptionError) as error:
        trial.set_user_attr(REASON, str(error))
        study.tell(number, state=states.FAIL)
        return
    study.tell(number, float(np.mean(found)))


def run_default() -> None:
    """Score the recipe's own values in the same way, beside the study."""
    search = _here()
    record: dict[str, Any] = {ACCURACIES: [], SECONDS: 0.0, REASON: ""}
    try:
        for accuracy, spent in _scores(search, search.target.base):
            record[ACCURACIES].append(accuracy)
            record[SECONDS] += spent
    except (TrainingError, ModelError, OptionError) as error:
        record[REASON] = str(error)
    write_json(search.folder / DEFAULT, record)


def plan_for(search: SearchContext, setting: Setting) -> Plan:
    """The jobs that score a setting; ``cells`` has one for each draw and inner fold, in order."""
    material = search.jobs.material
    plan = make_plan(
        search.target.around(setting), material.labelled, material.pool, seed=search.seed,
        categories=search.jobs.categories or None,
        source=search.source.key if search.source else "",
    )  # fmt: skip
    return replace(plan, cells=plan.cells[1::2])  # both arms are the setting, job by job


def _scores(search: SearchContext, setting: Setting) -> Iterator[tuple[float, float]]:
    """Accuracy and seconds of training of each inner fold, done now or found."""
    plan = plan_for(search, setting)
    worker.start(replace(search.jobs, starts=_starts(search, plan)))
    for _, job in plan.cells:
        seconds = _done(search, job.start)["seconds"] if job.start else 0.0
        seconds += _done(search, job)["seconds"]
        yield float(answers_of(search, job).correct.mean()), seconds


def answers_of(search: SearchContext, job: TrainJob) -> Predictions:
    """The scored clips of a finished job's inner fold."""
    return read_predictions(search.jobs.folder, job, job.setting.name)


def _done(search: SearchContext, job: PretrainJob | TrainJob) -> dict[str, Any]:
    """A job's record. Another process that wants the same job waits for it."""
    folder = search.jobs.folder
    with alone(folder / job.name / LOCK):
        if not is_done(folder, job):
            if isinstance(job, PretrainJob):
                worker.run_pretrain(job)
            else:
                worker.run_train(job)
        if isinstance(job, TrainJob):  # nobody looks at the models of trials
            for name in (MODEL, PICTURES):
                (folder / job.name / name).unlink(missing_ok=True)
    return read_job(folder, job)


def _starts(search: SearchContext, plan: Plan) -> dict[tuple[str, ...], Path]:
    """Files of encoders that learned elsewhere, for the settings that begin from one."""
    settings = [job.setting for job in all_jobs(plan) if job.setting.start != "fresh"]
    if not settings:
        return {}
    device = search.jobs.device
    with alone(search.cache / ".starts.lock"):
        starts = synthetic_starts(plan, search.cache, device, 1)
        if search.source is not None and any(one.start == TRAINED for one in settings):
            starts |= trained_files(
                search.source, settings, search.target.around(settings[0]), search.cache,
                seed=search.seed, device=device, workers=1,
            )  # fmt: skip
    return starts


def _here() -> SearchContext:
    if _search is None:
        raise RuntimeError("start() was not called in this process")
    return _search
