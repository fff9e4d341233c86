from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.core.errors import DataError, OptionError
from semisonic.features.frontend import Frontend, Standardize
from semisonic.features.logmel import LogMel
from semisonic.features.options import MelOptions


def features(n: int = 100, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    level = np.linspace(-90, 0, 8)[None, None, :, None]
    spread = np.linspace(1, 20, 8)[None, None, :, None]
    x = level + spread * rng.standard_normal((n, 2, 8, 12))
    x[:, 1] *= 0.01
    return x.astype(np.float32)


@pytest.mark.parametrize(("kind", "axes"), [("global", (0, 2, 3)), ("mel", (0, 3))])
def test_training_features_get_mean_zero_and_deviation_one(
    kind: str, axes: tuple[int, ...]
) -> None:
    x = torch.from_numpy(features())
    module = Standardize(kind, 2, 8).fit(x)
    y = module(x)
    np.testing.assert_allclose(y.mean(axes), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(axes, correction=0), 1, atol=1e-5)
    torch.testing.assert_close(module.inverse(y), x, atol=1e-4, rtol=0)
    assert module.is_fitted


@settings(max_examples=20, deadline=None)
@given(cut=st.lists(st.integers(1, 99), max_size=5), kind=st.sampled_from(["mel", "global"]))
def test_pieces_give_what_the_whole_gives(cut: list[int], kind: str) -> None:
    x = features()
    parts = np.split(x, sorted(set(cut)))
    whole, pieces = Standardize(kind, 2, 8).fit(x), Standardize(kind, 2, 8).fit(iter(parts))
    torch.testing.assert_close(whole.mean, pieces.mean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(whole.std, pieces.std, rtol=1e-6, atol=1e-6)


def test_float16_memory_maps_lose_nothing(tmp_path: Path) -> None:
    stored = np.lib.format.open_memmap(
        tmp_path / "x.npy", "w+", dtype=np.float16, shape=(300, 1, 4, 50)
    )
    stored[:] = np.random.default_rng(0).normal(-60, 0.5, stored.shape)
    module = Standardize("global", 1, 4).fit(stored)
    exact = np.asarray(stored, np.float64)
    assert float(module.mean) == pytest.approx(exact.mean(), abs=1e-5)
    assert float(module.std) == pytest.approx(exact.std(), rel=1e-6)


def test_a_constant_band_is_shifted_and_not_scaled() -> None:
    x = np.full((5, 1, 3, 4), -80.0, np.float32)
    for kind in ("mel", "global"):
        module = Standardize(kind, 1, 3).fit(x)
        y = module(torch.from_numpy(x))
        assert torch.equal(y, torch.zeros_like(y))
        assert torch.equal(module(torch.from_numpy(x + 3)), torch.full_like(y, 3))


def test_what_cannot_be_used_is_refused() -> None:
    module = Standardize("mel", 2, 8)
    broken = features(3)
    broken[1, 0, 2, 3] = np.nan
    for bad, text in [
        (broken, "not finite"),
        (features()[:, :1], "expected"),
        (features()[0], "expected"),
        (features()[:0], "no features"),
        ([], "no features"),
    ]:
        with pytest.raises(DataError, match=text):
            module.fit(bad)
    assert not module.is_fitted
    with pytest.raises(OptionError, match="did you mean 'global'"):
        Standardize("globl", 1, 8)


def test_the_front_end_is_mel_then_standardisation() -> None:
    options = MelOptions(duration=0.5, deltas=True)
    front = Frontend(options, "mel")
    wave = torch.rand(4, options.n_samples, generator=torch.Generator().manual_seed(0)) - 0.5
    level = LogMel(options)(wave)
    assert torch.equal(front(wave), level)
    front.standardize.fit(level)
    torch.testing.assert_close(front(wave).mean((0, 3)), torch.zeros(2, 64), atol=1e-4, rtol=0)
    assert set(front.state_dict()) == {
        "standardize.mean",
        "standardize.std",
        "standardize.fitted",
    }
