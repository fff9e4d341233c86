"""Embeddings in two dimensions, to look at them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semisonic.base.errors import DataError


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
    table = _checked(embeddings)
    centred = table - table.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2]
    strongest = axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)]
    points = centred @ (axes * np.where(strongest < 0, -1.0, 1.0)[:, None]).T
    return np.asarray(np.pad(points, ((0, 0), (0, 2 - points.shape[1]))))


def tsne_2d(
    embeddings: ArrayLike, *, perplexity: float = 30.0, seed: int = 0
) -> NDArray[np.float64]:
    """Two dimensions that keep neighbours together, by t-SNE of scikit-learn.

    Paper: van der Maaten and Hinton, "Visualizing data using t-SNE", JMLR 2008. Distances
    between far groups mean nothing. The perplexity is lowered for few clips.
    """
    from sklearn.manifold import TSNE

    table = _checked(embeddings)
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


def _checked(embeddings: ArrayLike) -> NDArray[np.float64]:
    table = np.asarray(embeddings, dtype=np.float64)
    if table.ndim != 2 or len(table) < 2 or not table.shape[1]:
        raise DataError(f"embeddings: found shape {table.shape}, expected (n, dim) with n > 1")
    if not np.isfinite(table).all():
        raise DataError("embeddings: found a value that is not finite")
    return table
