"""Waveforms as features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semisonic.core.errors import DataError, OptionError
from semisonic.core.options import from_mapping, to_dict
from semisonic.features.augmentation import TimeCrop, augmenter
from semisonic.features.frontend import Frontend, make_extractor
from semisonic.features.options import MelOptions

MEL = MelOptions(sample_rate=8000, duration=2.5, input="wave")


def waves(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (n, MEL.n_samples)).astype(np.float32)


def test_a_frame_is_a_sample() -> None:
    assert MEL.shape == (1, 1, 20_000)
    assert MEL.count_frames(123) == 123
    assert MEL.floor_db == 0.0
    assert from_mapping(MelOptions, to_dict(MEL)) == MEL
    assert MEL.key() != MelOptions(sample_rate=8000, duration=2.5).key()
    assert (
        MEL.key()
        != MelOptions(sample_rate=8000, duration=2.5, input="wave", peak_normalize=True).key()
    )


@pytest.mark.parametrize("name", ["n_mels", "hop_length", "n_fft", "fmin_hz", "deltas"])
def test_options_of_spectrograms_are_refused(name: str) -> None:
    value = {"deltas": True}.get(name, 128)
    with pytest.raises(OptionError, match=f"'{name}'.*'wave' does not read it"):
        MelOptions(input="wave", **{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("peak_normalize", [False, True])
def test_one_clip_and_a_batch_are_the_same_samples(peak_normalize: bool) -> None:
    mel = MelOptions(sample_rate=8000, duration=2.5, input="wave", peak_normalize=peak_normalize)
    x = waves(3)
    x[2] = 0.0
    frontend = Frontend(mel, "none")
    batch = frontend(torch.from_numpy(x)).numpy()
    extractor = make_extractor(mel)
    for row in range(3):
        np.testing.assert_allclose(extractor(x[row]), batch[row], rtol=1e-6)
    wanted = x / np.abs(x).max(1, keepdims=True).clip(1e-9) if peak_normalize else x
    np.testing.assert_allclose(batch[:, 0, 0], wanted, rtol=1e-6)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(DataError, match="expected \\(20000,\\)"):
        make_extractor(MEL)(np.zeros(100, np.float32))
    with pytest.raises(DataError, match="expected \\(batch, time\\)"):
        Frontend(MEL)(torch.zeros(100))


@given(st.floats(0.05, 2.4), st.integers(0, 20))
def test_a_crop_is_a_part_of_the_clip_that_holds_sound(duration: float, seed: int) -> None:
    x = torch.from_numpy(waves(4, seed))
    x[:, 9000:] = 0.0  # a short sound, padded
    crop = TimeCrop(MEL, duration)
    torch.manual_seed(seed)
    parts = crop(x)
    n = round(duration * 8000)
    assert parts.shape == (4, n)
    for part, clip in zip(parts, x, strict=True):
        windows = clip.unfold(0, n, 1)
        starts = (windows[:, 0] == part[0]) & (windows[:, n // 2] == part[n // 2])
        assert any(torch.equal(windows[start], part) for start in starts.nonzero().flatten())
        assert (part != 0).sum() >= 0.5 * min(n, 9000) - 256
    assert torch.equal(crop.eval()(x), x)


def test_a_clip_no_longer_than_the_crop_stays() -> None:
    x = torch.from_numpy(waves(2))
    assert torch.equal(TimeCrop(MEL, 9.0)(x), x)


@pytest.mark.parametrize(("name", "n"), [("none", 20_000), ("weak", 20_000), ("strong", 12_000)])
def test_views_of_waveforms(name: str, n: int) -> None:
    x = torch.from_numpy(waves(4))[:, None, None]
    view = augmenter(name, MEL)
    changed = view(x)
    assert changed.shape == (4, 1, 1, n)
    assert torch.equal(changed, x) == (name == "none")
    assert torch.equal(view.eval()(x), x)
