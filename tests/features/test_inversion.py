"""Features to samples and back."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semisonic.core.errors import DataError
from semisonic.features.logmel import LogMel, mel_to_wave
from semisonic.features.options import MelOptions

MEL = MelOptions(duration=1.0)


def sweep(mel: MelOptions) -> torch.Tensor:
    t = torch.arange(mel.n_samples, dtype=torch.float64) / mel.sample_rate
    tone = torch.sin(2 * torch.pi * (300 * t + 900 * t**2)).float()
    hiss = torch.randn(mel.n_samples, generator=torch.Generator().manual_seed(0))
    return 0.2 * tone + 0.02 * hiss


def error_db(wave: torch.Tensor, wanted: torch.Tensor, mel: MelOptions) -> float:
    wave = torch.nn.functional.pad(wave, (0, max(0, mel.n_samples - len(wave))))
    found = LogMel(mel)(wave[None, : mel.n_samples])[0, 0]
    loud = wanted > wanted.max() - 40
    return float((found - wanted)[loud].abs().mean())


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"power": 1.0},
        {"center": False},
        {"n_fft": 2048, "hop_length": 300, "n_mels": 40},
        {"fmin_hz": 200.0, "fmax_hz": 8000.0},
    ],
)
def test_the_sound_has_the_features_it_was_made_from(change: dict[str, object]) -> None:
    mel = dataclasses.replace(MEL, **change)
    wanted = LogMel(mel)(sweep(mel)[None])[0, 0]
    wave = mel_to_wave(wanted, mel)
    assert abs(len(wave) - mel.n_samples) < mel.hop_length
    assert error_db(wave, wanted, mel) < 1.5


def test_silence_gives_silence() -> None:
    wave = mel_to_wave(torch.full((64, 44), -100.0), MEL)
    assert wave.abs().max() < 1e-4


@settings(max_examples=8, deadline=None)
@given(n_frames=st.integers(1, 30), center=st.booleans())
def test_any_number_of_frames_gives_a_sound(n_frames: int, center: bool) -> None:
    mel = dataclasses.replace(MEL, center=center)
    wave = mel_to_wave(torch.full((64, n_frames), -20.0), mel, n_iterations=2)
    assert torch.isfinite(wave).all()
    assert len(wave) == (n_frames - 1) * 512 + (0 if center else 1024)


def test_features_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError, match=r"expected \(64, frame\)"):
        mel_to_wave(torch.zeros(1, 64, 10), MEL)
