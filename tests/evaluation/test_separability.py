"""How far classes lie apart: as scikit-learn says, and never by clips of one recording."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples

from semisonic.core.errors import DataError
from semisonic.evaluation.embeddings import separability

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


def test_the_far_class_is_pure_and_the_near_ones_name_each_other() -> None:
    found = separability(X, TARGET, ALONE, 3)
    assert found.purity[2] == 1
    assert found.nearest[2] == -1
    assert found.purity[0] < 1 or found.purity[1] < 1
    assert set(found.nearest[:2].tolist()) <= {-1, 0, 1}


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
