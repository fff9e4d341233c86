from __future__ import annotations

import numpy as np
import pytest

from semisonic.audio.checks import problems

RATE = 8000


def tone(peak: float, n: int = RATE) -> np.ndarray:
    return (peak * np.sin(0.3 * np.arange(n))).astype("f4")


def keywords(x: np.ndarray, rate: int = RATE) -> list[str]:
    return [text.partition(":")[0] for text in problems(np.asarray(x, "f4"), rate)]


def test_a_good_sound_has_none() -> None:
    assert keywords(tone(0.5)) == []
    assert keywords(tone(1.0)) == []
    assert keywords(np.random.default_rng(0).standard_normal(RATE) * 0.2) == []


def test_a_very_quiet_sound_is_not_silence() -> None:
    assert keywords(tone(2e-4)) == []


@pytest.mark.parametrize("x", [np.zeros(RATE), tone(5e-5)])
def test_silence(x: np.ndarray) -> None:
    assert keywords(x) == ["silent"]


def test_an_offset_alone_is_constant() -> None:
    assert keywords(np.full(RATE, 0.25)) == ["constant"]
    assert keywords(tone(0.5) + 0.25) == []


def test_empty() -> None:
    assert keywords(np.empty(0)) == ["empty"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite(value: float) -> None:
    x = tone(0.5)
    x[7] = value
    assert problems(x, RATE) == [f"non-finite: 1 of {RATE} samples are NaN or infinite"]


def test_too_short() -> None:
    assert keywords(tone(0.5, 79)) == ["too short"]
    assert keywords(tone(0.5, 80)) == []
    assert keywords(np.array([0.5])) == ["too short", "constant"]


@pytest.mark.parametrize("sign", [1, -1])
def test_clipping_on_either_side(sign: int) -> None:
    x = sign * np.minimum(tone(1.5), 1.0)
    assert keywords(x) == ["clipped"]


def test_touching_full_scale_now_and_then_is_no_clipping() -> None:
    x = tone(0.5, 10 * RATE)
    x[::97] = 1.0  # single samples
    x[50:53] = 1.0  # one short run in ten seconds
    assert keywords(x) == []


def test_a_plateau_below_full_scale_is_no_clipping() -> None:
    assert keywords(np.minimum(tone(0.9), 0.5)) == []


def test_integers_as_floats_are_over_full_scale() -> None:
    assert keywords(tone(20000.0)) == ["over full scale"]
    assert keywords(tone(1.3)) == []
