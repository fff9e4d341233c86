"""Which clips to ask about: uncertain, typical, spread over recordings; pure functions."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.core.errors import DataError
from semisonic.core.seeds import derive, generator
from semisonic.data.clips import Clips
from semisonic.labeling.nearest import unit

# How unsure a classifier is of each clip, from its scores: 0 (sure) to 1.
#
# Papers: Lewis and Gale 1994, "A sequential algorithm for training text classifiers" (ask what the
# model is least sure of); Scheffer, Decomain and Wrobel 2001, "Active hidden Markov models" (the
# margin between the two best classes); Shannon 1948 (entropy).


Scores = NDArray[np.float64]


def uncertainty(scores: Scores, *, multi_label: bool = False) -> NDArray[np.float64]:
    """What the strategies ask by: the margin, or with several labels per clip the mean entropy.

    The margin is small where two classes compete, which one answer settles. The entropy of all
    scores would also be large where many classes share what is left, as with few labels nearly
    everywhere.

    Parameters
    ----------
    scores : ndarray, shape (n, n_classes)
        Probabilities; each row sums to one unless ``multi_label``.
    multi_label : bool

    Returns
    -------
    ndarray of float64, shape (n,)

    Raises
    ------
    DataError
        When scores are no probabilities.

    Examples
    --------
    >>> uncertainty(np.array([[0.5, 0.5, 0.0], [0.75, 0.25, 0.0]])).tolist()
    [1.0, 0.5]
    """
    return binary_entropy(scores) if multi_label else margin(scores)


def margin(scores: Scores) -> NDArray[np.float64]:
    """One minus the difference of the two best scores of each row."""
    table = _checked(scores)
    if table.shape[1] == 1:
        return 1.0 - table[:, 0]
    two = np.partition(table, -2, axis=1)[:, -2:]
    return np.asarray(1.0 - (two[:, 1] - two[:, 0]), np.float64)


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


# Which clips to ask about next: pure functions on scores and embeddings.
#
# Each gives rows in the order in which to ask. None of them looks at a file, and none at a label:
# who calls says which rows are labelled.
#
# * ``uncertain``: what the classifier is least sure of first (Lewis and Gale 1994).
# * ``uncertain_centres``: of the most uncertain clips the middles of as many groups as are wanted
#   (Zhdanov 2019, "Diverse mini-batch active learning"), so that not the same one is asked many
#   times.
# * ``typical``: the clips in the middle of dense groups in which nothing is labelled yet
#   (Hacohen, Dekel and Weinshall 2022, "Active learning on a budget: opposite strategies suit high
#   and low budgets"): for the first labels of all, when no classifier has scores worth anything.
#
# Where we differ: distances are those of vectors of length 1, and of very many rows a part, drawn
# by chance, is looked at.


Rows = NDArray[np.int64]
Vectors = NDArray[np.float32]

MOST_CLUSTERED = 20_000
"""Rows that are clustered at most."""
MOST_CLUSTERS = 500
NEIGHBOURS = 20
"""By whose mean distance a clip is typical of its group, as in the paper."""
WIDER = 10
"""Of how many times as many uncertain clips ``uncertain_centres`` chooses."""


def uncertain(uncertainties: NDArray[np.float64], n: int) -> Rows:
    """The rows of the largest uncertainty; of equal ones the first.

    Parameters
    ----------
    uncertainties : ndarray, shape (n_rows,)
        As :func:`semisonic.labeling.sampling.uncertainty` gives.
    """
    return np.argsort(-np.asarray(uncertainties), kind="stable")[:n].astype(np.int64)


def uncertain_centres(
    vectors: Vectors, uncertainties: NDArray[np.float64], n: int, *, seed: int = 0
) -> Rows:
    """Uncertain rows that differ from each other, the most uncertain first.

    K-means weighted by uncertainty makes ``n`` groups of the ``10 n`` most uncertain rows;
    of each the row nearest to its mean is asked.

    Parameters
    ----------
    vectors : ndarray, shape (n_rows, dim)
    uncertainties : ndarray, shape (n_rows,)
    """
    from sklearn.cluster import KMeans

    wide = uncertain(uncertainties, WIDER * n)
    if len(wide) <= n:
        return wide
    points = unit(_table(vectors)[wide]).astype(np.float64)
    weights = np.maximum(np.asarray(uncertainties)[wide], 1e-6)
    means = _quietly(KMeans(n, n_init=3, random_state=_state(seed, "doubtful")), points, weights)
    found = []
    for number in range(n):
        own = np.flatnonzero(means.labels_ == number)
        if len(own):
            gap = ((points[own] - means.cluster_centers_[number]) ** 2).sum(axis=1)
            found.append(own[gap.argmin()])
    chosen = wide[np.array(found, np.int64)]
    rest = wide[~np.isin(wide, chosen)]  # groups of rows that are all the same may be empty
    return np.concatenate([chosen[uncertain(uncertainties[chosen], n)], rest])[:n]


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


def _table(vectors: Vectors) -> Vectors:
    table = np.asarray(vectors, np.float32)
    if table.ndim != 2:
        raise DataError(f"vectors: found shape {table.shape}, expected (n, dim)")
    return table


def _state(seed: int, name: str) -> int:
    return int(generator(seed, name).integers(2**31))


# A queue that does not ask the same thing twice in a row: rows spread over recordings.
#
# Windows close to each other sound alike, so a second answer about it teaches little; and who
# listens to one recording ten times in a row gets careless.


APART = 30.0
"""Seconds that rows of one recording are apart in a queue, as far as there are others."""


def spread_out(
    order: Rows, clips: Clips, n: int, *, apart: float = APART, beside: Sequence[int] = ()
) -> Rows:
    """The first ``n`` rows of an order that are not close to each other in a recording.

    Fewer than ``n`` where the order has no more; see :func:`fill_up`.

    Parameters
    ----------
    order : ndarray of int64
        Rows of ``clips``, the most wanted first.
    apart : float
        Seconds between the end of one and the start of the next.
    beside : sequence of int
        Rows that are in the queue already.
    """
    taken: dict[str, list[tuple[float, float]]] = {}
    for row in beside:
        taken.setdefault(str(clips.file[row]), []).append(_times(clips, row))
    chosen: list[int] = []
    for row in order.tolist():
        if len(chosen) == n:
            break
        start, end = _times(clips, row)
        near = taken.setdefault(str(clips.file[row]), [])
        if all(
            start - other_end >= apart or other_start - end >= apart
            for other_start, other_end in near
        ):
            chosen.append(row)
            near.append((start, end))
    return np.array(chosen, np.int64)


def fill_up(chosen: Rows, order: Rows, n: int) -> Rows:
    """The chosen rows and, where they are fewer than ``n``, the first others of an order.

    Examples
    --------
    >>> fill_up(np.array([4, 2]), np.array([1, 2, 3]), 3).tolist()
    [4, 2, 1]
    """
    rest = order[~np.isin(order, chosen)]
    return np.concatenate([chosen, rest])[:n]


def alternating(rows: Sequence[int], clips: Clips) -> list[int]:
    """The rows in an order as near as can be in which neighbours are of different recordings."""
    waiting = list(rows)
    result: list[int] = []
    last = None
    while waiting:
        place = next((i for i, row in enumerate(waiting) if clips.file[row] != last), 0)
        result.append(waiting.pop(place))
        last = clips.file[result[-1]]
    return result


def interleaved(main: Sequence[int], other: Sequence[int]) -> list[int]:
    """Two orders as one, the second spread evenly over the first.

    Examples
    --------
    >>> interleaved([0, 1, 2, 3], [7, 8])
    [0, 7, 1, 2, 8, 3]
    """
    n = len(main) + len(other)
    step = n / max(len(other), 1)
    places = {int((k + 0.5) * step) for k in range(len(other))}
    first, second = iter(main), iter(other)
    return [next(second) if place in places else next(first) for place in range(n)]


def random_key(path: str, start_time: float, end_time: float, seed: int = 0) -> int:
    """A number that puts segments into a random order, the same wherever it is asked for.

    The random part of every queue is taken in this order, so all of its answers together are one
    sample drawn from the pool without looking. The recording's name and that of its folder
    count, not where the folder lies.

    Parameters
    ----------
    path : str
        Whole path of the recording.
    """
    name = "/".join(PurePosixPath(path.replace("\\", "/")).parts[-2:])
    return derive(seed, "chance", name, f"{start_time:.3f}", f"{end_time:.3f}")


def random_order(clips: Clips, rows: Rows, seed: int = 0) -> Rows:
    """The rows in their order of chance."""
    root = os.path.abspath(clips.root)
    paths = [os.path.normpath(os.path.join(root, file)) for file in clips.file[rows].tolist()]
    keys = np.array(
        [
            random_key(path, *_times(clips, row), seed)
            for path, row in zip(paths, rows.tolist(), strict=True)
        ],
        np.int64,
    )
    return rows[np.argsort(keys, kind="stable")]


def _times(clips: Clips, row: int) -> tuple[float, float]:
    return float(clips.start_time[row]), float(clips.end_time[row])
