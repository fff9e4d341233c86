"""Class layers on a frozen encoder: linear probe, prototypes, and the choice between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler
from torch import nn

from semisonic.classifier.config import PROBE, PROTOTYPE, MethodOptions
from semisonic.classifier.pseudo_labels import PseudoLabels, one_hot, pseudo_labels
from semisonic.classifier.scoring import embed_rows
from semisonic.core.parallel import one_blas_thread
from semisonic.models.sound_model import SoundModel
from semisonic.training.loop import FitResult

# A class layer that is solved for and not trained: weights behind standardised embeddings.


STRENGTH = 0.1
"""Inverse of the regularisation, for standardised embeddings; from 0.02 to 1 it hardly matters."""
MAX_ITERATIONS = 1000
ABSENT = 20.0
"""How far below all others the logit of a class without a single label lies."""

FloatArray = NDArray[np.float64]


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

    def scores(self, x: FloatArray) -> FloatArray:
        """Probabilities, (n, class)."""
        logits = x @ self.weight.T + self.bias
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

    def put_into(self, model: SoundModel, scale: StandardScaler) -> None:
        """Write the class layer, with the standardisation of embeddings folded in."""
        layer = cast(nn.Linear, model.head[-1])
        own = self.weight / scale.scale_
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(own))
            layer.bias.copy_(torch.from_numpy(self.bias - own @ scale.mean_))


def _binary(x: FloatArray, answers: NDArray[Any], weights: FloatArray) -> tuple[FloatArray, float]:
    """Of one yes-or-no question; where all clips have one answer, its odds alone."""
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
# out-of-distribution" (why the encoder is left alone where labels are few); Lee 2013,
# "Pseudo-label" (guesses about the pool).
#
# What it changes: a few dozen labels cannot teach a network what sounds are, but they can spoil
# what it has learned without them. So they choose directions among the embeddings, by logistic
# regression, and nothing else. With a pool, sure guesses about it are learned beside the labels,
# in rounds.
#
# Where we differ: all guesses together weigh at most as much as all labels (``pool_weight``),
# each in proportion to how sure it is. A pool that is large, or of other classes, then cannot
# outvote the labels.


Rows = NDArray[np.int64]


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
        Class numbers (n,), or 0 and 1, (n, n_classes), for several labels per clip.
    train, pool : ndarray of int64
        Labelled rows, and rows to be guessed; those that are labelled keep their labels. For
        several labels per clip the pool gives the scale of embeddings alone.
    how : MethodOptions
        Of which ``rounds``, ``threshold``, ``alignment`` and ``pool_weight`` are read.
    truth : ndarray of int64, shape (n,), optional
        Class numbers, -1 where unknown, to record how many guesses are right.
    validate : callable, optional
        Called at the end.

    Returns
    -------
    FitResult
        Its history has a row per round: ``loss`` (nats) and ``accuracy`` of the labelled clips,
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
    line, history, guesses = solve_probe(known, wanted, unknown, named, how, several, truth)
    line.put_into(model, scale)
    if validate is not None:
        history[-1] |= {f"val_{name}": value for name, value in validate().items()}
    seconds = perf_counter() - begun
    return FitResult(history, len(history), len(history), seconds, "fp32", False), guesses


def solve_probe(
    known: FloatArray,
    wanted: NDArray[Any],
    unknown: FloatArray,
    named: Rows,
    how: MethodOptions,
    several: bool = False,
    truth: NDArray[np.int64] | None = None,
    weights: FloatArray | None = None,
) -> tuple[ClassLine, list[dict[str, float]], list[PseudoLabels]]:
    """The class layer of standardised embeddings, with guesses about a pool.

    Parameters
    ----------
    known : ndarray, shape (n, dim)
    wanted : ndarray, shape (n, n_classes)
        One where a class is, else zero.
    unknown : ndarray, shape (n_pool, dim)
        Of one label per clip; with several there are no guesses.
    named : ndarray of int64, shape (n_pool,)
        What the rows of the pool are called in guesses, ascending.
    how, truth
        As for :func:`fit_probe`.
    weights : ndarray, shape (n,), optional
        Of the labelled clips; one each by default.
    """
    each = np.ones(len(known)) if weights is None else weights
    expected = np.average(wanted, axis=0, weights=each)
    line = ClassLine.learn(known, wanted, each, several)
    history = [{"epoch": 1.0, **line.fit_to(known, wanted)}]
    guesses: list[PseudoLabels] = []
    for number in range(how.rounds if len(unknown) and not several else 0):
        sure = pseudo_labels(
            named,
            line.scores(unknown),
            expected,
            threshold=how.threshold,
            alignment=how.alignment,
        )
        guesses.append(sure)
        most = how.weight_for(PROBE) * each.sum() / max(sure.sureness.sum(), 1e-9)
        line = ClassLine.learn(
            np.r_[known, unknown[np.searchsorted(named, sure.rows)]],
            np.r_[wanted, sure.shares],
            np.r_[each, sure.sureness * min(1.0, most)],
        )
        history.append({"epoch": number + 2.0, **line.fit_to(known, wanted)})
        history[-1] |= _told(sure, len(named), truth)
    return line, history, guesses


def _told(guessed: PseudoLabels, n: int, truth: NDArray[np.int64] | None) -> dict[str, float]:
    """How many guesses are used and, of those whose class is known, how many are right."""
    row = {"used": len(guessed) / n}
    if truth is not None and len(guessed):
        known = truth[guessed.rows] >= 0
        if known.any():
            right = guessed.shares.argmax(axis=1) == truth[guessed.rows]
            row["precision"] = float(right[known].mean())
    return row


# Prototypes: a clip is of the class whose mean embedding lies nearest.
#
# Papers: Snell, Swersky and Zemel 2017, "Prototypical networks for few-shot learning"; Mensink et
# al. 2013, "Distance-based image classification" (nearest class mean); Platt 1999, "Probabilistic
# outputs for support vector machines" (why few right answers are no certainty).
#
# What it changes: nothing is optimised. One to five examples a class give their mean among the
# embeddings of an encoder that stays as it is, and that is the class. A class can be added or an
# example be replaced in the time it takes to read it.
#
# A distance to a mean, squared, is linear in the embedding but for a part that all classes
# share. So the classifier is an ordinary class layer: it is saved, exported and trained further
# like
# any other. Where we differ: each dimension of the embedding is first brought to unit variance
# over the labelled clips, and how sure scores are (the temperature) is chosen by leaving each
# labelled clip out of its class's mean in turn.


OWN_SCORE = 0.9
"""Mean score of its own class that a prototype gets where nothing else tells how sure to be."""
_SHARPNESS = (-12.0, 6.0)
"""Natural logarithms of the sharpness between which it is searched for."""

FloatTable = NDArray[np.float64]


def fit_prototypes(
    model: SoundModel,
    features: Any,
    target: NDArray[Any],
    train: NDArray[np.int64],
    *,
    device: str | torch.device = "cpu",
    validate: Callable[[], Mapping[str, float]] | None = None,
) -> FitResult:
    """Set the class layer of a model to the mean embeddings of its classes.

    Parameters
    ----------
    model : SoundModel
        On ``device``; everything before the class layer stays as it is.
    features : FeatureStore or ndarray, shape (n, channel, mel, frame)
        In dB.
    target : ndarray
        Class numbers (n,), or 0 and 1, (n, n_classes), for several labels per clip: a class then
        has a mean of the clips with it and one of those without.
    train : ndarray of int64
        Labelled rows. A class without any is never answered.
    validate : callable, optional
        Called at the end.

    Returns
    -------
    FitResult
        One row: ``loss`` (nats) and ``accuracy`` of the labelled clips.
    """
    begun = perf_counter()
    scale = StandardScaler()
    x = scale.fit_transform(embed_rows(model, features, train, device=device))
    several = target.ndim == 2
    wanted = target[train] if several else one_hot(target, len(model.classes))[train]
    line = _present(x, wanted) if several else nearest_means(x, wanted)
    history = [{"epoch": 1.0, **line.fit_to(x, wanted)}]
    line.put_into(model, scale)
    if validate is not None:
        history[-1] |= {f"val_{name}": value for name, value in validate().items()}
    return FitResult(history, 1, 1, perf_counter() - begun, "fp32", False)


def nearest_means(x: FloatTable, shares: NDArray[Any]) -> ClassLine:
    """The class layer of classes that exclude each other, behind standardised embeddings."""
    owner = shares.argmax(axis=1)
    n = shares.sum(axis=0)
    seen = np.flatnonzero(n)
    means = np.stack([x[owner == one].mean(axis=0) for one in seen])
    sharpness = _sharpness(x, np.searchsorted(seen, owner), means, n[seen])
    weight = np.zeros((len(n), x.shape[1]))
    weight[seen] = sharpness * means
    offset = -0.5 * sharpness * (means**2).sum(axis=1)
    bias = np.full(len(n), offset.min() - ABSENT)
    bias[seen] = offset
    return ClassLine(weight, bias, several=False)


def _sharpness(
    x: FloatTable, owner: NDArray[np.int64], means: FloatTable, n: NDArray[Any]
) -> float:
    """By what half of the squared distances is multiplied: the inverse of a temperature."""
    apart = _halved(x, means)
    testable = np.flatnonzero(n[owner] > 1)
    if not len(testable):
        own = _halved(means, means)
        return _best(lambda s: (float(np.diag(softmax(-s * own, axis=1)).mean()) - OWN_SCORE) ** 2)
    # The mean without a clip lies n / (n - 1) times as far from it.
    left_out = apart[testable]
    rows, mine = np.arange(len(testable)), owner[testable]
    left_out[rows, mine] *= (n[mine] / (n[mine] - 1.0)) ** 2
    # Few clips that are all right do not make it certain (Platt 1999): count one more a class.
    wanted = np.full(left_out.shape, 1.0 / (len(testable) + len(means)))
    wanted[rows, mine] += len(testable) / (len(testable) + len(means))
    return _best(lambda s: -float((wanted * log_softmax(-s * left_out, axis=1)).sum(axis=1).mean()))


def _present(x: FloatTable, hot: NDArray[Any]) -> ClassLine:
    """Classes that are each there or not: the mean with a class against the mean without."""
    weight = np.zeros((hot.shape[1], x.shape[1]))
    bias = np.zeros(hot.shape[1])
    for number, column in enumerate(hot.T):
        there = (column > 0.5).astype(np.int64)
        n = np.bincount(there, minlength=2)
        if not n.all():
            bias[number] = np.log((n[1] + 0.5) / (n[0] + 0.5))
            continue
        means = np.stack([x[there == 0].mean(axis=0), x[there == 1].mean(axis=0)])
        sharpness = _sharpness(x, there, means, n)
        weight[number] = sharpness * (means[1] - means[0])
        bias[number] = 0.5 * sharpness * float((means[0] ** 2).sum() - (means[1] ** 2).sum())
    return ClassLine(weight, bias, several=True)


def _halved(x: FloatTable, means: FloatTable) -> FloatTable:
    """Half of the squared distances, (n, mean)."""
    return 0.5 * np.asarray(((x[:, None] - means[None]) ** 2).sum(axis=2))


def _best(loss: Callable[[float], float]) -> float:
    """The sharpness of the lowest loss."""
    found = minimize_scalar(
        lambda log: loss(float(np.exp(log))), bounds=_SHARPNESS, method="bounded"
    )
    return float(np.exp(found.x))


# Probe or prototype: the class layer that names recordings better when they are left out.
#
# Both leave the encoder as it is and take no time, so a few labels are enough to compare them:
# each recording is left out in turn (of many, a tenth at once), a class layer is made of the rest,
# and asked. Scores of so few answers are rough, so the prototype must be ahead by more than one
# standard error of the difference; otherwise the probe stays, as it was better on average in
# ``docs/few-labels.md``.


MOST_PARTS = 50
"""Recordings up to which each is left out by itself."""
PARTS = 10
"""Parts of equal size otherwise."""


@dataclass(frozen=True)
class LeaveOutComparison:
    """How often each class layer named what was left out.

    Attributes
    ----------
    n : int
        Answers: clips of which another recording of the class was there to learn from.
    probe, prototype : int
        Right ones.
    method : {"probe", "prototype"}
        The better one.
    """

    n: int
    probe: int
    prototype: int
    method: str

    def text(self) -> str:
        """One sentence for people."""
        if not self.n:
            return "probe: no class has a second recording to compare it with prototypes by"
        return (
            f"{self.method}: of {self.n} labelled clips, each named by the other recordings, "
            f"{self.probe} were right by probe and {self.prototype} by prototype"
        )


def compare(x: FloatArray, shares: NDArray[Any], groups: NDArray[np.str_]) -> LeaveOutComparison:
    """Leave recordings out, name them by the rest, and count.

    Parameters
    ----------
    x : ndarray, shape (n, dim)
        Embeddings.
    shares : ndarray, shape (n, n_classes)
        One for the clip's class, else zero.
    groups : ndarray of str, shape (n,)
        The recording of each clip.
    """
    owner = shares.argmax(axis=1)
    asked = np.zeros(len(x), np.bool_)
    right = {PROBE: np.zeros(len(x), np.bool_), PROTOTYPE: np.zeros(len(x), np.bool_)}
    for rest, part in _parts(groups):
        known = set(owner[rest].tolist())
        if len(known) < 2:
            continue
        scale = StandardScaler().fit(x[rest])
        near, far = scale.transform(x[rest]), scale.transform(x[part])
        lines = {
            PROBE: ClassLine.learn(near, shares[rest], np.ones(len(rest))),
            PROTOTYPE: nearest_means(near, shares[rest]),
        }
        asked[part] = [one in known for one in owner[part].tolist()]
        for name, line in lines.items():
            right[name][part] = line.scores(far).argmax(axis=1) == owner[part]
    probe, prototype = right[PROBE] & asked, right[PROTOTYPE] & asked
    ahead = int(prototype.sum()) - int(probe.sum())
    better = ahead > np.sqrt(np.sum(probe != prototype))
    return LeaveOutComparison(
        int(asked.sum()), int(probe.sum()), int(prototype.sum()), PROTOTYPE if better else PROBE
    )


def _parts(groups: NDArray[np.str_]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows to learn from and rows to name, recordings whole."""
    n = len(np.unique(groups))
    if n < 2:
        return []
    split = GroupKFold(n if n <= MOST_PARTS else PARTS)
    return list(split.split(np.zeros(len(groups)), groups=groups))
