"""Simple classifiers as models: what scikit-learn has learned, as tables of a head in a model file."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.classifier.scoring import embed_rows, score_rows
from semisonic.classifier.simple import CLASSIFIERS
from semisonic.core.errors import DataError
from semisonic.models.simple import SimpleHead, TreesHead
from semisonic.models.sound_model import SoundModel
from semisonic.training.state import FitResult

# What scikit-learn's models have learned, as tables of a head that lies in a model file.
#
# Thresholds of trees are rounded down to single precision, in which statistics are: the same
# statistics are at most the one and at most the other. Everything else keeps its precision.


Array = NDArray[Any]
Tables = dict[str, Array]
SURE = 30.0
"""Logit of a class that all clips to learn from have; less, of one that none has."""
BY_CLASS = ("svm", "logistic", "boosting")
"""Models that learn several labels per clip class by class."""


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
        with warnings.catch_warnings():
            # A perceptron that still improves after its last epoch is fine.
            warnings.filterwarnings("ignore", message="Stochastic Optimizer: Maximum iterations")
            return model.fit(x.astype(np.float64), y)

    if several and not any(0 < column.mean() < 1 for column in answers.T):
        raise DataError("training: all clips have the same labels; add clips that differ in them")
    if name == "knn":
        tables = _neighbours(fitted(answers), x, answers, head.n_classes)
    elif several and name in BY_CLASS:
        tables = _by_class(_MAKERS[name], answers, fitted)
    else:
        tables = _MAKERS[name]([fitted(answers)], head.n_classes, several)
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


def _by_class(
    make: Callable[..., Tables], answers: Array, fitted: Callable[[Array], Any]
) -> Tables:
    """One model a class; where all clips have one answer, that answer."""
    mixed = [0 < column.mean() < 1 for column in answers.T]
    models = [
        fitted(column) if varied else bool(column[0])
        for column, varied in zip(answers.T, mixed, strict=True)
    ]
    return make(models, len(models), True)


def _line(models: Sequence[Any], n_classes: int, several: bool) -> Tables:
    """Standardisation and a linear model; of two exclusive classes the second has all weight."""
    scale, last = _scale(models)
    if several:
        d = len(scale["mean"])
        weight, bias = np.zeros((n_classes, d)), np.zeros(n_classes)
        for k, model in enumerate(models):
            if isinstance(model, bool):
                bias[k] = SURE if model else -SURE
            else:
                weight[k], bias[k] = model[-1].coef_[0], model[-1].intercept_[0]
        return {**scale, "weight": weight, "bias": bias}
    return {**scale, "weight": _both(last.coef_), "bias": _both(last.intercept_)}


def _perceptron(models: Sequence[Any], n_classes: int, several: bool) -> Tables:
    scale, last = _scale(models)
    weight, bias = last.coefs_[1].T, last.intercepts_[1]
    if not several:
        weight, bias = _both(weight), _both(bias)
    return {
        **scale,
        "hidden_weight": last.coefs_[0].T,
        "hidden_bias": last.intercepts_[0],
        "weight": weight,
        "bias": bias,
    }


def _scale(models: Sequence[Any]) -> tuple[Tables, Any]:
    """The statistics' mean and deviation, which are alike for all models, and the last step."""
    model = next(model for model in models if not isinstance(model, bool))
    return {"mean": model[0].mean_, "scale": model[0].scale_}, model[-1]


def _both(table: Array) -> Array:
    """The row of the second of two classes, below zeros for the first; more rows as they are."""
    return np.concatenate([np.zeros_like(table), table]) if len(table) == 1 else np.array(table)


def _forest(models: Sequence[Any], n_classes: int, several: bool) -> Tables:
    (model,) = models
    trees = []
    for estimator in model.estimators_:
        tree = estimator.tree_
        # (leaf, output, class), shares or, in older releases, counts
        value = tree.value[tree.children_left < 0]
        value = value / value.sum(axis=2, keepdims=True)
        if several:
            yes = [_of_yes(value[:, k], known) for k, known in enumerate(model.classes_)]
            scores = np.stack(yes, axis=1)
        else:
            scores = value[:, 0]
        trees.append(
            (
                tree.feature,
                tree.threshold,
                tree.children_left,
                tree.children_right,
                scores / len(model.estimators_),
            )
        )
    kind = TreesHead.SEVERAL if several else TreesHead.EXCLUSIVE
    return _planted(trees, np.zeros(n_classes), kind)


def _of_yes(shares: Array, known: Array) -> Array:
    """Of the answers 0 and 1 of a tree, the share of 1, which it may know nothing of."""
    column = np.flatnonzero(np.asarray(known) == 1)
    return shares[:, column[0]] if len(column) else np.zeros(len(shares))


def _boosting(models: Sequence[Any], n_classes: int, several: bool) -> Tables:
    trees, start = [], np.zeros(n_classes)
    for k, model in enumerate(models):
        if isinstance(model, bool):
            start[k] = SURE if model else -SURE
            continue
        base = np.ravel(model._baseline_prediction)
        single = len(base) == 1  # one question: is it the class (the second of two)?
        columns = [k if several else 1] if single else range(n_classes)
        for column, begin in zip(columns, base, strict=True):
            start[column] = begin
        for grown in model._predictors:
            for column, predictor in zip(columns, grown, strict=True):
                node = predictor.nodes
                leaf = node["is_leaf"].astype(bool)
                left, right = (
                    np.where(leaf, -1, node[side].astype(np.int64)) for side in ("left", "right")
                )
                scores = np.zeros((leaf.sum(), n_classes))
                scores[:, column] = node["value"][leaf]
                trees.append((node["feature_idx"], node["num_threshold"], left, right, scores))
    return _planted(trees, start, TreesHead.LOGITS)


def _planted(trees: Sequence[tuple[Array, ...]], start: Array, kind: int) -> Tables:
    """All trees behind each other; (feature, threshold, left, right, scores of leaves) of each.

    Children are numbered within a tree and come after their parent; those of leaves are negative.
    """
    sizes = [len(tree[0]) for tree in trees]
    roots = np.cumsum([0, *sizes[:-1]])
    own = np.arange(sum(sizes))
    first = np.repeat(roots, sizes)
    left, right = (np.concatenate([tree[side] for tree in trees]) for side in (2, 3))
    is_leaf = left < 0
    feature, threshold, scores = (np.concatenate([tree[i] for tree in trees]) for i in (0, 1, 4))
    leaves, row = np.unique(scores, axis=0, return_inverse=True)
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
        "start": start.astype(np.float64),
        "kind": np.array(kind, np.int64),
    }


def _at_most(threshold: Array) -> NDArray[np.float32]:
    """The largest single-precision numbers that are not above these."""
    limit = np.finfo(np.float32).max
    near = np.clip(threshold, -limit, limit).astype(np.float32)
    return np.where(near > threshold, np.nextafter(near, np.float32(-np.inf)), near)


_MAKERS: dict[str, Callable[..., Tables]] = {
    "forest": _forest,
    "svm": _line,
    "logistic": _line,
    "boosting": _boosting,
    "mlp": _perceptron,
}


# A simple classifier as a model: fitted to the statistics of labelled clips.


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
