"""Models of scikit-learn fitted to the same clips; their scores are averaged."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from semisonic.base.errors import DataError

Scores = NDArray[np.float64]


def mean_scores(
    models: Sequence[Any],
    learn_from: NDArray[Any],
    target: NDArray[np.int64],
    to_score: NDArray[Any],
    n_classes: int,
) -> Scores:
    """Fit each model to the same clips; the mean of their scores, shape (m, n_classes)."""
    if not len(target):
        raise DataError("classifier: found no labelled clips to learn from")
    scores = np.zeros((len(to_score), n_classes))
    known = np.unique(target)
    if len(known) == 1:
        scores[:, known] = 1.0
        return scores
    for model in models:
        with warnings.catch_warnings():
            # A perceptron that still improves after its last epoch is fine.
            warnings.filterwarnings("ignore", message="Stochastic Optimizer: Maximum iterations")
            model.fit(learn_from, target)
        scores[:, known] += _probabilities(model, to_score) / len(models)
    return scores


def _probabilities(model: Any, x: NDArray[Any]) -> Scores:
    """Scores that sum to one; where a model has none, the softmax of its decision function."""
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(x), np.float64)
    decision = np.asarray(model.decision_function(x), np.float64)
    if decision.ndim == 1:
        decision = np.stack([np.zeros_like(decision), decision], axis=1)
    return np.asarray(softmax(decision, axis=1))
