"""How unsure a classifier is of each clip, from its scores: 0 (sure) to 1.

Papers: Lewis and Gale 1994, "A sequential algorithm for training text classifiers" (ask what the
model is least sure of); Scheffer, Decomain and Wrobel 2001, "Active hidden Markov models" (the
margin between the two best classes); Shannon 1948 (entropy).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import DataError
from semisonic.labeling.suggest_options import ENTROPY, MARGIN

Scores = NDArray[np.float64]


def uncertainty(
    scores: Scores, *, multi_label: bool = False, by: str = MARGIN
) -> NDArray[np.float64]:
    """What the strategies ask by: the margin, or with several labels per clip the mean entropy.

    The margin is small where two classes compete, which one answer settles. The entropy is also
    large where many classes share what is left, as with few labels it is nearly everywhere.

    Parameters
    ----------
    scores : ndarray, shape (n, n_classes)
        Probabilities; each row sums to one unless ``multi_label``.
    by : {"margin", "entropy"}
        With one label per clip.

    Returns
    -------
    ndarray of float64, shape (n,)

    Raises
    ------
    DataError
        When scores are no probabilities.
    """
    if multi_label:
        return binary_entropy(scores)
    return entropy(scores) if by == ENTROPY else margin(scores)


def margin(scores: Scores) -> NDArray[np.float64]:
    """One minus the difference of the two best scores of each row."""
    table = _checked(scores)
    if table.shape[1] == 1:
        return 1.0 - table[:, 0]
    two = np.partition(table, -2, axis=1)[:, -2:]
    return np.asarray(1.0 - (two[:, 1] - two[:, 0]), np.float64)


def entropy(scores: Scores) -> NDArray[np.float64]:
    """The entropy of each row over that of a row in which all classes are alike."""
    table = _checked(scores)
    if table.shape[1] == 1:
        return np.zeros(len(table))
    each = -_x_log_x(table).sum(axis=1) / np.log(table.shape[1])
    return np.asarray(np.clip(each, 0.0, 1.0))


def binary_entropy(scores: Scores) -> NDArray[np.float64]:
    """The mean over the classes of the entropy of "there or not", in bits."""
    table = _checked(scores)
    each = -(_x_log_x(table) + _x_log_x(1.0 - table)).mean(axis=1) / np.log(2.0)
    return np.asarray(np.clip(each, 0.0, 1.0))


def _x_log_x(x: Scores) -> Scores:
    return np.asarray(x * np.log(np.where(x > 0, x, 1.0)), np.float64)


def _checked(scores: Scores) -> Scores:
    table = np.asarray(scores, np.float64)
    if table.ndim != 2 or not table.shape[1]:
        raise DataError(f"scores: found shape {table.shape}, expected (n, n_classes)")
    if not (np.isfinite(table).all() and (table >= 0).all() and (table <= 1 + 1e-6).all()):
        raise DataError("scores: found a value outside 0 to 1, expected probabilities")
    return np.minimum(table, 1.0)
