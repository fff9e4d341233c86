"""The trials of a search: training clips set apart, one process's work, and what was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.core.errors import ModelError, OptionError, TrainingError
from semisonic.core.files import read_json, write_csv, write_json
from semisonic.core.locks import LOCK, exclusive
from semisonic.core.seeds import derive
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
from semisonic.experiments.options import MEDIAN, TPE
from semisonic.experiments.plan import ExperimentPlan, make_plan
from semisonic.experiments.recipe import TRAINED, Setting
from semisonic.experiments.run import synthetic_starts
from semisonic.experiments.search_space import Choices, Dimension, Point, Space, Target, label_of
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


# The study is Optuna's record of all trials, a file in the run folder that survives kill -9. Every
# trial waits there under its number from the beginning; one that a dead process had begun is taken
# up again with the values that it had.


JOURNAL = "study.log"
NAME = "tune"
ACCURACIES, SECONDS, REASON = "accuracies", "seconds", "reason"
"""What we write of a trial beside what Optuna does."""


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


def mend(folder: Path) -> None:
    """Undo what a killed process may have left half done; only while no other is at work."""
    file = folder / JOURNAL
    file.with_name(f"{JOURNAL}.lock").unlink(missing_ok=True)
    if file.is_file():
        content = file.read_bytes()
        if not content.endswith(b"\n"):
            with file.open("r+b") as stream:
                stream.truncate(content.rfind(b"\n") + 1)


def open_study(folder: Path, *, sampler: str = TPE, pruner: str = MEDIAN, seed: int = 0) -> Any:
    """The study in a run folder, made if there is none; ``seed`` is that of the next trial.

    Returns
    -------
    optuna.Study
    """
    package = optuna()
    samplers, pruners = package.samplers, package.pruners
    kind = samplers.TPESampler if sampler == TPE else samplers.RandomSampler
    return package.create_study(
        storage=_storage(folder),
        study_name=NAME,
        direction="maximize",
        load_if_exists=True,
        sampler=kind(seed=seed % (1 << 31)),
        pruner=pruners.MedianPruner() if pruner == MEDIAN else pruners.NopPruner(),
    )


def _storage(folder: Path) -> Any:
    storages = optuna().storages
    folder.mkdir(parents=True, exist_ok=True)
    file = str(folder / JOURNAL)
    # The kind of lock that Windows and network drives have, too.
    lock = storages.journal.JournalFileOpenLock(file)
    return storages.JournalStorage(storages.journal.JournalFileBackend(file, lock))


def seed_of(seed: int, number: int) -> int:
    """The seed of a trial's own random stream."""
    return derive(seed, "trial", number)


def add_trials(study: Any, n_trials: int, points: list[dict[str, Any]]) -> None:
    """Let a study have at least so many trials; those of a grid have their values from here on."""
    for number in range(len(study.get_trials(deepcopy=False)), n_trials):
        fixed = points[number] if points else {}
        study.enqueue_trial({name: label_of(value) for name, value in fixed.items()})


def unfinished(study: Any) -> list[int]:
    """Numbers of the trials that wait, or that a dead process left."""
    trials = study.get_trials(deepcopy=False)
    return [trial.number for trial in trials if not trial.state.is_finished()]


def take(study: Any, folder: Path, number: int) -> Any | None:
    """Begin a trial of the study in ``folder``, or take it up again; None if it is finished."""
    package = optuna()
    states = package.trial.TrialState
    found = study.get_trials(deepcopy=False)[number]
    if found.state.is_finished():
        return None
    storage = _storage(folder)
    study_id = storage.get_study_id_from_name(NAME)
    trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, number)
    if found.state == states.WAITING:
        storage.set_trial_state_values(trial_id, states.RUNNING)
    return package.trial.Trial(study, trial_id)


def suggest(trial: Any, space: Space) -> dict[str, Any]:
    """The trial's values, chosen now or found as they were chosen."""
    return {one.name: _suggest(trial, one) for one in space}


def point_of(params: Point, space: Space) -> dict[str, Any]:
    """The values of a stored trial."""
    return {one.name: _value(one, params[one.name]) for one in space if one.name in params}


def _suggest(trial: Any, one: Dimension) -> Any:
    if isinstance(one, Choices):
        return _value(one, trial.suggest_categorical(one.name, one.labels))
    low, high = one.ends
    if one.whole:
        step = int(one.step) or 1
        return trial.suggest_int(one.name, low, high, step=step, log=one.log)
    return trial.suggest_float(one.name, low, high, step=one.step or None, log=one.log)


def _value(one: Dimension, stored: Any) -> Any:
    """Choices are stored as text, since Optuna knows no lists."""
    return one.values[one.labels.index(stored)] if isinstance(one, Choices) else stored


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
    settings = [job.setting for job in plan.jobs if job.setting.start != "fresh"]
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
    settings : mapping of str to value
    seconds : float
        Of training.
    reason : str
        Why it failed.
    """

    number: int
    state: str
    score: float
    accuracies: tuple[float, ...]
    settings: Mapping[str, Any]
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
    chosen : ChosenBest or None
        What the best would reach without the luck of being chosen, from the same answers.
    """

    trials: tuple[Trial, ...]
    default: Trial
    best: Trial | None
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


def _without_luck(
    search: SearchContext, complete: list[Trial], default: Trial
) -> ChosenBest | None:
    """The score of the best as if it were chosen on other clips than it is scored on."""
    if len(complete) < 2:
        return None
    settings = [search.target.at(trial.settings) for trial in complete]
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
