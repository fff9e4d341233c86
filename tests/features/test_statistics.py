"""Statistics of spectrograms: their values, and that nothing odd makes them infinite."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.core.errors import DataError
from semisonic.features.statistics import mel_statistics, mfcc, mfcc_statistics


def test_values_of_a_clip_that_is_known() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-40, 0, (3, 1, 24, 50))
    found = mel_statistics(x)
    assert found.shape == (3, 6 * 24 + 3 * 20)
    assert found.dtype == np.float32
    blocks = found[:, : 6 * 24].reshape(3, 6, 24)
    level = x[:, 0]
    expected = [
        level.mean(2),
        level.std(2),
        np.diff(level, axis=2).std(2),
        *(np.quantile(level, q, axis=2) for q in (0.1, 0.5, 0.9)),
    ]
    np.testing.assert_allclose(blocks, np.stack(expected, axis=1), rtol=1e-4, atol=1e-4)
    # The zeroth cepstral coefficient is the level, times the root of the number of bands.
    np.testing.assert_allclose(found[:, 144], level.mean((1, 2)) * np.sqrt(24), rtol=1e-4)


def test_only_the_range_below_the_loudest_counts_and_only_the_first_channel() -> None:
    x = np.random.default_rng(0).uniform(-60, 0, (1, 2, 8, 10)).astype(np.float16)
    x[0, 0, 0, 0] = 0
    quiet, quieter, other = x.copy(), x.copy(), x.copy()
    quiet[0, 0, 3, 4], quieter[0, 0, 3, 4], other[0, 1] = -80, -100, 5
    np.testing.assert_array_equal(mel_statistics(quiet), mel_statistics(quieter))
    np.testing.assert_array_equal(mel_statistics(x), mel_statistics(other))


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_silence_and_single_frames_are_finite(frames: int) -> None:
    assert np.isfinite(mel_statistics(np.full((2, 1, 4, frames), -100.0))).all()
    assert mel_statistics(np.zeros((0, 1, 4, frames))).shape == (0, 36)


def test_another_shape_is_named() -> None:
    with pytest.raises(DataError, match=r"expected\s+\(n, channel, mel, frame\)"):
        mel_statistics(np.zeros((2, 4, 5)))


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
