"""Mixing of pairs."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch
from augment_sounds import MEL, features, mixed_batch, noise, tone

from semisonic.core.errors import DataError
from semisonic.features.augment.base import PowerScale, a_weights, loudness_db
from semisonic.features.augment.mixing import (
    BetweenClass,
    Mixup,
    blend,
    mix_by_loudness,
    other_rows,
)

LEVELS = PowerScale(MEL)


def targets(n: int = 6) -> torch.Tensor:
    return torch.eye(n)


def test_targets_say_which_clips_were_mixed_and_how_much() -> None:
    x, y = mixed_batch(), targets()
    mixed_x, mixed_y = Mixup(MEL, 1.0)(x, y)
    assert torch.allclose(mixed_y.sum(1), torch.ones(6))
    rebuilt = torch.einsum("bn,ncmf->bcmf", mixed_y, x)  # the targets are the weights in dB
    assert torch.allclose(mixed_x, rebuilt, atol=1e-3)
    assert (mixed_y > 0).sum(1).max() == 2
    assert torch.allclose((mixed_y > 0).sum(0).float(), torch.full((6,), 2.0))  # each used twice


def test_shares_are_those_of_the_beta_distribution() -> None:
    x = torch.zeros(4000, 1, 1, 1)
    for alpha in (0.4, 2.0):
        share = Mixup(MEL, alpha).draw_share(x)
        assert abs(share.mean() - 0.5) < 0.02
        assert abs(share.var() - 1 / (4 * (2 * alpha + 1))) < 0.01
        assert Mixup(MEL, alpha, keep_larger=True).draw_share(x).min() >= 0.5


@pytest.mark.parametrize("name", ["db", "power", "between class"])
def test_a_given_partner_and_share_are_used(name: str) -> None:
    module = BetweenClass(MEL) if name == "between class" else Mixup(MEL, 1.0, name)
    x, y = mixed_batch(), targets()
    other = features(noise(6, 9)), torch.full((6, 6), 1 / 6)
    share = torch.tensor([0.0, 0.25, 0.5, 0.5, 0.75, 1.0])
    mixed_x, mixed_y = module(x, y, other, share)
    assert torch.allclose(mixed_y, share[:, None] * y + (1 - share[:, None]) * other[1])
    assert torch.allclose(mixed_x[0], other[0][0], atol=1e-3)
    assert torch.allclose(mixed_x[5], x[5], atol=1e-3)
    assert not torch.allclose(mixed_x[2], x[2], atol=1.0)


def test_power_is_blended_as_energy() -> None:
    x = features(torch.cat([tone(300), tone(3000)]))
    share = torch.tensor([0.5, 0.5])
    y = blend(x, x.flip(0), share, "power", LEVELS)
    expected = 10 * torch.log10((10 ** (x / 10) + 10 ** (x.flip(0) / 10)) / 2)
    assert torch.allclose(y, expected, atol=1e-2)


def test_nothing_is_mixed_in_eval_and_class_numbers_are_refused() -> None:
    x, y = mixed_batch(), targets()
    same_x, same_y = BetweenClass(MEL).eval()(x, y)
    assert torch.equal(same_x, x)
    assert torch.equal(same_y, y)
    with pytest.raises(DataError, match="one_hot"):
        Mixup(MEL, 0.4)(x, torch.arange(6))
    with pytest.raises(DataError, match="found partners of shapes"):
        Mixup(MEL, 0.4)(x, y, (x[:3], y[:3]))
    with pytest.raises(DataError, match="found shares of shape"):
        Mixup(MEL, 0.4)(x, y, None, torch.rand(3))


def test_between_class_is_the_papers_sum_of_samples() -> None:
    a, b = noise(1, 1), 0.1 * noise(1, 2)  # 20 dB apart
    gap = float(loudness_db(features(a), LEVELS) - loudness_db(features(b), LEVELS))
    assert abs(gap - 20) < 1.5
    for r in (0.2, 0.5, 0.8):
        p = 1 / (1 + 10 ** (gap / 20) * (1 - r) / r)
        wave = (p * a + (1 - p) * b) / (p**2 + (1 - p) ** 2) ** 0.5
        found = mix_by_loudness(features(a), features(b), torch.tensor([r]), LEVELS)
        assert abs((found - features(wave)).mean()) < 0.5


def test_at_equal_shares_both_are_equally_loud_whatever_they_were() -> None:
    quiet, loud = features(0.03 * tone(400)), features(tone(4000))
    y = mix_by_loudness(quiet, loud, torch.tensor([0.5]), LEVELS)
    low, high = loudness_db(y[:, :, :32], _half(0)), loudness_db(y[:, :, 32:], _half(1))
    assert abs(float(low - high)) < 0.5


class _half(PowerScale):
    """Loudness of the lower or the upper half of the bands."""

    def __init__(self, which: int) -> None:
        super().__init__(MEL)
        self.which = which

    def power(self, x: torch.Tensor) -> torch.Tensor:
        whole = torch.zeros(len(x), 1, MEL.n_mels, x.shape[3])
        whole[:, :, self.which * 32 : self.which * 32 + 32] = super().power(x)
        return whole


def test_the_a_curve_is_that_of_the_standard() -> None:
    hz = np.array([31.5, 100.0, 1000.0, 4000.0, 10000.0])
    ours = 10 * np.log10(a_weights(hz))
    assert np.abs(ours - librosa.A_weighting(hz)).max() < 0.02


def test_beside_silence_a_sound_stays_as_it_is() -> None:
    x, silence = features(noise(1, 1)), features(torch.zeros(1, MEL.n_samples))
    share = torch.tensor([0.4])
    assert torch.allclose(mix_by_loudness(x, silence, share, LEVELS), x, atol=1e-3)
    assert torch.allclose(mix_by_loudness(silence, x, share, LEVELS), x, atol=1e-3)


def test_every_other_row_is_used_once_and_never_the_same() -> None:
    for _ in range(20):
        other = other_rows(5, torch.device("cpu"))
        assert sorted(other.tolist()) == list(range(5))
        assert (other != torch.arange(5)).all()
