"""Exact and approximate search, with scikit-learn as the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics.pairwise import cosine_similarity

from semisonic.core.errors import DataError
from semisonic.labeling import nearest as module
from semisonic.labeling.nearest import nearest

VALUES = st.floats(-2, 2, width=32).map(lambda v: np.float32(round(v, 2)))


@given(
    arrays(np.float32, st.tuples(st.integers(1, 40), st.just(5)), elements=VALUES),
    arrays(np.float32, st.tuples(st.integers(1, 3), st.just(5)), elements=VALUES),
    st.integers(1, 45),
    st.integers(1, 7),
)
def test_it_finds_what_scikit_learn_finds(vectors, queries, k, rows_a_block):
    """Vectors of zeros are like nothing, for both."""
    n = min(k, len(vectors))
    expected = cosine_similarity(queries.astype(np.float64), vectors.astype(np.float64))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_BYTES", rows_a_block * 20)
        found = nearest(vectors, queries, k)
    np.testing.assert_allclose(found.values, -np.sort(-expected, axis=1)[:, :n], atol=1e-5)
    of_rows = np.take_along_axis(expected, found.rows, axis=1)
    np.testing.assert_allclose(found.values, of_rows, atol=1e-5)
    assert all(len(set(row)) == n for row in found.rows.tolist())


def test_of_equal_rows_the_first_comes_first():
    vectors = np.ones((9, 3), np.float32)
    assert nearest(vectors, np.ones(3), 4).rows.tolist() == [[0, 1, 2, 3]]


def test_wrong_queries_are_named():
    vectors = np.ones((3, 4), np.float32)
    with pytest.raises(DataError, match="vectors of 4 numbers"):
        nearest(vectors, np.ones(5), 1)
    with pytest.raises(DataError, match="not finite"):
        nearest(vectors, np.full(4, np.nan), 1)
