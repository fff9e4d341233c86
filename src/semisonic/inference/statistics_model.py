"""A classifier that learns in seconds: statistics of spectrograms, two simple models, their mean.

A linear model (logistic regression, strongly regularised) and a forest of extremely randomised
trees (Geurts, Ernst and Wehenkel 2006) make different mistakes, so the mean of their scores is
better than either, and neither can learn single wrong labels by heart in a way that would show
in the scores of other recordings. It is for judging labels, not for a model to keep.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from semisonic.inference.simple.fitting import Scores, mean_scores

N_TREES = 300
STRENGTH = 0.01
"""Inverse of the linear model's regularisation, for standardised statistics."""


def learn_and_score(
    learn_from: NDArray[np.float32],
    target: NDArray[Any],
    to_score: NDArray[np.float32],
    *,
    n_classes: int,
    seed: int,
    workers: int | None = None,
) -> Scores:
    """Learn from some clips' statistics and score others'.

    Parameters
    ----------
    learn_from : ndarray, shape (n, d)
    target : ndarray
        Class numbers (n,), or for several labels per clip 0 and 1, (n, n_classes).
    to_score : ndarray, shape (m, d)
    n_classes : int
    seed : int
        Of the trees.
    workers : int, optional
        Threads that grow trees; one per core by default.

    Returns
    -------
    ndarray of float64, shape (m, n_classes)
        Probabilities; 0 for a class that no clip to learn from has.
    """
    if target.ndim == 1:
        return _one_label(learn_from, target, to_score, n_classes, seed, workers)
    columns = [
        _one_label(learn_from, answers.astype(np.int64), to_score, 2, seed, workers)[:, 1]
        for answers in target.T
    ]
    return np.stack(columns, axis=1)


def _one_label(
    learn_from: NDArray[np.float32],
    target: NDArray[np.int64],
    to_score: NDArray[np.float32],
    n_classes: int,
    seed: int,
    workers: int | None,
) -> Scores:
    return mean_scores(models(seed, workers), learn_from, target, to_score, n_classes)


def models(seed: int, workers: int | None) -> list[Any]:
    """The linear model and the forest, to be fitted."""
    return [
        make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=2000)),
        ExtraTreesClassifier(N_TREES, random_state=seed % 2**32, n_jobs=workers or -1),
    ]
