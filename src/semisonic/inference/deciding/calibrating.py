"""Fitting what makes probabilities mean what they say, on clips that were not trained on.

Temperature and vector scaling: Guo et al., "On calibration of modern neural networks", ICML 2017.
Isotonic, class by class: Zadrozny and Elkan, "Transforming classifier scores into accurate
multiclass probability estimates", KDD 2002. Held-out clips are few, so we differ in three points:
targets are not quite 0 and 1 but as far from them as the rule of succession says (Platt, 1999),
scales and offsets of vector scaling are held near temperature scaling by a Gaussian prior, and
isotonic probabilities end short of 0 and 1.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, softmax
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from semisonic.base.calibration import (
    ISOTONIC,
    METHODS,
    NONE,
    TEMPERATURE,
    VECTOR,
    Calibration,
    Knots,
)
from semisonic.base.errors import DataError, OptionError
from semisonic.base.options import nearest
from semisonic.base.seeds import derive
from semisonic.evaluation.checked import as_classes, as_scores, as_targets, same_length
from semisonic.models.decision import Decision
from semisonic.models.decision_module import DecisionModule

Table = NDArray[np.float64]

FOLDS = 5
_TEMPERATURES = (0.05, 50.0)
_TINY = 1e-12


@dataclass(frozen=True)
class Chosen:
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
    scores: Table


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


def calibrated(calibration: Calibration, logits: ArrayLike, *, multi_label: bool) -> Table:
    """Scores by a calibration, shape (n, n_classes), as the model that has it gives them."""
    module = DecisionModule(Decision(calibration), multi_label=multi_label)
    with torch.no_grad():
        scores: Table = module.calibrated(torch.tensor(np.asarray(logits, np.float64))).numpy()
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
) -> Chosen:
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
    found: dict[str, Table] = {NONE: calibrated(Calibration(), table, multi_label=multi_label)}
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
    return Chosen(whole, means, found[best])


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


def _losses(scores: Table, truth: Any, multi_label: bool) -> NDArray[np.float64]:
    """Log loss of each row; with several labels the mean over classes."""
    safe = np.clip(scores, _TINY, 1.0 - _TINY)
    if not multi_label:
        return np.asarray(-np.log(safe[np.arange(len(truth)), truth]))
    return np.asarray(-np.where(truth, np.log(safe), np.log1p(-safe)).mean(axis=1))


def _softened(truth: Any, weight: Any, n_classes: int, multi_label: bool) -> Table:
    """Targets that leave room for what so few clips cannot show."""
    if multi_label:
        yes = (weight[:, None] * truth).sum(axis=0)
        no = (weight[:, None] * ~truth).sum(axis=0)
        return np.asarray(np.where(truth, (yes + 1) / (yes + 2), 1 / (no + 2)))
    rest = 1.0 / (weight.sum() + 2.0)
    soft = np.full((len(truth), n_classes), rest / max(n_classes - 1, 1))
    soft[np.arange(len(truth)), truth] = 1.0 - rest
    return soft


def _total_loss(z: Table, soft: Table, weight: Any, multi_label: bool) -> tuple[float, Table]:
    """Summed loss, and its derivative by ``z``, shape (n, n_classes)."""
    if multi_label:
        loss = np.logaddexp(0.0, z) - soft * z
    else:
        top = z.max(axis=1, keepdims=True)
        loss = (top + np.log(np.exp(z - top).sum(axis=1, keepdims=True)) - z) * soft
    slope = weight[:, None] * ((expit(z) if multi_label else softmax(z, axis=1)) - soft)
    return float((weight[:, None] * loss).sum()), slope


def _temperature(table: Table, truth: Any, weight: Any, multi_label: bool) -> float:
    soft = _softened(truth, weight, table.shape[1], multi_label)

    def loss(log_t: float) -> float:
        return _total_loss(table * np.exp(-log_t), soft, weight, multi_label)[0]

    ends = np.log(_TEMPERATURES)
    found = minimize_scalar(loss, bounds=tuple(ends), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def _vector(
    table: Table, truth: Any, weight: Any, multi_label: bool, scale: float
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


def _isotonic(table: Table, truth: Any, weight: Any, multi_label: bool) -> Knots:
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


def _checked(logits: ArrayLike, target: ArrayLike, multi_label: bool) -> tuple[Table, Any]:
    table = as_scores(logits)
    truth: Any = as_targets(target) if multi_label else as_classes(target, "target", table.shape[1])
    same_length(target=truth, logits=table)
    return table, truth
