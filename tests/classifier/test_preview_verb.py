"""``data preview``: page, pictures and sounds of every augmentation."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from numpy.typing import NDArray

from semisonic.audio.write import write
from semisonic.classifier.preview import (
    PreviewResult,
    by_inversion,
    choose,
    fitted,
    pair_examples,
    preview,
    spectrogram_examples,
    through_spectrum,
    wave_examples,
)
from semisonic.classifier.use_options import SHOWN, PreviewOptions
from semisonic.core.errors import DataError, OptionError
from semisonic.features.logmel import LogMel
from semisonic.features.options import AugmentOptions, MelOptions, adapted_to

MEL = MelOptions(sample_rate=8000, duration=1.0, n_fft=256, hop_length=128, n_mels=24)
RATE = 8000


def bark(hz: float, seed: int = 0) -> NDArray[np.float32]:
    t = np.arange(RATE) / RATE
    hiss = np.random.default_rng(seed).standard_normal(RATE)
    burst = np.exp(-6 * t) * np.sin(2 * np.pi * hz * t) + 0.01 * hiss
    return (0.4 * burst).astype(np.float32)


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    folder = tmp_path / "sounds"
    for name, hz in (("dog", 400.0), ("bell", 1500.0)):
        for k in range(2):
            (folder / name).mkdir(parents=True, exist_ok=True)
            write(folder / name / f"{name}{k}.wav", bark(hz + 50 * k, k), RATE)
    return folder


def run(data: Path, out: Path, **changes: object) -> PreviewResult:
    return preview(PreviewOptions(data=data, output=out, mel=MEL, **changes))  # type: ignore[arg-type]


def test_every_augmentation_is_shown_and_heard(sounds: Path) -> None:
    clip = choose(PreviewOptions(data=sounds, mel=MEL, clip=2))
    found = [
        *spectrogram_examples(clip, adapted_to(SHOWN, MEL), 0),
        *pair_examples(clip, 0),
        *wave_examples(clip, SHOWN, 0),
    ]
    assert {example.name for example in found} == {
        "time-shift",
        "stretch",
        "pitch-shift",
        "resized-crop",
        "band-gain",
        "gain",
        "background",
        "white-noise",
        "pink-noise",
        "time-masks",
        "band-masks",
        "time-crop",
        "mixup",
        "mixup-of-energies",
        "between-class-mixing",
        "wave-shift",
        "wave-speed",
        "wave-stretch",
        "wave-pitch",
        "wave-gain",
        "wave-background",
        "wave-white-noise",
        "wave-pink-noise",
        "wave-class-wise",
    }
    original = clip.wave[0].numpy()
    for example in found:
        for draw in example.draws:
            assert np.isfinite(draw.wave).all()
            assert np.abs(draw.wave).max() > 0.005, example.name
            whole = example.name != "time-crop"
            assert len(draw.wave) == (len(original) if whole else round(0.4 * RATE))
            assert draw.level.shape == (24, len(draw.wave) // 128 + 1)
            if whole:
                assert not np.array_equal(draw.wave, original)
        assert not np.array_equal(example.draws[0].wave, example.draws[1].wave)


def test_page_pictures_and_sounds_are_written(sounds: Path, tmp_path: Path) -> None:
    options = AugmentOptions(band_gain_db=6.0)
    result = run(sounds, tmp_path / "out", clip=2, augment=options)
    assert result.clip.endswith("dog0.wav")
    names = {path.stem for path in (tmp_path / "out/figures").glob("*.png")}
    assert {"band-gain", "time-crop", "set-weak", "set-strong", "mixup"} < names
    written = {path.stem for path in result.sounds}
    assert written == {"original"} | {f"{name}-{k}" for name in names for k in (1, 2)}
    for path in result.sounds:
        wave, rate = sf.read(path)
        assert rate == RATE
        assert np.abs(wave).max() > 0.005
    html = result.page.read_text(encoding="utf-8")
    assert html.count("<audio") == 1 + 3 * len(names)
    assert "the sound's own spectrum" in html.replace("&#x27;", "'").replace("’", "'")
    assert "Griffin-Lim" in html
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["title"].startswith("Augmentations of")
    assert "sounds in" in result.summary()


def test_draws_differ_and_the_seed_gives_them_again(sounds: Path) -> None:
    clip = choose(PreviewOptions(data=sounds, mel=MEL, clip=0))
    only = AugmentOptions(time_shift=1.0)

    def waves(seed: int) -> list[NDArray[np.float32]]:
        first, crop = spectrogram_examples(clip, only, seed)
        assert (first.name, crop.name) == ("time-shift", "time-crop")
        return [draw.wave for draw in first.draws]

    one, two = waves(0)
    assert not np.array_equal(one, two)
    assert np.array_equal(one, waves(0)[0])
    assert not np.array_equal(one, waves(1)[0])
    assert sorted(one) == sorted(clip.wave[0].tolist())  # samples that moved


def test_the_global_random_numbers_are_left_alone(sounds: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    run(sounds / "dog/dog1.wav", tmp_path / "out", augment=AugmentOptions())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_single_recording_is_shown_without_mixtures(sounds: Path, tmp_path: Path) -> None:
    result = run(sounds / "dog/dog1.wav", tmp_path / "out", augment=AugmentOptions(background=1.0))
    assert "name a folder" in result.summary()
    names = {path.stem for path in result.sounds}
    assert not {name for name in names if "mix" in name or "background" in name}


def test_silent_parts_and_missing_rows_are_refused(tmp_path: Path, sounds: Path) -> None:
    quiet = tmp_path / "quiet"
    quiet.mkdir()
    write(quiet / "none.wav", np.zeros(RATE, np.float32), RATE)
    with pytest.raises(DataError, match="silent from 0 to 1 s"):
        run(quiet, tmp_path / "out")
    with pytest.raises(OptionError, match="has rows 0 to 3"):
        run(sounds, tmp_path / "out", clip=4)
    write(quiet / "some.wav", bark(500.0), RATE)
    assert run(quiet, tmp_path / "out", augment=AugmentOptions()).clip == "some.wav"


def test_a_gain_of_cells_is_heard_as_a_gain() -> None:
    wave = torch.from_numpy(bark(1000.0))
    level = LogMel(MEL)(wave[None])[0, 0]
    louder = through_spectrum(wave, level, level + 6.0, MEL)
    assert torch.allclose(louder[256:-256], 10 ** (6 / 20) * wave[256:-256], atol=1e-3)
    masked = level.clone()
    masked[:, 20:30] = -80.0
    hidden = through_spectrum(wave, level, masked, MEL)
    found = LogMel(MEL)(hidden[None])[0, 0]
    assert (found[:, 22:28] < -50).all()
    assert (found[:, 34:] - level[:, 34:]).abs().mean() < 0.5


def test_a_gain_is_heard_where_windows_do_not_overlap() -> None:
    mel = dataclasses.replace(MEL, hop_length=MEL.n_fft)
    wave = torch.from_numpy(bark(1000.0))
    level = LogMel(mel)(wave[None])[0, 0]
    louder = through_spectrum(wave, level, level + 6.0, mel)
    assert torch.allclose(louder[256:-256], 10 ** (6 / 20) * wave[256:-256], atol=1e-3)


def test_sound_found_again_has_the_levels_it_was_made_for() -> None:
    wave = torch.from_numpy(bark(1000.0))
    level = LogMel(MEL)(wave[None])[0, 0]
    found = LogMel(MEL)(by_inversion(level, wave, MEL)[None])[0, 0]
    loud = level > level.max() - 40
    assert (found - level)[loud].abs().mean() < 2.0


def test_relative_levels_are_shown_without_a_gain(sounds: Path) -> None:
    mel = dataclasses.replace(MEL, reference="max", top_db=80.0)
    clip = choose(PreviewOptions(data=sounds, mel=mel, clip=2))
    assert adapted_to(SHOWN, mel).gain_db == 0.0
    assert fitted(AugmentOptions(pitch=2.0), mel) == (AugmentOptions(pitch=2.0), "")
    assert fitted(SHOWN, mel)[1] == (
        "changed to fit the front end: crop_time 0.5, crop_bands 6, gain_db 0, band_mask_width 3"
    )
    (noisy, _) = spectrogram_examples(clip, AugmentOptions(white_noise=1.0), 0)
    peak = float(clip.wave.abs().max())
    assert all(abs(np.abs(draw.wave).max() - peak) < 1e-4 for draw in noisy.draws)
