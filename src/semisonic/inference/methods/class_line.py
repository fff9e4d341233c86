"""A class layer that is solved for and not trained: weights behind standardised embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn

from semisonic.base.processors import one_blas_thread
from semisonic.models import SoundModel

STRENGTH = 0.1
"""Inverse of the regularisation, for standardised embeddings; from 0.02 to 1 it hardly matters."""
MAX_ITERATIONS = 1000
ABSENT = 20.0
"""How far below all others the logit of a class without a single label lies."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ClassLine:
    """Weights (class, dim) and biases (class,) behind standardised embeddings."""

    weight: Array
    bias: Array
    several: bool

    @classmethod
    def learn(
        cls, x: Array, shares: NDArray[Any], weights: Array, several: bool = False
    ) -> ClassLine:
        """Logistic regression; for several labels per clip one for each class."""
        if several:
            each = [_binary(x, column, weights) for column in shares.T]
            return cls(np.stack([w for w, _ in each]), np.array([b for _, b in each]), several)
        target, n_classes = shares.argmax(axis=1), shares.shape[1]
        if n_classes == 2:
            w, b = _binary(x, target, weights)
            return cls(np.stack([-w, w]) / 2, np.array([-b, b]) / 2, several)
        found = _solved(x, target, weights)
        weight = np.zeros((n_classes, x.shape[1]))
        bias = np.full(n_classes, found.intercept_.min() - ABSENT)
        weight[found.classes_], bias[found.classes_] = found.coef_, found.intercept_
        return cls(weight, bias, several)

    def scores(self, x: Array) -> Array:
        """Probabilities, (n, class)."""
        logits = x @ self.weight.T + self.bias
        return np.asarray(expit(logits) if self.several else softmax(logits, axis=1))

    def fit_to(self, x: Array, wanted: NDArray[Any]) -> dict[str, float]:
        """Loss (nats) and, for one label per clip, accuracy on some clips."""
        scores = np.clip(self.scores(x), 1e-12, 1.0 - 1e-12)
        if self.several:
            loss = wanted * np.log(scores) + (1.0 - wanted) * np.log1p(-scores)
            return {"loss": -float(loss.mean())}
        right = scores.argmax(axis=1) == wanted.argmax(axis=1)
        loss = (wanted * np.log(scores)).sum(axis=1)
        return {"loss": -float(loss.mean()), "accuracy": float(right.mean())}

    def put_into(self, model: SoundModel, scale: StandardScaler) -> None:
        """Write the class layer, with the standardisation of embeddings folded in."""
        layer = cast(nn.Linear, model.head[-1])
        own = self.weight / scale.scale_
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(own))
            layer.bias.copy_(torch.from_numpy(self.bias - own @ scale.mean_))


def _binary(x: Array, answers: NDArray[Any], weights: Array) -> tuple[Array, float]:
    """Of one yes-or-no question; where all clips have one answer, its odds alone."""
    yes = float(answers @ weights)
    if not 0 < yes < weights.sum():
        return np.zeros(x.shape[1]), float(np.log((yes + 0.5) / (weights.sum() - yes + 0.5)))
    line = _solved(x, answers, weights)
    return line.coef_[0], float(line.intercept_[0])


def _solved(x: Array, target: NDArray[Any], weights: Array) -> LogisticRegression:
    with one_blas_thread():
        return LogisticRegression(C=STRENGTH, max_iter=MAX_ITERATIONS).fit(x, target, weights)
