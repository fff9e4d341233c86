"""The trials of a search: training clips set apart, one process's work, and what was found."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.core.errors import ModelError, OptionError, TrainingError
from semisonic.core.files import read_json, write_csv, write_json
from semisonic.core.locks import LOCK, exclusive
from semisonic.data.checks import clean_pool
from semisonic.data.clips import Clips
from semisonic.data.recordings import AUTO, COPIES, KnownRecordings, copies_together
from semisonic.data.splits import make_folds
from semisonic.evaluation.comparison import ChosenBest, chosen_best
from semisonic.evaluation.predictions import Predictions
from semisonic.experiments import worker
from semisonic.experiments.jobs import (
    MODEL,
    PICTURES,
    PretrainJob,
    TrainJob,
    is_done,
    read_job,
    read_predictions,
)
from semisonic.experiments.plan import ExperimentPlan, make_plan
from semisonic.experiments.recipe import TRAINED, Setting
from semisonic.experiments.run import all_jobs, synthetic_starts
from semisonic.experiments.search_space import (
    ACCURACIES,
    REASON,
    SECONDS,
    Choices,
    Dimension,
    Space,
    Target,
    label_of,
    open_study,
    optuna,
    point_of,
    seed_of,
    suggest,
    take,
)
from semisonic.experiments.source import SourceModel, trained_files

# The clips that a search may hear: those of the test folds are set apart first.
#
# Their audio is opened for two things only, and only where it has to be: to keep copies of them out
# of a pool, and, in a set without folds, to see that copies of one sound come into one fold.


N_FOLDS = 5
FOLDS = "folds.csv"
"""The clips with the folds that were made, where the data have none."""


@dataclass(frozen=True)
class SearchSplit:
    """A labelled set without its test folds.

    Attributes
    ----------
    clips : Clips
        What the search may hear, without folds.
    pool : Clips or None
        Without copies and recordings of the test folds.
    n_test : int
        Labelled clips that are left for the measurement.
    folds_file : Path or None
        Where the made folds were written; None for a set that has its own.
    notes : tuple of str
    """

    clips: Clips
    pool: Clips | None
    n_test: int
    folds_file: Path | None
    notes: tuple[str, ...]


def set_apart(
    labelled: Clips,
    pool: Clips | None,
    test_folds: Sequence[int],
    folder: Path,
    *,
    seed: int,
    near_copies: bool,
    group: str = AUTO,
    workers: int | None = None,
) -> SearchSplit:
    """Take the test folds out of a labelled set and out of what goes with it.

    Parameters
    ----------
    labelled : Clips
    pool : Clips, optional
    test_folds : sequence of int
    folder : Path
        Where the table of folds goes, if they have to be made.
    seed : int
        Of folds, where the data have none.
    near_copies : bool
        Listen for copies besides comparing bytes.
    group : str
        How recordings were told: where the user said it, no copies are looked for.

    Raises
    ------
    OptionError
        For a fold that there is not, or when none is left to search on.
    """
    notes: list[str] = []
    folds_file = None
    if not labelled.folds:
        together = KnownRecordings(labelled)
        if group in (AUTO, COPIES):
            together = copies_together(
                labelled, near=near_copies, workers=workers, cache=folder / "cache"
            )
        labelled = together.clips
        labelled = labelled.with_columns(fold=make_folds(labelled, N_FOLDS, seed))
        folds_file = folder / FOLDS
        _write(labelled, folds_file)
        notes += ["The data have no official folds: five were made, by recording.", *together.notes]
    known = sorted({int(fold) for fold in labelled.fold[labelled.is_labelled]} - {0})
    wrong = [fold for fold in test_folds if fold not in known]
    if wrong or not test_folds:
        raise OptionError(
            f"option 'test_folds': found {', '.join(map(str, wrong)) or 'none'}, expected some of "
            f"the folds of '{labelled.name}': {', '.join(map(str, known))}"
        )
    tested = np.isin(labelled.fold, test_folds)
    groups = set(labelled.group[tested].tolist())
    straddling = ~tested & np.isin(labelled.group, list(groups))
    rest = labelled[~tested & ~straddling]
    if not rest.is_verified.any():
        raise OptionError(
            f"option 'test_folds': found {list(test_folds)} of {known}: no labelled clip is left "
            "to search on"
        )
    if straddling.any():
        notes.append(
            f"{int(straddling.sum())} training clips are of recordings that also stand in the test "
            "folds; the search does not hear them."
        )
    if pool is not None:
        n = len(pool)
        # A name that a data set gives a recording is the same recording in both.
        pool = pool[~np.isin(pool.group, list(groups)) | (pool.group == pool.file)]
        clean = clean_pool(pool, labelled[tested], near=near_copies, workers=workers)
        pool = clean.clips
        if n > len(pool):
            notes.append(
                f"{n - len(pool)} clips of the pool are copies or recordings of test "
                "clips; the search does not hear them."
            )
    n_test = int((tested & labelled.is_labelled).sum())
    rest = rest.with_columns(fold=np.zeros(len(rest), np.int64))
    return SearchSplit(rest, pool, n_test, folds_file, tuple(notes))


def _write(clips: Clips, path: Path) -> None:
    """A table that reads back as these clips, wherever it lies."""
    table = clips.to_frame()
    table["file"] = [str(file.resolve()) for file in clips.paths]
    table = table.astype(object).where(table.notna(), "")
    write_csv(path, [str(name) for name in table], table.itertuples(index=False))


# What one process of a search does: trials, each all inner folds with one setting.
#
# The jobs of a trial are those of ``semisonic run``, under the same names, in folders of their own.
# So what two trials have in common is done once, and a trial that was cut off goes on from the last
# checkpoint of its job.


DEFAULT = "default.json"
"""What the recipe's own values reach, in the run folder."""


@dataclass(frozen=True)
class SearchContext:
    """What all trials of a search share."""

    folder: Path
    target: Target
    jobs: worker.WorkerContext
    cache: Path
    sampler: str
    pruner: str
    seed: int
    source: SourceModel | None

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
        search.folder,
        sampler=search.sampler,
        pruner=search.pruner,
        n_steps=search.n_steps,
        seed=seed_of(search.seed, number),
    )
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


def plan_for(search: SearchContext, setting: Setting) -> ExperimentPlan:
    """The jobs that score a setting; ``cells`` has one for each draw and inner fold, in order."""
    material = search.jobs.material
    plan = make_plan(
        search.target.around(setting),
        material.labelled,
        material.pool,
        seed=search.seed,
        categories=search.jobs.categories or None,
        source=search.source.key if search.source else "",
    )
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
    with exclusive(folder / job.name / LOCK):
        if not is_done(folder, job):
            if isinstance(job, PretrainJob):
                worker.run_pretrain(job)
            else:
                worker.run_train(job)
        if isinstance(job, TrainJob):  # nobody looks at the models of trials
            for name in (MODEL, PICTURES):
                (folder / job.name / name).unlink(missing_ok=True)
    return read_job(folder, job)


def _starts(search: SearchContext, plan: ExperimentPlan) -> dict[tuple[str, ...], Path]:
    """Files of encoders that learned elsewhere, for the settings that begin from one."""
    settings = [job.setting for job in all_jobs(plan) if job.setting.start != "fresh"]
    if not settings:
        return {}
    device = search.jobs.device
    with exclusive(search.cache / ".starts.lock"):
        starts = synthetic_starts(plan, search.cache, device, 1)
        if search.source is not None and any(one.start == TRAINED for one in settings):
            starts |= trained_files(
                search.source,
                settings,
                search.target.around(settings[0]),
                search.cache,
                seed=search.seed,
                device=device,
                workers=1,
            )
    return starts


def _here() -> SearchContext:
    if _search is None:
        raise RuntimeError("start() was not called in this process")
    return _search


# What a search found: trials as plain records, the best of them, and what mattered.


COMPLETE, PRUNED, FAILED = "complete", "pruned", "failed"
_STATES = {"COMPLETE": COMPLETE, "PRUNED": PRUNED, "FAIL": FAILED}
LEAST_FOR_IMPORTANCE = 4


@dataclass(frozen=True)
class Trial:
    """One point of the space and what it reached.

    Attributes
    ----------
    number : int
        From 0, in the order of beginning; -1 for the recipe's own values.
    state : str
        "complete"; "pruned", given up after some inner folds; or "failed".
    score : float
        Mean accuracy of the inner folds that were scored, 0 to 1; NaN for a failed trial.
    accuracies : tuple of float
        Of each inner fold.
    point : mapping of str to value
    seconds : float
        Of training.
    reason : str
        Why it failed.
    """

    number: int
    state: str
    score: float
    accuracies: tuple[float, ...]
    point: Mapping[str, Any]
    seconds: float
    reason: str = ""


@dataclass(frozen=True)
class SearchOutcome:
    """A finished search.

    Attributes
    ----------
    trials : tuple of Trial
    default : Trial
        The recipe's own values.
    best : Trial or None
        The complete trial with the highest score, the first of equal ones.
    importance : mapping of str to float
        The share of the scores' variance that each option explains alone (functional ANOVA);
        empty where there are too few complete trials, or one option.
    chosen : ChosenBest or None
        What the best would reach without the luck of being chosen, from the same answers.
    """

    trials: tuple[Trial, ...]
    default: Trial
    best: Trial | None
    importance: Mapping[str, float]
    chosen: ChosenBest | None

    @property
    def keeps_recipe(self) -> bool:
        """Whether no trial does better than the recipe's own values."""
        best, default = self.best, self.default
        return default.state == COMPLETE and (best is None or best.score <= default.score)

    def of(self, state: str) -> list[Trial]:
        """The trials that ended so."""
        return [trial for trial in self.trials if trial.state == state]


def read_outcome(study: Any, search: SearchContext) -> SearchOutcome:
    """Read the finished study, and what the jobs of complete trials answered."""
    space = search.target.space
    found = [
        _read(one, space) for one in study.get_trials(deepcopy=False) if one.state.is_finished()
    ]
    record = read_json(search.folder / DEFAULT)
    scores = tuple(record[ACCURACIES])
    default = Trial(
        -1,
        FAILED if record[REASON] else COMPLETE,
        float(np.mean(scores)) if scores else np.nan,
        scores,
        {},
        record[SECONDS],
        record[REASON],
    )
    complete = [trial for trial in found if trial.state == COMPLETE]
    best = max(complete, key=lambda trial: (trial.score, -trial.number), default=None)
    return SearchOutcome(
        tuple(found),
        default,
        best,
        _importance(complete, space, search.seed),
        _without_luck(search, complete, default),
    )


def _read(one: Any, space: Space) -> Trial:
    accuracies = tuple(one.user_attrs.get(ACCURACIES, ()))
    state = _STATES[one.state.name]
    score = float(np.mean(accuracies)) if accuracies and state != FAILED else np.nan
    return Trial(
        one.number,
        state,
        score,
        accuracies,
        point_of(one.params, space),
        float(one.user_attrs.get(SECONDS, 0.0)),
        one.user_attrs.get(REASON, ""),
    )


def _importance(complete: list[Trial], space: Space, seed: int) -> dict[str, float]:
    """Functional ANOVA (Hutter, Hoos and Leyton-Brown, ICML 2014) of the complete trials.

    Optuna weighs all values of a range alike. So that of a logarithmic one all ratios count
    alike, it is given their logarithms.
    """
    if len(space) < 2 or len(complete) < LEAST_FOR_IMPORTANCE:
        return {}
    if len({trial.score for trial in complete}) == 1:
        return {}
    package = optuna()
    study = package.create_study(direction="maximize")
    kinds = {one.name: _distribution(one) for one in space}
    for trial in complete:
        params = {one.name: _on_its_scale(one, trial.point[one.name]) for one in space}
        study.add_trial(
            package.trial.create_trial(params=params, distributions=kinds, value=trial.score)
        )
    evaluator = package.importance.FanovaImportanceEvaluator(seed=seed % (1 << 31))
    return {name: float(share) for name, share in evaluator.evaluate(study).items()}


def _distribution(one: Dimension) -> Any:
    kinds = optuna().distributions
    if isinstance(one, Choices):
        return kinds.CategoricalDistribution(one.labels)
    return kinds.FloatDistribution(*(_on_its_scale(one, end) for end in one.ends))


def _on_its_scale(one: Dimension, value: Any) -> Any:
    if isinstance(one, Choices):
        return label_of(value)
    return math.log10(value) if one.log else float(value)


def _without_luck(
    search: SearchContext, complete: list[Trial], default: Trial
) -> ChosenBest | None:
    """The score of the best as if it were chosen on other clips than it is scored on."""
    if len(complete) < 2:
        return None
    settings = [search.target.at(trial.point) for trial in complete]
    answers = [right_answers(search, setting) for setting in settings]
    own = right_answers(search, search.target.base)[0] if default.state == COMPLETE else None
    right = np.stack([one for one, _ in answers])
    return chosen_best(right, answers[0][1], against=own, seed=search.seed)


def right_answers(
    search: SearchContext, setting: Setting
) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """Of each clip how often a setting that was scored is right, over draws; and its recording."""
    by_clip: dict[str, list[bool]] = {}
    group: dict[str, str] = {}
    for _, job in plan_for(search, setting).cells:
        answers = answers_of(search, job)
        for clip, name, right in zip(answers.clip, answers.group, answers.correct, strict=True):
            by_clip.setdefault(str(clip), []).append(bool(right))
            group[str(clip)] = str(name)
    clips = sorted(by_clip)
    shares = np.array([np.mean(by_clip[clip]) for clip in clips])
    return shares, np.array([group[clip] for clip in clips])
