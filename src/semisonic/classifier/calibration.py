"""Fit a model's decision on other clips: calibration, thresholds, unknown sounds.

Temperature and vector scaling: Guo et al., "On calibration of modern neural networks", ICML 2017.
Held-out clips are few, so we differ in two points: targets are moved away from 0 and 1 by the rule
of succession (Platt, 1999), and a Gaussian prior keeps the scales and offsets of vector scaling
near temperature scaling.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from semisonic.classifier.config import SOLVED, TrainConfig
from semisonic.classifier.prepare import FeatureRows
from semisonic.classifier.probe import crossed_logits
from semisonic.classifier.provenance import (
    DataPart,
    overlaps,
    recording_hashes,
    recording_prints,
    refuse_seen,
)
from semisonic.classifier.scoring import NetworkOutputs, audible_windows, mean_by, network_outputs
from semisonic.classifier.selection import as_classes_of, targets_of
from semisonic.classifier.sounds import Sounds
from semisonic.classifier.training import TrainingData
from semisonic.classifier.unknown import PoolSounds, features_of_noise, fit_unknown, pool_rows
from semisonic.core.errors import DataError, OptionError
from semisonic.core.options import nearest
from semisonic.core.seeds import derive
from semisonic.data.clips import Clips
from semisonic.evaluation.calibration import MISSED, SHOWN, TOO_FEW, class_thresholds
from semisonic.models.decision import (
    KNOWN_THRESHOLD,
    METHODS,
    NONE,
    TEMPERATURE,
    VECTOR,
    Calibration,
    Decision,
    DecisionModule,
)
from semisonic.models.sound_model import SoundModel

Table = NDArray[np.float64]
Splits = list[tuple[NDArray[np.int64], NDArray[np.int64]]]

AUTO = "auto"
ROLE = "calibration"
"""The name in a model's provenance of the clips that calibrated it."""
MIN_CLIPS = 20
"""The least number of clips for a calibration."""
LEAST_KNOWN = 8
"""The least number of labelled clips for a probe to get rules for unknown sounds."""
_FOLDS = 5
_TEMPERATURES = (0.05, 50.0)
_TINY = 1e-12


def fit_calibration(
    method: str,
    logits: ArrayLike,
    target: ArrayLike,
    *,
    weights: ArrayLike | None = None,
) -> Calibration:
    """Fit one calibration.

    Parameters
    ----------
    method : {"none", "temperature", "vector"}
    logits : array, shape (n, n_classes)
        Of clips that the model was not trained on.
    target : array
        Class numbers (n,), or 0 and 1, (n, n_classes), with several labels per clip.
    weights : array, shape (n,), optional
        Weight of each row, such as one over the number of windows of its clip.

    Raises
    ------
    OptionError
        For an unknown method.
    """
    if method not in (NONE, *METHODS):
        raise OptionError(f"calibration: found '{method}'; {nearest(method, (NONE, *METHODS))}")
    if method == NONE:
        return Calibration()
    table, truth = np.asarray(logits, np.float64), np.asarray(target)
    weight = np.ones(len(table)) if weights is None else np.asarray(weights, np.float64)
    several = truth.ndim == 2
    soft = _softened(truth, weight, table.shape[1])

    def loss(log_t: float) -> float:
        return _total_loss(table * np.exp(-log_t), soft, weight, several)[0]

    ends = (float(np.log(_TEMPERATURES[0])), float(np.log(_TEMPERATURES[1])))
    found = minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-6})
    scale = float(1.0 / np.exp(found.x))
    if method == TEMPERATURE:
        return Calibration(TEMPERATURE, (scale,), (0.0,))

    def loss_and_slope(numbers: Table) -> tuple[float, Table]:
        change, offset = np.split(numbers, 2)
        scales = scale * np.exp(change)
        value, slope = _total_loss(table * scales + offset, soft, weight, several)
        slopes = np.concatenate([(slope * table).sum(axis=0) * scales, slope.sum(axis=0)])
        return value + 0.5 * float(numbers @ numbers), slopes + numbers

    start = np.zeros(2 * table.shape[1])
    change, offset = np.split(minimize(loss_and_slope, start, jac=True, method="L-BFGS-B").x, 2)
    return Calibration(VECTOR, tuple((scale * np.exp(change)).tolist()), tuple(offset.tolist()))


def calibrated(calibration: Calibration, logits: ArrayLike, *, multi_label: bool) -> Table:
    """Scores with a calibration, shape (n, n_classes), as a model with it gives them."""
    module = DecisionModule(Decision(calibration), multi_label=multi_label)
    with torch.no_grad():
        scores: Table = module.calibrated(torch.tensor(np.asarray(logits, np.float64))).numpy()
    return scores


class CalibrationChoice(NamedTuple):
    """A calibration, and its performance on other clips.

    Attributes
    ----------
    calibration : Calibration
        Fitted on all clips.
    losses : dict of str to float
        Log loss of each method on clips it was not fitted on; "none" is without calibration.
    scores : ndarray, shape (n, n_classes)
        Scores of each clip, by this method fitted on other recordings.
    """

    calibration: Calibration
    losses: dict[str, float]
    scores: Table


def choose_calibration(
    logits: ArrayLike,
    target: ArrayLike,
    groups: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    methods: Sequence[str] = METHODS,
    seed: int = 0,
) -> CalibrationChoice:
    """Choose a calibration by log loss on recordings that it was not fitted on.

    Temperature scaling must beat no calibration. Vector scaling has many more numbers to fit, and
    changes answers. So it must beat temperature scaling by more than the standard error of the
    difference over recordings, in log loss and in right answers, and each class must have a
    recording in every fold.

    Parameters
    ----------
    groups : array, shape (n,)
        The recording of each row.
    methods : sequence of str
        The methods to choose from; a single one is used without a choice.

    Raises
    ------
    DataError
        If there are fewer than two recordings.
    """
    table, truth = np.asarray(logits, np.float64), np.asarray(target)
    weight = np.ones(len(table)) if weights is None else np.asarray(weights, np.float64)
    several = truth.ndim == 2
    found = {NONE: calibrated(Calibration(), table, multi_label=several)}
    for method in methods:
        scores = np.zeros(table.shape)
        for rows, others in recording_folds(truth, groups, seed):
            fitted = fit_calibration(method, table[rows], truth[rows], weights=weight[rows])
            scores[others] = calibrated(fitted, table[others], multi_label=several)
        found[method] = scores
    losses = {name: _losses(scores, truth) for name, scores in found.items()}
    best = methods[0] if len(methods) == 1 else NONE
    owner = np.unique(np.asarray(groups), return_inverse=True)[1]
    for name in methods if len(methods) > 1 else ():
        gain = np.bincount(owner, weight * (losses[best] - losses[name]))
        if name == TEMPERATURE:
            best = name if gain.sum() > 0.0 else best
            continue
        right = _right(found[name], truth) - _right(found[best], truth)
        answers = np.bincount(owner, weight * right)
        if _exceeds_error(gain) and _exceeds_error(answers) and _in_all_folds(truth, owner):
            best = name
    whole = fit_calibration(best, table, truth, weights=weight)
    means = {name: float(np.average(values, weights=weight)) for name, values in losses.items()}
    return CalibrationChoice(whole, means, found[best])


def _right(scores: Table, truth: NDArray[Any]) -> Table:
    """Whether each row has the right answer; with several labels, the share of the classes."""
    if truth.ndim == 2:
        return np.asarray(((scores >= 0.5) == (truth > 0)).mean(axis=1), np.float64)
    return np.asarray(scores.argmax(axis=1) == truth, np.float64)


def _exceeds_error(gain: NDArray[Any]) -> bool:
    """Whether the sum of what recordings gain is larger than its standard error."""
    return bool(gain.sum() > np.std(gain, ddof=1) * np.sqrt(len(gain)))


def _in_all_folds(truth: NDArray[Any], owner: NDArray[np.int64]) -> bool:
    """Whether each class has as many recordings as there are folds."""
    several = truth if truth.ndim == 2 else np.eye(int(truth.max()) + 1)[truth]
    counts = [len(np.unique(owner[column > 0])) for column in several.T]
    return min(counts) >= _FOLDS


def recording_folds(truth: NDArray[Any], groups: ArrayLike, seed: int) -> Splits:
    """Folds of whole recordings, with classes as even as possible."""
    owner = np.unique(np.asarray(groups), return_inverse=True)[1]
    n_groups = int(owner.max()) + 1
    if n_groups < 2:
        raise DataError(
            f"calibration: found clips of {n_groups} recording, expected clips of at least 2"
        )
    folds, state = min(_FOLDS, n_groups), derive(seed, "calibration") % 2**32
    rows = np.zeros(len(owner))
    if truth.ndim == 2 or np.bincount(truth).max() < folds:
        kept = GroupKFold(folds, shuffle=True, random_state=state)
        return list(kept.split(rows, groups=owner))
    even = StratifiedGroupKFold(folds, shuffle=True, random_state=state)
    with warnings.catch_warnings():
        # A class of fewer clips than folds: they are spread as far as they go, as is wanted.
        warnings.filterwarnings("ignore", message="The least populated class")
        return [(a, b) for a, b in even.split(rows, truth, owner) if len(a) and len(b)]


def _losses(scores: Table, truth: NDArray[Any]) -> Table:
    """Log loss of each row; with several labels the mean over classes."""
    safe = np.clip(scores, _TINY, 1.0 - _TINY)
    if truth.ndim == 1:
        return np.asarray(-np.log(safe[np.arange(len(truth)), truth]))
    return np.asarray(-np.where(truth, np.log(safe), np.log1p(-safe)).mean(axis=1))


def _softened(truth: NDArray[Any], weight: Table, n_classes: int) -> Table:
    """Targets that are less certain than 0 and 1, for few clips."""
    if truth.ndim == 2:
        truth = truth.astype(np.bool_)
        yes, no = weight @ truth, weight @ ~truth
        return np.asarray(np.where(truth, (yes + 1) / (yes + 2), 1 / (no + 2)))
    rest = 1.0 / (weight.sum() + 2.0)
    soft = np.full((len(truth), n_classes), rest / max(n_classes - 1, 1))
    soft[np.arange(len(truth)), truth] = 1.0 - rest
    return soft


def _total_loss(z: Table, soft: Table, weight: Table, several: bool) -> tuple[float, Table]:
    """Summed loss, and its derivative by ``z``, shape (n, n_classes)."""
    if several:
        loss, slope = np.logaddexp(0.0, z) - soft * z, expit(z) - soft
    else:
        logs = log_softmax(z, axis=1)
        loss, slope = -soft * logs, np.exp(logs) - soft
    return float((weight[:, None] * loss).sum()), weight[:, None] * slope


@dataclass(frozen=True)
class DecisionFit:
    """A decision, and its performance on clips that it was not fitted on.

    Attributes
    ----------
    decision : Decision
    clips : Clips
        The clips that it was fitted on, with the classes in the model's order.
    target : ndarray
        Their class numbers (n_clips,), or 0 and 1, (n_clips, n_classes).
    before, after : ndarray, shape (n_clips, n_classes)
        Scores of the network alone; scores with a decision fitted on other recordings.
    known : ndarray, shape (n_clips,)
        How known the clips are, by rules fitted on other recordings.
    losses : mapping of str to float
        Log loss of each method of calibration, on recordings it was not fitted on.
    thresholds : DataFrame
        From :func:`class_thresholds`, with the column ``class`` first; empty if none were asked
        for.
    """

    decision: Decision
    clips: Clips
    target: NDArray[Any]
    before: Table
    after: Table
    known: Table
    losses: Mapping[str, float]
    thresholds: pd.DataFrame


def fit_decision(
    model: SoundModel,
    prepared: FeatureRows,
    rows: ArrayLike,
    clips: Clips,
    *,
    method: str = AUTO,
    unknown: bool = True,
    precision: float | None = 0.9,
    kept: float = 0.95,
    learned: ArrayLike | None = None,
    pool: ArrayLike = (),
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> DecisionFit:
    """Fit calibration, rules for unknown sounds, and thresholds, in this order.

    Parameters
    ----------
    model : SoundModel
        On ``device``; it is not changed.
    prepared : FeatureRows
    rows : array of int
        Rows of features of clips that the model was not trained on.
    clips : Clips
        The table that ``prepared`` was made from.
    method : {"auto", "temperature", "vector", "none"}
    unknown : bool
        Whether to fit rules for unknown sounds: one of distance and one against noise.
    precision : float, optional
        See :func:`semisonic.evaluation.calibration.class_thresholds`; without a precision, no
        thresholds are fitted.
    kept : float
        Share of known clips that should not be called unknown.
    learned : array of int, optional
        Rows of features of the clips that the model was trained on, if available.
    pool : array of int
        Rows of features of sounds without labels.
    seed : int
        Seed of folds and of synthetic noise.

    Raises
    ------
    DataError
        If the clips are too few, or come from one recording.
    """
    index, several, n_classes = np.asarray(rows, np.int64), model.multi_label, len(model.classes)
    used, owner = np.unique(prepared.source[index], return_inverse=True)
    of_all, clips = targets_of(clips, multi_label=several), clips[used]
    n_recordings = len(np.unique(clips.group))
    if len(clips) < MIN_CLIPS or n_recordings < 2:
        raise DataError(
            f"calibration: found {len(clips)} clips of {n_recordings} recordings, expected at "
            f"least {MIN_CLIPS} clips of 2 recordings; a few hundred clips are advisable"
        )
    target = of_all[used]
    outputs = network_outputs(model, prepared.features, index, device=device)
    groups = clips.group[owner]
    chosen = choose_calibration(
        outputs.logits,
        target[owner],
        groups,
        weights=1.0 / np.bincount(owner)[owner],
        seed=seed,
        methods=METHODS if method == AUTO else (method,),
    )
    decision = Decision(chosen.calibration)
    known, no_noise = np.ones((2, len(owner)))
    if unknown:
        noise, places = features_of_noise(model.mel, seed=2 * seed), None
        if learned is not None:
            rows = np.asarray(learned, np.int64)
            of_rows = network_outputs(model, prepared.features, rows, device=device).embeddings
            places = of_rows, of_all[prepared.source[rows]]
        heard = np.flatnonzero(audible_windows(prepared.is_silent[index]))
        found, known[heard], no_noise[heard] = fit_unknown(
            NetworkOutputs(*(table[heard] for table in outputs)),
            calibrated(chosen.calibration, outputs.logits[heard], multi_label=several),
            target[owner][heard],
            network_outputs(model, noise, np.arange(len(noise)), device=device).statistics,
            recording_folds(target[owner][heard], groups[heard], seed),
            learned=places,
            pool=_pool_sounds(
                model,
                prepared,
                np.asarray(pool, np.int64),
                index if learned is None else np.r_[index, np.asarray(learned, np.int64)],
                chosen.calibration,
                device,
            ),
            kept=kept,
        )
        decision = replace(decision, unknown=found)
    plain = calibrated(Calibration(), outputs.logits, multi_label=several)
    of_windows = DecisionModule(decision, multi_label=several).tempered(
        torch.from_numpy(chosen.scores), torch.from_numpy(no_noise)
    )
    before, after, clip_known = (
        mean_by(owner, table)[1] for table in (plain, of_windows.numpy(), known[:, None])
    )
    note: dict[str, Any] = {
        "clips": len(clips),
        "recordings": n_recordings,
        "known clips that pass": round(float((clip_known >= 0.5).mean()), 4),
    }
    limits = pd.DataFrame()
    if precision is not None:
        least = decision.least_threshold(n_classes, multi_label=several)
        hot = target if several else np.eye(n_classes)[target]
        limits = class_thresholds(
            hot, after, clips.group, precision=precision, least=least, seed=seed
        )
        limits.insert(0, "class", pd.Series(model.classes, dtype=object))
        named = dict(zip(model.classes, limits["threshold"].tolist(), strict=True))
        decision = replace(decision, thresholds=named)
        note |= {
            "wanted precision": precision,
            "classes for which it is shown": int((limits["outcome"] == SHOWN).sum()),
            "classes for which it is not reached": int((limits["outcome"] == MISSED).sum()),
            "classes with too few recordings": int((limits["outcome"] == TOO_FEW).sum()),
        }
    decision = replace(decision, note=note)
    return DecisionFit(
        decision, clips, target, before, after, clip_known[:, 0], chosen.losses, limits
    )


def _pool_sounds(
    model: SoundModel,
    prepared: FeatureRows,
    pool: NDArray[np.int64],
    known: NDArray[np.int64],
    calibration: Calibration,
    device: str | torch.device = "cpu",
) -> PoolSounds | None:
    """The sounds of a pool for the rule of distance; None without a pool."""
    heard = pool[audible_windows(prepared.is_silent[pool])]
    rows = pool_rows(heard, prepared.group, known)
    if not len(rows):
        return None
    found = network_outputs(model, prepared.features, rows, device=device)
    scores = calibrated(calibration, found.logits, multi_label=model.multi_label)
    return PoolSounds(np.asarray(found.embeddings, np.float64), scores)


# The validation clips also chose the epoch, so the network does a little better on them than on
# others. One temperature can hardly learn that by heart; vector scaling and thresholds could, so
# they are left to ``calibrate``, on clips of their own.
LATER = "run 'semisonic calibrate' with clips that the model was not trained on"


def decide_after_training(
    model: SoundModel,
    prepared: FeatureRows,
    data: TrainingData,
    clips: Clips,
    how: TrainConfig,
    seed: int,
) -> str:
    """Give a newly trained model its decision, if there are enough clips; return a message.

    Validation clips calibrate the scores. A probe that learned from all labels gets only the rules
    for unknown sounds: five class layers, each found without a fifth of the recordings, give their
    limits.

    Parameters
    ----------
    model : SoundModel
        On the CPU; its ``decision`` is replaced by the new one.
    prepared : FeatureRows
    data : TrainingData
        What it was trained on, and the validation part.
    clips : Clips
        The table that ``prepared`` was made from.
    how : TrainConfig
        The configuration of the training.
    seed : int
    """
    n = prepared.n_clips(data.validation)
    n_recordings = len(np.unique(clips.group[prepared.source[data.validation]]))
    if n >= MIN_CLIPS and n_recordings > 1:
        found = fit_decision(
            model,
            prepared,
            data.validation,
            clips,
            method=TEMPERATURE,
            precision=None,
            learned=data.labelled,
            pool=data.pool,
            seed=seed,
        ).decision
        note = {**found.note, "fitted on": "validation clips, which also chose the epoch"}
        model.decision = replace(found, note=note)
        return (
            f"scores are calibrated on {n} validation clips ({found.calibration.text()}), with "
            f"rules for unknown sounds; for thresholds, {LATER}"
        )
    said = (
        f"scores are not calibrated: found {n} validation clips of {n_recordings} "
        f"{'recording' if n_recordings == 1 else 'recordings'}, expected at least {MIN_CLIPS} "
        f"clips of 2 recordings; to calibrate them, {LATER}"
    )
    rows = data.labelled[audible_windows(prepared.is_silent[data.labelled])]
    owner = prepared.source[rows]
    enough = len(np.unique(owner)) >= LEAST_KNOWN and len(np.unique(clips.group[owner])) > 1
    if how.method not in SOLVED or not enough:
        return said
    target = data.target[rows]
    splits = recording_folds(target, clips.group[owner], seed)
    outputs = network_outputs(model, prepared.features, rows)
    logits = crossed_logits(
        model, prepared.features, data.target, rows, data.pool, how.method_params, splits
    )
    noise = features_of_noise(model.mel, seed=2 * seed)
    rules, known, _ = fit_unknown(
        outputs,
        calibrated(Calibration(), logits, multi_label=model.multi_label),
        target,
        network_outputs(model, noise, np.arange(len(noise))).statistics,
        splits,
        pool=_pool_sounds(model, prepared, data.pool, rows, Calibration()),
    )
    passing = mean_by(owner, known[:, None])[1]
    note = {
        "clips": len(passing),
        "known clips that pass": round(float((passing >= KNOWN_THRESHOLD).mean()), 4),
        "fitted on": "training clips, with class layers found without their recordings",
    }
    model.decision = Decision(unknown=rules, note=note)
    return f"{said}. Rules for unknown sounds: fitted on {len(passing)} training clips"


def calibrate_model(
    model: SoundModel,
    sounds: Sounds,
    about: MutableMapping[str, Any],
    *,
    cache: Path,
    method: str,
    precision: float,
    unknown: bool,
    seed: int,
    workers: int | None = None,
) -> None:
    """Give a model a decision fitted on labelled sounds; note them in ``about``.

    Raises
    ------
    DataError
        For sounds without labels, with unknown labels or of training files, or for too few sounds.
    """
    if not sounds.clips.is_labelled.all():
        raise DataError("calibration: some sounds have no label; expected one for each sound")
    clips, _ = as_classes_of(sounds.clips, model.classes)
    part = {}
    if sounds.waves is None:
        hashes = recording_hashes(clips, workers=workers)
        seen = [found for found in overlaps(clips, hashes, about) if found.role != ROLE]
        refuse_seen(seen, "these sounds cannot calibrate: {}; use other recordings")
        prints = recording_prints(clips, workers=workers)
        part = {ROLE: DataPart.of(clips, hashes, prints).to_dict()}
    prepared = sounds.prepare(model.mel, cache, workers)
    model.decision = fit_decision(
        model.to("cpu"),
        prepared,
        np.arange(len(prepared)),
        clips,
        method=method,
        precision=precision,
        unknown=unknown,
        seed=seed,
    ).decision
    about.pop(ROLE, None)
    about.update(part)
