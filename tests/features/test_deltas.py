from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.core.errors import DataError
from semisonic.features.logmel import LogMel, MelExtractor, delta
from semisonic.features.options import MelOptions


@settings(max_examples=30, deadline=None)
@given(n_frames=st.integers(9, 60), seed=st.integers(0, 1000))
def test_equals_librosa(n_frames: int, seed: int) -> None:
    x = np.random.default_rng(seed).uniform(-100, 20, (3, n_frames)).astype(np.float32)
    found = delta(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, librosa.feature.delta(x), rtol=0, atol=1e-5)


def test_a_ramp_has_its_slope() -> None:
    ramp = torch.arange(20.0)[None] * 0.5 - 80
    torch.testing.assert_close(delta(ramp), torch.full((1, 20), 0.5))


def test_they_are_the_second_channel_of_the_levels() -> None:
    options = MelOptions(duration=20480 / 22050, n_mels=60, deltas=True)
    x = np.random.default_rng(0).uniform(-1, 1, options.n_samples).astype(np.float32)
    assert options.shape == (2, 60, 41)
    for found in (LogMel(options)(torch.from_numpy(x)[None])[0].numpy(), MelExtractor(options)(x)):
        assert found.shape == (2, 60, 41)
        expected = librosa.feature.delta(found[0])
        np.testing.assert_allclose(found[1], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("n_frames", "width"), [(8, 9), (20, 4), (20, 1)])
def test_too_few_frames_and_wrong_widths(n_frames: int, width: int) -> None:
    with pytest.raises(DataError, match="expected"):
        delta(torch.zeros(2, n_frames), width)
