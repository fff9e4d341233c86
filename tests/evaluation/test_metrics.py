"""Every number equals scikit-learn's, on any input, and bad input is refused by name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from semisonic.core.errors import DataError
from semisonic.evaluation.calibration import reliability
from semisonic.evaluation.metrics import (
    accuracy,
    average_precision,
    balanced_accuracy,
    confusion,
    log_loss,
    lwlrap,
    macro_f1,
    mean_average_precision,
    per_class,
    summary,
    top_k_accuracy,
)

CLOSE = {"rel": 1e-9, "abs": 1e-12}


def random_case(seed: int, n: int = 60, n_classes: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.integers(0, n_classes, n)
    scores = rng.dirichlet(np.ones(n_classes), n)
    return target, scores


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(2, 80), n_classes=st.integers(2, 8))
def test_single_label_numbers_equal_scikit_learn(seed: int, n: int, n_classes: int) -> None:
    target, scores = random_case(seed, n, n_classes)
    predicted, every = scores.argmax(axis=1), range(n_classes)
    assert accuracy(target, predicted) == pytest.approx(
        oracle.accuracy_score(target, predicted), **CLOSE
    )
    assert macro_f1(target, predicted) == pytest.approx(
        oracle.f1_score(target, predicted, average="macro", zero_division=0), **CLOSE
    )
    recall = oracle.recall_score(
        target, predicted, labels=np.unique(target), average="macro", zero_division=0
    )
    assert balanced_accuracy(target, predicted) == pytest.approx(recall, **CLOSE)
    assert log_loss(target, scores) == pytest.approx(
        oracle.log_loss(target, scores, labels=every), **CLOSE
    )
    counts = confusion(target, predicted, n_classes)
    assert counts.tolist() == oracle.confusion_matrix(target, predicted, labels=every).tolist()
    theirs = oracle.precision_recall_fscore_support(
        target, predicted, labels=every, zero_division=0
    )
    ours = per_class(target, predicted, n_classes)[["precision", "recall", "f1", "n_clips"]]
    np.testing.assert_allclose(ours.to_numpy().T, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_top_k_equals_scikit_learn(k: int) -> None:
    target, scores = random_case(3)
    if k == 6:
        assert top_k_accuracy(target, scores, k) == 1.0
    else:
        expected = oracle.top_k_accuracy_score(target, scores, k=k, labels=range(6))
        assert top_k_accuracy(target, scores, k) == pytest.approx(expected, **CLOSE)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31), n=st.integers(2, 40), k=st.integers(2, 7), levels=st.integers(2, 50)
)
def test_several_labels_equal_scikit_learn_also_with_ties(
    seed: int, n: int, k: int, levels: int
) -> None:
    rng = np.random.default_rng(seed)
    targets = rng.random((n, k)) < 0.4
    targets[0, 0] = True
    scores = rng.integers(0, levels, (n, k)) / levels
    carries = targets.sum(axis=1)
    expected = oracle.label_ranking_average_precision_score(
        targets[carries > 0], scores[carries > 0], sample_weight=carries[carries > 0]
    )
    assert lwlrap(targets, scores) == pytest.approx(expected, **CLOSE)
    used = targets.any(axis=0)
    expected = oracle.average_precision_score(targets[:, used], scores[:, used], average="macro")
    assert mean_average_precision(targets, scores) == pytest.approx(expected, **CLOSE)


def test_average_precision_of_an_absent_class_is_not_a_number() -> None:
    assert np.isnan(average_precision(np.zeros(3, int), np.array([0.1, 0.2, 0.3])))


def test_expected_calibration_error_by_hand() -> None:
    scores = np.array([[0.95, 0.05], [0.95, 0.05], [0.65, 0.35], [0.35, 0.65]])
    target = np.array([0, 1, 0, 1])
    # bin 0.9-1.0: confidence 0.95, right 1 of 2; bin 0.6-0.7: confidence 0.65, right 2 of 2
    found = reliability(target, scores)
    assert found.error == pytest.approx((2 * abs(0.95 - 0.5) + 2 * abs(0.65 - 1.0)) / 4)
    assert found.n_clips.sum() == 4


def test_summary_speaks_of_classes_by_name_and_agrees_with_the_single_numbers() -> None:
    target, scores = random_case(9, n_classes=3)
    numbers = summary(target, scores, ["dog", "rain", "bell"])
    assert numbers["accuracy"] == accuracy(target, scores.argmax(axis=1))
    assert list(numbers["per_class"]) == ["dog", "rain", "bell"]
    assert sum(row["n_clips"] for row in numbers["per_class"].values()) == 60
    several = summary(np.eye(3)[target], scores, ["dog", "rain", "bell"])
    assert several["lwlrap"] == lwlrap(np.eye(3)[target], scores)
    assert "accuracy" not in several


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: accuracy([0, 1], [0]), "rows"),
        (lambda: accuracy([0, -1], [0, 1]), "row 1"),
        (lambda: accuracy([], []), "n > 0"),
        (lambda: accuracy([0.5], [0]), "whole numbers"),
        (lambda: confusion([0, 7], [0, 1], 3), "class 7"),
        (lambda: log_loss([0], [[0.9, 0.9]]), "add up"),
        (lambda: log_loss([0, 1], [[0.5, 0.5], [np.nan, 1.0]]), "row 1"),
        (lambda: top_k_accuracy([0], [[1.0, 0.0]], 0), "at least 1"),
        (lambda: lwlrap([[0, 0]], [[0.1, 0.2]]), "no clip"),
        (lambda: mean_average_precision([[0, 2]], [[0.1, 0.2]]), "0 and 1"),
        (lambda: lwlrap([[1, 0]], [[0.1, 0.2, 0.3]]), "shape"),
        (lambda: summary([0, 1], [[0.5, 0.5], [0.1, 0.9]], ["only"]), "class names"),
    ],
)
def test_bad_input_is_refused_with_the_reason(call: object, word: str) -> None:
    with pytest.raises(DataError, match=word):
        call()  # type: ignore[operator]


def test_top_1_is_the_accuracy_of_argmax_even_with_equal_scores() -> None:
    target = np.array([0, 1, 1])
    scores = np.full((3, 2), 0.5)
    assert top_k_accuracy(target, scores, 1) == accuracy(target, scores.argmax(axis=1))
