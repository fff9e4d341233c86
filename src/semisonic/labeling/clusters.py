"""Clusters of an index, and how well they agree with labels."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semisonic.core.errors import DataError, OptionError
from semisonic.core.seeds import generator
from semisonic.data.clips import Clips
from semisonic.labeling.index import NO_CLUSTER
from semisonic.labeling.nearest import BLOCK_BYTES, nearest, unit

AUTO = "auto"
HDBSCAN = "HDBSCAN"
MOST_SAMPLED = {AUTO: 5000, "k-means": 20_000}
_DIRECTIONS = 30
_SMALLEST = 5
_SMALLEST_SHARE = 0.01
_STARTS = 10


@dataclass(frozen=True)
class Clusters:
    """What was found.

    Attributes
    ----------
    number : ndarray of int64, shape (n,)
        The cluster of each row, the largest is 0; -1 for an outlier.
    method : str
    n_sampled : int
        Rows that were clustered; the others joined them.
    """

    number: NDArray[np.int64]
    method: str
    n_sampled: int

    @property
    def count(self) -> int:
        """How many clusters there are."""
        return int(self.number.max(initial=-1)) + 1

    def crowded(self) -> str:
        """What to do when the number was found and one cluster holds most rows; else nothing."""
        most, n = int((self.number == 0).sum()), len(self.number)
        if self.method != HDBSCAN or 2 * most <= n:
            return ""
        return (
            f"Cluster 0 holds {most} of {n} rows. If that is too coarse, ask for a number of "
            "clusters, such as --clusters 12."
        )


def find_clusters(vectors: NDArray[np.float32], how: str, *, seed: int = 0) -> Clusters:
    """Cluster the rows of an index.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, dim)
        May be a memory map.
    how : str
        "auto", or a number of clusters, 2 or more.

    Raises
    ------
    OptionError
        For anything else, or more clusters than rows.
    DataError
        When there are fewer than 5 rows for "auto".
    """
    n_clusters = _asked(how, len(vectors))
    method = AUTO if n_clusters == 0 else "k-means"
    if n_clusters == 0 and len(vectors) < _SMALLEST:
        raise DataError(f"clusters: found {len(vectors)} rows, expected at least {_SMALLEST}")
    n = len(vectors)
    chosen = np.arange(n)
    if n > MOST_SAMPLED[method]:
        rng = generator(seed, "clusters")
        chosen = np.sort(rng.choice(n, MOST_SAMPLED[method], replace=False))
    sample = unit(np.asarray(vectors[chosen]))
    found = _by_size(_cluster(_directions(sample, seed), n_clusters, seed))
    if len(chosen) < n:
        found = _joined(vectors, chosen, sample, found)
    return Clusters(_by_size(found), "k-means" if n_clusters else HDBSCAN, len(chosen))


def nearest_to_centres(
    vectors: NDArray[np.float32], number: NDArray[np.int64], group: NDArray[np.str_], k: int
) -> list[list[int]]:
    """For each cluster the ``k`` rows nearest to its mean, of different recordings if there are.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, dim)
    number : ndarray of int64, shape (n,)
        The cluster of each row; -1 for an outlier.
    group : ndarray of str, shape (n,)
        The recording of each row.
    k : int
    """
    n_clusters = int(number.max(initial=-1)) + 1
    centres = np.zeros((n_clusters, vectors.shape[1]), np.float64)
    size = max(1, BLOCK_BYTES // (4 * vectors.shape[1]))
    for start in range(0, len(vectors), size):
        block, of = unit(np.asarray(vectors[start : start + size])), number[start : start + size]
        np.add.at(centres, of[of >= 0], block[of >= 0].astype(np.float64))
    result = []
    for cluster, centre in enumerate(centres):
        rows = np.flatnonzero(number == cluster)
        order = rows[nearest(vectors[rows], centre, min(len(rows), 20 * k)).rows[0]] if k else []
        first: dict[str, int] = {}
        for row in order:
            first.setdefault(str(group[row]), int(row))
        apart = list(first.values())[:k]
        more = [int(row) for row in order if int(row) not in apart]
        result.append([*apart, *more][:k])
    return result


@dataclass(frozen=True)
class Agreement:
    """Clusters against labels, over rows with one label that somebody checked.

    Attributes
    ----------
    purity : float
        Share of the rows in clusters that carry the commonest label of their cluster. It grows
        with the number of clusters.
    mutual : float
        Adjusted mutual information, outliers as a cluster: 0 is chance, 1 is the labels.
    common : tuple of (str, float)
        For each cluster its commonest label and the share of rows that carry it; ("", NaN)
        without labelled rows.
    n : int
        Rows with one label.
    """

    purity: float
    mutual: float
    common: tuple[tuple[str, float], ...]
    n: int


def agreement(clusters: NDArray[np.int64], clips: Clips) -> Agreement | None:
    """How clusters agree with labels; None when there are none to compare with.

    Parameters
    ----------
    clusters : ndarray of int64, shape (n,)
        The cluster of each row; -1 for an outlier.
    clips : Clips
        The rows with their labels.
    """
    from sklearn.metrics import adjusted_mutual_info_score

    usable = clips.is_verified & np.array([len(row) == 1 for row in clips.labels], np.bool_)
    if not usable.any() or len({row[0] for row in clips.labels if row}) < 2:
        return None
    labels = np.array([row[0] if row else "" for row in clips.labels])
    common: list[tuple[str, float]] = []
    right = inside = 0
    for cluster in range(int(clusters.max(initial=-1)) + 1):
        counts = Counter(labels[usable & (clusters == cluster)].tolist())
        total = sum(counts.values())
        name, most = counts.most_common(1)[0] if counts else ("", 0)
        common.append((name, most / total if total else float("nan")))
        right, inside = right + most, inside + total
    mutual = float(adjusted_mutual_info_score(labels[usable], clusters[usable]))
    purity = right / inside if inside else float("nan")
    return Agreement(purity, mutual, tuple(common), int(usable.sum()))


def _asked(how: str, n: int) -> int:
    """The number of clusters, 0 for auto."""
    if how == AUTO:
        return 0
    if not how.isdecimal() or int(how) < 2:
        raise OptionError(f"option 'clusters': found '{how}', expected auto or a number from 2")
    if int(how) > n:
        raise OptionError(f"option 'clusters': found {how}, but the index has {n} rows")
    return int(how)


def _directions(sample: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    from sklearn.decomposition import PCA

    method = PCA(min(_DIRECTIONS, *sample.shape), svd_solver="randomized", random_state=seed)
    with np.errstate(invalid="ignore"):  # of vectors that are all the same
        found: NDArray[np.float64] = method.fit_transform(sample.astype(np.float64))
    return found


def _cluster(points: NDArray[np.float64], n_clusters: int, seed: int) -> NDArray[np.int64]:
    from sklearn import cluster

    if n_clusters:
        means = cluster.KMeans(n_clusters, n_init=_STARTS, random_state=seed).fit(points)
        return np.asarray(means.labels_, np.int64)
    smallest = max(_SMALLEST, round(_SMALLEST_SHARE * len(points)))
    found = cluster.HDBSCAN(min_cluster_size=smallest, copy=True).fit(points)
    return np.asarray(found.labels_, np.int64)


def _joined(
    vectors: NDArray[np.float32],
    chosen: NDArray[np.int64],
    sample: NDArray[np.float32],
    found: NDArray[np.int64],
) -> NDArray[np.int64]:
    """The cluster of every row: that of the nearest row of the sample."""
    number = np.empty(len(vectors), np.int64)
    size = 2048
    for start in range(0, len(vectors), size):
        block = unit(np.asarray(vectors[start : start + size]))
        number[start : start + size] = found[(block @ sample.T).argmax(axis=1)]
    number[chosen] = found
    return number


def _by_size(number: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same clusters, numbered from the largest."""
    n = int(number.max(initial=-1)) + 1
    sizes = np.bincount(number[number >= 0], minlength=n)
    order = np.argsort(-sizes, kind="stable")
    place = np.empty(n, np.int64)
    place[order] = np.arange(n)
    return np.where(number >= 0, place[number] if n else NO_CLUSTER, NO_CLUSTER)
