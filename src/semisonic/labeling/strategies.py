"""Which clips to ask about next: pure functions on scores and embeddings.

Each gives rows in the order in which to ask. None of them looks at a file, and none at a label:
who calls says which rows are labelled.

* ``uncertain``: the classifier's doubts first (Lewis and Gale 1994).
* ``k_centre``: each next clip is the farthest from all that are labelled or chosen (Gonzalez 1985,
  "Clustering to minimize the maximum intercluster distance"; Sener and Savarese 2018, "Active
  learning for convolutional neural networks: a core-set approach").
* ``doubtful_centres``: of the most doubtful clips the middles of as many groups as are asked for
  (Zhdanov 2019, "Diverse mini-batch active learning"): doubts, but not the same one many times.
* ``typical``: the clips in the middle of dense groups in which nothing is labelled yet
  (Hacohen, Dekel and Weinshall 2022, "Active learning on a budget: opposite strategies suit high
  and low budgets"): for the first labels of all, when no classifier has doubts worth anything.

Where we differ: distances are those of vectors of length 1, and of very many rows a part, drawn by
chance, is looked at.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import DataError
from semisonic.base.seeds import generator
from semisonic.labeling.nearest import unit

Rows = NDArray[np.int64]
Vectors = NDArray[np.float32]

MOST_CLUSTERED = 20_000
"""Rows that are clustered at most."""
MOST_CLUSTERS = 500
NEIGHBOURS = 20
"""By whose mean distance a clip is typical of its group, as in the paper."""
WIDER = 10
"""Of how many times as many doubtful clips ``doubtful_centres`` chooses."""


def uncertain(doubt: NDArray[np.float64], n: int) -> Rows:
    """The rows of the largest doubts; of equal ones the first.

    Parameters
    ----------
    doubt : ndarray, shape (n_rows,)
        As :func:`semisonic.labeling.uncertainty.uncertainty` gives.
    """
    return np.argsort(-np.asarray(doubt), kind="stable")[:n].astype(np.int64)


def k_centre(vectors: Vectors, labelled: Vectors, n: int) -> Rows:
    """Rows far from everything labelled and from each other, the farthest first.

    Parameters
    ----------
    vectors : ndarray, shape (n_rows, dim)
    labelled : ndarray, shape (n_labelled, dim)
        May have no rows; then the first is the row nearest to the mean of all.

    Notes
    -----
    The largest distance that is left to any row is at most twice the smallest possible.
    """
    points = unit(_table(vectors))
    left = np.full(len(points), np.inf)
    for one in unit(_table(labelled)):
        left = np.minimum(left, _apart(points, one))
    chosen: list[int] = []
    for _ in range(min(n, len(points))):
        first = not chosen and not len(labelled)
        # -1: a row that was chosen is never chosen again, however close all others are.
        row = _middle(points) if first else int(left.argmax())
        chosen.append(row)
        left = np.minimum(left, _apart(points, points[row]))
        left[chosen] = -1.0
    return np.array(chosen, np.int64)


def doubtful_centres(
    vectors: Vectors, doubt: NDArray[np.float64], n: int, *, seed: int = 0
) -> Rows:
    """Doubtful rows that differ from each other, the most doubtful first.

    K-means with the doubts as weights makes ``n`` groups of the ``10 n`` most doubtful rows;
    of each the row nearest to its mean is asked.

    Parameters
    ----------
    vectors : ndarray, shape (n_rows, dim)
    doubt : ndarray, shape (n_rows,)
    """
    from sklearn.cluster import KMeans

    wide = uncertain(doubt, WIDER * n)
    if len(wide) <= n:
        return wide
    points = unit(_table(vectors)[wide]).astype(np.float64)
    weights = np.maximum(np.asarray(doubt)[wide], 1e-6)
    means = _quietly(KMeans(n, n_init=3, random_state=_state(seed, "doubtful")), points, weights)
    found = []
    for number in range(n):
        own = np.flatnonzero(means.labels_ == number)
        if len(own):
            gap = ((points[own] - means.cluster_centers_[number]) ** 2).sum(axis=1)
            found.append(own[gap.argmin()])
    chosen = wide[np.array(found, np.int64)]
    rest = wide[~np.isin(wide, chosen)]  # groups of rows that are all the same may be empty
    return np.concatenate([chosen[uncertain(doubt[chosen], n)], rest])[:n]


def typical(vectors: Vectors, labelled: Rows, n: int, *, seed: int = 0) -> Rows:
    """Rows in the middle of groups in which nothing is labelled, the largest group first.

    Parameters
    ----------
    vectors : ndarray, shape (n_rows, dim)
        Labelled rows among them.
    labelled : ndarray of int64
        Rows that are not asked again.

    Notes
    -----
    There are as many groups as labelled and wanted rows together, 500 at most.
    """
    from sklearn.cluster import MiniBatchKMeans

    table = _table(vectors)
    free = np.setdiff1d(np.arange(len(table)), labelled)
    n = min(n, len(free))
    if not n:
        return np.zeros(0, np.int64)
    looked_at = np.concatenate([np.asarray(labelled, np.int64), free])
    if len(looked_at) > MOST_CLUSTERED:
        drawn = generator(seed, "typical").permutation(free)
        keep = max(MOST_CLUSTERED - len(labelled), n)
        looked_at = np.concatenate([np.asarray(labelled, np.int64), np.sort(drawn[:keep])])
    points = unit(table[looked_at]).astype(np.float64)
    n_groups = min(len(labelled) + n, MOST_CLUSTERS, len(points))
    made = _quietly(
        MiniBatchKMeans(n_groups, n_init=3, batch_size=4096, random_state=_state(seed, "typical")),
        points,
    )
    is_labelled = np.arange(len(points)) < len(labelled)
    rows = _one_by_one(points, made.labels_.astype(np.int64), is_labelled, n)
    return looked_at[rows]


def _one_by_one(
    points: NDArray[np.float64], group: Rows, is_labelled: NDArray[np.bool_], n: int
) -> Rows:
    """The most typical row of each group: fewest labels first, then the largest."""
    free = {
        int(number): _by_typicality(points, np.flatnonzero(group == number), is_labelled)
        for number in np.unique(group)
    }
    asked = {number: int(is_labelled[group == number].sum()) for number in free}
    size = {number: int((group == number).sum()) for number in free}
    chosen: list[int] = []
    while len(chosen) < n:
        best = min((k for k in free if free[k]), key=lambda k: (asked[k], -size[k], k))
        chosen.append(free[best].pop(0))
        asked[best] += 1
    return np.array(chosen, np.int64)


def _by_typicality(
    points: NDArray[np.float64], own: Rows, is_labelled: NDArray[np.bool_]
) -> list[int]:
    """The unlabelled rows of a group, those nearest to their neighbours first."""
    from sklearn.neighbors import NearestNeighbors

    if len(own) < 2:
        return [int(row) for row in own if not is_labelled[row]]
    k = min(NEIGHBOURS + 1, len(own))
    gaps, _ = NearestNeighbors(n_neighbors=k).fit(points[own]).kneighbors(points[own])
    order = own[np.argsort(gaps.sum(axis=1), kind="stable")]
    return [int(row) for row in order if not is_labelled[row]]


def _quietly(
    means: Any, points: NDArray[np.float64], weights: NDArray[np.float64] | None = None
) -> Any:
    """Fitted K-means, without a warning where there are fewer different points than groups."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return means.fit(points, sample_weight=weights)


def _apart(points: Vectors, one: Vectors) -> NDArray[np.float64]:
    """Distances of rows of length 1 to one such row."""
    return np.sqrt(np.maximum(2.0 - 2.0 * (points @ one).astype(np.float64), 0.0))


def _middle(points: Vectors) -> int:
    """The row nearest to the mean of all."""
    return int((points @ points.mean(axis=0)).argmax())


def _table(vectors: Vectors) -> Vectors:
    table = np.asarray(vectors, np.float32)
    if table.ndim != 2:
        raise DataError(f"vectors: found shape {table.shape}, expected (n, dim)")
    return table


def _state(seed: int, name: str) -> int:
    return int(generator(seed, name).integers(2**31))
