"""Gains and masks."""

from __future__ import annotations

import math

import torch
from augment_sounds import MEL, features, mixed_batch, noise, padded

from semisonic.features.augment.frequency import BandMask, TimeMask
from semisonic.features.augment.noise import BandGain, Gain, smooth_weights


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
    y = TimeMask(MEL, 1, 2.0, max_share=0.2)(x)
    frames = hidden(x, y).any(1)
    assert not (frames & ~sounds).any()
    assert frames.sum(1).max() <= 0.2 * sounds.sum(1).max()
    assert frames.any(1).float().mean() > 0.5


def test_masks_of_silence_hold_silence() -> None:
    x = features(noise(50, 3))
    for module in (
        TimeMask(MEL, 1, 0.5, fill="silence"),
        BandMask(MEL, 1, 10, fill="silence"),
    ):
        y = module(x)
        assert (y[hidden(x, y)[:, None]] == -100).all()
        assert hidden(x, y).any()


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
