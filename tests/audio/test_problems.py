"""What is wrong with a recording, and the levels that tell it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.audio.checks import LevelMeter, is_silent, problems, problems_of

RATE = 8000


def tone(peak: float, n: int = RATE) -> np.ndarray:
    return (peak * np.sin(0.3 * np.arange(n))).astype("f4")


def keywords(x: np.ndarray, rate: int = RATE) -> list[str]:
    return [text.partition(":")[0] for text in problems(np.asarray(x, "f4"), rate)]


NOISE = np.random.default_rng(0).standard_normal(RATE)
TOUCHING = tone(0.5, 10 * RATE)
TOUCHING[::97] = 1.0  # single samples
TOUCHING[50:53] = 1.0  # one short run in ten seconds


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (tone(0.5), []),
        (tone(1.0), []),
        (0.2 * NOISE, []),
        (tone(2e-4), []),  # very quiet, and no silence
        (tone(0.5) + 0.25, []),
        (np.minimum(tone(0.9), 0.5), []),  # a plateau below full scale
        (TOUCHING, []),
        (tone(1.3), []),
        (tone(0.5, 80), []),
        (np.zeros(RATE), ["silent"]),
        (tone(5e-5), ["silent"]),
        (np.full(RATE, 0.25), ["constant"]),
        (np.empty(0), ["empty"]),
        (tone(0.5, 79), ["too short"]),
        (np.array([0.5]), ["too short", "constant"]),
        (np.minimum(tone(1.5), 1.0), ["clipped"]),
        (np.maximum(tone(1.5), -1.0), ["clipped"]),
        (tone(20000.0), ["over full scale"]),
    ],
)
def test_each_problem_is_named_and_nothing_else(x: np.ndarray, expected: list[str]) -> None:
    assert keywords(x) == expected


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite(value: float) -> None:
    x = tone(0.5)
    x[7] = value
    assert problems(x, RATE) == [f"non-finite: 1 of {RATE} samples are NaN or infinite"]


def _clipped(seed: int, n: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    wave = np.repeat(rng.normal(0, 0.9, n), rng.integers(1, 6, n))[:n]
    return np.clip(wave, -1.0, 0.99).astype(np.float32)


def _naive_clipped(x: np.ndarray) -> int:
    """Samples in runs of three or more equal ones of at least 0.98, one by one."""
    runs = [list(group) for value, group in itertools.groupby(x.tolist()) if abs(value) >= 0.98]
    return sum(len(run) for run in runs if len(run) >= 3)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 400), st.lists(st.integers(1, 120), max_size=8))
def test_blocks_give_the_levels_of_the_whole(seed: int, n: int, cuts: list[int]) -> None:
    x = _clipped(seed, n)
    levels = LevelMeter()
    for part in np.split(x, np.minimum(np.cumsum(cuts, dtype=np.int64), n)):
        levels.add(part)
    assert levels.n == n
    assert (levels.low, levels.high) == (x.min(), x.max())
    assert levels.mean == pytest.approx(x.mean(dtype=np.float64), abs=1e-6)
    assert levels.power == pytest.approx(np.square(x, dtype=np.float64).mean(), rel=1e-5)
    assert levels.clipped_share * n == pytest.approx(_naive_clipped(x))
    assert problems_of(levels, 8000) == problems(x, 8000)


@pytest.mark.parametrize("value", [0.99, 1.0, -1.0])
def test_a_constant_at_full_scale_is_clipped_once(value: float) -> None:
    levels = LevelMeter()
    levels.add(np.full(5, value, np.float32))
    assert levels.clipped_share == 1.0


def test_samples_that_are_no_numbers_are_counted_and_left_out() -> None:
    levels = LevelMeter()
    levels.add(np.array([0.5, np.nan, -0.5, np.inf], np.float32))
    assert (levels.n, levels.n_bad, levels.peak) == (4, 2, 0.5)
    assert problems_of(levels, 8000)[0].startswith("non-finite: 2 of 4")


def test_an_offset_alone_is_silence() -> None:
    assert is_silent(np.full(RATE, 0.5, np.float32))
    assert not is_silent((tone(0.01) + 0.5).astype(np.float32))
