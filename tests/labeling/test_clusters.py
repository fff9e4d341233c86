"""Clusters: found, numbered, compared with labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from semisonic.core.errors import DataError, OptionError
from semisonic.data.clips import Clips
from semisonic.labeling import clusters as module
from semisonic.labeling.clusters import agreement, find_clusters, nearest_to_centres

N = 40


@pytest.fixture
def blobs():
    """Three clouds of 20, 40 and 60 vectors, and the cloud of each."""
    rng = np.random.default_rng(0)
    of = np.repeat([0, 1, 2], [20, 40, 60])
    centres = rng.normal(size=(3, 16)) * 4
    return (centres[of] + rng.normal(size=(120, 16))).astype(np.float32), of


@pytest.mark.parametrize("how", ["3", "auto"])
def test_clouds_are_found_the_largest_first(blobs, how):
    vectors, of = blobs
    found = find_clusters(vectors, how)
    kept = found.number >= 0
    assert kept.mean() > 0.85
    assert adjusted_rand_score(of[kept], found.number[kept]) == 1.0
    assert found.count == 3
    sizes = np.bincount(found.number[kept])
    assert sizes.tolist() == sorted(sizes, reverse=True)
    np.testing.assert_array_equal(find_clusters(vectors, how).number, found.number)


@pytest.mark.parametrize("how", ["3", "auto"])
def test_of_many_rows_a_part_is_clustered_and_the_others_join(blobs, how, monkeypatch):
    monkeypatch.setattr(module, "MOST_SAMPLED", {"auto": 60, "k-means": 60})
    vectors, of = blobs
    found = find_clusters(vectors, how)
    assert found.n_sampled == 60
    kept = found.number >= 0
    assert adjusted_rand_score(of[kept], found.number[kept]) == 1.0


def test_the_nearest_to_a_centre_are_of_different_recordings():
    rng = np.random.default_rng(0)
    vectors = np.concatenate([[[1.0, 0.0]] * 6, [[0.0, 1.0]] * 3]).astype(np.float32)
    vectors += rng.normal(0, 0.01, vectors.shape).astype(np.float32)
    number = np.array([0] * 6 + [1] * 3)
    group = np.array(["a", "a", "a", "b", "b", "c", "d", "d", "d"])
    first, second = nearest_to_centres(vectors, number, group, 3)
    assert set(group[first]) == {"a", "b", "c"}
    assert sorted(second) == [6, 7, 8], "of one recording all the same if there is no other"


def test_purity_counts_the_commonest_label_of_each_cluster():
    labels = ["x", "x", "y", "y", "y", "", "x"]
    rows = [{"file": f"{i}.wav", "labels": label} for i, label in enumerate(labels)]
    clips = Clips.from_rows(Path(), rows)
    found = agreement(np.array([0, 0, 0, 1, 1, 1, -1]), clips)
    assert found is not None
    assert found.n == 6
    assert found.purity == pytest.approx(4 / 5)
    assert found.common[0] == ("x", pytest.approx(2 / 3))
    assert found.common[1] == ("y", 1.0)
    assert agreement(np.zeros(7, np.int64), clips.without_labels()) is None
    perfect = agreement(np.array([0, 0, 1, 1, 1, 1, 0]), clips)
    assert perfect is not None
    assert (perfect.purity, perfect.mutual) == (1.0, pytest.approx(1.0))


@pytest.mark.parametrize("how", ["1", "-2", "some", "2.5", "9"])
def test_a_wrong_number_is_named(how):
    with pytest.raises(OptionError, match="'clusters'"):
        find_clusters(np.ones((8, 3), np.float32), how)


def test_too_few_rows_for_auto():
    with pytest.raises(DataError, match="at least 5"):
        find_clusters(np.ones((4, 3), np.float32), "auto")


def test_vectors_that_are_all_the_same_are_no_error():
    assert find_clusters(np.ones((30, 3), np.float32), "auto").count in (0, 1)
