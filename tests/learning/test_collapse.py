"""Measures of how much an embedding still tells."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.core.errors import DataError
from semisonic.learning.contrastive import embedding_spread


def numbers(n=200, width=16, seed=0):
    return torch.randn(n, width, generator=torch.Generator().manual_seed(seed))


def test_directions_at_random_are_no_collapse():
    spread = embedding_spread(numbers(2000, 16))
    assert spread.deviation == pytest.approx(1.0, abs=0.01)
    assert spread.rank == pytest.approx(16, abs=0.2)
    assert spread.n_dimensions == 16
    assert not spread.is_collapsed


def test_a_point_is_a_collapse():
    point = torch.ones(50, 16)
    assert embedding_spread(point).rank == 0.0
    assert embedding_spread(point).deviation == pytest.approx(0.0, abs=1e-6)
    almost = point + 1e-3 * numbers(50)
    assert embedding_spread(almost).rank > 10  # the rank alone would not show it
    assert embedding_spread(almost).is_collapsed


def test_a_line_is_a_collapse():
    line = numbers(50, 1) @ numbers(1, 16)
    spread = embedding_spread(line)
    assert spread.rank == pytest.approx(1.0, abs=1e-4)
    assert spread.deviation > 0.5  # the deviation alone would not show it
    assert spread.is_collapsed


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 8), st.floats(0.01, 100.0))
def test_the_rank_counts_equal_directions_at_any_scale(k, scale):
    basis = torch.linalg.qr(numbers(64, 8))[0][:, :k]
    basis = basis - basis.mean(0)
    axes = torch.linalg.qr(basis)[0]
    wide = scale * axes @ torch.eye(k, 16)
    assert embedding_spread(wide).rank == pytest.approx(k, rel=1e-3)


def test_what_all_clips_share_is_no_direction():
    assert embedding_spread(numbers() + 100.0).rank == pytest.approx(
        embedding_spread(numbers()).rank, rel=1e-6
    )
    assert embedding_spread(numbers() + 100.0).deviation < 0.1


@pytest.mark.parametrize("wrong", [torch.ones(1, 4), torch.ones(4), torch.full((3, 2), math.nan)])
def test_what_cannot_be_measured_is_an_error(wrong):
    with pytest.raises(DataError, match="spread"):
        embedding_spread(wrong)
