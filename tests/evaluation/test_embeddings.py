"""Embeddings in two dimensions, and how far classes lie apart in them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_samples

from semisonic.core.errors import DataError
from semisonic.evaluation.embeddings import pca_2d, separability, tsne_2d


def test_pca_equals_scikit_learn_up_to_sign() -> None:
    table = np.random.default_rng(0).normal(size=(40, 7)) @ np.diag([5, 3, 1, 1, 1, 1, 1])
    ours, theirs = pca_2d(table), PCA(2).fit_transform(table)
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-9)


@pytest.mark.parametrize("shape", [(2, 1), (5, 1), (2, 9), (1000, 3)])
def test_pca_of_odd_shapes(shape: tuple[int, int]) -> None:
    points = pca_2d(np.random.default_rng(2).normal(size=shape))
    assert points.shape == (shape[0], 2)
    assert np.isfinite(points).all()


def test_tsne_keeps_groups_apart_and_repeats_itself() -> None:
    rng = np.random.default_rng(3)
    group = np.repeat([0, 1], 20)
    table = rng.normal(size=(40, 6)) + 30 * group[:, None]
    points = tsne_2d(table, seed=1)
    centres = [points[group == g].mean(axis=0) for g in (0, 1)]
    spread = max(points[group == g].std() for g in (0, 1))
    assert np.linalg.norm(centres[0] - centres[1]) > spread
    np.testing.assert_array_equal(points, tsne_2d(table, seed=1))


@pytest.mark.parametrize("table", [np.ones(3), np.ones((1, 3)), np.array([[1.0], [np.nan]])])
def test_what_cannot_be_projected_is_refused(table: np.ndarray) -> None:
    with pytest.raises(DataError, match="embeddings"):
        pca_2d(table)


RNG = np.random.default_rng(0)
TARGET = np.arange(60) % 3
X = RNG.normal(0, 1, (60, 4)) + np.array([0, 1, 9])[TARGET, None]
ALONE = np.array([f"r{i}" for i in range(60)])


def test_silhouettes_equal_scikit_learn() -> None:
    found = separability(X, TARGET, ALONE, 4)
    scaled = (X - X.mean(0)) / X.std(0)
    expected = silhouette_samples(scaled, TARGET)
    np.testing.assert_allclose(
        found.silhouette[:3], [expected[k == TARGET].mean() for k in range(3)]
    )
    assert np.isnan(found.silhouette[3])
    assert np.isnan(found.purity[3])


def test_clips_of_one_recording_do_not_speak_for_each_other() -> None:
    x = RNG.normal(0, 1, (40, 3))
    x[20:] = x[:20]  # each clip twice
    target = np.arange(40) % 20 % 2
    group = np.array([f"r{i % 20}" for i in range(40)])
    together = separability(x, target, group, 2)
    apart = separability(x, target, np.arange(40).astype(str), 2)
    assert apart.purity.mean() > together.purity.mean() + 0.05


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(DataError, match="one recording"):
        separability(X, TARGET, np.full(60, "r"), 3)
    with pytest.raises(DataError, match="expected"):
        separability(X, TARGET[:5], ALONE, 3)
