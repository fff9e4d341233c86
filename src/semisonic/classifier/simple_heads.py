"""Simple classifiers as models: what scikit-learn has learned, as tables of a head.

Only documented attributes of scikit-learn's estimators are read. Thresholds of trees are rounded
down to single precision, in which statistics are: the same statistics are at most the one and at
most the other. Everything else keeps its precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.classifier.scoring import embed_rows, score_rows
from semisonic.classifier.simple import CLASSIFIERS
from semisonic.core.errors import DataError
from semisonic.models.simple import SimpleHead
from semisonic.models.sound_model import SoundModel
from semisonic.training.loop import FitResult

Array = NDArray[Any]
Tables = dict[str, Array]
SURE = 30.0
"""Logit of a class that all clips to learn from have; less, of one that none has."""


def fit_head(name: str, head: SimpleHead, x: Array, target: Array, seed: int) -> None:
    """Fit a simple classifier, and put what it has learned into a head.

    Parameters
    ----------
    name : str
        One of :data:`semisonic.models.notation.SIMPLE`.
    head : SimpleHead
        Of that name.
    x : ndarray, shape (n, d)
        Statistics.
    target : ndarray
        Class numbers (n,), each class at least once, or 0 and 1, (n, n_classes), for several
        labels per clip.
    seed : int

    Raises
    ------
    DataError
        Where no two clips differ in their labels.
    """
    several = target.ndim == 2
    answers = target.astype(np.int64)

    def fitted(y: Array) -> Any:
        (model,) = CLASSIFIERS[name].make(seed % 2**32, len(y))
        return model.fit(x.astype(np.float64), y)

    if several and not any(0 < column.mean() < 1 for column in answers.T):
        raise DataError("training: all clips have the same labels; add clips that differ in them")
    if name == "knn":
        tables = _neighbours(fitted(answers), x, answers, head.n_classes)
    elif name == "forest":
        tables = _forest(fitted(answers), several)
    elif several:
        tables = _lines_by_class(answers, fitted)
    else:
        tables = _line(fitted(answers))
    head.numbers(**{key: torch.from_numpy(np.array(value)) for key, value in tables.items()})
    head.check()


def _neighbours(model: Any, x: Array, target: Array, n_classes: int) -> Tables:
    several = target.ndim == 2
    shares = target if several else np.eye(n_classes)[target]
    return {
        "examples": x.astype(np.float32),
        "shares": shares.astype(np.float32),
        "n_neighbours": np.array(model.n_neighbors, np.int64),
        "several": np.array(several, np.int64),
    }


def _line(model: Any) -> Tables:
    """Standardisation and a linear model; of two exclusive classes the second has all weight."""
    scaler, line = model
    weight, bias = line.coef_, line.intercept_
    if len(bias) == 1:
        weight = np.concatenate([np.zeros_like(weight), weight])
        bias = np.concatenate([np.zeros_like(bias), bias])
    return {"mean": scaler.mean_, "scale": scaler.scale_, "weight": weight, "bias": bias}


def _lines_by_class(answers: Array, fitted: Callable[[Array], Any]) -> Tables:
    """One linear model a class; where all clips have one answer, that answer."""
    n_classes, tables = answers.shape[1], Tables()
    bias = np.where(answers[0] > 0, SURE, -SURE)
    for k, column in enumerate(answers.T):
        if not 0 < column.mean() < 1:
            continue
        scaler, line = fitted(column)  # the statistics are alike, and so are all scalers
        if not tables:
            weight = np.zeros((n_classes, len(scaler.mean_)))
            tables = {"mean": scaler.mean_, "scale": scaler.scale_, "weight": weight, "bias": bias}
        weight[k], bias[k] = line.coef_[0], line.intercept_[0]
    return tables


def _forest(model: Any, several: bool) -> Tables:
    """All trees behind each other; nodes are numbered through, leaves lead to themselves."""
    trees = [estimator.tree_ for estimator in model.estimators_]
    sizes = [tree.node_count for tree in trees]
    roots = np.cumsum([0, *sizes[:-1]])
    first = np.repeat(roots, sizes)
    own = np.arange(sum(sizes))
    left = np.concatenate([tree.children_left for tree in trees])
    right = np.concatenate([tree.children_right for tree in trees])
    is_leaf = left < 0
    feature = np.concatenate([tree.feature for tree in trees])
    threshold = np.concatenate([tree.threshold for tree in trees])
    scores = np.concatenate([_leaves(tree, model.classes_, several) for tree in trees])
    leaves, row = np.unique(scores / len(trees), axis=0, return_inverse=True)
    rows = np.zeros(len(own), np.int64)
    rows[is_leaf] = np.ravel(row)
    return {
        "feature": np.where(is_leaf, 0, feature).astype(np.int64),
        "threshold": np.where(is_leaf, 0, _at_most(threshold)).astype(np.float32),
        "left": np.where(is_leaf, own, first + left),
        "right": np.where(is_leaf, own, first + right),
        "row": rows,
        "roots": roots.astype(np.int64),
        "leaves": leaves.astype(np.float64),
        "several": np.array(several, np.int64),
    }


def _leaves(tree: Any, classes: Any, several: bool) -> Array:
    """Scores of a tree's leaves, shape (leaf, class)."""
    value = tree.value[tree.children_left < 0]  # (leaf, output, class), shares or counts
    value = value / value.sum(axis=2, keepdims=True)
    if not several:
        return np.asarray(value[:, 0])
    return np.stack([_of_yes(value[:, k], known) for k, known in enumerate(classes)], axis=1)


def _of_yes(shares: Array, known: Array) -> Array:
    """Of the answers 0 and 1 of a tree, the share of 1, which it may know nothing of."""
    column = np.flatnonzero(np.asarray(known) == 1)
    return shares[:, column[0]] if len(column) else np.zeros(len(shares))


def _at_most(threshold: Array) -> NDArray[np.float32]:
    """The largest single-precision numbers that are not above these."""
    limit = np.finfo(np.float32).max
    near = np.clip(threshold, -limit, limit).astype(np.float32)
    return np.where(near > threshold, np.nextafter(near, np.float32(-np.inf)), near)


def fit_simple(
    model: SoundModel,
    features: Any,
    target: NDArray[Any],
    train: NDArray[np.int64],
    seed: int,
    validate: Callable[[], Mapping[str, float]] | None = None,
) -> FitResult:
    """Fit the head of a model; see :func:`fit_head`.

    Parameters
    ----------
    model : SoundModel
        Of a simple classifier's name, on the CPU.
    features : FeatureStore or ndarray, shape (n, channel, mel, frame)
        In dB, or waves.
    target : ndarray
        Class numbers (n,), or 0 and 1, (n, n_classes), for several labels per clip.
    train : ndarray of int64
        Labelled rows.
    seed : int
    validate : callable, optional
        Called at the end.

    Returns
    -------
    FitResult
        Its history has one row: ``accuracy`` of the labelled clips, with one label per clip.
    """
    begun = perf_counter()
    head = cast(SimpleHead, model.head[-1])
    x = embed_rows(model, features, train)
    fit_head(model.name, head, x, target[train], seed)
    row: dict[str, float] = {"epoch": 1.0}
    if target.ndim == 1:
        best = score_rows(model, features, train).argmax(axis=1)
        row["accuracy"] = float((best == target[train]).mean())
    if validate is not None:
        row |= {f"val_{name}": value for name, value in validate().items()}
    return FitResult([row], 1, 1, perf_counter() - begun, "fp64", False)
