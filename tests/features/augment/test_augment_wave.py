"""Augmentation of samples."""

from __future__ import annotations

import math

import librosa
import numpy as np
import pytest
import soxr
import torch
from augment_sounds import noise
from torch import Tensor

from semisonic.core.errors import DataError
from semisonic.features.augmentation import Gain, Speed, TimeShift, TimeStretch
from semisonic.features.options import MelOptions
from semisonic.features.vocoder import phase_vocoder, read_between_samples, stft
from semisonic.features.wave_augmentation import Noise, PitchShift

RATE = 16000
N = 24000
WAVES = MelOptions(input="wave", sample_rate=RATE)

MAKERS = {
    "shift": lambda: TimeShift(WAVES, 9.0),
    "gain": lambda: Gain(WAVES, 6.0),
    "speed": lambda: Speed(WAVES, 0.8, 1.25),
    "stretch": lambda: TimeStretch(WAVES, 0.8, 1.25),
    "pitch": lambda: PitchShift(WAVES, 4.0),
    "white": lambda: Noise(WAVES, "white", 0.0, 20.0),
    "pink": lambda: Noise(WAVES, "pink", 0.0, 20.0),
}
each = pytest.mark.parametrize("name", MAKERS)


def sine(hz: float, n: int = N) -> Tensor:
    t = torch.arange(n, dtype=torch.float64) / RATE
    return (0.3 * torch.sin(2 * math.pi * hz * t)).float()[None]


def peak_hz(x: Tensor) -> float:
    """The frequency of the loudest bin of a whole wave, finer than a bin."""
    size = torch.fft.rfft(x[0].double() * torch.hann_window(x.shape[1]), n=8 * N).abs()
    return float(size.argmax()) * RATE / (8 * N)


def batch() -> Tensor:
    hiss = 0.1 * torch.randn(3, N, generator=torch.Generator().manual_seed(1))
    burst = hiss[:1].clone()
    burst[:, 8000:] = 0.0
    return torch.cat([hiss, sine(500), burst])


@each
def test_waves_keep_shape_and_type_and_each_row_has_its_own_draw(name: str) -> None:
    x = batch()[3:4].expand(5, -1).contiguous()
    before = x.clone()
    module = MAKERS[name]()
    torch.manual_seed(0)
    y = module(x)
    assert y.shape == x.shape
    assert torch.isfinite(y).all()
    assert torch.equal(x, before)
    rows = {tuple(row.tolist()[5000:5040]) for row in y}
    assert len(rows) == 5
    assert not torch.equal(module(x), y)
    torch.manual_seed(0)
    assert torch.equal(module(x), y)
    assert torch.equal(module.eval()(x), x)


@each
def test_silent_waves_stay_silent_and_wrong_shapes_are_refused(name: str) -> None:
    module = MAKERS[name]()
    assert torch.equal(module(torch.zeros(3, N)), torch.zeros(3, N))
    for wrong in (torch.zeros(N), torch.zeros(2, 1, N), torch.zeros(2, 0)):
        with pytest.raises(DataError, match=r"\(batch, time\)"):
            module(wrong)


def test_a_shifted_wave_goes_round() -> None:
    x = batch()[:2]
    shift = torch.tensor([100, 24000 - 100])
    y = TimeShift(WAVES, 9.0).change(x, {"shift": shift})
    assert torch.equal(y[0], x[0].roll(100))
    assert torch.equal(y[1], x[1].roll(-100))


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.3])
def test_reading_between_samples_is_as_good_as_soxr(factor: float) -> None:
    rng = np.random.default_rng(0)
    low = soxr.resample(rng.standard_normal(12000).astype(np.float32), 1.0, 2.0, "VHQ")
    x = torch.from_numpy(low[:N])[None]  # nothing above a quarter of the rate
    place = torch.arange(14000, dtype=torch.float64) * factor + 500.25
    found = read_between_samples(x, place[None], torch.tensor([factor]))[0]
    fine = soxr.resample(low[:N], 1.0, 64.0, "VHQ")  # every 64th of a sample
    expected = torch.from_numpy(fine)[(place * 64).round().long()]
    error = (found - expected).square().mean() / expected.square().mean()
    assert 10 * torch.log10(error) < -40  # the nearest 64th is that exact


def test_no_mirrored_frequencies_when_played_faster() -> None:
    place = torch.arange(15000, dtype=torch.float64)[None] * 1.5
    high = read_between_samples(sine(7000), place, torch.tensor([1.5]))[:, 500:-500]
    kept = read_between_samples(sine(4500), place, torch.tensor([1.5]))[:, 500:-500]
    assert high.square().mean() < 1e-5 * sine(7000).square().mean()
    assert abs(10 * torch.log10(kept.square().mean() / sine(1).square().mean())) < 0.1


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_speed_moves_pitch_and_stretch_does_not(factor: float) -> None:
    drawn = {"factor": torch.tensor([factor]), "centre": torch.tensor([0.3])}
    faster = Speed(WAVES, 0.5, 2.0).change(sine(1000), drawn)
    longer = TimeStretch(WAVES, 0.5, 2.0).change(sine(1000), drawn)
    assert abs(peak_hz(faster) - 1000 * factor) < 1
    assert abs(peak_hz(longer) - 1000) < 2
    for y in (faster, longer):
        middle = y[:, 4000:-4000]
        assert abs(10 * torch.log10(middle.square().mean() / 0.045)) < 0.6


@pytest.mark.parametrize("kind", ["speed", "stretch"])
def test_what_a_faster_wave_leaves_free_is_filled_as_is_natural(kind: str) -> None:
    module = MAKERS[kind]()
    drawn = {"factor": torch.full((2,), 1.25), "centre": torch.zeros(2)}
    full, burst = batch()[0], batch()[4]
    y = module.change(torch.stack([full, burst]), drawn)
    rest = slice(int(N / 1.25) + 2500, N)
    assert y[0, rest].square().mean() > 0.3 * full.square().mean()
    assert y[1, rest].abs().max() < 1e-3
    assert y[1, :5000].square().mean() > 0.5 * burst[:6000].square().mean()


@pytest.mark.parametrize("rate", [0.77, 1.31])
def test_the_vocoder_is_that_of_librosa(rate: float) -> None:
    spectrum = stft(batch().double())
    expected = librosa.phase_vocoder(spectrum.numpy(), rate=rate)
    place = torch.arange(expected.shape[2], dtype=torch.float64) * rate
    found = phase_vocoder(spectrum, place.expand(5, -1)).numpy()
    assert np.abs(found - expected).max() < 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize("semitones", [-7.0, -1.5, 4.0, 12.0])
def test_a_tone_is_shifted_by_the_interval_and_keeps_its_time(semitones: float) -> None:
    x = sine(800)
    x[:, :6000] = 0.0
    x[:, 18000:] = 0.0
    module = PitchShift(WAVES, 12.0)
    y = module.change(x, {"semitones": torch.tensor([semitones])})
    assert abs(peak_hz(y) - 800 * 2 ** (semitones / 12)) < 3
    envelope = y[0].abs() > 0.05
    first, last = envelope.nonzero()[[0, -1]].flatten().tolist()
    assert abs(first - 6000) < 1200  # a window is 2048 samples
    assert abs(last - 18000) < 1200


@pytest.mark.parametrize("colour", ["white", "pink"])
@pytest.mark.parametrize("snr_db", [-5.0, 13.0])
def test_the_ratio_of_samples_is_what_was_asked_for(colour: str, snr_db: float) -> None:
    x = batch()
    y = Noise(WAVES, colour, snr_db, snr_db)(x)
    found = 10 * torch.log10(x.square().mean(1) / (y - x).square().mean(1))
    assert (found - snr_db).abs().max() < 0.01


def test_pink_noise_falls_by_three_decibel_an_octave() -> None:
    clean = noise(1, 1)[:, :N]
    y = Noise(WAVES, "pink", -20.0, -20.0)(clean) - clean
    power = torch.fft.rfft(y[0]).abs().square()
    hz = np.array([50 * 2**k for k in range(7)])
    bands = [float(power[int(low * N / RATE) : int(2 * low * N / RATE)].mean()) for low in hz]
    slope = np.polyfit(np.log2(hz), 10 * np.log10(bands), 1)[0]
    assert abs(slope + 3.01) < 0.5
