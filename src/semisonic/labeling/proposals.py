"""Labels for whole clusters: where all answers in one agree, the rest of it may learn their label.

An answer labels its stretch and nothing else. What is proposed for others is no answer: it never
stands in the log, weighs less, and all proposals together weigh at most as much as the answers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semisonic.labeling.kept_probe import Answered
from semisonic.labeling.learn_options import LearnOptions


def proposed(
    cluster: NDArray[np.int64], answered: Answered, asked: NDArray[np.int64], least: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rows of clusters whose answers agree, and the labels of these answers.

    Parameters
    ----------
    cluster : ndarray of int64, shape (n_rows,)
        -1 for a row without one, to which nothing is proposed.
    answered : Answered
    asked : ndarray of int64
        Rows that somebody answered about: they keep what they have.
    least : int
        Answers that must agree.

    Returns
    -------
    rows : ndarray of int64, shape (m,)
    hot : ndarray of float32, shape (m, n_classes)
    """
    rows: list[int] = []
    hot: list[NDArray[np.float32]] = []
    own = cluster[answered.rows]
    for number in np.unique(own[own >= 0]).tolist():
        said = answered.hot[own == number]
        if len(said) < least or (said != said[0]).any():
            continue
        others = np.setdiff1d(np.flatnonzero(cluster == number), asked)
        rows += others.tolist()
        hot += [said[0]] * len(others)
    table = np.stack(hot) if hot else np.zeros((0, answered.hot.shape[1]), np.float32)
    return np.array(rows, np.int64), table


def with_proposals(
    answered: Answered,
    cluster: NDArray[np.int64],
    group: NDArray[np.str_],
    asked: NDArray[np.int64],
    how: LearnOptions,
) -> Answered:
    """The answers and, after them, what follows for the rest of their clusters."""
    if not how.cluster_weight:
        return answered
    rows, hot = proposed(cluster, answered, asked, how.cluster_answers)
    if not len(rows):
        return answered
    weight = min(how.cluster_weight, float(answered.weights.sum()) / len(rows))
    return Answered(
        np.concatenate([answered.rows, rows]),
        np.concatenate([answered.hot, hot]),
        np.concatenate([answered.weights, np.full(len(rows), weight)]),
        np.concatenate([answered.group, group[rows]]),
        answered.classes,
        answered.several,
    )
