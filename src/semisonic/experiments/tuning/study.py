"""The study: Optuna's record of all trials, a file in the run folder that survives kill -9.

Every trial exists from the beginning, waiting, under its number. A trial that a dead process had
begun is taken up again with the values that it had, so none is lost and none done twice. Each trial
has a random stream of its own, so that a search that went on gives the same values as one that was
never interrupted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from semisonic.base.errors import OptionError
from semisonic.base.seeds import derive
from semisonic.experiments.tune_options import HYPERBAND, MEDIAN, TPE
from semisonic.experiments.tuning.space import Choice, Dimension, Point, Space, label_of

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


def open_study(
    folder: Path, *, sampler: str = TPE, pruner: str = MEDIAN, n_steps: int = 1, seed: int = 0
) -> Any:
    """The study in a run folder, made if there is none.

    Parameters
    ----------
    sampler, pruner : str
        Names of :mod:`~semisonic.experiments.tune_options`. A grid's points are fixed before.
    n_steps : int
        Values that a whole trial reports.
    seed : int
        Of the next trial.

    Returns
    -------
    optuna.Study
    """
    package = optuna()
    samplers, pruners = package.samplers, package.pruners
    if sampler == TPE:
        chosen = samplers.TPESampler(seed=seed % (1 << 31))
    else:
        chosen = samplers.RandomSampler(seed=seed % (1 << 31))
    if pruner == MEDIAN:
        stops = pruners.MedianPruner()
    elif pruner == HYPERBAND:
        stops = pruners.HyperbandPruner(min_resource=1, max_resource=n_steps)
    else:
        stops = pruners.NopPruner()
    return package.create_study(
        storage=_storage(folder), study_name=NAME, direction="maximize", load_if_exists=True,
        sampler=chosen, pruner=stops,
    )  # fmt: skip


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
    if isinstance(one, Choice):
        return _value(one, trial.suggest_categorical(one.name, one.labels))
    low, high = one.ends
    if one.whole:
        step = int(one.step) or 1
        return trial.suggest_int(one.name, low, high, step=step, log=one.log)
    return trial.suggest_float(one.name, low, high, step=one.step or None, log=one.log)


def _value(one: Dimension, stored: Any) -> Any:
    """Choices are stored as text, since Optuna knows no lists."""
    return one.values[one.labels.index(stored)] if isinstance(one, Choice) else stored
