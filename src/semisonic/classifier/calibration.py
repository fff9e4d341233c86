"""Fitting a model's decision on clips it was not trained on: calibration, thresholds, unknown
sounds.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, softmax
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from semisonic.classifier import unknown as rules
from semisonic.classifier.prepare import Prepared
from semisonic.classifier.provenance import (
    WITH_LABELS,
    DataPart,
    Overlap,
    overlaps,
    recording_hashes,
)
from semisonic.classifier.scoring import mean_by, network_outputs, statistics_of_rows
from semisonic.classifier.selection import as_classes_of, targets_of
from semisonic.classifier.sounds import Sounds
from semisonic.classifier.unknown import features_of_noise
from semisonic.core.errors import DataError, OptionError
from semisonic.core.options import nearest
from semisonic.core.seeds import derive
from semisonic.data.clips import Clips
from semisonic.evaluation.calibration import MISSED, SHOWN, ClassThreshold, class_thresholds
from semisonic.evaluation.metrics import as_classes, as_scores, as_targets, same_length
from semisonic.models.decision import (
    ISOTONIC,
    METHODS,
    NONE,
    TEMPERATURE,
    VECTOR,
    Calibration,
    Decision,
    Knots,
)
from semisonic.models.decision_module import DecisionModule
from semisonic.models.sound_model import SoundModel

# Fitting what makes probabilities mean what they say, on clips that were not trained on.
#
# Temperature and vector scaling: Guo et al., "On calibration of modern neural networks", ICML 2017.
# Isotonic, class by class: Zadrozny and Elkan, "Transforming classifier scores into accurate
# multiclass probability estimates", KDD 2002. Held-out clips are few, so we differ in three points:
# targets are not quite 0 and 1 but as far from them as the rule of succession says (Platt, 1999),
# scales and offsets of vector scaling are held near temperature scaling by a Gaussian prior, and
# isotonic probabilities end short of 0 and 1.


ScoreTable = NDArray[np.float64]

FOLDS = 5
_TEMPERATURES = (0.05, 50.0)
_TINY = 1e-12


@dataclass(frozen=True)
class CalibrationChoice:
    """A calibration, and how it would do on other clips.

    Attributes
    ----------
    calibration : Calibration
        Fitted on all clips.
    losses : dict of str to float
        Log loss of each method on clips it was not fitted on; "none" is without calibration.
    scores : ndarray, shape (n, n_classes)
        Of each clip, by this method fitted on other recordings.
    """

    calibration: Calibration
    losses: dict[str, float]
    scores: ScoreTable


def fit_calibration(
    method: str,
    logits: ArrayLike,
    target: ArrayLike,
    *,
    multi_label: bool = False,
    weights: ArrayLike | None = None,
) -> Calibration:
    """Fit one calibration.

    Parameters
    ----------
    method : {"none", "temperature", "vector", "isotonic"}
    logits : array, shape (n, n_classes)
        Of clips that were not trained on.
    target : array
        Class numbers (n,), or 0 and 1, (n, n_classes), with several labels per clip.
    weights : array, shape (n,), optional
        How much each row counts, such as one over the number of windows of its clip.

    Raises
    ------
    DataError
        For tables that do not fit each other.
    """
    table, truth = _checked(logits, target, multi_label)
    weight = np.ones(len(table)) if weights is None else np.asarray(weights, np.float64)
    same_length(logits=table, weights=weight)
    if method == NONE:
        return Calibration()
    if method == ISOTONIC:
        return Calibration(ISOTONIC, knots=_isotonic(table, truth, weight, multi_label))
    scale = 1.0 / _temperature(table, truth, weight, multi_label)
    if method == TEMPERATURE:
        return Calibration(TEMPERATURE, (scale,), (0.0,))
    if method == VECTOR:
        scales, offsets = _vector(table, truth, weight, multi_label, scale)
        return Calibration(VECTOR, tuple(scales.tolist()), tuple(offsets.tolist()))
    raise OptionError(f"calibration: found '{method}'; {nearest(method, (NONE, *METHODS))}")


def calibrated(calibration: Calibration, logits: ArrayLike, *, multi_label: bool) -> ScoreTable:
    """Scores by a calibration, shape (n, n_classes), as the model that has it gives them."""
    module = DecisionModule(Decision(calibration), multi_label=multi_label)
    with torch.no_grad():
        scores: ScoreTable = module.calibrated(torch.tensor(np.asarray(logits, np.float64))).numpy()
    return scores


def choose_calibration(
    logits: ArrayLike,
    target: ArrayLike,
    groups: ArrayLike,
    *,
    multi_label: bool = False,
    weights: ArrayLike | None = None,
    methods: Sequence[str] = METHODS,
    seed: int = 0,
) -> CalibrationChoice:
    """Choose by log loss on recordings that a calibration was not fitted on.

    Temperature scaling must beat no calibration. Vector scaling and isotonic have many more
    numbers to fit, so each must beat the one before by more than the standard error of the
    difference over recordings.

    Parameters
    ----------
    groups : array, shape (n,)
        The recording of each row.
    methods : sequence of str
        Which to choose from; a single one is taken as it is.

    Raises
    ------
    DataError
        With fewer than two recordings.
    """
    table, truth = _checked(logits, target, multi_label)
    owner = np.unique(np.asarray(groups), return_inverse=True)[1]
    same_length(logits=table, groups=owner)
    weight = np.ones(len(table)) if weights is None else np.asarray(weights, np.float64)
    found: dict[str, ScoreTable] = {NONE: calibrated(Calibration(), table, multi_label=multi_label)}
    splits = _splits(truth, owner, multi_label, seed)
    for method in methods:
        if method == NONE:
            continue
        scores = np.zeros(table.shape)
        for rows, others in splits:
            fitted = fit_calibration(
                method, table[rows], truth[rows], multi_label=multi_label, weights=weight[rows]
            )
            scores[others] = calibrated(fitted, table[others], multi_label=multi_label)
        found[method] = scores
    loss = {name: _losses(scores, truth, multi_label) for name, scores in found.items()}
    best = methods[0] if len(methods) == 1 else _best(loss, owner, weight)
    whole = fit_calibration(best, table, truth, multi_label=multi_label, weights=weight)
    means = {name: float(np.average(values, weights=weight)) for name, values in loss.items()}
    return CalibrationChoice(whole, means, found[best])


def _best(loss: dict[str, NDArray[np.float64]], owner: Any, weight: Any) -> str:
    best = NONE
    for name in METHODS:
        if name not in loss:
            continue
        gain = np.bincount(owner, weight * (loss[best] - loss[name]))
        error = np.std(gain, ddof=1) * np.sqrt(len(gain)) if name != TEMPERATURE else 0.0
        if gain.sum() > error:
            best = name
    return best


def _splits(truth: Any, owner: Any, multi_label: bool, seed: int) -> list[tuple[Any, Any]]:
    n_groups = len(np.unique(owner))
    if n_groups < 2:
        raise DataError(f"calibration: found clips of {n_groups} recording, expected at least 2")
    folds, state = min(FOLDS, n_groups), derive(seed, "calibration") % 2**32
    rows = np.zeros(len(owner))
    if multi_label or np.bincount(truth).max() < folds:
        kept = GroupKFold(folds, shuffle=True, random_state=state)
        return list(kept.split(rows, groups=owner))
    even = StratifiedGroupKFold(folds, shuffle=True, random_state=state)
    with warnings.catch_warnings():
        # A class of fewer clips than folds: they are spread as far as they go, as is wanted.
        warnings.filterwarnings("ignore", message="The least populated class")
        found = [(a, b) for a, b in even.split(rows, truth, owner) if len(b)]
    return [(a, b) for a, b in found if len(a)]


def _losses(scores: ScoreTable, truth: Any, multi_label: bool) -> NDArray[np.float64]:
    """Log loss of each row; with several labels the mean over classes."""
    safe = np.clip(scores, _TINY, 1.0 - _TINY)
    if not multi_label:
        return np.asarray(-np.log(safe[np.arange(len(truth)), truth]))
    return np.asarray(-np.where(truth, np.log(safe), np.log1p(-safe)).mean(axis=1))


def _softened(truth: Any, weight: Any, n_classes: int, multi_label: bool) -> ScoreTable:
    """Targets that leave room for what so few clips cannot show."""
    if multi_label:
        yes = (weight[:, None] * truth).sum(axis=0)
        no = (weight[:, None] * ~truth).sum(axis=0)
        return np.asarray(np.where(truth, (yes + 1) / (yes + 2), 1 / (no + 2)))
    rest = 1.0 / (weight.sum() + 2.0)
    soft = np.full((len(truth), n_classes), rest / max(n_classes - 1, 1))
    soft[np.arange(len(truth)), truth] = 1.0 - rest
    return soft


def _total_loss(
    z: ScoreTable, soft: ScoreTable, weight: Any, multi_label: bool
) -> tuple[float, ScoreTable]:
    """Summed loss, and its derivative by ``z``, shape (n, n_classes)."""
    if multi_label:
        loss = np.logaddexp(0.0, z) - soft * z
    else:
        top = z.max(axis=1, keepdims=True)
        loss = (top + np.log(np.exp(z - top).sum(axis=1, keepdims=True)) - z) * soft
    slope = weight[:, None] * ((expit(z) if multi_label else softmax(z, axis=1)) - soft)
    return float((weight[:, None] * loss).sum()), slope


def _temperature(table: ScoreTable, truth: Any, weight: Any, multi_label: bool) -> float:
    soft = _softened(truth, weight, table.shape[1], multi_label)

    def loss(log_t: float) -> float:
        return _total_loss(table * np.exp(-log_t), soft, weight, multi_label)[0]

    ends = np.log(_TEMPERATURES)
    found = minimize_scalar(loss, bounds=tuple(ends), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def _vector(
    table: ScoreTable, truth: Any, weight: Any, multi_label: bool, scale: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    n_classes = table.shape[1]
    soft = _softened(truth, weight, n_classes, multi_label)

    def loss(numbers: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        change, offset = np.split(numbers, 2)
        scales = scale * np.exp(change)
        value, slope = _total_loss(table * scales + offset, soft, weight, multi_label)
        slopes = np.concatenate([(slope * table).sum(axis=0) * scales, slope.sum(axis=0)])
        return value + 0.5 * float(numbers @ numbers), slopes + numbers

    found = minimize(loss, np.zeros(2 * n_classes), jac=True, method="L-BFGS-B")
    change, offset = np.split(found.x, 2)
    return scale * np.exp(change), offset


def _isotonic(table: ScoreTable, truth: Any, weight: Any, multi_label: bool) -> Knots:
    scores = calibrated(Calibration(), table, multi_label=multi_label)
    least = 1.0 / (weight.sum() + 2.0)
    knots = []
    for column, values in enumerate(scores.T):
        answers = truth[:, column] if multi_label else truth == column
        curve = IsotonicRegression(y_min=least, y_max=1.0 - least, out_of_bounds="clip")
        curve.fit(values, answers.astype(np.float64), sample_weight=weight)
        x, first = np.unique(curve.X_thresholds_, return_index=True)
        y = np.clip(np.maximum.accumulate(curve.y_thresholds_[first]), 0.0, 1.0)
        knots.append((tuple(x.tolist()), tuple(y.tolist())))
    return tuple(knots)


def _checked(logits: ArrayLike, target: ArrayLike, multi_label: bool) -> tuple[ScoreTable, Any]:
    table = as_scores(logits)
    truth: Any = as_targets(target) if multi_label else as_classes(target, "target", table.shape[1])
    same_length(target=truth, logits=table)
    return table, truth


# A model's decision from clips that it was not trained on.


AUTO = "auto"
MIN_CLIPS = 20
"""Fewer clips than this calibrate nothing."""
Table = NDArray[np.float64]


@dataclass(frozen=True)
class HeldOutScores:
    """What a network computes of clips that it was not trained on, a row per window.

    Attributes
    ----------
    logits, embeddings, statistics : ndarray, shape (n, n_classes), (n, dim) and (n, n_statistics)
    clips : Clips
        The clips, with the model's classes in the model's order.
    owner : ndarray of int64, shape (n,)
        The row of ``clips`` that each window is of, rising.
    silent : ndarray of bool, shape (n,)
        Windows with nothing to hear.
    """

    logits: Table
    embeddings: Table
    statistics: Table
    clips: Clips
    owner: NDArray[np.int64]
    silent: NDArray[np.bool_]

    @classmethod
    def of(
        cls, model: SoundModel, prepared: Prepared, rows: Any, clips: Clips, device: Any = "cpu"
    ) -> HeldOutScores:
        """Run the network over some rows of features of a table of clips."""
        index = np.asarray(rows, np.int64)
        computed = network_outputs(model, prepared.features, index, device=device)
        used, owner = np.unique(prepared.source[index], return_inverse=True)
        return cls(*computed, clips[used], owner, prepared.is_silent[index])

    def target(self, multi_label: bool) -> NDArray[Any]:
        """Of the clips: class numbers (n_clips,) or 0 and 1, (n_clips, n_classes)."""
        return targets_of(self.clips, multi_label=multi_label)


@dataclass(frozen=True)
class DecisionFit:
    """A decision, and how it does on clips that it was not fitted on.

    Attributes
    ----------
    decision : Decision
    held : Held
    before, after : ndarray, shape (n_clips, n_classes)
        Scores of the network as it was learned; scores with a decision that was fitted on other
        recordings.
    known : ndarray, shape (n_clips,)
        How known the clips are, by rules fitted on other recordings.
    losses : mapping of str to float
        Log loss of each method of calibration, on recordings it was not fitted on.
    thresholds : tuple of ClassThreshold
        In the order of the classes; empty when none were wanted.
    """

    decision: Decision
    held: HeldOutScores
    before: Table
    after: Table
    known: NDArray[np.float64]
    losses: Mapping[str, float]
    thresholds: tuple[ClassThreshold, ...]


def fit_decision(
    model: SoundModel,
    held: HeldOutScores,
    *,
    method: str = AUTO,
    unknown: str = AUTO,
    thresholds: bool = True,
    precision: float = 0.9,
    level: float = 0.9,
    kept: float = 0.95,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> DecisionFit:
    """Fit calibration, rules for unknown sounds, and thresholds, in this order.

    Parameters
    ----------
    model : SoundModel
        Stays as it is.
    method : {"auto", "temperature", "vector", "isotonic", "none"}
    unknown : {"auto", "energy", "distance", "none"}
        Auto is energy, which did better on classes left out (benchmarks/unknown.py), or distance
        where a classifier has no energy. With a rule there is one against noise beside it.
    thresholds : bool
        Whether to look for them.
    precision, level
        See :func:`semisonic.evaluation.calibration.class_thresholds`.
    kept : float
        Share of known clips that should not be called unknown.
    seed : int
        Of folds and of made-up noise.

    Raises
    ------
    OptionError
        When energy is asked for of a classifier that has none.
    """
    several = model.multi_label
    of_clips = held.target(several)
    target, groups = of_clips[held.owner], held.clips.group[held.owner]
    weights = 1.0 / np.bincount(held.owner)[held.owner]
    chosen = choose_calibration(
        held.logits,
        target,
        groups,
        multi_label=several,
        weights=weights,
        seed=seed,
        methods=METHODS if method == AUTO else (method,),
    )
    decision = Decision(chosen.calibration)
    known, no_noise = np.ones((2, len(held.owner)))
    if unknown != rules.NONE:
        made_up = features_of_noise(model.mel, seed=2 * seed)
        noise = statistics_of_rows(model, made_up, np.arange(len(made_up)), device=device)
        heard = ~held.silent if not held.silent.all() else np.ones_like(held.silent)
        suited = rules.suited_rule(held.logits[heard])
        if unknown == rules.ENERGY != suited:
            raise OptionError(
                f"option 'unknown': found 'energy', but that of '{model.name}' is the same for "
                "any sound, as its logits are logarithms of scores; choose 'distance'"
            )
        found, known[heard], no_noise[heard] = rules.fit_unknown(
            suited if unknown == AUTO else unknown,
            held.logits[heard],
            held.embeddings[heard],
            target[heard],
            groups[heard],
            (held.statistics[heard], noise),
            kept=kept,
            seed=seed,
        )
        decision = replace(decision, unknown=found)
    plain = calibrated(Calibration(), held.logits, multi_label=several)
    before = mean_by(held.owner, plain)[1]
    of_windows = (
        DecisionModule(decision, multi_label=several)
        .tempered(torch.from_numpy(chosen.scores), torch.from_numpy(no_noise))
        .numpy()
    )
    after = mean_by(held.owner, of_windows)[1]
    clip_known = mean_by(held.owner, known[:, None])[1][:, 0]
    limits: tuple[ClassThreshold, ...] = ()
    if thresholds:
        n_classes = len(model.classes)
        hot = of_clips if several else of_clips[:, None] == np.arange(n_classes)
        limits = class_thresholds(
            hot,
            after,
            precision=precision,
            level=level,
            least=decision.least_threshold(n_classes, multi_label=several),
        )
        named = {name: t.value for name, t in zip(model.classes, limits, strict=True)}
        decision = replace(decision, thresholds=named)
    note: dict[str, Any] = {
        "clips": len(held.clips),
        "recordings": len(set(held.clips.group.tolist())),
        "known clips that pass": round(float((clip_known >= 0.5).mean()), 4),
    }
    if limits:
        counts = {word: sum(t.outcome == word for t in limits) for word in (SHOWN, MISSED)}
        note |= {
            "wanted precision": precision,
            "classes for which it is shown": counts[SHOWN],
            "classes for which it is not reached": counts[MISSED],
        }
    decision = replace(decision, note=note)
    return DecisionFit(decision, held, before, after, clip_known, chosen.losses, limits)


# What ``train`` does by itself with validation clips: a temperature, a rule for unknown sounds.
#
# The validation clips also chose the epoch, so the network does a little better on them than on
# others. One temperature can hardly learn that by heart; vector scaling, isotonic and thresholds
# could, so they are left to ``calibrate``, on clips of their own.


LATER = "calibrate the scores with 'semisonic calibrate' on clips that were not trained on"


def calibrate_by_validation(
    model: SoundModel, prepared: Prepared, rows: Any, clips: Clips, *, seed: int
) -> str:
    """Give a freshly trained model its decision, if there are clips enough; say what was done.

    Parameters
    ----------
    model : SoundModel
        On the CPU; its ``decision`` is replaced.
    prepared : Prepared
    rows : array of int
        Rows of features of the validation part.
    clips : Clips
        The table that ``prepared`` was made of.
    """
    n = prepared.n_clips(rows)
    if n < MIN_CLIPS:
        return f"scores are not calibrated: {n} validation clips, expected {MIN_CLIPS}; {LATER}"
    held = HeldOutScores.of(model, prepared, rows, clips)
    recordings = len(np.unique(held.clips.group))
    if recordings < 2:
        raise DataError(f"validation part: found clips of {recordings} recording, expected 2")
    found = fit_decision(model, held, method=TEMPERATURE, thresholds=False, seed=seed).decision
    note = {**found.note, "fitted on": "validation clips, which also chose the epoch"}
    model.decision = replace(found, note=note)
    return (
        f"scores calibrated by {n} validation clips ({found.calibration.text()}), with a rule for "
        f"unknown sounds ({', '.join(found.unknown.names)}); for thresholds, {LATER}"
    )


# Calibrating a model with sounds that a user has at hand in Python.


ROLE = "calibration"


def calibrate_model(
    model: SoundModel,
    sounds: Sounds,
    about: MutableMapping[str, Any],
    *,
    cache: Path,
    method: str,
    precision: float,
    unknown: str,
    seed: int,
    workers: int | None = None,
) -> DecisionFit:
    """Give a model a decision fitted by some labelled sounds; write into ``about`` which.

    Raises
    ------
    DataError
        For sounds without labels, with unknown ones, of files that were trained on, or too few.
    """
    if not sounds.clips.is_labelled.all():
        raise DataError("calibration: some sounds have no label, expected one for each")
    clips, _ = as_classes_of(sounds.clips, model.classes)
    part = None
    if sounds.waves is None:
        hashes = recording_hashes(clips, workers=workers)
        seen = learned_from(overlaps(clips, hashes, about))
        if seen:
            raise DataError(
                f"these sounds cannot calibrate: {'; '.join(o.text() for o in seen)}; expected "
                "other recordings"
            )
        part = DataPart.of(clips, hashes).to_dict()
    prepared = sounds.prepare(model.mel, cache, workers)
    model.to("cpu")
    held = HeldOutScores.of(model, prepared, np.arange(len(prepared)), clips)
    check_enough(held)
    fitted = fit_decision(
        model, held, method=method, precision=precision, unknown=unknown, seed=seed
    )
    model.decision = fitted.decision
    about.pop(ROLE, None)
    if part is not None:
        about[ROLE] = part
    return fitted


def learned_from(found: list[Overlap]) -> list[Overlap]:
    """The overlaps by which clips are no others than those a model learned from."""
    return [o for o in found if o.files and o.role in WITH_LABELS and o.role != ROLE]


def check_enough(held: HeldOutScores) -> None:
    """See that there are enough clips to calibrate by.

    Raises
    ------
    DataError
    """
    n, recordings = len(held.clips), len(np.unique(held.clips.group))
    if n < MIN_CLIPS or recordings < 2:
        raise DataError(
            f"calibration: found {n} clips of {recordings} recordings, expected at least "
            f"{MIN_CLIPS} clips of 2; some hundred make it worth while"
        )
