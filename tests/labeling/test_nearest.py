"""Exact and approximate search, with scikit-learn as the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.neighbors import NearestNeighbors

from semisonic.core.errors import DataError, OptionError
from semisonic.labeling import nearest as module
from semisonic.labeling.nearest import nearest

VALUES = st.floats(-2, 2, width=32).map(lambda v: np.float32(round(v, 2)))


@given(
    arrays(np.float32, st.tuples(st.integers(1, 40), st.just(5)), elements=VALUES),
    arrays(np.float32, st.tuples(st.integers(1, 3), st.just(5)), elements=VALUES),
    st.integers(1, 45),
    st.integers(1, 7),
)
def test_it_finds_what_scikit_learn_finds(
    vectors: np.ndarray, queries: np.ndarray, k: int, rows_a_block: int
) -> None:
    n = min(k, len(vectors))
    oracle = NearestNeighbors(n_neighbors=n, algorithm="brute").fit(vectors.astype(np.float64))
    expected = oracle.kneighbors(queries.astype(np.float64))[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_BYTES", rows_a_block * 20)
        found = nearest(vectors, queries, k, "euclidean")
    np.testing.assert_allclose(found.values, expected, atol=1e-5)
    gaps = np.linalg.norm(vectors[found.rows] - queries[:, None], axis=2)
    np.testing.assert_allclose(found.values, gaps, atol=1e-5)
    assert all(len(set(row)) == n for row in found.rows.tolist())


def test_the_cosine_is_that_of_scikit_learn_and_zeros_are_like_nothing() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(500, 8)).astype(np.float32)
    vectors[7] = 0
    found = nearest(vectors, vectors[3], 500)
    assert found.rows[0, 0] == 3
    oracle = NearestNeighbors(n_neighbors=400, metric="cosine", algorithm="brute")
    far = oracle.fit(np.delete(vectors, 7, axis=0)).kneighbors(vectors[3:4])[0]
    kept = found.values[0][found.rows[0] != 7]
    np.testing.assert_allclose(1 - kept[:400], far[0], atol=1e-5)
    assert found.values[0][found.rows[0] == 7] == 0


def test_of_equal_rows_the_first_comes_first() -> None:
    vectors = np.ones((9, 3), np.float32)
    assert nearest(vectors, np.ones(3), 4).rows.tolist() == [[0, 1, 2, 3]]


def test_wrong_queries_are_named() -> None:
    vectors = np.ones((3, 4), np.float32)
    with pytest.raises(DataError, match="vectors of 4 numbers"):
        nearest(vectors, np.ones(5), 1)
    with pytest.raises(DataError, match="not finite"):
        nearest(vectors, np.full(4, np.nan), 1)
    with pytest.raises(OptionError, match="cosine"):
        nearest(vectors, np.ones(4), 1, "cosin")
