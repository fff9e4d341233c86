from __future__ import annotations

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.core.errors import DataError
from semisonic.features.statistics import mfcc, mfcc_statistics


@pytest.mark.parametrize("rate", [22050, 44100])
@pytest.mark.parametrize("kind", ["noise", "tone"])
def test_cepstra_equal_librosa(rate: int, kind: str) -> None:
    t = np.arange(rate) / rate
    rng = np.random.default_rng(0)
    x = 0.1 * rng.standard_normal(rate) + (kind == "tone") * np.sin(2 * np.pi * 440 * t)
    expected = librosa.feature.mfcc(y=x, sr=rate, n_mfcc=13, pad_mode="reflect")
    np.testing.assert_allclose(mfcc(x, rate), expected, rtol=0, atol=1e-3)


def test_26_values_in_their_order() -> None:
    rate = 44100
    x = np.random.default_rng(0).standard_normal(2 * rate) * 0.1
    x[rate:] *= 0.01
    found = mfcc_statistics(x, rate)
    cepstrum = librosa.feature.mfcc(y=x, sr=rate, n_mfcc=13, pad_mode="reflect")[1:]
    np.testing.assert_allclose(found[:12], cepstrum.mean(1), atol=1e-3)
    np.testing.assert_allclose(found[13:25], cepstrum.std(1), atol=1e-3)
    assert found.shape == (26,)
    assert found[12] == pytest.approx(0.5, abs=0.01)  # white noise changes sign half the time


def test_the_zero_crossing_rate_of_a_tone() -> None:
    rate, hz = 44100, 1000
    x = np.sin(2 * np.pi * hz * np.arange(rate) / rate + 0.1)
    assert mfcc_statistics(x, rate)[12] == pytest.approx(2 * hz / rate, rel=0.02)


@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 5000), gain=st.sampled_from([0.0, 1e-9, 1.0]))
def test_any_clip_gives_finite_values(n: int, gain: float) -> None:
    x = np.random.default_rng(n).uniform(-1, 1, n) * gain
    found = mfcc_statistics(x, 22050)
    assert found.shape == (26,)
    assert np.isfinite(found).all()


def test_what_is_not_a_clip_is_refused() -> None:
    with pytest.raises(DataError, match="not empty"):
        mfcc_statistics([], 22050)
    with pytest.raises(DataError, match="not finite"):
        mfcc_statistics([0.0, np.nan], 22050)
