"""Linear probe: the encoder stays as it is, a linear class layer on its embeddings is learned.

Papers: Alain and Bengio 2017, "Understanding intermediate layers using linear classifier
probes"; Kumar et al. 2022, "Fine-tuning can distort pretrained features and underperform
out-of-distribution" (why the encoder is left alone where labels are few); Lee 2013,
"Pseudo-label" (guesses about the pool).

What it changes: a few dozen labels cannot teach a network what sounds are, but they can spoil
what it has learned without them. So they choose directions among the embeddings, by logistic
regression, and nothing else. With a pool, sure guesses about it are learned beside the labels,
in rounds.

Where we differ: all guesses together weigh at most as much as all labels (``pool_weight``),
each in proportion to how sure it is. A pool that is large, or of other classes, then cannot
outvote the labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn

from semisonic.inference.methods.noisy_student import one_hot
from semisonic.inference.methods.options import PROBE, MethodOptions
from semisonic.inference.methods.pseudo_labels import PseudoLabels, pseudo_labels
from semisonic.inference.scoring import embed_rows
from semisonic.models import SoundModel
from semisonic.training import FitResult

STRENGTH = 0.1
"""Inverse of the regularisation, for standardised embeddings; from 0.02 to 1 it hardly matters."""
MAX_ITERATIONS = 1000
ABSENT = 20.0
"""How far below all others the logit of a class without a single label lies."""

Rows = NDArray[np.int64]
Array = NDArray[np.float64]


def fit_probe(
    model: SoundModel,
    features: Any,
    target: NDArray[Any],
    train: Rows,
    pool: Rows,
    how: MethodOptions,
    *,
    device: str | torch.device = "cpu",
    truth: NDArray[np.int64] | None = None,
    validate: Callable[[], Mapping[str, float]] | None = None,
) -> tuple[FitResult, list[PseudoLabels]]:
    """Set the class layer of a model; everything before it stays as it is.

    Parameters
    ----------
    model : SoundModel
        On ``device``.
    features : FeatureStore or ndarray, shape (n, channel, mel, frame)
        In dB.
    target : ndarray
        Class numbers (n,), or 0 and 1, (n, n_classes), for several labels a clip.
    train, pool : ndarray of int64
        Labelled rows, and rows to be guessed; those that are labelled keep their labels. For
        several labels a clip the pool gives the scale of embeddings alone.
    how : MethodOptions
        Of which ``rounds``, ``threshold``, ``alignment`` and ``pool_weight`` are read.
    truth : ndarray of int64, shape (n,), optional
        Class numbers, -1 where unknown, to record how many guesses are right.
    validate : callable, optional
        Called at the end.

    Returns
    -------
    FitResult
        Its history has a row a round: ``loss`` (nats) and ``accuracy`` of the labelled clips,
        ``used`` (share of the pool that was guessed surely), ``precision`` where known.
    list of PseudoLabels
        The guesses of each round.
    """
    begun = perf_counter()
    several = target.ndim == 2
    named = np.setdiff1d(pool, train)
    scale = StandardScaler()
    x = scale.fit_transform(embed_rows(model, features, np.r_[train, named], device=device))
    known, unknown = x[: len(train)], x[len(train) :]
    wanted = target[train] if several else one_hot(target, len(model.classes))[train]
    expected = wanted.mean(axis=0, dtype=np.float64)
    line = _Line.learn(known, wanted, np.ones(len(train)), several)
    history = [{"epoch": 1.0, **line.fit_to(known, wanted)}]
    guesses: list[PseudoLabels] = []
    for number in range(how.rounds if len(named) and not several else 0):
        sure = pseudo_labels(
            named, line.scores(unknown), expected, threshold=how.threshold,
            alignment=how.alignment,
        )  # fmt: skip
        guesses.append(sure)
        most = how.weight_for(PROBE) * len(train) / max(sure.sureness.sum(), 1e-9)
        line = _Line.learn(
            np.r_[known, unknown[np.searchsorted(named, sure.rows)]],
            np.r_[wanted, sure.shares],
            np.r_[np.ones(len(train)), sure.sureness * min(1.0, most)],
        )
        history.append({"epoch": number + 2.0, **line.fit_to(known, wanted)})
        history[-1] |= _told(sure, len(named), truth)
    line.put_into(model, scale)
    if validate is not None:
        history[-1] |= {f"val_{name}": value for name, value in validate().items()}
    seconds = perf_counter() - begun
    return FitResult(history, len(history), len(history), seconds, "fp32", False), guesses


@dataclass(frozen=True)
class _Line:
    """Weights (class, dim) and biases (class,) behind standardised embeddings."""

    weight: Array
    bias: Array
    several: bool

    @classmethod
    def learn(cls, x: Array, shares: NDArray[Any], weights: Array, several: bool = False) -> _Line:
        """Logistic regression; for several labels a clip one for each class."""
        if several:
            each = [_binary(x, column, weights) for column in shares.T]
            return cls(np.stack([w for w, _ in each]), np.array([b for _, b in each]), several)
        target, n_classes = shares.argmax(axis=1), shares.shape[1]
        if n_classes == 2:
            w, b = _binary(x, target, weights)
            return cls(np.stack([-w, w]) / 2, np.array([-b, b]) / 2, several)
        found = LogisticRegression(C=STRENGTH, max_iter=MAX_ITERATIONS).fit(x, target, weights)
        weight = np.zeros((n_classes, x.shape[1]))
        bias = np.full(n_classes, found.intercept_.min() - ABSENT)
        weight[found.classes_], bias[found.classes_] = found.coef_, found.intercept_
        return cls(weight, bias, several)

    def scores(self, x: Array) -> Array:
        """Probabilities, (n, class)."""
        logits = x @ self.weight.T + self.bias
        return np.asarray(expit(logits) if self.several else softmax(logits, axis=1))

    def fit_to(self, x: Array, wanted: NDArray[Any]) -> dict[str, float]:
        """Loss (nats) and, for one label a clip, accuracy on some clips."""
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
    line = LogisticRegression(C=STRENGTH, max_iter=MAX_ITERATIONS).fit(x, answers, weights)
    return line.coef_[0], float(line.intercept_[0])


def _told(guessed: PseudoLabels, n: int, truth: NDArray[np.int64] | None) -> dict[str, float]:
    """How many guesses are used and, of those whose class is known, how many are right."""
    row = {"used": len(guessed) / n}
    if truth is not None and len(guessed):
        known = truth[guessed.rows] >= 0
        if known.any():
            right = guessed.shares.argmax(axis=1) == truth[guessed.rows]
            row["precision"] = float(right[known].mean())
    return row
