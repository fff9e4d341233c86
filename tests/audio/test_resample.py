from __future__ import annotations

import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semisonic.audio.resample import fit_length, resample
from semisonic.core.errors import OptionError


def sine(frequency: float, rate: int, duration: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(round(rate * duration)) / rate).astype("f4")


@pytest.mark.parametrize(("rate_in", "rate_out"), [(44100, 22050), (8012, 22050), (22254, 16000)])
def test_a_tone_keeps_pitch_level_and_duration(rate_in: int, rate_out: int) -> None:
    y = resample(sine(440, rate_in), rate_in, rate_out)
    assert len(y) == pytest.approx(rate_out, abs=1)
    inner = slice(rate_out // 4, rate_out // 2)
    np.testing.assert_allclose(y[inner], sine(440, rate_out)[inner], atol=2e-3)


def test_equals_librosa() -> None:
    x = np.random.default_rng(0).standard_normal(20000).astype("f4")
    expected = librosa.resample(x, orig_sr=44100, target_sr=16000, res_type="soxr_hq")
    y = resample(x, 44100, 16000)
    np.testing.assert_allclose(y, expected[: len(y)], atol=1e-6)


def test_what_lies_above_the_new_limit_is_gone() -> None:
    y = resample(sine(10000, 44100), 44100, 16000)
    assert np.abs(y[1000:-1000]).max() < 1e-4


def test_equal_rates_change_nothing() -> None:
    x = sine(100, 8000)
    assert resample(x, 8000, 8000) is x


@pytest.mark.parametrize("rate", [0, -1, 22050.5, True, "44100"])
def test_a_wrong_rate_is_an_error(rate: object) -> None:
    with pytest.raises(OptionError, match="sampling rate"):
        resample(sine(100, 8000), 8000, rate)  # type: ignore[arg-type]


@given(st.integers(0, 50), st.integers(0, 120))
def test_fit_length_gives_the_length_and_keeps_the_start(n: int, wanted: int) -> None:
    x = np.arange(1, n + 1, dtype=np.int16)
    y = fit_length(x, wanted)
    assert y.shape == (wanted,)
    assert y.dtype == np.int16
    np.testing.assert_array_equal(y[:n], x[:wanted])
    assert not y[n:].any()
