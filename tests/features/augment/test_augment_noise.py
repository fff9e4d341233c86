"""Noise and backgrounds at a true signal-to-noise ratio, held against sums of samples."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from augment_sounds import MEL, features, harmonics, mixed_batch, noise, padded, tone
from torch import Tensor

from semisonic.features.augment.base import band_widths
from semisonic.features.augment.noise import Background, PinkNoise, WhiteNoise, coloured_noise
from semisonic.features.filterbank import band_edges_hz
from semisonic.features.logmel import LogMel
from semisonic.features.options import MelOptions

KINDS = {"white": WhiteNoise, "pink": PinkNoise}
LONG = dataclasses.replace(MEL, duration=20.0)


def energy(x: Tensor) -> Tensor:
    return 10 ** (x.double() / 10)


def power(x: Tensor, mel: MelOptions = MEL) -> Tensor:
    return torch.einsum("bcmf,m->b", energy(x), band_widths(mel).double()) / x.shape[3]


@pytest.mark.parametrize("colour", KINDS)
@pytest.mark.parametrize("snr_db", [-5.0, 3.0, 15.0])
def test_the_ratio_is_what_was_asked_for(colour: str, snr_db: float) -> None:
    x = torch.cat([features(noise(2, 1)), features(padded(2, 0.5)), features(harmonics(300))])
    y = KINDS[colour](MEL, snr_db, snr_db)(x)
    found = 10 * torch.log10(power(x) / (power(y) - power(x)))
    assert (found - snr_db).abs().max() < 0.1


def test_the_power_of_a_clip_is_that_of_its_samples() -> None:
    waves = torch.cat([noise(1, 2), tone(500), padded(1, 0.7)])
    ratio = 10 * torch.log10(power(features(waves)) / waves.double().square().mean(1))
    assert ratio.max() - ratio.min() < 0.3  # the same scale for any sound


@pytest.mark.parametrize("colour", KINDS)
def test_noise_looks_like_noise_added_to_the_samples(colour: str) -> None:
    """Mean level and fluctuation of every band, under a tone that covers some of them."""
    wave = tone(700, LONG, 0.05)
    signal = wave.square().mean()
    hiss = coloured_noise(1, LONG.n_samples, LONG.sample_rate, colour)
    hiss = hiss * (signal / hiss.square().mean() / 10 ** (6 / 10)).sqrt()
    real = LogMel(LONG)(wave + hiss)[0, 0, :, 5:-5]
    made = KINDS[colour](LONG, 6.0, 6.0)(LogMel(LONG)(wave))[0, 0, :, 5:-5]
    covered = (LogMel(LONG)(wave)[0, 0].mean(1) - real.mean(1)).abs() < 3
    assert 2 <= covered.sum() <= 6
    assert (real.mean(1) - made.mean(1)).abs()[~covered].max() < 0.8
    assert (real.mean(1) - made.mean(1)).abs().mean() < 0.3
    ratio = (made.std(1) / real.std(1))[~covered]
    assert 0.85 < ratio.min() <= ratio.max() < 1.2


def test_pink_falls_by_three_decibel_an_octave_and_white_does_not() -> None:
    hz = band_edges_hz(MEL)[1:-1]
    use = hz > 150  # below, the window is wider than a band
    for colour, slope in (("white", 0.0), ("pink", -3.01)):
        y = KINDS[colour](MEL, -40.0, -40.0)(features(noise(1, 3)))
        level = 10 * torch.log10(energy(y)[0, 0].mean(1)).numpy()
        found = np.polyfit(np.log2(hz[use]), level[use], 1)[0]
        assert abs(found - slope) < 0.3


def test_magnitudes_come_close_too() -> None:
    mel = dataclasses.replace(LONG, power=1.0)
    wave = noise(1, 1, mel)
    hiss = noise(1, 2, mel)
    real = LogMel(mel)(wave + hiss)[0, 0].mean(1)
    made = WhiteNoise(mel, 0.0, 0.0)(LogMel(mel)(wave))[0, 0].mean(1)
    assert (real - made).abs().max() < 1.0


def test_a_background_is_another_clip_of_the_batch_at_its_ratio() -> None:
    x = mixed_batch()
    module = Background(MEL, 4.0, 4.0)
    drawn = module.draw(x)
    assert (drawn["other"] != torch.arange(len(x))).all()
    y = module.change(x, drawn)
    found = 10 * torch.log10(power(x) / (power(y) - power(x)))
    assert (found - 4.0).abs().max() < 0.1


def test_a_background_starts_anywhere_and_goes_round() -> None:
    x = features(torch.cat([tone(300), tone(3000)]))
    bank = features(torch.cat([padded(1, 0.5)]))
    module = Background(MEL, 0.0, 0.0, bank)
    drawn = module.draw(x)
    drawn["start"] = torch.tensor([0.0, 0.5])
    y = energy(module.change(x, drawn)) - energy(x)
    place = y[:, 0].sum(1) > 1e-3 * y[:, 0].sum(1).amax(1, keepdim=True)
    half = round(0.5 * MEL.n_frames)
    assert place[0, :15].all()
    assert not place[0, 30:].any()
    assert place[1, half + 2 : half + 15].all()
    assert not place[1, :half].any()


def test_a_bank_of_another_length_is_used_and_single_clips_stay() -> None:
    x = features(noise(1, 1))
    assert torch.equal(Background(MEL, 0.0, 0.0)(x), x)
    bank = features(noise(3, 5, LONG), LONG)
    assert bank.shape[3] > x.shape[3]
    assert not torch.equal(Background(MEL, 0.0, 0.0, bank)(x), x)


def test_where_either_is_silent_the_clip_stays() -> None:
    x = features(torch.cat([noise(1, 1), torch.zeros(1, MEL.n_samples)]))
    assert torch.allclose(Background(MEL, 0.0, 0.0)(x), x, atol=1e-3)
