"""Points of the map: which rows are drawn, where, and what their colours can mean."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import DataError
from semisonic.base.seeds import generator
from semisonic.evaluation.projection import pca_2d, tsne_2d
from semisonic.labeling.index import EmbeddingIndex
from semisonic.labeling.map_options import PCA
from semisonic.labeling.naming import shown_names
from semisonic.labeling.nearest import unit

MOST_NAMES = 24
OTHERS = "all others"
FEWEST = 3
_DIRECTIONS = 50


@dataclass(frozen=True)
class Meaning:
    """What colours can mean.

    Attributes
    ----------
    title : str
    names : tuple of str
        At most ``MOST_NAMES``, the commonest first; the last may be "all others".
    of : ndarray of int64, shape (n,)
        The name's number for each point; -1 where there is none.
    """

    title: str
    names: tuple[str, ...]
    of: NDArray[np.int64]


def draw_rows(n: int, most: int, seed: int) -> NDArray[np.int64]:
    """Which rows are drawn: all, or so many at random, in order."""
    if n <= most:
        return np.arange(n)
    return np.sort(generator(seed, "map").choice(n, most, replace=False))


def project(vectors: NDArray[np.float32], how: str, seed: int) -> NDArray[np.float64]:
    """Places within 0 to 1, shape (n, 2), of vectors (n, dim) taken to length 1.

    Each axis fills the frame: neither has a unit, and a page may be wide or tall.

    Before t-SNE the vectors are turned to their 50 principal directions, as usual.

    Raises
    ------
    DataError
        For fewer than three vectors.
    """
    if len(vectors) < FEWEST:
        raise DataError(f"map: found {len(vectors)} rows, expected at least {FEWEST}")
    table = unit(vectors)
    if how == PCA:
        points = pca_2d(table)
    else:
        if min(table.shape) > _DIRECTIONS:
            from sklearn.decomposition import PCA as Directions

            method = Directions(_DIRECTIONS, svd_solver="randomized", random_state=seed)
            table = method.fit_transform(table)
        points = tsne_2d(table, seed=seed)
    low = points.min(axis=0)
    span = points.max(axis=0) - low
    return np.asarray((points - low) / np.where(span > 0, span, 1.0))


def meanings(index: EmbeddingIndex, rows: NDArray[np.int64]) -> dict[str, Meaning]:
    """What the colours of some rows can mean, by the names of ``--colour``."""
    clips = index.clips
    files = shown_names(clips.file.tolist())
    found = {
        "label": ("label", [";".join(clips.labels[row]) for row in rows]),
        "predicted": ("predicted class", index.predicted[rows].tolist()),
        "cluster": ("cluster", [_cluster(int(c)) for c in index.cluster[rows]]),
        "group": ("recording or site", _groups(clips.group[rows].tolist(), files)),
        "file": ("file", [files[file] for file in clips.file[rows].tolist()]),
    }
    return {
        name: _meaning(title, values)
        for name, (title, values) in found.items()
        if len(set(values) - {""}) > (0 if name in ("label", "predicted") else 1)
    }


def _meaning(title: str, values: list[str]) -> Meaning:
    counts = Counter(value for value in values if value)
    order = sorted(counts, key=lambda name: (-counts[name], name))
    names = order if len(order) <= MOST_NAMES else [*order[: MOST_NAMES - 1], OTHERS]
    number = {name: min(i, MOST_NAMES - 1) for i, name in enumerate(order)}
    of = np.array([number.get(value, -1) for value in values], np.int64)
    return Meaning(title, tuple(names), of)


def _cluster(number: int) -> str:
    return "" if number < 0 else f"cluster {number}"


def _groups(groups: list[str], files: dict[str, str]) -> list[str]:
    """Groups, unless every file is its own."""
    return [] if all(group in files for group in groups) else groups
