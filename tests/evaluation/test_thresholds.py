"""Thresholds of classes: what is said of them is true."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score

from semisonic.core.errors import OptionError
from semisonic.evaluation.calibration import class_thresholds, clips_needed, reliability
from semisonic.evaluation.plots.results import precision_recall, reliability_diagram
from semisonic.evaluation.statistics import wilson

tables = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        arrays(np.bool_, (n, 2)), arrays(np.float64, (n, 2), elements=st.floats(0, 1, width=16))
    )
)


@given(tables, st.sampled_from([0.5, 0.8, 0.95]), st.sampled_from([0.0, 0.25]))
@settings(max_examples=80, deadline=None)
def test_what_is_said_of_a_threshold_is_true(
    table: tuple[np.ndarray, np.ndarray], wanted: float, least: float
) -> None:
    truth, scores = table
    thresholds = class_thresholds(truth, scores, precision=wanted, least=least)
    for c, found in thresholds.iterrows():
        named = scores[:, c] >= found.threshold
        right = int((truth[:, c] & named).sum())
        assert found.threshold > least
        assert found.named == named.sum()
        assert found.clips == truth[:, c].sum()
        if not found.clips or not named.any():
            assert found.outcome == "not reached"
            continue
        assert found.recall == pytest.approx(right / found.clips, nan_ok=True)
        assert found.precision == pytest.approx(right / named.sum())
        assert found.lower_bound == pytest.approx(wilson(right, int(named.sum()), 0.8).low)
        if found.outcome == "shown":
            assert found.lower_bound >= wanted
        elif found.outcome == "likely":
            assert found.lower_bound < wanted <= found.precision


def test_the_lowest_score_that_is_precise_enough() -> None:
    scores = np.linspace(1, 0.01, 100)[:, None]
    truth = np.r_[np.ones(60), np.zeros(40)][:, None] > 0
    found = class_thresholds(truth, scores, precision=0.9).iloc[0]
    assert found.outcome == "shown"
    assert found.recall == 1.0
    assert 0.9 <= found.lower_bound < 0.92
    strict = class_thresholds(truth, scores, precision=0.97).iloc[0]
    assert strict.threshold > found.threshold


@given(tables)
@settings(max_examples=40, deadline=None)
def test_the_best_f1_is_the_best(table: tuple[np.ndarray, np.ndarray]) -> None:
    truth, scores = table
    found = class_thresholds(truth, scores, precision=0).iloc[0]
    column, answers = scores[:, 0], truth[:, 0]
    if found.outcome == "not reached":
        assert not answers.any() or not (column > 0).any()
        return
    best = max(f1_score(answers, column >= t) for t in np.unique(column[column > 0]))
    assert f1_score(answers, column >= found.threshold) == pytest.approx(best)


def test_wrong_use() -> None:
    with pytest.raises(OptionError, match="precision"):
        class_thresholds(np.ones((2, 1)), np.ones((2, 1)), precision=1.0)
    with pytest.raises(OptionError, match="level"):
        clips_needed(0.9, 0.2)


def test_the_pictures_are_drawn() -> None:
    rng = np.random.default_rng(0)
    scores = rng.dirichlet(np.ones(7) * 0.3, 80)
    target = np.where(rng.random(80) < 0.7, scores.argmax(axis=1), rng.integers(0, 7, 80))
    curve = reliability(target, scores)
    figure = reliability_diagram({"before": curve, "after": curve})
    assert "apart" in str(figure.legends[0].get_texts()[0].get_text())
    hot = target[:, None] == np.arange(7)
    found = class_thresholds(hot, scores)
    names = [f"class {i}" for i in range(7)]
    grid = precision_recall(hot, scores, found, names, 0.9)
    assert [axes.get_title(loc="left") for axes in grid.axes[:7]] == names
