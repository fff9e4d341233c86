"""Confident learning: an example worked by hand, brute force, planted errors, the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from semisonic.core.errors import DataError
from semisonic.evaluation.label_errors import confident_joint, find_suspects
from semisonic.evaluation.metrics import average_precision

# Eight clips of two classes; the scores of the second class. By hand:
# mean score of the clips labelled 0, for 0: (.9 + .8 + .7 + .2) / 4 = .65
# mean score of the clips labelled 1, for 1: (.9 + .7 + .6 + .1) / 4 = .575
# So clip 3 surely is a 1 (.8 >= .575) and clip 7 surely is a 0 (.9 >= .65).
HAND_LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1])
HAND_YES = np.array([0.1, 0.2, 0.3, 0.8, 0.9, 0.7, 0.6, 0.1])
HAND_SCORES = np.stack([1 - HAND_YES, HAND_YES], axis=1)


def planted(
    n: int = 600, n_classes: int = 5, share: float = 0.2, seed: int = 0, skill: float = 2.5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True labels, given labels with a share of errors, and scores of a fair classifier."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % n_classes
    logits = rng.normal(0, 1, (n, n_classes))
    logits[np.arange(n), truth] += skill
    scores = np.exp(logits)
    labels = truth.copy()
    wrong = rng.permutation(n)[: round(share * n)]
    labels[wrong] = (truth[wrong] + rng.integers(1, n_classes, len(wrong))) % n_classes
    return truth, labels, scores / scores.sum(axis=1, keepdims=True)


def by_brute_force(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The joint as the paper's formulas read, clip by clip and class by class."""
    n_classes = scores.shape[1]
    thresholds = [
        np.mean([s[k] for s, y in zip(scores, labels, strict=True) if y == k] or [np.inf])
        for k in range(n_classes)
    ]
    pairs = []
    for s, y in zip(scores, labels, strict=True):
        reached = [k for k in range(n_classes) if s[k] >= thresholds[k] - 1e-6]
        if reached:
            pairs.append((y, max(reached, key=lambda k: s[k])))
    given_labels, sure = zip(*pairs, strict=True)
    counts = confusion_matrix(given_labels, sure, labels=range(n_classes)).astype(float)
    for k in range(n_classes):
        n = (labels == k).sum()
        counts[k, k] += n > 0 and counts[k, k] == 0
        counts[k] *= n / max(counts[k].sum(), 1)
    return counts / counts.sum()


def test_the_example_worked_by_hand() -> None:
    joint = confident_joint(HAND_LABELS, HAND_SCORES)
    np.testing.assert_allclose(joint, [[0.375, 0.125], [0.125, 0.375]])
    assert find_suspects(HAND_LABELS, HAND_SCORES).wrong_share == pytest.approx(0.25)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(2, 60))
def test_counting_agrees_with_brute_force(seed: int, n_classes: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(n_classes, size=n)
    scores = rng.dirichlet(np.full(n_classes, 0.5), n)
    joint = confident_joint(labels, scores)
    np.testing.assert_allclose(joint, by_brute_force(labels, scores))
    assert joint.sum() == pytest.approx(1)
    np.testing.assert_allclose(joint.sum(axis=1), np.bincount(labels, minlength=n_classes) / n)
    suspects = find_suspects(labels, scores).is_suspect
    assert not (suspects & (scores.argmax(axis=1) == labels)).any()


@pytest.mark.parametrize("share", [0.1, 0.2, 0.4])
def test_the_share_of_planted_errors_is_estimated(share: float) -> None:
    _, labels, scores = planted(share=share, skill=4)
    assert find_suspects(labels, scores).wrong_share == pytest.approx(share, abs=0.04)


def test_planted_errors_are_found() -> None:
    truth, labels, scores = planted(skill=4)
    wrong = truth != labels
    found = find_suspects(labels, scores)
    hits = found.is_suspect & wrong
    assert hits.sum() / wrong.sum() > 0.85
    assert hits.sum() / found.is_suspect.sum() > 0.95
    assert average_precision(wrong, 1 - found.quality) > 0.9
    assert (found.suggested[hits] == truth[hits]).mean() > 0.95


def test_a_timid_class_is_judged_by_its_own_measure() -> None:
    """Where a class never gets more than 0.45, 0.45 is sure; a fixed threshold would miss it."""
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.56, 0.44]] + [[0.58, 0.42]] * 4)
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    joint = confident_joint(labels, scores)
    np.testing.assert_allclose(joint, np.array([[3, 1], [0, 4]]) / 8)


def test_a_class_without_clips_and_one_whose_clips_all_look_wrong() -> None:
    scores = np.array([[0.9, 0.05, 0.05], [0.8, 0.1, 0.1], [0.9, 0.1, 0.0]])
    joint = confident_joint([0, 0, 1], scores)
    assert joint.sum(axis=1) == pytest.approx([2 / 3, 1 / 3, 0])


def test_several_labels_are_a_question_a_class() -> None:
    truth = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 1]] * 20)
    rng = np.random.default_rng(0)
    scores = np.clip(0.1 + 0.8 * truth + rng.normal(0, 0.03, truth.shape), 0.01, 0.99)
    given_labels = truth.copy()
    given_labels[5, 1] = 0  # forgotten: row 5 is [0, 1, 0]
    given_labels[10, 2] = 1  # not heard: row 10 is [1, 1, 0]
    scores[5, 1], scores[10, 2] = 0.95, 0.05
    found = find_suspects(given_labels, scores)
    assert sorted(found.suspects.tolist()) == [5, 10]
    np.testing.assert_array_equal(found.suggested, truth.astype(bool))
    assert len(found.joints) == 3
    assert found.joints[1][0, 1] > 0
    assert found.quality[5] < 0.5 < np.delete(found.quality, [5, 10]).min()


def test_the_quality_of_a_clip_of_several_labels_weighs_the_worst_most() -> None:
    found = find_suspects([[1, 0, 1], [1, 1, 1]], [[0.9, 0.4, 0.2], [0.9, 0.9, 0.9]])
    # Qualities .9, .6, .2, taken in from the best on with weight .8 of each worse one.
    assert found.quality == pytest.approx([0.8 * 0.2 + 0.2 * (0.8 * 0.6 + 0.2 * 0.9), 0.9])


@pytest.mark.parametrize(
    ("labels", "scores", "text"),
    [
        ([0, 1], [[0.5, 0.5]], "different numbers of rows"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], "class 2 in row 1, expected a number below 2"),
        ([0, 1], [[0.5, np.nan], [0.5, 0.5]], "not finite"),
        ([0, -1], [[0.5, 0.5], [0.5, 0.5]], "the clip has no label"),
    ],
)
def test_what_does_not_fit_is_named(labels: Any, scores: Any, text: str) -> None:
    with pytest.raises(DataError, match=text):
        find_suspects(labels, scores)
