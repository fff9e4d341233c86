"""Gains, masks, crops of bands, backgrounds and mixup of spectrograms."""

from __future__ import annotations

import math

import pytest
import torch
from augment_sounds import MEL, features, mixed_batch, noise, padded, tone

from semisonic.core.errors import DataError
from semisonic.features.augmentation import (
    Background,
    BandCrop,
    BandGain,
    BandMask,
    Gain,
    Mixup,
    TimeMask,
    band_widths,
    smooth_weights,
)


def test_a_gain_is_that_of_the_samples_and_silence_stays() -> None:
    wave = torch.cat([padded(1, 1.0), noise(1, 4)])
    found = Gain(MEL, 20.0).change(features(wave), {"gain_db": torch.tensor([12.0, -12.0])})
    scale = torch.tensor([[10 ** (12 / 20)], [10 ** (-12 / 20)]])
    expected = features(wave * scale)
    loud = expected > -80
    assert (found - expected)[loud].abs().max() < 1e-2
    assert torch.equal(found <= -100, expected <= -100)


def test_gains_are_spread_evenly_over_their_range() -> None:
    gain = Gain(MEL, 6.0).draw(torch.zeros(5000, 1, 1, 1))["gain_db"]
    assert -6 <= gain.min() < -5.9
    assert 5.9 < gain.max() <= 6
    assert abs(gain.mean()) < 0.2


def test_a_band_gain_is_one_smooth_curve_for_all_frames() -> None:
    x = features(noise(50, 2))
    curve = BandGain(MEL, 6.0, 5)(x) - x
    assert torch.allclose(curve, curve[..., :1].expand_as(curve), atol=1e-4)
    curve = curve[:, 0, :, 0]
    assert curve.abs().max() <= 6.0 + 1e-4
    assert curve.abs().max() > 4.0
    # between neighbouring points, 16 bands apart, the steepest raised cosine
    assert curve.diff(dim=1).abs().max() < 12 * math.pi / 2 / 15
    assert curve.std(0).min() > 1.0  # every band is moved
    assert curve.std(1).mean() > 1.0  # and not all by the same


def test_control_points_are_met_and_their_weights_sum_to_one() -> None:
    weights = smooth_weights(5, 65)
    assert torch.allclose(weights.sum(0), torch.ones(65))
    assert torch.allclose(weights[:, ::16], torch.eye(5), atol=1e-6)
    assert weights[0, 1] > 0.98  # level at its points: no corner there


def hidden(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (x != y)[:, 0]


def test_time_masks_are_whole_frames_of_the_mean_within_their_limits() -> None:
    x = features(noise(20, 3)).repeat(10, 1, 1, 1)
    y = TimeMask(MEL, 2, 0.4)(x)
    cells = hidden(x, y)
    frames = cells.all(1)
    assert torch.equal(cells, frames[:, None].expand_as(cells))
    most = round(0.4 * MEL.sample_rate / MEL.hop_length)
    assert frames.sum(1).max() > most  # two of them
    assert frames.sum(1).max() <= 2 * most
    starts = (frames[:, 1:] & ~frames[:, :-1]).sum(1) + frames[:, 0]
    assert starts.max() == 2
    assert frames.any(0).float().mean() > 0.97  # anywhere
    row = int(frames.sum(1).argmax())
    assert torch.allclose(y[row, 0][:, frames[row]], x[row].mean(), atol=1e-3)


def test_a_time_mask_never_hides_a_short_sound_and_never_fills_its_padding() -> None:
    x = features(padded(20, 0.5)).repeat(10, 1, 1, 1).roll(60, 3)  # silence on both sides
    sounds = (x > -60).any(2)[:, 0]
    y = TimeMask(MEL, 1, 2.0)(x)
    frames = hidden(x, y).any(1)
    assert not (frames & ~sounds).any()
    assert frames.sum(1).max() <= 0.2 * sounds.sum(1).max()
    assert frames.any(1).float().mean() > 0.5


def test_band_masks_are_whole_bands_within_their_limits() -> None:
    x = features(noise(20, 3)).repeat(15, 1, 1, 1)
    cells = hidden(x, BandMask(MEL, 2, 8)(x))
    bands = cells.all(2)
    assert torch.equal(cells, bands[:, :, None].expand_as(cells))
    assert 8 < bands.sum(1).max() <= 16
    assert bands.any(0).all()


def test_masks_leave_silence_between_sounds_alone() -> None:
    x = mixed_batch()
    y = BandMask(MEL, 4, 30)(x)
    silent = (x <= -100).all(2, keepdim=True).expand_as(x)
    assert silent.any()
    assert torch.equal(y[silent], x[silent])


def test_a_band_crop_is_a_window_stretched_over_all_bands() -> None:
    bands = torch.arange(MEL.n_mels).float()[:, None].expand(1, 1, -1, MEL.n_frames).contiguous()
    drawn = {"cut": torch.tensor([16.0]), "low": torch.tensor([1.0])}
    y = BandCrop(MEL, 16).change(bands, drawn)[0, 0, :, 0]
    assert abs(float(y[0]) - 16) < 0.5
    assert abs(float(y[-1]) - 63) < 0.5
    assert torch.allclose(y.diff()[1:-1], y.diff()[1:-1].mean(), atol=1e-3)


def energy(x: torch.Tensor) -> torch.Tensor:
    return 10 ** (x.double() / 10)


def power(x: torch.Tensor) -> torch.Tensor:
    return torch.einsum("bcmf,m->b", energy(x), band_widths(MEL).double()) / x.shape[3]


def test_the_power_of_a_clip_is_that_of_its_samples() -> None:
    waves = torch.cat([noise(1, 2), tone(500), padded(1, 0.7)])
    ratio = 10 * torch.log10(power(features(waves)) / waves.double().square().mean(1))
    assert ratio.max() - ratio.min() < 0.3  # the same scale for any sound


def test_a_background_is_another_clip_of_the_batch_at_its_ratio() -> None:
    x = mixed_batch()
    module = Background(MEL, 4.0, 4.0)
    drawn = module.draw(x)
    assert (drawn["other"] != torch.arange(len(x))).all()
    y = module.change(x, drawn)
    found = 10 * torch.log10(power(x) / (power(y) - power(x)))
    assert (found - 4.0).abs().max() < 0.1


def test_a_background_starts_anywhere_and_goes_round() -> None:
    x = features(torch.cat([tone(300), padded(1, 0.5)]))[[0, 0, 1]]
    module = Background(MEL, 0.0, 0.0)
    drawn = module.draw(x) | {
        "other": torch.tensor([2, 2, 0]),
        "start": torch.tensor([0.0, 0.5, 0.0]),
        "added": torch.tensor([True, True, False]),
    }
    changed = module.change(x, drawn)
    assert torch.equal(changed[2], x[2])
    y = energy(changed) - energy(x)
    place = y[:, 0].sum(1) > 1e-3 * y[:, 0].sum(1).amax(1, keepdim=True)
    half = round(0.5 * MEL.n_frames)
    assert place[0, :15].all()
    assert not place[0, 30:].any()
    assert place[1, half + 2 : half + 15].all()
    assert not place[1, :half].any()


def test_where_either_is_silent_or_alone_the_clip_stays() -> None:
    x = features(torch.cat([noise(1, 1), torch.zeros(1, MEL.n_samples)]))
    assert torch.equal(Background(MEL, 0.0, 0.0)(x), x)
    assert torch.equal(Background(MEL, 0.0, 0.0)(x[:1]), x[:1])


def test_half_of_the_clips_get_a_background_at_a_share_of_one_half() -> None:
    x = features(noise(40, 5))
    for share, low, high in ((0.0, 0, 0), (0.5, 8, 32), (1.0, 40, 40)):
        changed = (Background(MEL, 0.0, 10.0, share)(x) != x).any((1, 2, 3)).sum()
        assert low <= changed <= high


def test_targets_say_which_clips_were_mixed_and_how_much() -> None:
    x, y = mixed_batch(), torch.eye(6)
    mixed_x, mixed_y = Mixup(1.0)(x, y)
    assert torch.allclose(mixed_y.sum(1), torch.ones(6))
    assert torch.equal(mixed_y.argmax(1), torch.arange(6))  # each stays the greater part
    rebuilt = torch.einsum("bn,ncmf->bcmf", mixed_y, x)  # the targets are the weights in dB
    assert torch.allclose(mixed_x, rebuilt, atol=1e-3)
    assert torch.equal((mixed_y > 0).sum(1), torch.full((6,), 2))
    assert torch.equal((mixed_y > 0).sum(0), torch.full((6,), 2))  # each is used twice


def test_shares_are_those_of_the_beta_distribution() -> None:
    x = torch.zeros(4000, 1, 1, 1)
    for alpha in (0.4, 2.0):
        share = Mixup(alpha).draw_share(x)
        assert share.min() >= 0.5
        assert abs((share - 0.5).square().mean() - 1 / (4 * (2 * alpha + 1))) < 0.01


def test_nothing_is_mixed_in_eval_and_class_numbers_are_refused() -> None:
    x, y = mixed_batch(), torch.eye(6)
    same_x, same_y = Mixup(0.4).eval()(x, y)
    assert torch.equal(same_x, x)
    assert torch.equal(same_y, y)
    with pytest.raises(DataError, match="one_hot"):
        Mixup(0.4)(x, torch.arange(6))
