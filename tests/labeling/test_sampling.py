"""Strategies against what they promise, by hand, by brute force and by scikit-learn."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy as scipy_entropy
from sklearn.metrics import pairwise_distances

from semisonic.data.clips import Clips
from semisonic.labeling.nearest import unit
from semisonic.labeling.sampling import (
    alternating,
    interleaved,
    random_order,
    spread_out,
    typical,
    uncertain,
    uncertain_centres,
    uncertainty,
)


def around(centres, sizes, seed=0):
    """Points in tight groups on a circle."""
    rng = np.random.default_rng(seed)
    parts = [
        rng.normal(centre, 0.02, (size, 2)) for centre, size in zip(centres, sizes, strict=True)
    ]
    return np.concatenate(parts).astype(np.float32)


def table(files, starts, length=5.0):
    """A pool of windows, in the order given."""
    n = len(files)
    names = np.array(files, np.str_)
    start = np.array(starts, np.float64)
    return Clips(
        root="/pool",
        file=names,
        start_time=start,
        end_time=start + length,
        labels=((),) * n,
        group=names,
        fold=np.zeros(n, np.int64),
    )


def test_doubts_by_hand():
    scores = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.6, 0.3, 0.1]])
    assert uncertainty(scores) == pytest.approx([0.0, 1.0, 0.7])
    pairs = np.stack([scores, 1 - scores], axis=2)
    expected = scipy_entropy(pairs, axis=2, base=2).mean(axis=1)
    assert uncertainty(scores, multi_label=True) == pytest.approx(expected)
    assert uncertainty(np.array([[1.0], [0.25]])) == pytest.approx([0.0, 0.75])


@settings(max_examples=80, deadline=None)
@given(st.integers(2, 6), st.integers(0, 2**31))
def test_doubts_lie_between_none_and_all(n_classes, seed):
    scores = np.random.default_rng(seed).dirichlet(np.full(n_classes, 0.3), 20)
    for several in (False, True):
        doubt = uncertainty(scores, multi_label=several)
        assert doubt.shape == (20,)
        assert ((doubt >= 0) & (doubt <= 1)).all()
        shuffled = uncertainty(scores[:, ::-1], multi_label=several)
        assert shuffled == pytest.approx(doubt)


def test_the_largest_doubt_comes_first_and_of_equal_ones_the_first_row():
    assert uncertain(np.array([0.1, 0.9, 0.5, 0.9]), 3).tolist() == [1, 3, 2]


def test_rows_that_are_all_the_same_are_chosen_once_each():
    points = np.ones((5, 2), np.float32)
    assert sorted(typical(points, np.zeros(0, np.int64), 5).tolist()) == [0, 1, 2, 3, 4]
    assert sorted(uncertain_centres(points, np.ones(5), 3).tolist())[:1] == [0]
    assert len(set(uncertain_centres(points, np.ones(5), 3).tolist())) == 3


def test_typical_asks_in_each_group_once_and_the_largest_first():
    points = around([(1, 0), (0, 1), (-1, 0)], [10, 40, 20])
    first = typical(points, np.zeros(0, np.int64), 3)
    assert (np.digitize(first, [10, 50])).tolist() == [1, 2, 0]
    # In the middle of its group: nearer to the others than most.
    group = pairwise_distances(unit(points[10:50])).mean(axis=1)
    assert group[first[0] - 10] < np.quantile(group, 0.4)


def test_typical_leaves_groups_alone_that_have_a_label():
    points = around([(1, 0), (0, 1), (-1, 0)], [10, 40, 20])
    found = typical(points, np.array([12, 60]), 1)
    assert found[0] < 10


def test_doubtful_centres_asks_about_different_doubts():
    points = around([(1, 0), (0, 1), (-1, 0)], [6, 6, 6])
    doubt = np.r_[np.full(6, 0.9), np.full(6, 0.8), np.full(6, 0.0)]
    found = uncertain_centres(points, doubt, 2)
    assert uncertain(doubt, 2).tolist() == [0, 1]  # the same doubt twice
    assert (found // 6).tolist() == [0, 1]
    assert (uncertain_centres(points, doubt, 2) == found).all()


def test_rows_of_one_recording_are_apart_as_far_as_there_are_others():
    clips = table(["a"] * 4 + ["b"], [0, 5, 40, 45, 0])
    order = np.arange(5)
    assert spread_out(order, clips, 5, apart=30).tolist() == [0, 2, 4]
    assert spread_out(order, clips, 5, apart=30, beside=[4]).tolist() == [0, 2]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=12))
def test_neighbours_in_a_queue_are_of_different_recordings(files):
    clips = table(files, [10.0 * k for k in range(len(files))])
    order = alternating(range(len(files)), clips)
    assert sorted(order) == list(range(len(files)))
    pairs = sum(clips.file[a] == clips.file[b] for a, b in pairwise(order))
    if len(set(files)) == len(files):
        assert pairs == 0
    assert pairs <= max(files.count(name) for name in files) - 1


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 20), st.integers(0, 20))
def test_two_orders_become_one_evenly(n, m):
    found = interleaved(range(n), range(100, 100 + m))
    assert [row for row in found if row < 100] == list(range(n))
    assert [row for row in found if row >= 100] == list(range(100, 100 + m))
    half = found[: len(found) // 2]
    share = sum(row >= 100 for row in half)
    assert abs(share - m * len(half) / max(n + m, 1)) <= 1


def test_the_order_of_chance_is_the_same_in_any_table_and_favours_nothing():
    clips = table([f"site/{k}.wav" for k in range(400)], [0.0] * 400)
    order = random_order(clips, np.arange(400), seed=3)
    assert sorted(order.tolist()) == list(range(400))
    assert random_order(clips, np.arange(399, -1, -1), seed=3).tolist() == order.tolist()
    assert random_order(clips, np.arange(400), seed=4).tolist() != order.tolist()
    # A part keeps its order, so what is drawn later goes on where this ended.
    part = np.arange(0, 400, 3)
    assert random_order(clips, part, seed=3).tolist() == [r for r in order.tolist() if r % 3 == 0]
    elsewhere = clips.with_columns(root="/other", file=np.char.add("../pool/", clips.file))
    assert random_order(elsewhere, np.arange(400), seed=3).tolist() == order.tolist()
    assert abs(np.mean(order[:200]) - 199.5) < 25
