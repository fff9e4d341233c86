"""Cluster an index, and compare clusters with labels."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semisonic.core.errors import DataError, OptionError
from semisonic.core.seeds import generator
from semisonic.data.clips import Clips
from semisonic.labeling.nearest import unit

AUTO = "auto"
MOST_SAMPLED = {AUTO: 5000, "k-means": 20_000}
MOST_IN_CENTRE = 20_000
_BLOCK, _DIRECTIONS, _FEWEST, _STARTS = 2048, 30, 5, 10
_NUMBERS = (*range(2, 13), *range(14, 21, 2), 24, 28, 32)
_HALVINGS, _MOST_COMPARED = 4, 2000


@dataclass(frozen=True)
class Clusters:
    """The clusters of an index.

    Attributes
    ----------
    number : ndarray of int64, shape (n,)
        The cluster of each row; the largest is 0.
    n_sampled : int
        Number of rows that were clustered; the others were assigned to these clusters.
    """

    number: NDArray[np.int64]
    n_sampled: int

    @property
    def count(self) -> int:
        """Number of clusters."""
        return int(self.number.max(initial=-1)) + 1


def find_clusters(vectors: NDArray[np.float32], how: str, *, seed: int = 0) -> Clusters:
    """Cluster the rows of an index by k-means on their principal directions.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, dim)
        May be a memory map.
    how : str
        A number of clusters, 2 or more; or "auto", see :func:`choose_number`.

    Raises
    ------
    OptionError
        For another value, or more clusters than rows.
    DataError
        When there are fewer than 5 rows for "auto".
    """
    from sklearn.decomposition import PCA

    n, is_auto = len(vectors), how == AUTO
    if not is_auto and (not how.isdecimal() or int(how) < 2):
        raise OptionError(
            f"option 'clusters': found '{how}', expected auto or a number of at least 2"
        )
    if not is_auto and int(how) > n:
        raise OptionError(f"option 'clusters': found {how}, but the index has {n} rows")
    if is_auto and n < _FEWEST:
        raise DataError(f"clusters: found {n} rows, expected at least {_FEWEST}")
    chosen, most = np.arange(n), MOST_SAMPLED[AUTO if is_auto else "k-means"]
    if n > most:
        chosen = np.sort(generator(seed, "clusters").choice(n, most, replace=False))
    sample = unit(np.asarray(vectors[chosen]))
    directions = PCA(min(_DIRECTIONS, *sample.shape), svd_solver="randomized", random_state=seed)
    with np.errstate(invalid="ignore"):  # of vectors that are all the same
        points = directions.fit_transform(sample.astype(np.float64))
    count = choose_number(points, seed=seed) if is_auto else int(how)
    found = _k_means(points, count, _STARTS, seed).labels_.astype(np.int64)
    if len(chosen) < n:  # the other rows join the nearest of the sample
        number = np.empty(n, np.int64)
        for start in range(0, n, _BLOCK):
            near = unit(np.asarray(vectors[start : start + _BLOCK])) @ sample.T
            number[start : start + _BLOCK] = found[near.argmax(axis=1)]
        number[chosen] = found
        found = number
    names, sizes = np.unique(found, return_counts=True)
    place = np.empty(int(names.max()) + 1, np.int64)
    place[names[np.argsort(-sizes, kind="stable")]] = np.arange(len(names))
    return Clusters(place[found], len(chosen))


def choose_number(points: NDArray[np.float64], *, seed: int = 0) -> int:
    """Choose a number of clusters that are stable and separated.

    Each number of up to 32 is tried. The rows are halved at random four times, and both halves
    assign all rows to clusters; the adjusted mutual information of the two is the stability
    (Ben-Hur et al., "A stability based method for discovering structure in clustered data", 2002).
    Stability alone prefers very few clusters, so it is multiplied with the mean silhouette of all
    rows (Rousseeuw, 1987).

    Parameters
    ----------
    points : ndarray, shape (n, dim)
    seed : int
    """
    from sklearn.metrics import adjusted_mutual_info_score, silhouette_score

    n, rng = len(points), generator(seed, "number of clusters")
    halvings = [np.array_split(rng.permutation(n), 2) for _ in range(_HALVINGS)]
    some = rng.permutation(n)[:_MOST_COMPARED]
    best, most = 2, 0.0
    for number in _NUMBERS:
        if 2 * number >= n:
            break
        said = [[_k_means(points[h], number, 3, seed).predict(points) for h in p] for p in halvings]
        stability = float(np.mean([adjusted_mutual_info_score(*pair) for pair in said]))
        labels = _k_means(points, number, 3, seed).labels_[some]
        apart = 0.0
        if 1 < len(np.unique(labels)) < len(some):
            apart = float(silhouette_score(points[some], labels))
        if stability * apart > most:
            best, most = number, stability * apart
    return best


def _k_means(points: NDArray[np.float64], number: int, starts: int, seed: int) -> Any:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different points than clusters
        return KMeans(number, n_init=starts, random_state=seed).fit(points)


def nearest_to_centres(
    vectors: NDArray[np.float32], number: NDArray[np.int64], group: NDArray[np.str_], k: int
) -> list[list[int]]:
    """For each cluster the ``k`` rows nearest to its mean, from different recordings if possible.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, dim)
    number : ndarray of int64, shape (n,)
        The cluster of each row; -1 for none.
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
    """Agreement of clusters and labels, over rows with one verified label.

    Attributes
    ----------
    purity : float
        Share of the rows with the most frequent label of their cluster. It grows with the number
        of clusters.
    mutual : float
        Adjusted mutual information: 0 by chance, 1 for perfect agreement.
    common : tuple of (str, float)
        For each cluster its most frequent label and the share of rows with it; ("", NaN) without
        labelled rows.
    n : int
        Rows with one label.
    """

    purity: float
    mutual: float
    common: tuple[tuple[str, float], ...]
    n: int


def agreement(clusters: NDArray[np.int64], clips: Clips) -> Agreement | None:
    """Agreement of clusters with labels; None without labels.

    Parameters
    ----------
    clusters : ndarray of int64, shape (n,)
        The cluster of each row; -1 for none.
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
