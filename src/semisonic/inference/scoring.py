"""Features to scores and embeddings, in batches, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from semisonic.data.streams import batches
from semisonic.models import SoundModel

BATCH_SIZE = 64
"""Clips scored at once unless a caller says otherwise."""


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
        Probabilities in the order of ``rows``.
    """

    def score(x: Tensor) -> Tensor:
        return model.scores(model.from_features(x).float())

    return _in_batches(model, score, features, rows, batch_size, device, len(model.classes))


def embed_rows(
    model: SoundModel,
    features: Any,
    rows: ArrayLike,
    batch_size: int = BATCH_SIZE,
    device: str | torch.device = "cpu",
) -> NDArray[np.float64]:
    """Embed some rows of features: what the last layer sees, shape (len(rows), dim)."""
    return _in_batches(model, model.embed, features, rows, batch_size, device, 0)


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
