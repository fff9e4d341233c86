"""Prototypes: a clip is of the class whose mean embedding lies nearest.

Papers: Snell, Swersky and Zemel 2017, "Prototypical networks for few-shot learning"; Mensink et
al. 2013, "Distance-based image classification" (nearest class mean); Platt 1999, "Probabilistic
outputs for support vector machines" (why few right answers are no certainty).

What it changes: nothing is optimised. One to five examples a class give their mean among the
embeddings of an encoder that stays as it is, and that is the class. A class can be added or an
example be replaced in the time it takes to read it.

A distance to a mean, squared, is linear in the embedding but for a part that all classes
share. So the classifier is an ordinary class layer: it is saved, exported and trained further like
any other. Where we differ: each dimension of the embedding is first brought to unit variance
over the labelled clips, and how sure scores are (the temperature) is chosen by leaving each
labelled clip out of its class's mean in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.preprocessing import StandardScaler

from semisonic.inference.methods.class_line import ABSENT, ClassLine
from semisonic.inference.methods.noisy_student import one_hot
from semisonic.inference.scoring import embed_rows
from semisonic.models import SoundModel
from semisonic.training import FitResult

OWN_SCORE = 0.9
"""Mean score of its own class that a prototype gets where nothing else tells how sure to be."""
_SHARPNESS = (-12.0, 6.0)
"""Natural logarithms of the sharpness between which it is searched for."""

Array = NDArray[np.float64]


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


def nearest_means(x: Array, shares: NDArray[Any]) -> ClassLine:
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


def _sharpness(x: Array, owner: NDArray[np.int64], means: Array, n: NDArray[Any]) -> float:
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


def _present(x: Array, hot: NDArray[Any]) -> ClassLine:
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


def _halved(x: Array, means: Array) -> Array:
    """Half of the squared distances, (n, mean)."""
    return 0.5 * np.asarray(((x[:, None] - means[None]) ** 2).sum(axis=2))


def _best(loss: Callable[[float], float]) -> float:
    """The sharpness of the lowest loss."""
    found = minimize_scalar(
        lambda log: loss(float(np.exp(log))), bounds=_SHARPNESS, method="bounded"
    )
    return float(np.exp(found.x))
