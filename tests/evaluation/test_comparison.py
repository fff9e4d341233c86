"""What is claimed of two arms, and what is not; of one label per clip and of several."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binomtest
from scipy.stats import t as student
from sklearn.metrics import label_ranking_average_precision_score

from semisonic.core.errors import DataError
from semisonic.evaluation.comparison import (
    LWLRAP,
    arm_accuracy,
    chosen_best,
    compare,
    compare_setting_pairs,
    compare_settings,
)
from semisonic.evaluation.predictions import Predictions

Maker = Callable[..., Predictions]


def from_right(right: dict[str, np.ndarray], n_folds: int = 5) -> Predictions:
    """A table in which each arm is right exactly where told; clips are their own recordings."""
    parts = []
    for arm, rows in right.items():
        for draw, row in enumerate(np.atleast_2d(rows)):
            n = len(row)
            parts.append(
                Predictions.of(
                    [f"{i:04d}" for i in range(n)],
                    np.zeros(n, int),
                    np.where(row[:, None], [0.9, 0.1], [0.2, 0.8]),
                    ["x", "y"],
                    fold=1 + np.arange(n) % n_folds,
                    draw=draw,
                    arm=arm,
                )
            )
    return Predictions.concat(parts)


def test_a_clear_gain_is_shown(predictions_of: Maker) -> None:
    table = predictions_of({"control": 0.5, "treated": 0.8}, n_clips=400, n_folds=5, n_draws=5)
    result = compare(table, "control", "treated")
    assert result.outcome == "better"
    assert result.p < 0.01
    assert result.interval.low > 0.2
    assert result.verdict("Pre-training").startswith("Pre-training helped: +")
    worse = compare(table, "treated", "control")
    assert worse.outcome == "worse"
    assert worse.difference == pytest.approx(-result.difference)
    assert worse.verdict("Pre-training").startswith("Pre-training hurt: -")
    assert "'control' is worse than 'treated'" in worse.verdict()


def test_six_more_of_400_is_not_shown() -> None:
    rng = np.random.default_rng(0)
    control, treated = rng.random(400) < 0.49, rng.random(400) < 0.49
    for want, row in ((197, control), (203, treated)):
        while row.sum() != want:
            row[rng.integers(400)] = row.sum() < want
    result = compare(from_right({"control": control, "treated": treated}), "control", "treated")
    assert result.difference == pytest.approx(6 / 400)
    assert result.outcome == "open"
    assert not result.is_shown
    assert result.wide_interval.low <= result.interval.low < 0 < result.interval.high
    assert result.verdict("Pre-training").startswith("No difference could be shown: +1.5 points (")


def test_no_gain_is_rarely_called_one(predictions_of: Maker) -> None:
    found = [
        compare(
            predictions_of({"a": 0.6, "b": 0.6}, seed=seed, n_draws=2), "a", "b", n_resamples=500
        )
        for seed in range(60)
    ]
    assert sum(one.is_shown for one in found) <= 3
    assert sum(one.outcome != "open" for one in found) <= 7


def test_a_gain_in_one_fold_only_is_true_of_these_clips_and_no_more() -> None:
    control = np.zeros(400, bool)
    control[::2] = True
    treated = control.copy()
    treated[(np.arange(400) % 5 == 0) & ~control] = True
    result = compare(from_right({"control": control, "treated": treated}), "control", "treated")
    assert result.p_mcnemar < 0.001
    assert result.p_folds > 0.05
    assert not result.is_shown
    assert result.outcome == "better here"
    assert result.interval.low > 0 > result.wide_interval.low
    assert "with other training clips too is not shown" in result.verdict("Pre-training")
    turned = compare(from_right({"a": treated, "b": control}), "a", "b")
    assert turned.outcome == "worse here"
    assert turned.verdict().startswith("'b' did worse than 'a' on these clips: -10.0 points")


def test_the_p_of_a_comparison_is_that_of_the_test_that_is_less_sure() -> None:
    """Of 100 clips in five folds a gain of ten in one fold, then of one in each fold."""
    control, in_one = np.zeros(100, bool), np.zeros(100, bool)
    in_one[0:50:5] = True
    in_each = np.arange(100) < 5
    uneven = compare(from_right({"a": control, "b": in_one}), "a", "b")
    assert uneven.p == uneven.p_folds > 0.5
    assert uneven.p_mcnemar == pytest.approx(2 / 2**10)
    even = compare(from_right({"a": control, "b": in_each}), "a", "b")
    assert even.p == even.p_mcnemar == pytest.approx(2 / 2**5)
    assert even.p_folds < 0.001


def test_every_number_agrees_with_the_table(predictions_of: Maker) -> None:
    table = predictions_of({"a": 0.5, "b": 0.7}, n_clips=120, n_draws=3)
    result = compare(table, "a", "b")
    for arm in (result.a, result.b):
        rows = table.select(arm=arm.name)
        assert arm.mean == pytest.approx(rows.correct.mean())
        by_draw = [rows.select(draw=d).correct.mean() for d in range(3)]
        assert arm.spread == pytest.approx(np.std(by_draw, ddof=1))
        assert arm_accuracy(rows) == arm
    assert result.difference == pytest.approx(result.b.mean - result.a.mean)
    assert len(result.folds) == 12
    assert result.folds["n_clips"].sum() == 3 * 120
    one = result.folds.iloc[5]
    rows = table.select(draw=one.draw, fold=one.fold, arm="b")
    assert one.accuracy_b == pytest.approx(rows.correct.mean())
    draw = result.draws.iloc[1]
    right = {arm: table.select(draw=1, arm=arm) for arm in "ab"}
    a, b = (right[arm].correct[np.argsort(right[arm].clip)] for arm in "ab")
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    assert (draw.n_only_a, draw.n_only_b) == (only_a, only_b)
    assert draw.p == pytest.approx(binomtest(only_a, only_a + only_b).pvalue)
    assert (result.n_clips, result.n_recordings) == (120, 60)


def test_settings_are_compared_one_by_one(predictions_of: Maker) -> None:
    table = predictions_of({"a": 0.5, "b": 0.7}, settings=("batch 16", "batch 32"))
    assert [c.setting for c in compare_settings(table, "a", "b")] == ["batch 16", "batch 32"]
    with pytest.raises(DataError, match="expected one of"):
        compare(table, "a", "b")


def test_arms_that_were_not_run_alike_are_refused(predictions_of: Maker) -> None:
    table = predictions_of({"a": 0.5, "b": 0.7}, n_draws=2)
    with pytest.raises(DataError, match="expected the same"):
        compare(table[(table.arm == "a") | (table.draw == 0)], "a", "b")
    with pytest.raises(DataError, match="scored 0 times"):
        compare(table[(table.arm == "a") | (table.fold == 1)], "a", "b")


def test_one_fold_and_one_draw_say_what_was_not_asked(predictions_of: Maker) -> None:
    table = predictions_of({"a": 0.3, "b": 0.9}, n_folds=1, n_clips=200)
    result = compare(table, "a", "b")
    assert np.isnan(result.p_folds)
    assert result.p == result.p_mcnemar
    assert any("it is not known" in caution for caution in result.cautions)
    assert any("only one draw" in caution for caution in result.cautions)
    assert result.outcome == "better here"
    assert not result.is_shown
    assert "too few folds and draws to test it" in result.verdict("Pre-training")
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["p_folds"] is None


def test_the_interval_beside_an_outcome_is_the_one_it_was_judged_by(
    predictions_of: Maker,
) -> None:
    few = compare(predictions_of({"a": 0.3, "b": 0.9}, n_folds=1, n_clips=200), "a", "b")
    assert few.claimed_interval == few.interval
    same = compare(predictions_of({"a": 0.5, "b": 0.5}, n_draws=2), "a", "b")
    assert same.outcome == "open"
    assert same.claimed_interval == same.wide_interval
    assert f"{100 * same.wide_interval.low:.1f} to" in same.numbers


def test_the_luck_of_many_guesses_is_taken_away() -> None:
    """Forty settings that guess: the highest score is far from a half, its worth is not."""
    rng = np.random.default_rng(0)
    found, highest = [], []
    for seed in range(20):
        right = (rng.random((40, 60)) < 0.5).astype(float)
        group = np.array([f"r{i}" for i in range(60)])
        found.append(chosen_best(right, group, seed=seed, n_bootstraps=200).mean)
        highest.append(right.mean(axis=1).max())
    assert np.mean(highest) > 0.62
    assert abs(np.mean(found) - 0.5) < 0.02


def test_a_setting_that_is_better_keeps_its_score() -> None:
    rng = np.random.default_rng(1)
    right = (rng.random((5, 400)) < np.array([0.5, 0.5, 0.9, 0.5, 0.5])[:, None]).astype(float)
    best = chosen_best(right, np.array([f"r{i // 2}" for i in range(400)]))
    assert best.mean == pytest.approx(right[2].mean(), abs=0.01)
    assert best.low < best.mean < best.high


def test_clips_of_one_recording_are_drawn_together() -> None:
    """With two recordings that contradict each other the choice is always the wrong one."""
    right = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    assert chosen_best(right, np.array(["a", "a", "b", "b"])).mean == 0.0


def test_one_recording_is_not_enough() -> None:
    with pytest.raises(DataError, match="two recordings"):
        chosen_best(np.ones((2, 3)), np.array(["a", "a", "a"]))


def tags(skills: dict[str, float], *, n_draws: int = 3, n: int = 60) -> Predictions:
    """Clips of several labels in two folds, three clips a recording; the settings' skills."""
    parts = []
    for fold in (1, 2):
        rng = np.random.default_rng(fold)  # the clips are those of the fold
        targets = rng.random((n, 5)) < 0.3
        targets[np.arange(n), rng.integers(5, size=n)] = True
        clips = [f"{fold}-{i:02d}" for i in range(n)]
        for draw in range(n_draws):
            for setting, skill in skills.items():
                noise = np.random.default_rng([100 * draw + fold, int(10 * skill)]).random((n, 5))
                parts.append(
                    Predictions.of(
                        clips,
                        targets,
                        noise + skill * targets,
                        "abcde",
                        group=[f"{clip[:2]}{int(clip[2:]) // 3}" for clip in clips],
                        fold=fold,
                        draw=draw,
                        setting=setting,
                    )
                )
    return Predictions.concat(parts)


def test_lwlrap_is_that_of_scikit_learn_over_all_clips_of_a_draw() -> None:
    table = tags({"a": 0.2}, n_draws=1)
    expected = label_ranking_average_precision_score(
        table.targets,
        table.probabilities.astype(np.float64),  # SciPy 1.18 ranks float32 in float32
        sample_weight=table.targets.sum(axis=1),
    )
    assert arm_accuracy(table, measure=LWLRAP).mean == pytest.approx(expected, abs=1e-9)


def test_a_large_gain_in_lwlrap_is_shown_and_none_is_not() -> None:
    table = tags({"weak": 0.2, "strong": 0.9, "same": 0.2})
    (gain,) = compare_setting_pairs(table, [("weak", "strong")], measure=LWLRAP)
    assert gain.setting == "strong against weak"
    assert gain.difference == pytest.approx(gain.b.mean - gain.a.mean)
    assert gain.is_shown
    assert gain.outcome == "better"
    assert "points" in gain.verdict()
    (turned,) = compare_setting_pairs(table, [("strong", "weak")], measure=LWLRAP)
    assert turned.outcome == "worse"
    assert turned.interval.high < 0
    (nothing,) = compare_setting_pairs(table, [("weak", "same")], measure=LWLRAP)
    assert nothing.difference == 0
    assert nothing.outcome == "open"
    assert nothing.to_dict()["p_mcnemar"] is None


def test_clips_of_one_recording_count_together() -> None:
    """The interval is wider when whole recordings are drawn."""
    table = tags({"a": 0.4}, n_draws=1)
    first = np.arange(len(table)) // 3 * 3  # all clips of a recording alike: copies of the first
    names, alike = table.clip, (table.targets[first], table.probabilities[first])
    wide, narrow = (
        arm_accuracy(Predictions.of(names, *alike, "abcde", group=group), measure=LWLRAP).interval
        for group in (table.group, names)
    )
    assert wide.high - wide.low > 1.3 * (narrow.high - narrow.low)


def test_a_clip_of_several_labels_in_two_folds_of_a_draw_is_refused() -> None:
    table = tags({"a": 0.4}, n_draws=1)
    again = Predictions.of(
        table.clip, table.targets, table.probabilities, "abcde", group=table.group, fold=3
    )
    with pytest.raises(DataError, match="scored 2 times"):
        arm_accuracy(Predictions.concat([again, tags({"default": 0.4}, n_draws=1)]))


def test_the_gain_is_measured_on_the_same_clips() -> None:
    rng = np.random.default_rng(2)
    guess = (rng.random((10, 200)) < 0.5).astype(float)
    group = np.array([f"r{i}" for i in range(200)])
    lucky = chosen_best(guess, group, against=np.ones(200))
    assert lucky.gain == pytest.approx(lucky.mean - 1)
    assert not lucky.is_gain
    better = chosen_best(np.vstack([guess, np.ones(200)]), group, against=guess[0])
    assert better.gain == pytest.approx(0.5, abs=0.06)
    assert better.is_gain
    assert np.isnan(chosen_best(guess, group).gain)


def test_folds_that_are_not_tested_were_trained_on(predictions_of: Maker) -> None:
    whole = predictions_of({"a": 0.5, "b": 0.7}, n_clips=400, n_folds=5, n_draws=1)
    table = whole[whole.fold <= 3]
    found = compare(table, "a", "b", n_clips=400)
    gains = found.folds["difference"]
    # Three folds of five: a test fold has a fifth of the clips, its training the other four.
    statistic = gains.mean() / np.sqrt((1 / 3 + 1 / 4) * gains.var(ddof=1))
    assert found.p_folds == pytest.approx(2 * student.sf(abs(statistic), 2))
    assert found.p_folds < compare(table, "a", "b").p_folds
    (also,) = compare_settings(table, "a", "b", n_clips=400)
    assert also.p_folds == found.p_folds
    settings = [table.select(arm=arm).assign(setting=arm, arm="") for arm in ("a", "b")]
    both = Predictions.concat(settings)
    (pair,) = compare_setting_pairs(both, [("a", "b")], n_clips=400)
    assert pair.p_folds == pytest.approx(found.p_folds)
