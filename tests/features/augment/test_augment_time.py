"""Shifts, stretches and crops in time, held against the same done to samples."""

from __future__ import annotations

import librosa
import pytest
import torch
from augment_sounds import MEL, features, harmonics, noise, padded, tone

from semisonic.core.errors import DataError
from semisonic.features.augmentation import TimeCrop, TimeShift, TimeStretch
from semisonic.features.logmel import LogMel

FRAME = MEL.hop_length / MEL.sample_rate  # s


def test_a_shift_is_that_of_the_samples() -> None:
    wave = padded(1, 0.6, 3) + 0.1 * tone(900)
    module = TimeShift(MEL, 60.0)
    found = module.change(features(wave), {"shift": torch.tensor([31])})
    expected = features(wave.roll(31 * MEL.hop_length, 1))
    inside = torch.ones(MEL.n_frames, dtype=torch.bool)
    inside[[0, 1, 2, -1, -2, -3]] = False  # mirrored ends
    inside[29:34] = False  # the seam
    loud = (expected > -40) & inside
    assert loud.sum() > 1000
    assert (found - expected)[loud].abs().max() < 0.2


def test_shifts_stay_within_their_limit_and_reach_everywhere() -> None:
    x = torch.zeros(4000, 1, MEL.n_mels, MEL.n_frames)
    limited = TimeShift(MEL, 0.25).draw(x)["shift"]
    most = round(0.25 / FRAME)
    assert limited.min() == -most
    assert limited.max() == most
    assert len(TimeShift(MEL, 2.0).draw(x)["shift"].unique()) == MEL.n_frames


def clicks(times: list[float]) -> torch.Tensor:
    wave = 0.001 * noise(1, 7)
    for t in times:
        first = round(t * MEL.sample_rate)
        wave[0, first : first + 400] += noise(1, 8)[0, :400]
    return wave


def onsets(x: torch.Tensor) -> list[float]:
    """Times (s) of frames that are louder than both neighbours and than most others."""
    level = x[0, 0].mean(0)
    peaks = (level[1:-1] > level[:-2]) & (level[1:-1] >= level[2:]) & (level[1:-1] > -30)
    return [(int(i) + 1) * FRAME for i in peaks.nonzero()]


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_events_of_a_stretched_clip_move_away_from_or_towards_the_centre(factor: float) -> None:
    times = [0.9, 1.3, 2.0]
    module = TimeStretch(MEL, 0.5, 2.0)
    drawn = {"factor": torch.tensor([factor]), "centre": torch.tensor([0.5])}
    found = onsets(module.change(features(clicks(times)), drawn))
    centre = (MEL.n_frames - 1) / 2 * FRAME
    expected = [centre + (t - centre) / factor for t in times]
    assert len(found) == 3
    for a, b in zip(found, expected, strict=True):
        assert abs(a - b) < 2 * FRAME


def test_a_stretch_is_close_to_that_of_librosa() -> None:
    wave = harmonics(300)
    wave *= torch.linspace(0.01, 1.0, MEL.n_samples)
    window = torch.hann_window(2048)
    spectrum = torch.stft(wave, 2048, window=window, return_complex=True)
    faster = torch.from_numpy(librosa.phase_vocoder(spectrum.numpy(), rate=1.25))
    expected = LogMel(MEL)(torch.istft(faster, 2048, window=window))
    module = TimeStretch(MEL, 0.5, 2.0)
    drawn = {"factor": torch.tensor([1.25]), "centre": torch.tensor([0.0])}
    found = module.change(features(wave), drawn)
    n = expected.shape[3] - 4
    loud = expected[..., 4:n] > -40
    assert (found[..., 4:n] - expected[..., 4:n])[loud].abs().mean() < 1.0


def test_levels_are_kept_by_a_stretch_and_factors_are_even_in_octaves() -> None:
    x = features(noise(60, 1))
    module = TimeStretch(MEL, 0.5, 2.0)
    assert abs(module(x).mean() - x.mean()) < 0.2
    factor = module.draw(torch.zeros(4000, 1, 1, 1))["factor"]
    assert factor.min() >= 0.5
    assert factor.max() <= 2.0
    assert abs((factor < 1).float().mean() - 0.5) < 0.05


def test_a_faster_clip_goes_round_or_gets_silence_as_is_natural() -> None:
    full, short = features(noise(1, 1)), features(padded(1, 1.0))
    drawn = {"factor": torch.tensor([1.5]), "centre": torch.tensor([0.0])}
    module = TimeStretch(MEL, 0.5, 2.0)
    full_silent, short_silent = (
        int((module.change(x, drawn) < -99).all(2).sum()) for x in (full, short)
    )
    assert full_silent == 0
    assert short_silent > int((short < -99).all(2).sum())


def test_a_crop_is_a_part_of_the_clip_with_the_frames_of_its_duration() -> None:
    module = TimeCrop(MEL, 1.0)
    x = torch.arange(MEL.n_frames).float().expand(8, 1, MEL.n_mels, -1).contiguous()
    y = module(x)
    expected = features(torch.zeros(1, MEL.sample_rate), MEL).shape[3]
    assert y.shape == (8, 1, MEL.n_mels, expected)
    assert (y.diff(dim=3) == 1).all()
    assert len(y[:, 0, 0, 0].unique()) > 2
    assert torch.equal(module.eval()(x), x)


def test_a_crop_holds_sound_even_of_a_clip_that_is_mostly_padding() -> None:
    x = features(padded(60, 0.5))
    y = TimeCrop(MEL, 0.8)(x)
    sounding = (y.amax(2) > -60)[:, 0].sum(1)
    assert sounding.min() >= 10  # half of half a second
    at = (y.amax(2)[:, 0] > -60).float().argmax(1)
    assert (at == 0).any()  # it begins in front of, or within, the sound


def test_a_crop_refuses_a_clip_that_is_shorter() -> None:
    with pytest.raises(DataError, match="found clips of 20 frames"):
        TimeCrop(MEL, 1.0)(torch.zeros(2, 1, MEL.n_mels, 20))
