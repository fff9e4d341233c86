"""The log-mel front end against librosa, and the fast extractor against the module."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from semisonic.core.errors import DataError, OptionError
from semisonic.features.logmel import LogMel, MelExtractor, delta, filters_of
from semisonic.features.options import MelOptions

PAPER = MelOptions(
    sample_rate=44100, n_fft=12288, hop_length=6144, n_mels=28, reference="max", top_db=80.0
)

SHAPES = {
    "paper": (PAPER, (1, 28, 36)),
    "piczak short": (MelOptions(duration=20480 / 22050, n_mels=60), (1, 60, 41)),
    "piczak long": (MelOptions(duration=51200 / 22050, n_mels=60), (1, 60, 101)),
    "128x500": (MelOptions(44100, n_fft=2205, hop_length=441, n_mels=128), (1, 128, 500)),
    "128x501": (MelOptions(44100, n_fft=2206, hop_length=441, n_mels=128), (1, 128, 501)),
    "default": (MelOptions(), (1, 64, 216)),
    "2 s": (MelOptions(44100, 2.0, 2560, 694, 128, fmin_hz=20.0), (1, 128, 128)),
    "magnitude": (MelOptions(power=1.0), (1, 64, 216)),
    "short window": (MelOptions(win_length=800, mel_scale="htk"), (1, 64, 216)),
    "htk, magnitude": (
        MelOptions(16000, 2.0, 512, 160, 64, 125.0, 7500.0, 1.0, win_length=400, mel_scale="htk"),
        (1, 64, 201),
    ),
    "offset": (MelOptions(log_offset=1e-3, power=1.0), (1, 64, 216)),
    "emphasised": (MelOptions(preemphasis=0.97, log_offset=1e-5), (1, 64, 216)),
    "plain": (MelOptions(center=False, fmin_hz=50.0, fmax_hz=8000.0, top_db=60.0), (1, 64, 214)),
}


def signal(kind: str, options: MelOptions) -> NDArray[np.float32]:
    rng = np.random.default_rng(7)
    t = np.arange(options.n_samples) / options.sample_rate
    noise = rng.standard_normal(len(t))
    wave = {
        "noise": 0.1 * noise,
        "tone in noise": 0.4 * np.sin(2 * np.pi * 997 * t) + 5e-3 * noise,
        "clicks": np.where(np.arange(len(t)) % (options.sample_rate // 7) == 3, 0.9, 0.0),
        "fading": 0.2 * noise * np.exp(-2 * t),
    }[kind]
    return wave.astype(np.float32)


def by_librosa(x: NDArray[np.float32], options: MelOptions) -> NDArray[np.float64]:
    if options.preemphasis:
        x = x[1:] - options.preemphasis * x[:-1]
    slaney = options.mel_scale == "slaney"
    mel = librosa.feature.melspectrogram(
        y=x,
        sr=options.sample_rate,
        n_fft=options.n_fft,
        win_length=options.win_length,
        htk=not slaney,
        norm="slaney" if slaney else None,
        hop_length=options.hop_length,
        n_mels=options.n_mels,
        fmin=options.fmin_hz,
        fmax=options.fmax_hz,
        power=options.power,
        center=options.center,
        pad_mode="reflect",
    ).astype(np.float64)
    if options.log_offset:
        return 20 / options.power * np.log10(mel + options.log_offset)
    reference = np.max if options.reference == "max" else 1.0
    to_db = librosa.power_to_db if options.power == 2 else librosa.amplitude_to_db
    amin = 1e-10 if options.power == 2 else 1e-5
    return to_db(mel, ref=reference, amin=amin, top_db=options.top_db)


def by_module(x: NDArray[np.floating], options: MelOptions) -> NDArray[np.float32]:
    return LogMel(options)(torch.from_numpy(x)[None])[0].numpy()


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("kind", ["noise", "tone in noise", "clicks", "fading"])
def test_equals_librosa(name: str, kind: str) -> None:
    options, shape = SHAPES[name]
    x = signal(kind, options)
    found, fast = by_module(x, options), MelExtractor(options)(x)
    assert options.shape == found.shape == shape
    assert (fast.dtype, fast.flags.c_contiguous) == (np.float32, True)
    np.testing.assert_allclose(found[0], by_librosa(x, options), rtol=0, atol=1e-3)
    np.testing.assert_allclose(fast, found, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", ["paper", "default"])
def test_real_clips_equal_librosa(name: str, shared_data: Path) -> None:
    options = replace(SHAPES[name][0], top_db=None)
    files = sorted((shared_data / "esc10").rglob("*.ogg"))[::80]
    assert files
    for file in files:
        x, rate = soundfile.read(file, dtype="float32")
        x = librosa.resample(x, orig_sr=rate, target_sr=options.sample_rate, res_type="soxr_hq")
        x = librosa.util.fix_length(x, size=options.n_samples)
        expected = by_librosa(x, options)
        audible = expected > expected.max(axis=0) - 70
        wrong = np.abs(by_module(x, options)[0] - expected)
        assert wrong[audible].max() < 1e-3
        assert wrong.max() < 0.2


@settings(max_examples=40, deadline=None)
@given(
    n_fft=st.integers(64, 700),
    hop=st.integers(16, 800),
    n_mels=st.sampled_from([1, 5, 12]),
    duration=st.floats(0.1, 0.6),
    center=st.booleans(),
    peak=st.booleans(),
    top_db=st.sampled_from([None, 40.0]),
    reference=st.sampled_from(["one", "max"]),
    power=st.sampled_from([1.0, 1.5, 2.0]),
)
def test_any_options_give_equal_features_both_ways(
    n_fft: int,
    hop: int,
    n_mels: int,
    duration: float,
    center: bool,
    peak: bool,
    top_db: float | None,
    reference: str,
    power: float,
) -> None:
    try:
        options = MelOptions(
            8000,
            duration,
            n_fft,
            hop,
            n_mels,
            power=power,
            reference=reference,
            top_db=top_db,
            peak_normalize=peak,
            center=center,
        )
        extractor = MelExtractor(options)
    except OptionError:
        return
    x = signal("noise", options)
    found = extractor(x)
    assert found.shape == options.shape
    np.testing.assert_allclose(found, by_module(x, options), rtol=0, atol=1e-3)


def test_a_batch_equals_its_items() -> None:
    options = MelOptions(duration=1.0, deltas=True)
    waves = torch.from_numpy(np.stack([signal("noise", options), signal("clicks", options)]))
    module = LogMel(options)
    both = module(waves)
    assert both.shape == (2, *options.shape)
    for wave, features in zip(waves, both, strict=True):
        assert torch.equal(module(wave[None])[0], features)


def test_a_wave_of_another_length_gives_its_own_frames() -> None:
    options = MelOptions(duration=1.0)
    for n in (513, 5000, 40000):
        assert LogMel(options)(torch.zeros(1, n)).shape[-1] == options.count_frames(n)


@pytest.mark.parametrize(
    ("reference", "top_db", "level"),
    [
        ("one", None, -100.0),
        ("one", 80.0, -100.0),
        ("max", 80.0, -80.0),
        ("max", None, -100.0),
    ],
)
def test_silence_is_finite_and_the_quietest(
    reference: str, top_db: float | None, level: float
) -> None:
    options = MelOptions(
        duration=0.5, reference=reference, top_db=top_db, peak_normalize=True, deltas=True
    )
    x = np.zeros(options.n_samples, np.float32)
    for found in (by_module(x, options), MelExtractor(options)(x)):
        assert options.floor_db == level
        np.testing.assert_allclose(found[0], level, atol=1e-4)
        np.testing.assert_array_equal(found[1], 0)


def test_peak_normalisation_makes_the_gain_irrelevant() -> None:
    options = MelOptions(duration=0.5, peak_normalize=True)
    x = signal("noise", options)
    loud = x / np.abs(x).max()
    plain = MelOptions(duration=0.5)
    for gain in (1.0, -0.25, 1e-6):
        found = by_module(x * np.float32(gain), options)
        np.testing.assert_allclose(found, by_module(loud, plain), rtol=0, atol=1e-3)


def test_autocast_does_not_coarsen_the_features() -> None:
    options = MelOptions(duration=0.5)
    x = torch.from_numpy(signal("noise", options))[None]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = LogMel(options)(x)
    assert torch.equal(found, LogMel(options)(x))


def test_features_do_not_change_when_the_extractor_is_used_again() -> None:
    options = MelOptions(duration=0.5)
    extractor = MelExtractor(options)
    x = signal("noise", options)
    before = x.copy()
    first = extractor(x)
    kept = first.copy()
    extractor(np.zeros_like(x))
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(x, before)


def test_wrong_waves_are_refused() -> None:
    options = MelOptions(duration=0.5)
    with pytest.raises(DataError, match="expected at least 513"):
        LogMel(options)(torch.zeros(1, 100))
    with pytest.raises(DataError, match=r"\(batch, time\)"):
        LogMel(options)(torch.zeros(11025))
    with pytest.raises(DataError, match="cut the clip"):
        MelExtractor(options)(np.zeros(11024, np.float32))
    with pytest.raises(DataError, match="int16"):
        MelExtractor(options)(np.zeros(11025, np.int16))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="expected at least 9"):
        delta(torch.zeros(2, 8))


def test_a_short_window_without_centring_begins_with_the_clip() -> None:
    options = MelOptions(
        16000,
        1.0,
        512,
        160,
        64,
        125.0,
        7500.0,
        1.0,
        center=False,
        win_length=400,
        mel_scale="kaldi",
        log_offset=1e-3,
    )
    x = signal("tone in noise", options)
    frames = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), 400)[::160]
    assert options.shape == (1, 64, len(frames)) == (1, 64, 98)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    magnitude = np.abs(np.fft.rfft(frames * window, 512))
    filters = filters_of(options)
    expected = 20 * np.log10(filters @ magnitude.T + 1e-3)
    np.testing.assert_allclose(by_module(x, options)[0], expected, rtol=0, atol=1e-3)
    np.testing.assert_allclose(MelExtractor(options)(x)[0], expected, rtol=0, atol=1e-3)


def test_silence_behind_an_offset_is_finite_and_the_quietest() -> None:
    for options in (MelOptions(log_offset=1e-3, power=1.0), MelOptions(log_offset=1e-5)):
        level = by_module(np.zeros(options.n_samples, np.float32), options)
        np.testing.assert_allclose(level, options.floor_db, atol=1e-4)
        loud = by_module(signal("fading", options), options)
        assert loud.min() >= level.max() - 1e-4
    relative = MelOptions(log_offset=1e-3, power=1.0, reference="max")
    silent = by_module(np.zeros(relative.n_samples, np.float32), relative)
    np.testing.assert_allclose(silent, relative.floor_db, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(n_frames=st.integers(9, 60), seed=st.integers(0, 1000))
def test_deltas_equal_librosa(n_frames: int, seed: int) -> None:
    x = np.random.default_rng(seed).uniform(-100, 20, (3, n_frames)).astype(np.float32)
    found = delta(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, librosa.feature.delta(x), rtol=0, atol=1e-5)


def test_deltas_are_the_second_channel_of_the_levels() -> None:
    options = MelOptions(duration=20480 / 22050, n_mels=60, deltas=True)
    x = np.random.default_rng(0).uniform(-1, 1, options.n_samples).astype(np.float32)
    assert options.shape == (2, 60, 41)
    for found in (LogMel(options)(torch.from_numpy(x)[None])[0].numpy(), MelExtractor(options)(x)):
        assert found.shape == (2, 60, 41)
        expected = librosa.feature.delta(found[0])
        np.testing.assert_allclose(found[1], expected, rtol=0, atol=1e-5)
