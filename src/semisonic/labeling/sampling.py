"""Choose clips to ask about: uncertain, typical, spread over recordings; pure functions.

* ``uncertainty``: how unsure a classifier is of each clip, from its scores (Lewis and Gale 1994, "A
  sequential algorithm for training text classifiers"; Scheffer, Decomain and Wrobel 2001, "Active
  hidden Markov models": the margin between the two best classes).
* ``uncertain_centres``: the centres of groups of the most uncertain clips (Zhdanov 2019, "Diverse
  mini-batch active learning"), so that similar clips are not asked about repeatedly.
* ``typical``: the clips in the centre of dense groups without labels (Hacohen, Dekel and Weinshall
  2022, "Active learning on a budget: opposite strategies suit high and low budgets"): for the
  first labels, when no classifier has useful scores.

Where we differ: vectors are scaled to length 1, and of very many rows a random part is used.
Nothing here reads files or labels: the caller says which rows are labelled.
"""

from __future__ import annotations

import os
import warnings
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from semisonic.core.seeds import derive, generator
from semisonic.data.clips import Clips
from semisonic.labeling.nearest import unit

Rows = NDArray[np.int64]
Vectors = NDArray[np.float32]

MOST_CLUSTERED = 20_000
"""Largest number of rows that are clustered."""
MOST_CLUSTERS = 500
NEIGHBOURS = 20
"""Number of neighbours whose mean distance makes a clip typical of its group, as in the paper."""
WIDER = 10
"""``uncertain_centres`` chooses among this many times as many uncertain clips."""


def uncertainty(scores: NDArray[np.float64], *, multi_label: bool = False) -> NDArray[np.float64]:
    """How unsure each row is, 0 to 1: the margin, or with several labels the mean binary entropy.

    The margin is small if two classes compete, which one answer decides. The entropy of all scores
    would also be large if many classes share the rest, which is usual with few labels.

    Parameters
    ----------
    scores : ndarray, shape (n, n_classes)
        Probabilities; each row sums to one unless ``multi_label``.
    multi_label : bool

    Examples
    --------
    >>> uncertainty(np.array([[0.5, 0.5, 0.0], [0.75, 0.25, 0.0]])).tolist()
    [1.0, 0.5]
    """
    table = np.clip(np.asarray(scores, np.float64), 0.0, 1.0)
    if multi_label:
        bits = (entr(table) + entr(1.0 - table)).mean(axis=1) / np.log(2.0)
        return np.asarray(np.clip(bits, 0.0, 1.0))
    if table.shape[1] == 1:
        return 1.0 - table[:, 0]
    two = np.partition(table, -2, axis=1)[:, -2:]
    return np.asarray(1.0 - (two[:, 1] - two[:, 0]))


def uncertain(uncertainties: NDArray[np.float64], n: int) -> Rows:
    """The most uncertain rows; of equal ones the first."""
    return np.argsort(-uncertainties, kind="stable")[:n].astype(np.int64)


def uncertain_centres(
    vectors: Vectors, uncertainties: NDArray[np.float64], n: int, *, seed: int = 0
) -> Rows:
    """Uncertain rows that differ from each other, the most uncertain first.

    K-means weighted by uncertainty makes ``n`` groups of the ``10 n`` most uncertain rows;
    the row nearest to the mean of each is chosen.

    Parameters
    ----------
    vectors : ndarray, shape (n_rows, dim)
    uncertainties : ndarray, shape (n_rows,)
    """
    from sklearn.cluster import KMeans

    wide = uncertain(uncertainties, WIDER * n)
    if len(wide) <= n:
        return wide
    points = unit(vectors[wide]).astype(np.float64)
    means = KMeans(n, n_init=3, random_state=_state(seed, "doubtful"))
    gaps = _quietly(means, points, np.maximum(uncertainties[wide], 1e-6)).transform(points)
    gap = gaps[np.arange(len(points)), means.labels_]
    order = np.lexsort((gap, means.labels_))
    first = np.unique(means.labels_[order], return_index=True)[1]
    chosen = wide[order[first]]
    rest = wide[~np.isin(wide, chosen)]  # groups of rows that are all the same may be empty
    return np.concatenate([chosen[uncertain(uncertainties[chosen], n)], rest])[:n]


def typical(vectors: Vectors, labelled: Rows, n: int, *, seed: int = 0) -> Rows:
    """Rows in the centre of groups without labels, the largest group first.

    The number of groups is that of labelled and wanted rows together, 500 at most.

    Parameters
    ----------
    vectors : ndarray, shape (n_rows, dim)
        Labelled rows among them.
    labelled : ndarray of int64
        Rows not to be chosen again.
    """
    from sklearn.cluster import MiniBatchKMeans

    free = np.setdiff1d(np.arange(len(vectors)), labelled)
    n = min(n, len(free))
    if not n:
        return np.zeros(0, np.int64)
    if len(labelled) + len(free) > MOST_CLUSTERED:
        drawn = generator(seed, "typical").permutation(free)
        free = np.sort(drawn[: max(MOST_CLUSTERED - len(labelled), n)])
    rows = np.concatenate([labelled, free]).astype(np.int64)
    points = unit(vectors[rows]).astype(np.float64)
    n_groups = min(len(labelled) + n, MOST_CLUSTERS, len(points))
    means = MiniBatchKMeans(
        n_groups, n_init=3, batch_size=4096, random_state=_state(seed, "typical")
    )
    group = _quietly(means, points).labels_
    waiting: dict[int, list[int]] = {}
    asked, size = np.bincount(group[: len(labelled)], minlength=n_groups), np.bincount(group)
    for number in np.unique(group[len(labelled) :]).tolist():
        own = _by_typicality(points, np.flatnonzero(group == number))
        waiting[number] = own[own >= len(labelled)].tolist()
    chosen: list[int] = []
    while len(chosen) < n:  # where fewest are labelled, then the largest group
        best = min(waiting, key=lambda k: (asked[k], -size[k], k))
        chosen.append(waiting[best].pop(0))
        asked[best] += 1
        if not waiting[best]:
            del waiting[best]
    return rows[chosen]


def _by_typicality(points: NDArray[np.float64], own: Rows) -> Rows:
    """The rows of a group, those nearest to their neighbours first."""
    from sklearn.neighbors import NearestNeighbors

    near = NearestNeighbors(n_neighbors=min(NEIGHBOURS + 1, len(own))).fit(points[own])
    gaps, _ = near.kneighbors(points[own])
    return own[np.argsort(gaps.sum(axis=1), kind="stable")]


def _quietly(
    means: Any, points: NDArray[np.float64], weights: NDArray[np.float64] | None = None
) -> Any:
    """Fitted K-means, without a warning if there are fewer different points than groups."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return means.fit(points, sample_weight=weights)


def _state(seed: int, name: str) -> int:
    return int(generator(seed, name).integers(2**31))


# A queue that does not ask the same thing twice in a row. Windows close to each other sound alike,
# so a second answer about it teaches little; and who listens to one recording ten times in a row
# gets careless.


def spread_out(
    order: Rows, clips: Clips, n: int, *, apart: float, beside: Sequence[int] = ()
) -> Rows:
    """The first ``n`` rows of an order that are not close to each other in a recording.

    Fewer than ``n`` if there are no more.

    Parameters
    ----------
    order : ndarray of int64
        Rows of ``clips``, by preference.
    apart : float
        Seconds between the end of one and the start of the next.
    beside : sequence of int
        Rows already in the queue.
    """
    taken: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in beside:
        taken[str(clips.file[row])].append((clips.start_time[row], clips.end_time[row]))
    chosen: list[int] = []
    for row in order.tolist():
        if len(chosen) == n:
            break
        start, end = clips.start_time[row], clips.end_time[row]
        near = taken[str(clips.file[row])]
        if all(start - other[1] >= apart or other[0] - end >= apart for other in near):
            chosen.append(row)
            near.append((start, end))
    return np.array(chosen, np.int64)


def alternating(rows: Sequence[int], clips: Clips) -> list[int]:
    """The rows with as few changes of order as separate neighbours of the same recording."""
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
    """A number that gives segments a reproducible random order.

    The random part of every queue follows this order, so its answers together are one random
    sample of the pool. The number depends on the names of the recording and its folder, not on the
    place of the folder.

    Parameters
    ----------
    path : str
        Full path of the recording.
    """
    name = "/".join(PurePosixPath(path.replace("\\", "/")).parts[-2:])
    return derive(seed, "chance", name, f"{start_time:.3f}", f"{end_time:.3f}")


def random_order(clips: Clips, rows: Rows, seed: int = 0) -> Rows:
    """The rows in their random order."""
    root = os.path.abspath(clips.root)
    places = zip(clips.file[rows], clips.start_time[rows], clips.end_time[rows], strict=True)
    keys = [
        random_key(os.path.normpath(os.path.join(root, file)), float(start), float(end), seed)
        for file, start, end in places
    ]
    return rows[np.argsort(np.array(keys, np.int64), kind="stable")]
