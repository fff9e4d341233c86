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
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from semisonic.inference.methods.class_line import Array, ClassLine
from semisonic.inference.methods.noisy_student import one_hot
from semisonic.inference.methods.options import PROBE, MethodOptions
from semisonic.inference.methods.pseudo_labels import PseudoLabels, pseudo_labels
from semisonic.inference.scoring import embed_rows
from semisonic.models import SoundModel
from semisonic.training import FitResult

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
    known: Array,
    wanted: NDArray[Any],
    unknown: Array,
    named: Rows,
    how: MethodOptions,
    several: bool = False,
    truth: NDArray[np.int64] | None = None,
    weights: Array | None = None,
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
            named, line.scores(unknown), expected, threshold=how.threshold,
            alignment=how.alignment,
        )  # fmt: skip
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
