"""The best of several settings, scored without the luck of the choice."""

from __future__ import annotations

import numpy as np
import pytest

from semisonic.core.errors import DataError
from semisonic.evaluation.comparison import chosen_best


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


def test_one_recording_is_not_enough() -> None:
    with pytest.raises(DataError, match="two recordings"):
        chosen_best(np.ones((2, 3)), np.array(["a", "a", "a"]))
