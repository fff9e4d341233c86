"""Calibration against scikit-learn, and on logits whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from semisonic.classifier.calibration import (
    calibrated,
    choose_calibration,
    fit_calibration,
    recording_folds,
)
from semisonic.core.errors import DataError, OptionError
from semisonic.evaluation.calibration import reliability
from semisonic.evaluation.metrics import accuracy
from semisonic.models.decision import METHODS, Calibration

N = 3000


def drawn(too_sure: float, n: int = N, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are too large by a factor, and classes drawn from what they should say."""
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 2, (n, 4))
    table = calibrated(Calibration(), true, multi_label=False)
    target = (table.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return true * too_sure, target


def tags(too_sure: float, n: int = N, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.normal(-1, 2, (n, 3))
    return true * too_sure, rng.random((n, 3)) < calibrated(Calibration(), true, multi_label=True)


@pytest.mark.parametrize("too_sure", [0.5, 1.0, 3.0])
def test_the_temperature_is_found(too_sure: float) -> None:
    logits, target = drawn(too_sure)
    assert 1 / fit_calibration("temperature", logits, target).scale[0] == pytest.approx(
        too_sure, rel=0.08
    )
    logits, hot = tags(too_sure)
    found = fit_calibration("temperature", logits, hot)
    assert 1 / found.scale[0] == pytest.approx(too_sure, rel=0.08)


class Logits(ClassifierMixin, BaseEstimator):
    """For scikit-learn: a classifier whose input is its logits."""

    def __init__(self) -> None:
        self.classes_ = np.arange(4)

    def fit(self, x: np.ndarray, y: np.ndarray) -> Logits:
        return self

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        return x

    def predict(self, x: np.ndarray) -> np.ndarray:
        return x.argmax(axis=1)


def test_temperature_agrees_with_scikit_learn() -> None:
    pytest.importorskip("sklearn", minversion="1.8", reason="scikit-learn has it from 1.8 on")
    logits, target = drawn(2.0)
    theirs = CalibratedClassifierCV(FrozenEstimator(Logits()), method="temperature")
    theirs.fit(logits, target)
    ours = calibrated(fit_calibration("temperature", logits, target), logits, multi_label=False)
    np.testing.assert_allclose(ours, theirs.predict_proba(logits), atol=2e-3)


def test_vector_scaling_of_tags_agrees_with_logistic_regression() -> None:
    logits, hot = tags(2.0, n=20_000)
    found = fit_calibration("vector", logits, hot)
    for c in range(3):
        line = LogisticRegression(C=np.inf).fit(logits[:, [c]], hot[:, c])
        assert found.scale[c] == pytest.approx(line.coef_[0, 0], rel=0.02)
        assert found.offset[c] == pytest.approx(line.intercept_[0], abs=0.02)


def test_the_simple_one_is_taken_where_it_is_enough() -> None:
    logits, target = drawn(3.0, n=200)
    chosen = choose_calibration(logits, target, np.arange(200))
    assert chosen.calibration.method == "temperature"
    assert set(chosen.losses) == {"none", *METHODS}
    assert chosen.losses["temperature"] < chosen.losses["none"]


def test_offsets_are_learned_where_classes_need_them() -> None:
    logits, target = drawn(1.0)
    moved = logits + np.array([2.0, 0.0, 0.0, -2.0])
    chosen = choose_calibration(moved, target, np.arange(N))
    assert chosen.calibration.method == "vector"
    better = accuracy(target, chosen.scores.argmax(axis=1))
    assert better > accuracy(target, moved.argmax(axis=1)) + 0.03


def test_recordings_are_left_out_as_a_whole() -> None:
    """With labels that depend on the recording alone, other recordings can tell nothing."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 10)
    target = rng.integers(0, 2, 40)[groups]
    logits = np.stack([groups * 0.1, -groups * 0.1], axis=1)
    chosen = choose_calibration(logits, target, groups)
    assert chosen.losses["vector"] > 0.55


def test_no_recording_is_on_both_sides_of_a_fold() -> None:
    rng = np.random.default_rng(0)
    groups, target = rng.integers(0, 12, 100), rng.integers(0, 3, 100)
    for truth in (target, np.eye(3, dtype=np.int64)[target]):
        folds = recording_folds(truth, groups, seed=0)
        assert sorted(row for _, others in folds for row in others) == list(range(100))
        for rows, others in folds:
            assert not {*groups[rows]} & {*groups[others]}


def test_few_right_clips_do_not_make_it_certain() -> None:
    logits = 5.0 * np.eye(4)[np.arange(20) % 4]
    for method in METHODS:
        found = fit_calibration(method, logits, np.arange(20) % 4)
        assert calibrated(found, logits, multi_label=False).max() < 0.98


@pytest.mark.filterwarnings("error")
def test_a_class_of_few_clips_is_no_reason_to_warn() -> None:
    logits = np.random.default_rng(0).normal(size=(24, 2))
    target = np.array([0] * 20 + [1] * 4)
    choose_calibration(logits, target, groups=np.arange(24))


def test_wrong_use() -> None:
    logits, target = drawn(1.0, n=10)
    with pytest.raises(DataError, match="1 recording"):
        choose_calibration(logits, target, np.zeros(10))
    with pytest.raises(OptionError, match="did you mean 'vector'"):
        fit_calibration("vectors", logits, target)


def test_reliability_of_several_labels() -> None:
    hot = np.array([[1, 0], [1, 0], [1, 1], [0, 0]])
    scores = np.array([[0.95, 0.15], [0.95, 0.15], [0.95, 0.95], [0.95, 0.15]])
    found = reliability(hot, scores)
    assert found.n_clips.sum() == 8
    assert found.accuracy[9] == pytest.approx(4 / 5)
    assert found.error == pytest.approx((5 * 0.15 + 3 * 0.15) / 8)
