"""Features to scores and embeddings, in batches, in order.

This is the one place where logits become the scores that people are given: the model's
``decision`` is applied here, so every way to scores agrees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from semisonic.base.errors import OptionError
from semisonic.base.options import nearest
from semisonic.data.streams import batches
from semisonic.models import SoundModel
from semisonic.models.decision import Said

BATCH_SIZE = 64
"""Clips scored at once unless a caller says otherwise."""

POOLINGS = ("scores", "logits")
"""What the mean over the windows of a clip is taken of."""


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Within the block the module is in evaluation mode and records no gradients."""
    was_training = module.training
    module.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        module.train(was_training)


def settle(model: nn.Module, place: torch.device) -> None:
    """Move a model to where it computes; on a processor its weights are laid out for speed.

    Convolutions compute 1.1 to 2.7 times as fast with channels last, and the scores differ by
    the rounding of float32 only.
    """
    model.to(place)
    if place.type == "cpu":
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def score_rows(
    model: SoundModel,
    features: Any,
    rows: ArrayLike,
    batch_size: int = BATCH_SIZE,
    device: str | torch.device = "cpu",
) -> NDArray[np.float64]:
    """Score some rows of features.

    Parameters
    ----------
    model : SoundModel
        On ``device``; its mode is kept.
    features : FeatureStore or ndarray, shape (n, channel, mel, frame)
        In dB, not standardised.
    rows : array of int

    Returns
    -------
    ndarray of float64, shape (len(rows), n_classes)
        Probabilities in the order of ``rows``, calibrated if the model is.
    """
    needed = bool(model.decision.unknown.parts)
    found = compute_rows(model, features, rows, batch_size, device, embeddings=needed)
    return decide(model, *found).scores


def decide(
    model: SoundModel, logits: NDArray[np.float64], embeddings: NDArray[np.float64] | None
) -> Said:
    """What the model says, of what its network has computed: scores, and how known each row is."""
    return model.decision.apply(logits, embeddings, multi_label=model.multi_label)


def compute_rows(
    model: SoundModel,
    features: Any,
    rows: ArrayLike,
    batch_size: int = BATCH_SIZE,
    device: str | torch.device = "cpu",
    *,
    embeddings: bool = True,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the network computes of some rows, before anything is decided (see :func:`decide`).

    Parameters
    ----------
    model, features, rows, batch_size, device
        As for :func:`score_rows`.
    embeddings : bool
        Whether to keep them: many rows of large ones take much memory.

    Returns
    -------
    logits : ndarray of float64, shape (len(rows), n_classes)
    embeddings : ndarray of float64, shape (len(rows), dim)
        Or (len(rows), dim + n_statistics), where a rule of the model's reads statistics of the
        features: these stand behind. Or (len(rows), 0).
    """
    beside = embeddings and model.decision.unknown.reads_statistics

    def both(x: Tensor) -> Tensor:
        embedding = model.embed(x)
        parts = [model.head(embedding)]
        if embeddings:
            parts.append(embedding)
        if beside:
            parts.append(model.statistics(x))
        return torch.cat(parts, dim=1).float()

    n = len(model.classes)
    width = n + embeddings * model.neck.out_features + beside * model.statistics.out_features
    table = _in_batches(model, both, features, rows, batch_size, device, width)
    return table[:, :n], table[:, n:]


def score_owners(
    model: SoundModel,
    features: Any,
    rows: ArrayLike,
    owner: ArrayLike,
    *,
    pooling: str = "scores",
    device: str | torch.device = "cpu",
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Score clips by the mean of their windows.

    Windows are cut so that only a clip shorter than one is padded, and such a clip has one window:
    so no padded window is ever averaged with others, and each counts the same.

    Parameters
    ----------
    model, features, rows, device
        As for :func:`score_rows`.
    owner : array of int, shape (len(rows),)
        The clip of each row.
    pooling : {"scores", "logits"}
        What the mean is taken of: probabilities, or logits before they become probabilities.

    Returns
    -------
    owners : ndarray of int64, shape (n_owners,)
        Each once, in rising order.
    scores : ndarray of float64, shape (n_owners, n_classes)
        Probabilities.
    """
    if pooling not in POOLINGS:
        raise OptionError(f"option 'pooling': found '{pooling}'; {nearest(pooling, POOLINGS)}")
    if pooling == "scores":
        return mean_by(owner, score_rows(model, features, rows, device=device))

    logits, embeddings = compute_rows(model, features, rows, device=device)
    owners, means = mean_by(owner, logits)
    return owners, decide(model, means, mean_by(owner, embeddings)[1]).scores


def embed_rows(
    model: SoundModel,
    features: Any,
    rows: ArrayLike,
    batch_size: int = BATCH_SIZE,
    device: str | torch.device = "cpu",
) -> NDArray[np.float64]:
    """Embed some rows of features: what the last layer sees, shape (len(rows), dim)."""
    return _in_batches(model, model.embed, features, rows, batch_size, device, 0)


def statistics_of_rows(
    model: SoundModel,
    features: Any,
    rows: ArrayLike,
    batch_size: int = BATCH_SIZE,
    device: str | torch.device = "cpu",
) -> NDArray[np.float64]:
    """Statistics of some rows of features, for the rule against noise."""
    width = model.statistics.out_features
    return _in_batches(model, model.statistics, features, rows, batch_size, device, width)


def mean_by(
    owner: ArrayLike, scores: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The mean of the scores of each owner's rows, as of the windows of one clip.

    Parameters
    ----------
    owner : array of int, shape (n,)
    scores : ndarray, shape (n, n_classes)

    Returns
    -------
    owners : ndarray of int64, shape (n_owners,)
        Each once, in rising order.
    means : ndarray, shape (n_owners, n_classes)
    """
    owners, inverse = np.unique(np.asarray(owner, np.int64), return_inverse=True)
    total = np.zeros((len(owners), scores.shape[1]))
    np.add.at(total, inverse, scores)
    return owners, total / np.bincount(inverse, minlength=len(owners))[:, None]


def _in_batches(
    model: nn.Module,
    function: Callable[[Tensor], Tensor],
    features: Any,
    rows: ArrayLike,
    batch_size: int,
    device: str | torch.device,
    width: int,
) -> NDArray[np.float64]:
    index = np.asarray(rows, dtype=np.int64)
    if not len(index):
        return np.zeros((0, width))
    with evaluating(model):
        parts = [
            function(batch.x).double().cpu().numpy()
            for batch in batches(features, index, batch_size, device)
        ]
    return np.concatenate(parts)
