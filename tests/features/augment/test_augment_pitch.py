"""Pitch shifts of spectrograms, held against sounds of the other pitch."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
import torch
from augment_sounds import MEL, features, harmonics, noise, tone

from semisonic.features.augment.frequency import PitchShift
from semisonic.features.filterbank import hz_to_mel


def shifted(wave: torch.Tensor, semitones: float) -> torch.Tensor:
    module = PitchShift(MEL, 24.0)
    return module.change(features(wave), {"semitones": torch.tensor([semitones])})


def centre_of(x: torch.Tensor) -> float:
    """The mel place of the loudest peak, finer than a band."""
    level = x[0, 0, :, 20:-20].mean(1)
    top = int(level.argmax())
    a, b, c = (float(level[i]) for i in (top - 1, top, top + 1))
    return top + 0.5 * (a - c) / (a - 2 * b + c)


@pytest.mark.parametrize("hz", [300.0, 800.0, 1500.0, 4000.0])
@pytest.mark.parametrize("semitones", [-5.0, 2.5, 7.0])
def test_a_tone_moves_by_the_interval(hz: float, semitones: float) -> None:
    found = shifted(tone(hz), semitones)
    expected = features(tone(hz * 2 ** (semitones / 12)))
    a_band = float(hz_to_mel(MEL.sample_rate / 2)) / (MEL.n_mels + 1)
    assert abs(centre_of(found) - centre_of(expected)) * a_band < 0.5  # mel


@pytest.mark.parametrize("semitones", [-4.0, 4.0])
def test_harmonics_stay_harmonics(semitones: float) -> None:
    before = features(harmonics(330))
    after = features(harmonics(330 * 2 ** (semitones / 12)))
    found = shifted(harmonics(330), semitones)
    loud = after > after.amax() - 20
    wrong, unmoved = ((y - after)[loud].abs().mean() for y in (found, before))
    assert wrong < 4.0
    assert wrong < unmoved / 6


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_the_level_of_noise_is_that_of_noise_played_at_that_pitch(factor: float) -> None:
    long = noise(1, 3)
    played = soxr.resample(torch.cat([long, long], 1)[0].numpy(), factor, 1.0, "HQ")
    expected = features(torch.from_numpy(played[: MEL.n_samples])[None])
    found = shifted(long, 12 * float(np.log2(factor)))
    below = slice(2, int(MEL.n_mels * 0.8))  # what both know
    a, b = (y[0, 0, below].mean(1) for y in (found, expected))
    assert abs((a - b).mean()) < 0.3


def test_beyond_the_highest_band_the_last_one_goes_on() -> None:
    x = features(noise(1, 3))
    y = shifted(noise(1, 3), -6.0)
    assert y.min() > x.min() - 10
    assert (y[0, 0, -4:].std(0) < 1e-4).all()


def test_intervals_are_drawn_anew_and_stay_within_their_limit() -> None:
    drawn = PitchShift(MEL, 3.0).draw(torch.zeros(3000, 1, 1, 1))["semitones"]
    assert len(drawn.unique()) > 2900
    assert -3 <= drawn.min() < -2.9
    assert 2.9 < drawn.max() <= 3
