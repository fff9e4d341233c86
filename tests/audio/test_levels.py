"""Levels gathered in blocks are those of the whole."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.audio.checks import LevelMeter, problems, problems_of


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


def test_channels_come_in_blocks(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from semisonic.audio.read import AudioReader

    x = np.random.default_rng(0).uniform(-0.9, 0.9, (1000, 2)).astype(np.float32)
    for subtype in ("PCM_16", "FLOAT"):
        file = tmp_path / f"{subtype}.wav"
        sf.write(file, x, 8000, subtype)
        with AudioReader(file) as source:
            blocks = list(source.channel_blocks(300))
        assert [block.shape for block in blocks] == [(2, 300)] * 3 + [(2, 100)]
        np.testing.assert_allclose(np.concatenate(blocks, axis=1), x.T, atol=1e-4)
