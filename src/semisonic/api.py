"""The verbs as Python functions: inputs by position, options by name."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semisonic.cli import data_verbs, experiment_verbs, listening_verbs, training_verbs
from semisonic.cli.keywords import flags_in_python, options_of_verb
from semisonic.cli.parser import Verb, options_of, values_of
from semisonic.cli.training_verbs import with_synth
from semisonic.core.errors import OptionError

if TYPE_CHECKING:
    from semisonic.classifier.calibrate import CalibrateResult
    from semisonic.classifier.classifier import SoundClassifier
    from semisonic.classifier.evaluate import EvaluateResult
    from semisonic.classifier.find_rate import FindRateResult
    from semisonic.classifier.predict import PredictResult
    from semisonic.classifier.pretrain import PretrainResult
    from semisonic.classifier.scan import ScanResult
    from semisonic.classifier.suspects import SuspectsResult
    from semisonic.classifier.train import TrainResult
    from semisonic.data.clips import Clips
    from semisonic.experiments.curve import CurveResult
    from semisonic.experiments.runner import RunResult
    from semisonic.experiments.tune import TuneResult
    from semisonic.models.sound_model import SoundModel

AnyPath = str | PathLike[str]


@options_of_verb(listening_verbs.predict)
def predict(
    model: AnyPath | SoundModel | SoundClassifier,
    files: AnyPath | Iterable[AnyPath] | Clips,
    output: AnyPath | None = None,
    *,
    threshold: float | AnyPath | None = None,
    **options: Any,
) -> PredictResult:
    """Name the sounds in recordings of any length; unreadable recordings are listed and skipped.

    Parameters
    ----------
    model : path, SoundModel or SoundClassifier
        A path names a model file or a run folder.
    files : path, paths or Clips
        Recordings, folders of recordings, or tables of clips.
    output : path, optional
        CSV file for the table.
    **options
        As for ``semisonic predict``: ``top``, ``windows``, ``hop`` (s), ``unknown``,
        ``threshold``, ``batch_size``, ``device``, ``workers``.

    Returns
    -------
    PredictResult
        ``to_frame()`` has a row per file or window.

    Raises
    ------
    OptionError
        For an unknown option or a wrong value.
    DataError
        When none of the files exists.
    ModelError
        When the model file is missing or damaged.

    Examples
    --------
    >>> table = predict("runs/tones", "recordings", top=1).to_frame()
    >>> list(table.columns)
    ['file', 'start_time', 'end_time', 'label', 'score']
    >>> set(table["label"]) <= {"noise", "tone"}
    True
    """
    from semisonic.classifier.model_file import open_model
    from semisonic.classifier.predict import predict_files
    from semisonic.data.clips import Clips

    options["threshold"] = None if threshold is None else str(threshold)
    is_table = isinstance(files, Clips)
    placed = {"model": Path(), "files": () if is_table else files}
    values = _values(listening_verbs.predict, placed, options, output) | {
        "model": open_model(model)
    }
    return predict_files(**{**values, "files": files} if is_table else values)


@options_of_verb(training_verbs.evaluate)
def evaluate(
    model: AnyPath, data: AnyPath, output: AnyPath | None = None, **options: Any
) -> EvaluateResult:
    """Measure a classifier on labelled recordings that it was not trained on; write a report.

    Parameters
    ----------
    model : path
        A model file or a run folder. It lists the recordings that the model was trained on.
    data : path
        Labelled clips: a folder of class folders, a CSV, a data set.
    output : path, optional
        Run folder; ``runs/evaluate`` by default.
    **options
        As for ``semisonic evaluate``: ``fold``, ``by``, ``bootstrap``, ``allow_seen``, ...

    Returns
    -------
    EvaluateResult
        ``metrics`` has the numbers, ``to_frame()`` a row per clip.

    Raises
    ------
    OptionError
        For an unknown option or a wrong value.
    DataError
        When clips were used to train the model, have labels that it does not know, or cannot be
        read.
    ModelError
        When the model file is missing or damaged.

    Examples
    --------
    >>> result = evaluate("runs/tones", "later", "runs/later")
    >>> result.metrics["n_clips"]
    20
    >>> 0 <= result.metrics["accuracy"] <= 1
    True
    """
    from semisonic.classifier.evaluate import evaluate

    placed = {"model": _file(model, "use its method score()"), "data": data}
    return evaluate(with_synth(_options(training_verbs.evaluate, placed, options, output)))


@options_of_verb(training_verbs.train)
def train(data: AnyPath, output: AnyPath | None = None, **options: Any) -> TrainResult:
    """Train a classifier in a run folder; the same call continues an interrupted run.

    For sounds in memory, or without a run folder, use :class:`semisonic.SoundClassifier`.

    Parameters
    ----------
    data : path
        Labelled clips: a folder of class folders, a CSV, a data set, or ``"synth"``.
    output : path, optional
        Run folder; ``runs/train`` by default.
    **options
        As for ``semisonic train``: ``unlabelled``, ``method``, ``model``, ``encoder``, ``epochs``,
        ``n_mels``, ``augment``, ...

    Returns
    -------
    TrainResult
        ``model`` is the model file, ``to_frame()`` has a row per epoch.

    Raises
    ------
    OptionError
        For an unknown option or a wrong value, or when the folder belongs to another run.
    DataError
        When there are too few labels, or nothing can be read.

    Examples
    --------
    >>> result = train("labelled", "runs/first", method="supervised", encoder="none", epochs=2)
    >>> result.model.name
    'model.zip'
    >>> list(result.to_frame()["epoch"])
    [1, 2]
    """
    from semisonic.classifier.train import train

    return train(with_synth(_options(training_verbs.train, {"data": data}, options, output)))


@options_of_verb(training_verbs.find_rate)
def find_rate(data: AnyPath, output: AnyPath | None = None, **options: Any) -> FindRateResult:
    """Try learning rates in a short training, which is discarded.

    Parameters
    ----------
    data, output
        As for :func:`train`; the run folder is ``runs/find-rate`` by default.
    **options
        As for ``semisonic find-rate``: the options of :func:`train` and of the sweep.

    Returns
    -------
    FindRateResult
        ``sweep.suggestion`` is the learning rate; ``to_frame()`` has a row per step.

    Raises
    ------
    OptionError, DataError
        As for :func:`train`.

    Examples
    --------
    >>> options = {"method": "supervised", "encoder": "none", "duration": 0.5}
    >>> result = find_rate("labelled", "runs/rates", **options)
    >>> 1e-6 < result.sweep.suggestion < 10
    True
    """
    from semisonic.classifier.find_rate import find_rate

    return find_rate(
        with_synth(_options(training_verbs.find_rate, {"data": data}, options, output))
    )


@options_of_verb(training_verbs.pretrain)
def pretrain(data: AnyPath, output: AnyPath | None = None, **options: Any) -> PretrainResult:
    """Pre-train an encoder on recordings without labels, in a run folder.

    Parameters
    ----------
    data : path
        Recordings: a folder, a CSV, a data set.
    output : path, optional
        Run folder; ``runs/pretrain`` by default.
    **options
        As for ``semisonic pretrain``: ``objective``, ``model``, ``epochs``, ``n_mels``, ...

    Returns
    -------
    PretrainResult
        ``encoder`` is the file for ``encoder=`` of :func:`train`; ``to_frame()`` has a row per
        epoch.

    Raises
    ------
    OptionError
        For an unknown option or a wrong value, or when the folder belongs to another run.
    DataError
        When nothing can be read.

    Examples
    --------
    >>> result = pretrain("recordings", "runs/encoder", duration=0.5, epochs=2)
    >>> result.encoder.exists()
    True
    """
    from semisonic.classifier.pretrain import pretrain

    return pretrain(with_synth(_options(training_verbs.pretrain, {"data": data}, options, output)))


@options_of_verb(training_verbs.calibrate)
def calibrate(
    model: AnyPath, data: AnyPath, output: AnyPath | None = None, **options: Any
) -> CalibrateResult:
    """Calibrate a classifier's scores, and write a new model file.

    Parameters
    ----------
    model : path
        A model file or a run folder.
    data : path
        Labelled clips that the model was not trained on.
    output : path, optional
        Run folder; ``runs/calibrate`` by default.
    **options
        As for ``semisonic calibrate``: ``precision``, ``method``, ``unknown``, ...

    Returns
    -------
    CalibrateResult
        ``model`` is the new file, ``to_frame()`` has a row per class.

    Raises
    ------
    OptionError, DataError, ModelError
        As for :func:`evaluate`.

    Examples
    --------
    >>> result = calibrate("runs/tones", "later", "runs/calibrated")
    >>> list(result.to_frame()["class"])
    ['noise', 'tone']
    """
    from semisonic.classifier.calibrate import calibrate

    placed = {"model": _file(model, "use its method calibrate()"), "data": data}
    return calibrate(with_synth(_options(training_verbs.calibrate, placed, options, output)))


@options_of_verb(data_verbs.scan)
def scan(data: AnyPath, output: AnyPath | None = None, **options: Any) -> ScanResult:
    """Decode every recording below a folder once: lengths, levels, times, sites, copies, damage.

    Parameters
    ----------
    data : path
        The folder.
    output : path, optional
        Run folder; ``runs/scan`` by default.
    **options
        As for ``semisonic scan``: ``group``, ``labels``, ``silence_db``, ``near_copies``, ...

    Returns
    -------
    ScanResult
        ``to_frame()`` has a row per recording.

    Raises
    ------
    OptionError
        For an unknown option or a wrong value, or when the folder belongs to another run.
    DataError
        When the folder contains no recording.

    Examples
    --------
    >>> table = scan("recordings", "runs/recordings").to_frame()
    >>> list(table["duration"])
    [2.0, 2.0, 2.0]
    """
    from semisonic.classifier.scan import scan

    return scan(**_values(data_verbs.scan, {"data": data}, options, output))


@options_of_verb(training_verbs.suspects)
def suspects(data: AnyPath, output: AnyPath | None = None, **options: Any) -> SuspectsResult:
    """Find labels that look wrong, for you to check; no label is changed.

    Parameters
    ----------
    data : path
        Labelled clips.
    output : path, optional
        Run folder; ``runs/suspects`` by default.
    **options
        As for ``semisonic suspects``: ``folds``, ``repeats``, ``most``, ...

    Returns
    -------
    SuspectsResult
        ``to_frame()`` has a row per suspect, the most suspicious first.

    Raises
    ------
    OptionError
        For an unknown option or a wrong value, or when the folder belongs to another run.
    DataError
        When there are no labels, or only one class.

    Examples
    --------
    >>> result = suspects("labelled", "runs/suspects", folds=2, repeats=1)
    >>> len(result.to_frame()) <= 28
    True
    """
    from semisonic.classifier.suspects import suspects

    return suspects(with_synth(_options(training_verbs.suspects, {"data": data}, options, output)))


@options_of_verb(experiment_verbs.curve)
def curve(data: AnyPath, output: AnyPath | None = None, **options: Any) -> CurveResult:
    """Measure accuracy against the number of labels, with and without unlabelled recordings.

    Parameters
    ----------
    data : path
        Labelled clips.
    output : path, optional
        Run folder; ``runs/curve`` by default.
    **options
        As for ``semisonic curve``: ``unlabelled``, ``labels``, ``draws``, ``folds``, ...

    Returns
    -------
    CurveResult
        ``answers`` has sentences, ``to_frame()`` is the table.

    Raises
    ------
    OptionError
        For an unknown option or a wrong value, or when the folder belongs to another run.
    DataError
        When a class has fewer labels than requested.

    Examples
    --------
    ::

        curve("labelled", "runs/curve", unlabelled="recordings", labels=[2, 4, 8]).to_frame()
    """
    from semisonic.experiments.curve import learning_curve

    return learning_curve(_options(experiment_verbs.curve, {"data": data}, options, output))


@options_of_verb(experiment_verbs.run)
def run_recipe(recipe: AnyPath, output: AnyPath | None = None, **options: Any) -> RunResult:
    """Run a recipe: an experiment with its report. The same call continues an interrupted run.

    Parameters
    ----------
    recipe : str or path
        A recipe file, or the name of one that comes with the package.
    output : path, optional
        Run folder; ``runs/experiment`` by default.
    **options
        As for ``semisonic run``: ``data``, ``unlabelled``, ``quick``, ``change``, ...

    Returns
    -------
    RunResult
        ``verdicts`` has sentences, ``to_frame()`` is the table.

    Raises
    ------
    OptionError, DataError
        For a wrong recipe, options of another run in the same folder, unusable data.

    Examples
    --------
    >>> result = run_recipe("recipe.toml", "runs/experiment", data="labelled", workers=1)
    >>> sorted(set(result.to_frame()["setting"]))
    ['un-pooling', 'up-sampling']
    """
    from semisonic.experiments.run import run_recipe

    return run_recipe(_options(experiment_verbs.run, {"recipe": str(recipe)}, options, output))


@options_of_verb(experiment_verbs.tune)
def tune(recipe: AnyPath, output: AnyPath | None = None, **options: Any) -> TuneResult:
    """Search over a recipe's options by results on training clips only.

    Parameters
    ----------
    recipe : str or path
        A recipe file, or the name of one that comes with the package.
    output : path, optional
        Run folder; ``runs/tune`` by default.
    **options
        As for ``semisonic tune``: ``data``, ``trials``, ``search``, ``sampler``, ...

    Returns
    -------
    TuneResult
        ``best`` has the values, and ``command`` is the command that measures them; ``to_frame()``
        is the table.

    Raises
    ------
    OptionError, DataError
        For a wrong recipe or space, options of another run in the same folder, unusable data,
        or a missing package optuna.

    Examples
    --------
    ::

        search = ["setting.fit.learning_rate=1e-4..1e-2 log"]
        tune("tune-demo", "runs/tuned", data="labelled", search=search, trials=20).best
    """
    from semisonic.experiments.tune import tune

    return tune(_options(experiment_verbs.tune, {"recipe": str(recipe)}, options, output))


def _options(
    verb: Verb, placed: dict[str, Any], given: dict[str, Any], output: AnyPath | None
) -> Any:
    """The options of a verb."""
    found = {**placed, **({} if output is None else {"output": output}), **given}
    return options_of(verb.options_class, values_of(found, flags_in_python(verb)))


def _values(verb: Verb, *given: Any) -> dict[str, Any]:
    """The options of a verb without groups, by name, with defaults for those not given."""
    options = _options(verb, *given)
    return {flag.name: getattr(options, flag.name) for flag in flags_in_python(verb)}


def _file(model: Any, instead: str) -> AnyPath:
    """The path of a model; OptionError for anything else."""
    if not isinstance(model, (str, PathLike)):
        raise OptionError(
            f"model: found a {type(model).__name__} in memory, expected the path of a model file "
            f"or a run folder; save it first, or {instead}"
        )
    return model
