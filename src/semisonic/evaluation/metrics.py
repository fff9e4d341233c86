"""Metrics of a classifier: single numbers, and tables by class. Inputs are checked first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
    recall_score,
)

from semisonic.core.errors import DataError

# What goes into a number is checked first: shape, range, nothing missing.


def as_classes(values: ArrayLike, name: str, n_classes: int | None = None) -> NDArray[np.int64]:
    """Class numbers as int64, shape (n,): at least one, none negative, none too large."""
    found = np.asarray(values)
    if found.ndim != 1 or found.size == 0:
        raise DataError(f"{name}: found shape {found.shape}, expected (n,) with n > 0")
    if not np.issubdtype(found.dtype, np.integer):
        raise DataError(f"{name}: found {found.dtype}, expected class numbers (whole numbers)")
    classes = found.astype(np.int64)
    if classes.min() < 0:
        row = int(classes.argmin())
        raise DataError(
            f"{name}: found {classes[row]} in row {row}, expected a class number; "
            "the clip has no label"
        )
    if n_classes is not None and classes.max() >= n_classes:
        row = int(classes.argmax())
        raise DataError(
            f"{name}: found class {classes[row]} in row {row}, expected a number below {n_classes}"
        )
    return classes


def as_scores(values: ArrayLike) -> NDArray[np.float64]:
    """Scores as float64, shape (n, n_classes), all finite."""
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 2 or scores.size == 0:
        raise DataError(f"scores: found shape {scores.shape}, expected (n, n_classes)")
    bad = np.flatnonzero(~np.isfinite(scores).all(axis=1))
    if len(bad):
        raise DataError(f"scores: found a value that is not finite in row {bad[0]}")
    return scores


def as_targets(values: ArrayLike) -> NDArray[np.bool_]:
    """Labels as booleans, shape (n, n_classes), from 0 and 1."""
    found = np.asarray(values)
    if found.ndim != 2 or found.size == 0:
        raise DataError(f"targets: found shape {found.shape}, expected (n, n_classes)")
    if not np.isin(found, (0, 1)).all():
        raise DataError("targets: found values other than 0 and 1")
    return found.astype(np.bool_)


def as_correct(values: ArrayLike, name: str) -> NDArray[np.bool_]:
    """Right or wrong, one per clip, shape (n,), or one per draw and clip, shape (n_draws, n)."""
    found = np.asarray(values)
    if found.ndim not in (1, 2) or found.size == 0:
        raise DataError(f"{name}: found shape {found.shape}, expected (n,) or (n_draws, n)")
    if not np.isin(found, (0, 1)).all():
        raise DataError(f"{name}: found values other than right (1) and wrong (0)")
    return found.astype(np.bool_)


def same_length(**arrays: NDArray[Any]) -> None:
    """Raise DataError if the arrays have different numbers of rows."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        text = ", ".join(f"{name} has {n}" for name, n in lengths.items())
        raise DataError(f"found different numbers of rows, expected the same: {text}")


# How right a classifier is: one number each, and tables by class.
#
# Everywhere ``target`` holds class numbers, shape (n,), ``predicted`` the class numbers
# chosen, shape (n,), and ``scores`` probabilities, shape (n, n_classes). For clips with
# several labels ``targets`` holds 0 and 1, shape (n, n_classes).


def accuracy(target: ArrayLike, predicted: ArrayLike) -> float:
    """Compute the share of clips whose chosen class is the right one.

    Parameters
    ----------
    target, predicted : array of int, shape (n,)
        Class numbers.

    Returns
    -------
    float
        0 to 1.

    Raises
    ------
    DataError
        If there are no clips, one has no label, or the lengths differ.

    Examples
    --------
    >>> accuracy([0, 1, 1, 2], [0, 1, 2, 2])
    0.75
    """
    return float(accuracy_score(*_class_pair(target, predicted)))


def confusion(target: ArrayLike, predicted: ArrayLike, n_classes: int) -> NDArray[np.int64]:
    """Count clips by true class (row) and chosen class (column).

    Parameters
    ----------
    target, predicted : array of int, shape (n,)
        Class numbers.
    n_classes : int

    Returns
    -------
    ndarray of int64, shape (n_classes, n_classes)
        Its sum is the number of clips, its diagonal the right ones.

    Raises
    ------
    DataError
        If a class number is out of range, or the lengths differ.

    Examples
    --------
    >>> confusion([0, 1, 1], [0, 1, 0], 2)
    array([[1, 0],
           [1, 1]])
    """
    truth, chosen = _class_pair(target, predicted, n_classes)
    counts: NDArray[np.int64] = confusion_matrix(truth, chosen, labels=np.arange(n_classes))
    return counts.astype(np.int64)


def per_class(target: ArrayLike, predicted: ArrayLike, n_classes: int) -> pd.DataFrame:
    """Compute precision, recall and F1 of each class.

    Parameters
    ----------
    target, predicted : array of int, shape (n,)
        Class numbers.
    n_classes : int

    Returns
    -------
    DataFrame
        A row a class: ``n_clips``, ``precision``, ``recall``, ``f1`` (0 to 1). A class that is
        never chosen has precision 0; one without clips has recall 0.

    Raises
    ------
    DataError
        As :func:`confusion`.

    Examples
    --------
    >>> per_class([0, 1, 1], [0, 1, 0], 2)["recall"].tolist()
    [1.0, 0.5]
    """
    truth, chosen = _class_pair(target, predicted, n_classes)
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, chosen, labels=np.arange(n_classes), zero_division=0.0
    )
    columns = {"n_clips": support, "precision": precision, "recall": recall, "f1": f1}
    return pd.DataFrame(columns)


def balanced_accuracy(target: ArrayLike, predicted: ArrayLike) -> float:
    """Compute the mean recall over the classes that have clips, 0 to 1."""
    truth, chosen = _class_pair(target, predicted)
    found = recall_score(truth, chosen, labels=np.unique(truth), average="macro", zero_division=0.0)
    return float(found)


def macro_f1(target: ArrayLike, predicted: ArrayLike) -> float:
    """Compute the mean F1 over the classes that occur in the truth or among the choices, 0 to 1."""
    return float(f1_score(*_class_pair(target, predicted), average="macro", zero_division=0.0))


def top_k_accuracy(target: ArrayLike, scores: ArrayLike, k: int = 5) -> float:
    """The share of clips whose true class is among the ``k`` best scored, 0 to 1.

    Equal scores are ranked by class number, as ``argmax`` does, so ``k = 1`` is the
    accuracy.
    """
    table = as_scores(scores)
    truth = as_classes(target, "target", table.shape[1])
    same_length(target=truth, scores=table)
    if k < 1:
        raise DataError(f"top-k accuracy: found k = {k}, expected at least 1")
    own = table[np.arange(len(truth)), truth][:, None]
    before = np.arange(table.shape[1])[None, :] < truth[:, None]
    rank = (table > own).sum(axis=1) + ((table == own) & before).sum(axis=1)
    return float(np.mean(rank < k))


def log_loss(target: ArrayLike, scores: ArrayLike) -> float:
    """The mean of -log(probability of the true class), in nats; 0 is perfect.

    Raises
    ------
    DataError
        If a row of ``scores`` does not add up to 1 (within 1e-3).
    """
    table = as_scores(scores)
    truth = as_classes(target, "target", table.shape[1])
    same_length(target=truth, scores=table)
    total = table.sum(axis=1)
    wrong = np.flatnonzero(np.abs(total - 1.0) > 1e-3)
    if len(wrong):
        raise DataError(
            f"log loss: found probabilities that add up to {total[wrong[0]]:.4g} in row "
            f"{wrong[0]}, expected 1"
        )
    own = table[np.arange(len(truth)), truth] / total
    return float(-np.log(np.clip(own, np.finfo(np.float64).eps, 1.0)).mean())


def average_precision(target: ArrayLike, score: ArrayLike) -> float:
    """The average precision of one class: the area under its precision-recall steps.

    Parameters
    ----------
    target : array of 0 and 1, shape (n,)
    score : array of float, shape (n,)

    Returns
    -------
    float
        0 to 1; NaN if no clip has the class. Equal scores count as one step.
    """
    truth = as_targets(np.asarray(target)[:, None])[:, 0]
    value = as_scores(np.asarray(score, dtype=np.float64)[:, None])[:, 0]
    same_length(target=truth, score=value)
    if not truth.any():
        return float("nan")
    return float(average_precision_score(truth, value))


def mean_average_precision(targets: ArrayLike, scores: ArrayLike) -> float:
    """The mean of :func:`average_precision` over the classes that have clips, 0 to 1."""
    truth, table = as_targets(targets), as_scores(scores)
    _same_shape(truth, table)
    columns = np.flatnonzero(truth.any(axis=0))
    if not len(columns):
        raise DataError("mean average precision: found no clip with a label")
    return float(average_precision_score(truth[:, columns], table[:, columns]))


def lwlrap(targets: ArrayLike, scores: ArrayLike) -> float:
    """Label-weighted label-ranking average precision, 0 to 1.

    For each label of each clip: which share of the classes ranked at or above it are
    labels of the clip too; then the mean over all labels of all clips. The measure of
    FSDKaggle2019. Clips without labels do not count.
    """
    return float(label_precisions(targets, scores).mean())


def label_precisions(targets: ArrayLike, scores: ArrayLike) -> NDArray[np.float64]:
    """The values that :func:`lwlrap` averages: one for each label of each clip.

    Returns
    -------
    ndarray of float64, shape (n_labels,)
        In the order of ``np.argwhere(targets)``: clip by clip, class by class.
    """
    truth, table = as_targets(targets), as_scores(scores)
    _same_shape(truth, table)
    if not truth.any():
        raise DataError("lwlrap: found no clip with a label")
    rank = rankdata(-table, method="max", axis=1)
    masked = np.where(truth, -table, np.inf)
    rank_among_labels = rankdata(masked, method="max", axis=1)
    values: NDArray[np.float64] = rank_among_labels[truth] / rank[truth]
    return values


def summary(
    target: ArrayLike, scores: ArrayLike, classes: Sequence[str] | None = None
) -> dict[str, Any]:
    """The numbers of one evaluation, ready for JSON.

    ``target`` of shape (n,) has class numbers: accuracy, balanced accuracy, macro F1, top-3, mean
    average precision, lwlrap, log loss and a table by class. Shape (n, n_classes) is for several
    labels per clip: lwlrap and mean average precision, and average precision by class.
    """
    table, truth = as_scores(scores), np.asarray(target)
    same_length(target=truth, scores=table)
    n_classes = table.shape[1]
    names = [str(c) for c in classes] if classes is not None else list(map(str, range(n_classes)))
    if len(names) != n_classes:
        raise DataError(f"summary: found {len(names)} class names, expected {n_classes}")
    if truth.ndim == 2:
        several = as_targets(truth)
        return {
            "n_clips": len(several),
            "lwlrap": lwlrap(several, table),
            "mean_average_precision": mean_average_precision(several, table),
            "per_class": {
                name: {
                    "n_clips": int(several[:, i].sum()),
                    "average_precision": average_precision(several[:, i], table[:, i]),
                }
                for i, name in enumerate(names)
            },
        }
    predicted, hot = table.argmax(axis=1), np.eye(n_classes)[truth]
    found = per_class(truth, predicted, n_classes).to_dict("records")
    return {
        "n_clips": len(truth),
        "accuracy": accuracy(truth, predicted),
        "balanced_accuracy": balanced_accuracy(truth, predicted),
        "macro_f1": macro_f1(truth, predicted),
        "top_3_accuracy": top_k_accuracy(truth, table, 3),
        "mean_average_precision": mean_average_precision(hot, table),
        "lwlrap": lwlrap(hot, table),
        "log_loss": log_loss(truth, table),
        "per_class": dict(zip(names, found, strict=True)),
    }


def _class_pair(
    target: ArrayLike, predicted: ArrayLike, n_classes: int | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    truth = as_classes(target, "target", n_classes)
    chosen = as_classes(predicted, "predicted", n_classes)
    same_length(target=truth, predicted=chosen)
    return truth, chosen


def _same_shape(targets: NDArray[Any], scores: NDArray[Any]) -> None:
    if targets.shape != scores.shape:
        raise DataError(
            f"found targets of shape {targets.shape} and scores of shape "
            f"{scores.shape}, expected the same shape"
        )
