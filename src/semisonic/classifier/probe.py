"""A linear class layer on a frozen encoder, and pseudo-labels for a pool."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn

from semisonic.classifier.config import PROBE, MethodOptions
from semisonic.classifier.scoring import embed_rows
from semisonic.core.parallel import one_blas_thread
from semisonic.models.sound_model import SoundModel
from semisonic.training.loop import FitResult

Rows = NDArray[np.int64]
FloatArray = NDArray[np.float64]

STRENGTH = 0.1
"""Inverse of the regularisation, for standardised embeddings; from 0.02 to 1 it hardly matters."""
MAX_ITERATIONS = 1000
ABSENT = 20.0
"""Distance below all others of the logit of a class without labels."""
ALIGNMENTS = (0.0, 0.5, 1.0)
"""Strengths of alignment to try if none was given."""
PARTS, MOST_TRIED = 4, 1000
"""Parts of the labels in that trial, each left out once; clips of the pool used in it at most."""

# Pseudo-labels, made once a round, and which of them to learn from.
#
# Papers: Lee 2013, "Pseudo-label"; Xie et al. 2020, "Self-training with noisy student improves
# ImageNet classification" (pseudo-labels balanced over the classes).


@dataclass(frozen=True)
class PseudoLabels:
    """Pseudo-labels of some clips of a pool.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
        Rows of the features, ascending.
    shares : ndarray of float32, shape (n, n_classes)
        1 for a class that is present, else 0.
    confidence : ndarray of float64, shape (n,)
        Score of the best class; for several labels per clip, of the least certain answer.
    """

    rows: Rows
    shares: NDArray[np.float32]
    confidence: FloatArray

    def __len__(self) -> int:
        return len(self.rows)


def align(scores: FloatArray, expected: FloatArray, strength: float = 1.0) -> FloatArray:
    """Scores, (n, class), whose mean over clips is nearer to the expected shares, (class,).

    Each clip's scores still sum to one. With strength 1 the mean is met (to within 0.001, or as
    near as 100 rounds of scaling bring it); 0 changes nothing.
    """
    if not strength or not len(scores):
        return scores
    wanted = expected**strength * scores.mean(axis=0) ** (1.0 - strength)
    wanted /= wanted.sum()
    aligned = scores
    for _ in range(100):
        found = aligned.mean(axis=0)
        if np.abs(found - wanted).max() < 1e-3:
            break
        aligned = aligned * (wanted / np.maximum(found, 1e-9))
        aligned /= aligned.sum(axis=1, keepdims=True)
    return aligned


def pseudo_labels(
    rows: Rows,
    scores: FloatArray,
    expected: FloatArray,
    *,
    threshold: float,
    alignment: float = 1.0,
    multi_label: bool = False,
) -> PseudoLabels:
    """Choose pseudo-labels from a teacher's scores for a pool.

    Parameters
    ----------
    rows : ndarray of int64, shape (n,)
    scores : ndarray, shape (n, n_classes)
    expected : ndarray, shape (n_classes,)
        Shares of the classes among the labels.
    threshold : float
        Least confidence, 0 to 1. With several labels per clip: each class must be above it or
        below one minus it.
    alignment : float
        0 to 1; see :func:`align`. One label per clip only.
    """
    if multi_label:
        confidence = np.maximum(scores, 1.0 - scores).min(axis=1)
        kept = confidence >= threshold
        answers = (scores[kept] >= 0.5).astype(np.float32)
        return PseudoLabels(rows[kept], answers, confidence[kept])
    aligned = align(scores, expected, alignment)
    confidence = aligned.max(axis=1)
    kept = confidence >= threshold
    shares = np.eye(scores.shape[1], dtype=np.float32)[aligned[kept].argmax(axis=1)]
    return PseudoLabels(rows[kept], shares, confidence[kept])


def one_hot(target: NDArray[Any], n_classes: int) -> NDArray[np.float32]:
    """Class numbers as shares, (n, n_classes); rows without a class (-1) are zero."""
    hot: NDArray[np.float32] = (target[:, None] == np.arange(n_classes)).astype(np.float32)
    return hot


def _wanted(model: SoundModel, target: NDArray[Any]) -> NDArray[Any]:
    """1 for a class that is present, else 0, shape (n, n_classes)."""
    return target if target.ndim == 2 else one_hot(target, len(model.classes))


# A class layer that is solved for and not trained: weights behind standardised embeddings.


@dataclass(frozen=True)
class ClassLine:
    """Weights (class, dim) and biases (class,) behind standardised embeddings."""

    weight: FloatArray
    bias: FloatArray
    several: bool

    @classmethod
    def learn(
        cls, x: FloatArray, shares: NDArray[Any], weights: FloatArray, several: bool = False
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

    def logits(self, x: FloatArray) -> FloatArray:
        """Shape (n, class)."""
        found: FloatArray = x @ self.weight.T + self.bias
        return found

    def scores(self, x: FloatArray) -> FloatArray:
        """Probabilities, (n, class)."""
        logits = self.logits(x)
        return np.asarray(expit(logits) if self.several else softmax(logits, axis=1))

    def fit_to(self, x: FloatArray, wanted: NDArray[Any]) -> dict[str, float]:
        """Loss (nats) and, for one label per clip, accuracy on some clips."""
        scores = np.clip(self.scores(x), 1e-12, 1.0 - 1e-12)
        if self.several:
            loss = wanted * np.log(scores) + (1.0 - wanted) * np.log1p(-scores)
            return {"loss": -float(loss.mean())}
        right = scores.argmax(axis=1) == wanted.argmax(axis=1)
        loss = (wanted * np.log(scores)).sum(axis=1)
        return {"loss": -float(loss.mean()), "accuracy": float(right.mean())}

    def put_into(self, layer: nn.Module, scale: StandardScaler) -> None:
        """Write a linear layer, with the standardisation of its inputs folded in."""
        layer = cast(nn.Linear, layer)
        own = self.weight / scale.scale_
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(own))
            layer.bias.copy_(torch.from_numpy(self.bias - own @ scale.mean_))


def _binary(x: FloatArray, answers: NDArray[Any], weights: FloatArray) -> tuple[FloatArray, float]:
    """For one yes-or-no question; if all clips have the same answer, only its odds."""
    yes = float(answers @ weights)
    if not 0 < yes < weights.sum():
        return np.zeros(x.shape[1]), float(np.log((yes + 0.5) / (weights.sum() - yes + 0.5)))
    line = _solved(x, answers, weights)
    return line.coef_[0], float(line.intercept_[0])


def _solved(x: FloatArray, target: NDArray[Any], weights: FloatArray) -> LogisticRegression:
    with one_blas_thread():
        return LogisticRegression(C=STRENGTH, max_iter=MAX_ITERATIONS).fit(x, target, weights)


# Linear probe: the encoder stays as it is, a linear class layer on its embeddings is learned.
#
# Papers: Alain and Bengio 2017, "Understanding intermediate layers using linear classifier
# probes"; Kumar et al. 2022, "Fine-tuning can distort pretrained features and underperform
# out-of-distribution" (why the encoder is left alone where labels are few).
#
# Where we differ: all pseudo-labels together weigh at most as much as all labels
# (``pool_weight``), each in proportion to its confidence. A pool that is large, or of other
# classes, then cannot outvote the labels. How far pseudo-labels are brought to the classes'
# frequencies among the labels is chosen by leaving labels out: in a pool with as many clips of each
# class it is worth some points, in one without it costs as many.


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
    """Set the class layer of a model; the layers before it are not changed.

    Parameters
    ----------
    model : SoundModel
        On ``device``.
    features : FeatureStore or ndarray, shape (n, channel, mel, frame)
        In dB.
    target : ndarray
        Class numbers (n,), or 0 and 1, (n, n_classes), for several labels per clip.
    train, pool : ndarray of int64
        Labelled rows, and rows to get pseudo-labels; labelled rows keep their labels. For several
        labels per clip, the pool is used only for the scale of embeddings.
    how : MethodOptions
        Of which ``rounds``, ``threshold``, ``alignment`` and ``pool_weight`` are read.
    truth : ndarray of int64, shape (n,), optional
        Class numbers, -1 where unknown, to record how many pseudo-labels are right.
    validate : callable, optional
        Called at the end.

    Returns
    -------
    FitResult
        Its history has a row per round: ``loss`` (nats) and ``accuracy`` of the labelled clips,
        ``used`` (share of the pool with a pseudo-label), ``precision`` where known.
    list of PseudoLabels
        Those of each round.
    """
    begun, several = perf_counter(), target.ndim == 2
    unlabelled, scale = np.setdiff1d(pool, train), StandardScaler()
    x = scale.fit_transform(embed_rows(model, features, np.r_[train, unlabelled], device=device))
    known, rest = np.split(x, [len(train)])
    wanted = _wanted(model, target[train])
    line, history, learned = solve_probe(known, wanted, rest, unlabelled, how, several, truth)
    line.put_into(model.head[-1], scale)
    if validate is not None:
        history[-1] |= {f"val_{name}": value for name, value in validate().items()}
    seconds = perf_counter() - begun
    return FitResult(history, len(history), len(history), seconds, "fp32", False), learned


def solve_probe(
    known: FloatArray,
    wanted: NDArray[Any],
    unknown: FloatArray,
    unlabelled: Rows,
    how: MethodOptions,
    several: bool = False,
    truth: NDArray[np.int64] | None = None,
    weights: FloatArray | None = None,
) -> tuple[ClassLine, list[dict[str, float]], list[PseudoLabels]]:
    """The class layer of standardised embeddings, its history, and the pseudo-labels of a pool.

    Parameters
    ----------
    known : ndarray, shape (n, dim)
    wanted : ndarray, shape (n, n_classes)
        One where a class is, else zero.
    unknown : ndarray, shape (n_pool, dim)
        Of one label per clip; with several there are no pseudo-labels.
    unlabelled : ndarray of int64, shape (n_pool,)
        What the rows of the pool are called in pseudo-labels, ascending.
    how, truth
        As for :func:`fit_probe`.
    weights : ndarray, shape (n,), optional
        Weights of the labelled clips; one each by default.
    """
    each = np.ones(len(known)) if weights is None else weights
    expected = np.average(wanted, axis=0, weights=each)
    line = ClassLine.learn(known, wanted, each, several)
    history = [{"epoch": 1.0, **line.fit_to(known, wanted)}]
    learned: list[PseudoLabels] = []
    if how.alignment is None and how.weight_for(PROBE) and len(unknown) and not several:
        how = replace(how, alignment=choose_alignment(known, wanted, unknown, how, each))
        history[0]["alignment"] = how.alignment_strength
    for number in range(how.rounds if len(unknown) and not several else 0):
        found = pseudo_labels(
            unlabelled,
            line.scores(unknown),
            expected,
            threshold=how.threshold,
            alignment=how.alignment_strength,
        )
        learned.append(found)
        most = how.weight_for(PROBE) * each.sum() / max(found.confidence.sum(), 1e-9)
        line = ClassLine.learn(
            np.r_[known, unknown[np.searchsorted(unlabelled, found.rows)]],
            np.r_[wanted, found.shares],
            np.r_[each, found.confidence * min(1.0, most)],
        )
        row = {"epoch": number + 2.0, **line.fit_to(known, wanted)}
        row["used"] = len(found) / len(unlabelled)
        if truth is not None and (is_known := truth[found.rows] >= 0).any():
            right = found.shares.argmax(axis=1) == truth[found.rows]
            row["precision"] = float(right[is_known].mean())
        history.append(row)
    return line, history, learned


def crossed_logits(
    model: SoundModel,
    features: Any,
    target: NDArray[Any],
    train: Rows,
    pool: Rows,
    how: MethodOptions,
    splits: Sequence[tuple[NDArray[Any], NDArray[Any]]],
) -> FloatArray:
    """Logits of the labelled rows, each by a class layer that did not learn from its recording.

    Parameters
    ----------
    model, features, target, train, pool, how
        As for :func:`fit_probe`.
    splits : sequence of (rows, others)
        Places in ``train`` to learn from, and those to judge.

    Returns
    -------
    ndarray, shape (len(train), n_classes)
    """
    several, unlabelled = target.ndim == 2, np.setdiff1d(pool, train)
    x = StandardScaler().fit_transform(embed_rows(model, features, np.r_[train, unlabelled]))
    known, rest = np.split(x, [len(train)])
    wanted = _wanted(model, target[train])
    if how.alignment is None and len(rest) and not several:
        each = np.ones(len(known))
        how = replace(how, alignment=choose_alignment(known, wanted, rest, how, each))
    logits = np.zeros(wanted.shape)
    for rows, others in splits:
        line, _, _ = solve_probe(known[rows], wanted[rows], rest, unlabelled, how, several)
        logits[others] = line.logits(known[others])
    return logits


def choose_alignment(
    known: FloatArray,
    wanted: NDArray[Any],
    unknown: FloatArray,
    how: MethodOptions,
    weights: FloatArray,
) -> float:
    """The strength of alignment that predicts left-out labels best.

    A quarter of each class's labels is left out in turn, and joins the pool. What counts is the
    log loss on those. Where no class has two labels it is the middle strength.

    Parameters
    ----------
    known, wanted, unknown, how, weights
        As for :func:`solve_probe`; one label per clip.
    """
    target, part = wanted.argmax(axis=1), np.full(len(known), -1)
    for number in np.unique(target):
        rows = np.flatnonzero(target == number)
        if len(rows) > 1:  # else it is never left out
            part[rows] = np.arange(len(rows)) % PARTS
    losses = dict.fromkeys(ALIGNMENTS, 0.0)
    if part.max() < 0:
        return ALIGNMENTS[1]
    spread = np.linspace(0, len(unknown) - 1, min(len(unknown), MOST_TRIED)).astype(np.int64)
    for left_out in range(part.max() + 1):
        kept = part != left_out
        pool = np.r_[unknown[spread], known[~kept]]
        rows, truth = np.arange(len(pool)), wanted[~kept]
        for strength in ALIGNMENTS:
            trial = replace(how, alignment=strength)
            line, _, _ = solve_probe(
                known[kept], wanted[kept], pool, rows, trial, weights=weights[kept]
            )
            losses[strength] += line.fit_to(known[~kept], truth)["loss"] * len(truth)
    return min(losses, key=lambda strength: losses[strength])
