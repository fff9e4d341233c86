"""Clusters of an index, and how well they agree with labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semisonic.core.errors import DataError, OptionError
from semisonic.core.seeds import generator
from semisonic.data.clips import Clips
from semisonic.labeling.index import NO_CLUSTER
from semisonic.labeling.nearest import unit

AUTO = "auto"
HDBSCAN = "HDBSCAN"
MOST_SAMPLED = {AUTO: 5000, "k-means": 20_000}
MOST_IN_CENTRE = 20_000
_BLOCK, _DIRECTIONS, _SMALLEST, _STARTS = 2048, 30, 5, 10
_SMALLEST_SHARE = 0.01


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
    """Cluster the rows of an index: k-means, or HDBSCAN, on their principal directions.

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
    from sklearn import cluster
    from sklearn.decomposition import PCA

    n, is_auto = len(vectors), how == AUTO
    if not is_auto and (not how.isdecimal() or int(how) < 2):
        raise OptionError(f"option 'clusters': found '{how}', expected auto or a number from 2")
    if not is_auto and int(how) > n:
        raise OptionError(f"option 'clusters': found {how}, but the index has {n} rows")
    if is_auto and n < _SMALLEST:
        raise DataError(f"clusters: found {n} rows, expected at least {_SMALLEST}")
    chosen, most = np.arange(n), MOST_SAMPLED[AUTO if is_auto else "k-means"]
    if n > most:
        chosen = np.sort(generator(seed, "clusters").choice(n, most, replace=False))
    sample = unit(np.asarray(vectors[chosen]))
    directions = PCA(min(_DIRECTIONS, *sample.shape), svd_solver="randomized", random_state=seed)
    with np.errstate(invalid="ignore"):  # of vectors that are all the same
        points = directions.fit_transform(sample.astype(np.float64))
    smallest = max(_SMALLEST, round(_SMALLEST_SHARE * len(points)))
    method = (
        cluster.HDBSCAN(min_cluster_size=smallest, copy=True)
        if is_auto
        else cluster.KMeans(int(how), n_init=_STARTS, random_state=seed)
    )
    found = np.asarray(method.fit(points).labels_, np.int64)
    if len(chosen) < n:  # the other rows join the nearest of the sample
        number = np.empty(n, np.int64)
        for start in range(0, n, _BLOCK):
            near = unit(np.asarray(vectors[start : start + _BLOCK])) @ sample.T
            number[start : start + _BLOCK] = found[near.argmax(axis=1)]
        number[chosen] = found
        found = number
    names, sizes = np.unique(found[found >= 0], return_counts=True)
    place = np.full(int(names.max(initial=-1)) + 2, NO_CLUSTER)  # the last one is that of -1
    place[names[np.argsort(-sizes, kind="stable")]] = np.arange(len(names))
    return Clusters(place[found], HDBSCAN if is_auto else "k-means", len(chosen))


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
    result = []
    for cluster in range(int(number.max(initial=-1)) + 1):
        rows = np.flatnonzero(number == cluster)
        rows = rows[:: -(-len(rows) // MOST_IN_CENTRE)]
        table = unit(np.asarray(vectors[rows]))
        order = rows[np.argsort(-(table @ table.mean(axis=0)), kind="stable")].tolist()
        first: dict[str, int] = {}
        for row in order:
            first.setdefault(str(group[row]), row)
        apart = list(first.values())[:k]
        result.append([*apart, *(row for row in order if row not in set(apart))][:k])
    return result


class Agreement(NamedTuple):
    """Clusters against labels, over rows with one verified label.

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
    import pandas as pd
    from sklearn.metrics import adjusted_mutual_info_score

    usable = clips.is_verified & np.array([len(row) == 1 for row in clips.labels], np.bool_)
    if not usable.any() or len({row[0] for row in clips.labels if row}) < 2:
        return None
    found = clusters[usable]
    labels = [row[0] for row, used in zip(clips.labels, usable, strict=True) if used]
    counts = pd.crosstab(found, pd.Series(labels)).reindex(range(int(clusters.max()) + 1))
    best, total = counts.max(axis=1), counts.sum(axis=1)
    common = tuple(
        ("", float("nan")) if not total[c] else (str(counts.loc[c].idxmax()), best[c] / total[c])
        for c in counts.index
    )
    purity = float(best.sum() / total.sum()) if total.sum() else float("nan")
    return Agreement(
        purity, float(adjusted_mutual_info_score(labels, found)), common, int(usable.sum())
    )
