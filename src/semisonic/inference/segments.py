"""Clips as overlapping segments that are classified one by one and vote.

Paper: Piczak 2015, "Environmental sound classification with convolutional neural networks":
segments of 0.95 or 2.3 s, half of one overlapping the next, silent ones left out, and the
answer for a clip by the majority of its segments or by their mean probabilities.

Where we differ: a clip of nothing but silence keeps all its segments, so every clip is scored,
and a tie between classes goes to the one with the larger mean probability.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semisonic.inference.scoring import mean_by

Rows = NDArray[np.int64]
_TIE = 1e-3  # weight of mean probabilities beside a vote: it parts ties and nothing else
_CHUNK = 256


def sounding(
    features: Any, rows: ArrayLike, source: NDArray[np.int64], silence_db: float | None
) -> Rows:
    """Those of some rows of features that are not silent.

    Parameters
    ----------
    features : array-like, shape (n, channel, mel, frame)
        In dB; the first channel counts.
    rows : array of int
    source : ndarray of int64, shape (n,)
        The clip that each row of features belongs to.
    silence_db : float, optional
        Rows with a mean level at or below are left out, but for clips without any above.

    Returns
    -------
    ndarray of int64
        In their order.
    """
    rows = np.asarray(rows, np.int64)
    if silence_db is None or not len(rows):
        return rows
    level = np.empty(len(rows))
    for start in range(0, len(rows), _CHUNK):
        part = np.asarray(features[rows[start : start + _CHUNK]])[:, 0]
        level[start : start + _CHUNK] = part.mean(axis=(1, 2), dtype=np.float64)
    heard = level > silence_db
    return rows[heard | ~np.isin(source[rows], source[rows[heard]])]


def majority_by(
    owner: ArrayLike, scores: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The share of votes for each class, as of the segments of one clip.

    Parameters
    ----------
    owner : array of int, shape (n,)
    scores : ndarray, shape (n, n_classes)
        A row votes for its largest.

    Returns
    -------
    owners : ndarray of int64, shape (n_owners,)
        Each once, in rising order.
    shares : ndarray, shape (n_owners, n_classes)
        They sum to one. Mean probabilities enter with a thousandth, so that no tie is left.
    """
    votes = np.zeros_like(scores)
    votes[np.arange(len(scores)), scores.argmax(axis=1)] = 1.0
    owners, shares = mean_by(owner, votes)
    tie_break = _TIE / max(int(np.bincount(np.asarray(owner, np.int64)).max(initial=1)), 1)
    mixed = shares + tie_break * mean_by(owner, scores)[1]
    return owners, mixed / mixed.sum(axis=1, keepdims=True)
