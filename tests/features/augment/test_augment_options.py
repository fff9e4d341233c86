"""Options of augmentation, the named sets, and the module made from them."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
import torch
from augment_sounds import MEL, mixed_batch
from torch import nn

from semisonic.core.errors import OptionError
from semisonic.features.augment.chain import Chain, augmenter
from semisonic.features.options import PRESETS, AugmentOptions, preset

SWITCHES = {
    "time_shift": 1.0,
    "stretch_min": 0.8,
    "stretch_max": 1.2,
    "pitch": 2.0,
    "crop_time": 0.5,
    "crop_bands": 4,
    "band_gain_db": 3.0,
    "gain_db": 3.0,
    "background": 1.0,
    "white_noise": 1.0,
    "pink_noise": 1.0,
    "time_masks": 2,
    "band_masks": 2,
}
DETAILS = {
    "band_gain_points": ("band_gain_db", 3.0, 12),
    "snr_min_db": ("white_noise", 1.0, -30.0),
    "snr_max_db": ("background", 1.0, 60.0),
    "time_mask_width": ("time_masks", 2, 2.0),
    "band_mask_width": ("band_masks", 2, 30),
}


def test_every_option_is_tested_here() -> None:
    names = {field.name for field in dataclasses.fields(AugmentOptions)}
    assert names == set(SWITCHES) | set(DETAILS)


def test_the_defaults_change_nothing() -> None:
    assert isinstance(augmenter(AugmentOptions(), MEL), nn.Identity)
    assert PRESETS["none"] == AugmentOptions()


@pytest.mark.parametrize("name", SWITCHES)
def test_each_switch_alone_changes_clips(name: str) -> None:
    module = augmenter(AugmentOptions(**{name: SWITCHES[name]}), MEL)
    assert isinstance(module, Chain)
    assert len(module.steps) == 1
    x = mixed_batch()
    assert not torch.equal(module(x), x)


@pytest.mark.parametrize("name", DETAILS)
def test_each_detail_makes_another_change(name: str) -> None:
    switch, on, value = DETAILS[name]
    x = mixed_batch()
    results = []
    for extra in ({}, {name: value}):
        torch.manual_seed(1)
        results.append(augmenter(AugmentOptions(**{switch: on, **extra}), MEL)(x))
    assert not torch.equal(*results)


@pytest.mark.parametrize("name", ["weak", "strong"])
def test_named_sets_change_clips_strong_more_than_weak(name: str) -> None:
    x = mixed_batch()
    assert not torch.equal(augmenter(PRESETS[name], MEL)(x), x)
    assert preset(name, MEL) == PRESETS[name]
    assert len(augmenter(PRESETS["strong"], MEL).steps) > len(augmenter(PRESETS["weak"], MEL).steps)


def test_named_sets_fit_front_ends_of_few_bands_and_long_hops() -> None:
    for change in (
        {"n_mels": 1},
        {"n_mels": 3},
        {"sample_rate": 44100, "n_fft": 65536, "hop_length": 32768, "n_mels": 28},
        {"reference": "max", "top_db": 80.0},
    ):
        mel = dataclasses.replace(MEL, **change)
        module = augmenter(preset("strong", mel), mel)
        x = torch.randn(3, *mel.shape)
        assert module(x).shape == x.shape


def test_wrong_values_and_names_are_refused() -> None:
    with pytest.raises(OptionError, match="lower value first"):
        AugmentOptions(snr_min_db=30.0, snr_max_db=10.0)
    with pytest.raises(OptionError, match="'white_noise'"):
        AugmentOptions(white_noise=2.0)
    with pytest.raises(OptionError, match="did you mean 'strong'"):
        preset("stong", MEL)
    with pytest.raises(OptionError, match="'max_bands'"):
        augmenter(AugmentOptions(band_masks=1, band_mask_width=64), MEL)


def test_the_options_do_not_need_torch() -> None:
    code = "import sys, semisonic.features.options as a; a.AugmentOptions(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "torch" not in done.stdout.split()
