"""Whether a probability means what it says: of the clips called 80 % sure, 80 % are right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semisonic.evaluation.checked import as_classes, as_scores, as_targets, same_length


@dataclass(frozen=True)
class Reliability:
    """Confidence and accuracy by bin of confidence, each shape (n_bins,).

    Empty bins hold NaN. ``error`` is the expected calibration error, 0 to 1.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    n_clips: NDArray[np.int64]
    error: float


def reliability(target: ArrayLike, scores: ArrayLike, n_bins: int = 10) -> Reliability:
    """Sort clips by the probability of their chosen class into equal bins of 0 to 1.

    Paper: Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using
    Bayesian binning", AAAI 2015 (expected calibration error, on the chosen class).
    """
    table = as_scores(scores)
    truth = as_classes(target, "target", table.shape[1])
    same_length(target=truth, scores=table)
    chosen = table.argmax(axis=1)
    sure = table[np.arange(len(truth)), chosen]
    right = (chosen == truth).astype(np.float64)
    return _binned(sure, right, n_bins)


def expected_calibration_error(target: ArrayLike, scores: ArrayLike, n_bins: int = 10) -> float:
    """How far confidence and accuracy lie apart, mean over clips, 0 to 1."""
    return reliability(target, scores, n_bins).error


def tag_reliability(target: ArrayLike, scores: ArrayLike, n_bins: int = 10) -> Reliability:
    """As :func:`reliability` for several labels per clip: each clip and class is an answer.

    Parameters
    ----------
    target : array of 0 and 1, shape (n, n_classes)
    scores : array, shape (n, n_classes)
    """
    table, truth = as_scores(scores), as_targets(target)
    same_length(target=truth, scores=table)
    return _binned(table.ravel(), truth.ravel().astype(np.float64), n_bins)


def _binned(sure: NDArray[np.float64], right: NDArray[np.float64], n_bins: int) -> Reliability:
    where = np.clip(np.ceil(sure * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    count = np.bincount(where, minlength=n_bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(where, sure, n_bins) / count
        share = np.bincount(where, right, n_bins) / count
    used = count > 0
    error = float(np.sum(count[used] * np.abs(confidence - share)[used]) / len(sure))
    return Reliability(confidence, share, count.astype(np.int64), error)
