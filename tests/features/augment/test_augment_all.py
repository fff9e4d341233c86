"""What every augmentation of spectrograms promises."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from augment_sounds import MEL, features, mixed_batch, noise
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from semisonic.core.errors import DataError, OptionError
from semisonic.features.augmentation import (
    Augmentation,
    Background,
    BandCrop,
    BandGain,
    BandMask,
    Gain,
    Mixup,
    Speed,
    TimeCrop,
    TimeMask,
    TimeShift,
    TimeStretch,
    augmenter,
)
from semisonic.features.logmel import delta
from semisonic.features.options import MelOptions
from semisonic.features.wave_augmentation import Noise, PitchShift

WAVES = MelOptions(input="wave", sample_rate=16000)
MAKERS = {
    "time shift": lambda mel: TimeShift(mel, 60.0),
    "gain": lambda mel: Gain(mel, 6.0),
    "band gain": lambda mel: BandGain(mel, 6.0),
    "time mask": lambda mel: TimeMask(mel, 2, 0.5),
    "band mask": lambda mel: BandMask(mel, 2, 10),
    "stretch": lambda mel: TimeStretch(mel, 0.7, 1.4),
    "band crop": lambda mel: BandCrop(mel, 10),
    "background": lambda mel: Background(mel, 0.0, 10.0),
    "strong": lambda mel: augmenter("strong", mel),
    "all": lambda mel: augmenter("strong", mel, max_cut=8, background=1.0),
}
FRONT_ENDS = {
    "plain": MEL,
    "magnitude": dataclasses.replace(MEL, power=1.0),
    "range": dataclasses.replace(MEL, top_db=70.0),
    "relative": dataclasses.replace(MEL, reference="max"),
    "relative range": dataclasses.replace(MEL, reference="max", top_db=80.0),
    "deltas": dataclasses.replace(MEL, deltas=True),
    "few bands": dataclasses.replace(MEL, n_mels=12, fmin_hz=100.0, fmax_hz=8000.0),
}
each = pytest.mark.parametrize("name", MAKERS)


def made(name: str, mel: MelOptions = MEL) -> Augmentation:
    module = MAKERS[name](mel)
    assert isinstance(module, Augmentation)
    return module


def run(name: str, x: Tensor, mel: MelOptions = MEL, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    result: Tensor = made(name, mel)(x)
    return result


@each
def test_nothing_happens_in_eval(name: str) -> None:
    x = mixed_batch()
    assert torch.equal(made(name).eval()(x), x)


@each
def test_shape_type_and_input_are_kept(name: str) -> None:
    x = mixed_batch()
    before = x.clone()
    y = run(name, x)
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    assert torch.isfinite(y).all()
    assert torch.equal(x, before)
    assert not torch.equal(y, x)


@each
def test_each_row_has_its_own_draw_and_each_call_another(name: str) -> None:
    x = mixed_batch()
    if name not in ("background", "all"):  # whose rows must differ to be mixed
        x = x[:1].expand(6, -1, -1, -1).contiguous()
    first, second = run(name, x, seed=1), run(name, x, seed=2)
    changed = [not torch.allclose(first[i], first[j]) for i in range(6) for j in range(i)]
    assert sum(changed) >= 13  # of 15 pairs
    assert not torch.equal(first, second)


@each
def test_silence_stays_silence(name: str) -> None:
    x = features(torch.zeros(4, MEL.n_samples))
    assert torch.equal(run(name, x), x)


@each
@pytest.mark.parametrize("kind", FRONT_ENDS)
def test_results_are_such_as_the_front_end_gives(name: str, kind: str) -> None:
    mel = FRONT_ENDS[kind]
    if name == "gain" and mel.reference == "max":
        pytest.skip("refused; see below")
    if name == "band mask" and mel.n_mels < 20:
        pytest.skip("wider than the bands")
    x = mixed_batch(mel)
    y = run(name, x, mel)
    level = y[:, :1]
    assert torch.isfinite(y).all()
    if mel.reference == "one":
        assert level.min() >= -100.0
    masked = name in ("time mask", "band mask", "strong", "all")  # may hide the loudest cell
    if mel.reference == "max":
        assert level.max() <= 1e-4
        if name not in ("stretch", "time shift", "band crop") and not masked:
            assert torch.allclose(level.amax((1, 2, 3)), torch.zeros(len(y)), atol=1e-4)
    if mel.top_db is not None and not masked:
        assert (level.amax((1, 2, 3)) - level.amin((1, 2, 3)) <= mel.top_db + 1e-3).all()
    if mel.deltas:
        assert torch.allclose(y[:, 1], delta(level[:, 0]), atol=1e-5)


@each
def test_wrong_shapes_are_refused(name: str) -> None:
    module = made(name)
    for wrong in (torch.zeros(2, 1, 63, 50), torch.zeros(2, 64, 50), torch.zeros(2, 2, 64, 50)):
        with pytest.raises(DataError, match=r"expected floats \(batch, 1, 64, frame\)"):
            module(wrong)


@each
def test_half_precision_and_other_lengths_are_taken(name: str) -> None:
    x = mixed_batch()[..., :77].half()
    y = run(name, x)
    assert y.shape == x.shape
    assert y.dtype == torch.float16


@each
def test_autocast_does_not_make_levels_coarse(name: str) -> None:
    x = mixed_batch()
    plain = run(name, x, seed=4)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(run(name, x, seed=4), plain)


@each
def test_everything_is_computed_where_the_features_are(name: str) -> None:
    """The device without memory fails when a tensor comes from elsewhere or a value is read."""
    x = torch.zeros(4, *MEL.shape, device="meta")
    assert made(name).to("meta")(x).device.type == "meta"


def test_pairs_are_mixed_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = torch.zeros(4, *MEL.shape, device="meta"), torch.zeros(4, 3, device="meta")
    module = Mixup(0.4)  # torch cannot draw from Beta there
    monkeypatch.setattr(module, "draw_share", lambda _: torch.zeros(4, device="meta"))
    assert {part.device.type for part in module(x, y)} == {"meta"}


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n_frames=st.integers(4, 90),
    n_silent=st.integers(0, 90),
    name=st.sampled_from(sorted(MAKERS)),
)
def test_any_length_of_sound_in_any_length_of_clip(
    seed: int, n_frames: int, n_silent: int, name: str
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(3, 1, MEL.n_mels, n_frames, generator=generator) * 10 - 30
    x[..., max(0, n_frames - n_silent) :] = -100.0
    y = run(name, x, seed=seed)
    assert torch.isfinite(y).all()
    assert y.min() >= -100.0
    assert y.max() <= x.max() + 30


def test_a_level_change_is_refused_where_the_front_end_removes_levels() -> None:
    for change in ({"reference": "max"}, {"peak_normalize": True}):
        mel = dataclasses.replace(MEL, **change)
        with pytest.raises(OptionError, match="removes the level of every clip"):
            Gain(mel, 6.0)
        assert [type(step) for step in augmenter("weak", mel).steps] == [TimeShift]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: TimeShift(MEL, -1.0), "'max_shift': found -1.0 s"),
        (lambda: Gain(MEL, float("nan")), "'max_db'"),
        (lambda: BandGain(MEL, 3.0, 1), "'n_points': found 1"),
        (lambda: TimeMask(MEL, 0, 0.5), "'n_masks'"),
        (lambda: TimeMask(MEL, 1, 0.001), "at least one frame"),
        (lambda: BandMask(MEL, 1, 64), "expected 1 to 63"),
        (lambda: BandCrop(MEL, 64), "expected 0 to 63"),
        (lambda: TimeStretch(MEL, 1.2, 0.8), "lower value first"),
        (lambda: TimeStretch(MEL, 0.1, 1.0), "expected 0.25 to 4"),
        (lambda: Background(MEL, 20.0, 10.0), "lower value first"),
        (lambda: Background(MEL, 3.0, 4.0, 1.5), "'share': found 1.5"),
        (lambda: TimeCrop(MEL, 9.0), "expected 0.0233 to 3 s"),
        (lambda: Mixup(0.0), "leave it out"),
        (lambda: BandGain(WAVES, 3.0), "it changes spectrograms"),
        (lambda: Speed(MEL, 0.8, 1.2), "it changes waveforms"),
        (lambda: Speed(WAVES, 0.5, 9.0), "expected 0.25 to 4"),
        (lambda: PitchShift(WAVES, 25.0), "expected 0 to 24"),
        (lambda: Noise(WAVES, "white", 5.0, 1.0), "lower value first"),
        (lambda: Noise(WAVES, "red", 1.0, 5.0), "'white' or 'pink'"),
        (lambda: augmenter("stong", MEL), "did you mean 'strong'"),
        (lambda: augmenter("mixed", WAVES), "augmentation: found 'mixed'"),
    ],
)
def test_options_that_cannot_work_are_named(make: object, text: str) -> None:
    with pytest.raises(OptionError, match=text):
        make()  # type: ignore[operator]


def test_named_sets_change_clips_strong_more_than_weak() -> None:
    assert isinstance(augmenter("none", MEL), nn.Identity)
    x, n_steps = mixed_batch(), [0]
    for name in ("weak", "strong"):
        module = augmenter(name, MEL)
        assert not torch.equal(module(x), x)
        n_steps.append(len(module.steps))
    assert n_steps == [0, 2, 6]


def test_mixed_changes_each_clip_weakly_or_strongly() -> None:
    x = features(noise(40, 5))
    module = augmenter("mixed", MEL)
    y = module(x)
    masked = [(clip[0].diff(dim=1).abs().amax(0) == 0).any() for clip in y]
    assert 0 < sum(masked) < 40
    assert torch.equal(module.eval()(x), x)


@pytest.mark.parametrize(
    "change",
    [
        {"n_mels": 1},
        {"n_mels": 3},
        {"sample_rate": 44100, "n_fft": 65536, "hop_length": 32768, "n_mels": 28},
        {"reference": "max", "top_db": 80.0},
    ],
)
def test_named_sets_fit_front_ends_of_few_bands_and_long_hops(change: dict[str, object]) -> None:
    mel = dataclasses.replace(MEL, **change)  # type: ignore[arg-type]
    x = torch.randn(3, *mel.shape)
    assert augmenter("strong", mel)(x).shape == x.shape
