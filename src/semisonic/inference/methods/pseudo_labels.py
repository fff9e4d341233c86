"""Guesses about unlabelled clips, made once a round, and which of them to learn from.

Papers: Lee 2013, "Pseudo-label"; Xie et al. 2020, "Self-training with noisy student improves
ImageNet classification" (guesses balanced over the classes).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PseudoLabels:
    """Guessed labels of some clips of a pool.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
        Rows of the features, ascending.
    shares : ndarray of float32, shape (n, n_classes)
        A class, or a sharpened distribution; for several labels per clip, each class's score.
    sureness : ndarray of float64, shape (n,)
        Score of the best class before sharpening.
    """

    rows: NDArray[np.int64]
    shares: NDArray[np.float32]
    sureness: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)


def align(
    scores: NDArray[np.float64], expected: NDArray[np.float64], strength: float = 1.0
) -> NDArray[np.float64]:
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
    rows: NDArray[np.int64],
    scores: NDArray[np.float64],
    expected: NDArray[np.float64],
    *,
    threshold: float,
    alignment: float = 1.0,
    temperature: float = 0.0,
    multi_label: bool = False,
) -> PseudoLabels:
    """Choose what to learn from a teacher's scores of a pool.

    Parameters
    ----------
    rows : ndarray of int64, shape (n,)
    scores : ndarray, shape (n, n_classes)
    expected : ndarray, shape (n_classes,)
        Shares of the classes among the labels.
    threshold : float
        How sure a guess must be, 0 to 1. With several labels per clip: each class must be
        above it or below one minus it.
    alignment : float
        0 to 1; see :func:`align`. One label per clip only.
    temperature : float
        0 gives a class; above 0 a distribution, sharpened below 1.
    """
    if multi_label:
        sure = np.maximum(scores, 1.0 - scores).min(axis=1)
        kept = sure >= threshold
        return PseudoLabels(rows[kept], (scores[kept] >= 0.5).astype(np.float32), sure[kept])
    aligned = align(scores, expected, alignment)
    sureness = aligned.max(axis=1)
    kept = sureness >= threshold
    if temperature:
        power = np.log(np.maximum(aligned[kept], 1e-12)) / temperature
        shares = np.exp(power - power.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
    else:
        shares = np.eye(scores.shape[1])[aligned[kept].argmax(axis=1)]
    return PseudoLabels(rows[kept], shares.astype(np.float32), sureness[kept])
