"""Thresholds of classes: what is said of them is true."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score

from semisonic.core.errors import OptionError
from semisonic.evaluation.calibration import class_thresholds, recordings_needed, reliability
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
        assert found.threshold > least
        assert found.clips == found.recordings == truth[:, c].sum()
        assert found.named == found.recordings_named <= len(scores)
        if not found.named:
            assert found.outcome in ("not reached", "too few")
            continue
        right = round(found.precision * found.named)
        assert found.precision == pytest.approx(right / found.named)
        assert found.lower_bound == pytest.approx(wilson(right, int(found.named), 0.8).low)
        if found.outcome == "shown":
            assert found.lower_bound >= wanted
        elif found.outcome in ("likely", "too few"):
            assert found.lower_bound < wanted <= found.precision


def test_the_lowest_score_that_is_precise_enough() -> None:
    scores = np.linspace(1, 0.01, 300)[:, None]
    truth = np.r_[np.ones(180), np.zeros(120)][:, None] > 0
    found = class_thresholds(truth, scores, precision=0.9).iloc[0]
    assert found.outcome == "shown"
    assert found.recall > 0.95
    assert found.lower_bound >= 0.9
    strict = class_thresholds(truth, scores, precision=0.97).iloc[0]
    assert strict.threshold > found.threshold


def test_a_precision_that_is_reached_exactly_is_reached() -> None:
    """Four of five at the highest score, then six of ten; the best F1 would take all fifteen."""
    scores = np.repeat([0.9, 0.5, 0.1], [5, 10, 20])[:, None]
    truth = np.r_[np.ones(4), 0, np.ones(6), np.zeros(4), np.zeros(20)][:, None] > 0
    assert class_thresholds(truth, scores, precision=0.8).threshold[0] == pytest.approx(0.7)
    assert class_thresholds(truth, scores, precision=0.81).threshold[0] == pytest.approx(0.3)
    best = scores > 0.6
    found = class_thresholds(truth[best][:, None], scores[best][:, None], precision=0.8).iloc[0]
    assert (found.precision, found.outcome) == (0.8, "too few")


def test_a_lower_bound_that_is_reached_exactly_is_shown() -> None:
    """The others of 25 recordings are 20, all right at 0.9; one clip of each is wrong at 0.7."""
    right = np.ones((20, 1), bool)
    bound = class_thresholds(right, np.full((20, 1), 0.9), precision=0.5).lower_bound[0]
    groups = np.tile(np.arange(25), 15)
    scores = np.repeat([0.9, 0.7], [350, 25])[:, None]
    found = class_thresholds(scores > 0.8, scores, groups, precision=bound).iloc[0]
    assert (found.outcome, found.threshold) == ("shown", pytest.approx(0.8))
    few = class_thresholds(right, np.full((20, 1), 0.9), precision=bound).iloc[0]
    assert (few.outcome, few.named) == ("shown", 20)


def drawn(rng: np.random.Generator, n_recordings: int, n_each: int) -> tuple[np.ndarray, ...]:
    """Clips of recordings, alike within each; the share of right ones rises with the score."""
    score = rng.random(n_recordings)
    right = rng.random(n_recordings) < 0.3 + 0.7 * score
    groups = np.repeat(np.arange(n_recordings), n_each)
    noise = 0.001 * rng.random(len(groups))
    return right[groups][:, None], (score[groups] + noise).clip(0, 1)[:, None], groups


def test_alike_clips_of_few_recordings_show_nothing() -> None:
    """24 clips of three recordings are no more than three."""
    rng = np.random.default_rng(1)
    groups = np.repeat([0, 1, 2, 3, 4, 5], 8)
    truth = (groups < 3)[:, None]
    scores = np.where(truth, 0.9, 0.1) + 0.05 * rng.random((48, 1))
    by_clip = class_thresholds(truth, scores).iloc[0]
    by_recording = class_thresholds(truth, scores, groups).iloc[0]
    assert by_clip.outcome == "shown"
    assert by_recording.outcome == "too few"
    assert by_recording.recordings == 3


def test_a_threshold_is_measured_on_recordings_that_did_not_choose_it() -> None:
    """Scores say nothing: of what they name a third is right, however well they seem to fit."""
    rng, precisions = np.random.default_rng(0), []
    for seed in range(60):
        truth, scores = rng.random((40, 1)) < 1 / 3, rng.random((40, 1))
        found = class_thresholds(truth, scores, precision=0.7, seed=seed)
        precisions.append(found.precision[0])
    assert np.nanmean(precisions) == pytest.approx(1 / 3, abs=0.08)


def test_what_is_shown_holds_on_other_recordings() -> None:
    rng, held, n = np.random.default_rng(0), 0, 0
    for seed in range(120):
        found = class_thresholds(*drawn(rng, 120, 3), precision=0.8, seed=seed).iloc[0]
        if found.outcome != "shown":
            continue
        truth, scores, _ = drawn(rng, 4000, 1)
        named = scores[:, 0] >= found.threshold
        held += truth[named, 0].mean() >= 0.8
        n += 1
    assert n > 30
    assert held / n > 0.85  # the bound is one-sided, of 90 %


@given(tables)
@settings(max_examples=40, deadline=None)
def test_the_best_f1_is_the_best(table: tuple[np.ndarray, np.ndarray]) -> None:
    truth, scores = table
    found = class_thresholds(truth, scores, precision=0).iloc[0]
    column, answers = scores[:, 0], truth[:, 0]
    if found.outcome == "not reached":
        assert not answers.any() or not (column > 0).any()
        return
    if found.outcome == "best F1" and answers.any() and (column > 0).any():
        best = max(f1_score(answers, column >= t) for t in np.unique(column[column > 0]))
        assert f1_score(answers, column >= found.threshold) == pytest.approx(best)


def test_wrong_use() -> None:
    with pytest.raises(OptionError, match="precision"):
        class_thresholds(np.ones((2, 1)), np.ones((2, 1)), precision=1.0)
    with pytest.raises(OptionError, match="level"):
        recordings_needed(0.9, 0.2)


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
