"""Segments that are silent, and segments that vote."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from semisonic.classifier.config import SegmentOptions
from semisonic.core.errors import OptionError
from semisonic.core.options import check
from semisonic.experiments.worker import majority_by, sounding


def test_the_majority_answers_and_a_tie_goes_to_the_surer_class() -> None:
    owner = [7, 7, 7, 3, 3]
    scores = np.array(
        [[0.51, 0.49, 0.0], [0.51, 0.49, 0.0], [0.0, 1.0, 0.0], [0.6, 0.3, 0.1], [0.1, 0.9, 0.0]]
    )
    owners, shares = majority_by(owner, scores)
    assert owners.tolist() == [3, 7]
    np.testing.assert_allclose(shares.sum(1), 1.0)
    assert shares.argmax(1).tolist() == [1, 0]  # 0.6 + 0.1 < 0.3 + 0.9; two votes of three
    np.testing.assert_allclose(shares[1], [2 / 3, 1 / 3, 0], atol=1e-3)


@given(
    arrays(np.int64, st.integers(1, 40), elements=st.integers(0, 5)),
    st.integers(0, 1000),
)
def test_a_class_with_more_votes_is_never_beaten(owner: np.ndarray, seed: int) -> None:
    scores = np.random.default_rng(seed).dirichlet(np.full(4, 0.3), len(owner))
    owners, shares = majority_by(owner, scores)
    for one, share in zip(owners, shares, strict=True):
        votes = np.bincount(scores[owner == one].argmax(1), minlength=4)
        assert votes[share.argmax()] == votes.max()


def test_silent_segments_are_left_out_but_no_clip_is() -> None:
    features = np.full((6, 2, 4, 3), -90.0, np.float16)
    features[[0, 3], 0] = -40.0
    features[:, 1] = 50.0  # deltas do not count
    source = np.array([0, 0, 1, 2, 2, 1])
    assert sounding(features, np.arange(6), source, -70.0).tolist() == [0, 2, 3, 5]
    assert sounding(features, [1, 4, 5], source, -70.0).tolist() == [1, 4, 5]
    assert sounding(features, [5, 1], source, None).tolist() == [5, 1]
    assert sounding(features, [0, 1], source, -30.0).tolist() == [0, 1]


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(OptionError, match="voting"):
        check(SegmentOptions(voting="median"))
    with pytest.raises(OptionError, match="silence_db"):
        check(SegmentOptions(silence_db=3.0))
