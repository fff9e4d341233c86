"""Embeddings in two dimensions, and the separability of classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from sklearn.metrics import silhouette_samples

from semisonic.core.errors import DataError


def pca_2d(embeddings: ArrayLike) -> NDArray[np.float64]:
    """The two directions in which embeddings vary most, by principal components.

    Parameters
    ----------
    embeddings : array of float, shape (n, dim)

    Returns
    -------
    ndarray of float64, shape (n, 2)
        Centred; of each axis the sign is such that its largest weight is positive, so
        that the same embeddings give the same picture.
    """
    from sklearn.decomposition import PCA

    table = _checked_points(embeddings)
    points = PCA(min(2, table.shape[1]), svd_solver="full").fit_transform(table)
    return np.asarray(np.pad(points, ((0, 0), (0, 2 - points.shape[1]))), np.float64)


def tsne_2d(
    embeddings: ArrayLike, *, perplexity: float = 30.0, seed: int = 0
) -> NDArray[np.float64]:
    """Two dimensions that keep neighbours together, by t-SNE of scikit-learn.

    Paper: van der Maaten and Hinton, "Visualizing data using t-SNE", JMLR 2008. Distances
    between far groups mean nothing. The perplexity is lowered for few clips.
    """
    from sklearn.manifold import TSNE

    table = _checked_points(embeddings)
    if len(table) < 5:
        return pca_2d(table)
    spread = table - table.mean(axis=0)
    scale = float(spread.std()) or 1.0
    method = TSNE(
        n_components=2,
        perplexity=min(perplexity, (len(table) - 1) / 3.0),
        init="pca" if table.shape[1] > 1 else "random",
        learning_rate="auto",
        random_state=seed,
    )
    return np.asarray(method.fit_transform(spread / scale), dtype=np.float64)


def _checked_points(embeddings: ArrayLike) -> NDArray[np.float64]:
    table = np.asarray(embeddings, dtype=np.float64)
    if table.ndim != 2 or len(table) < 2 or not table.shape[1]:
        raise DataError(f"embeddings: found shape {table.shape}, expected (n, dim) with n > 1")
    if not np.isfinite(table).all():
        raise DataError("embeddings: found a value that is not finite")
    return table


NEIGHBOURS = 5
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Separability:
    """For each class, mean over its clips; NaN for a class without clips.

    Attributes
    ----------
    silhouette : ndarray, shape (n_classes,)
        -1 to 1: above 0, a clip is closer to its own class than to the nearest other one.
    purity : ndarray, shape (n_classes,)
        0 to 1: share of the nearest clips of other recordings that are of the same class.
    nearest : ndarray of int64, shape (n_classes,)
        The most frequent other class of the nearest clips; -1 if all are of the same class.
    """

    silhouette: Values
    purity: Values
    nearest: NDArray[np.int64]


def separability(
    x: ArrayLike,
    target: ArrayLike,
    group: ArrayLike,
    n_classes: int,
    *,
    n_neighbours: int = NEIGHBOURS,
) -> Separability:
    """Measure the separability of classes before any classifier is trained.

    By the silhouette of Rousseeuw (1987) and the share of neighbours of the same class. Neighbours
    are searched for only in other recordings: clips of one recording are close together whatever
    their class, and a tested classifier was not trained on them.

    Parameters
    ----------
    x : array of float, shape (n, d)
        Standardised here, each column by its mean and deviation.
    target : array of int, shape (n,)
    group : array of str, shape (n,)
        The recording of each clip.
    n_classes, n_neighbours : int

    Returns
    -------
    Separability

    Raises
    ------
    DataError
        If the lengths differ or there are fewer than two recordings.
    """
    points = np.asarray(x, np.float64)
    labels, recording = np.asarray(target, np.int64), np.asarray(group)
    if points.ndim != 2 or not len(points) == len(labels) == len(recording):
        raise DataError(
            f"separability: found {points.shape} values, {len(labels)} classes and "
            f"{len(recording)} recordings, expected (n, d), n and n"
        )
    if len(np.unique(recording)) < 2:
        raise DataError("separability: found one recording, expected at least two")
    points = (points - points.mean(axis=0)) / np.maximum(points.std(axis=0), 1e-12)
    distance = cdist(points, points)
    several = 1 < len(np.unique(labels)) < len(labels)
    silhouette = (
        silhouette_samples(distance, labels, metric="precomputed")
        if several
        else np.zeros(len(labels))
    )
    apart = np.where(recording[:, None] == recording[None], np.inf, distance)
    order = np.argsort(apart, axis=1, kind="stable")[:, :n_neighbours]
    valid = np.isfinite(np.take_along_axis(apart, order, axis=1))
    of_class = labels[order]
    other = valid & (of_class != labels[:, None])
    purity = 1 - other.sum(axis=1) / np.maximum(valid.sum(axis=1), 1)
    purity[~valid.any(axis=1)] = 0.0
    taken_for = np.zeros((n_classes, n_classes), np.int64)
    rows, columns = np.nonzero(other)
    np.add.at(taken_for, (labels[rows], of_class[rows, columns]), 1)
    nearest = np.where(taken_for.any(axis=1), taken_for.argmax(axis=1), -1)
    table = pd.DataFrame({"silhouette": silhouette, "purity": purity}).groupby(labels).mean()
    means = table.reindex(range(n_classes)).to_numpy()
    return Separability(means[:, 0], means[:, 1], nearest)
