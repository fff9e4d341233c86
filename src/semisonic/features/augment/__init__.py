"""Augmentation: training clips are changed at random, each time anew.

Modules for spectrograms in dB take a batch and change each row with random numbers of its own,
on any device; in ``eval()`` they change nothing. Modules for pairs mix rows and their targets.
:mod:`semisonic.features.augment.wave` does the same on samples.

Names are imported when first used, so that :class:`AugmentOptions` does not pull in torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from semisonic.base.lazy import lazy_names
from semisonic.features.augment.options import PRESETS, AugmentOptions, preset, suited
from semisonic.features.augment.own import OWN, register_augmentation

if TYPE_CHECKING:
    from semisonic.features.augment.background import Background
    from semisonic.features.augment.band_gain import BandGain
    from semisonic.features.augment.band_mask import BandMask
    from semisonic.features.augment.base import Augmentation
    from semisonic.features.augment.between_class import BetweenClass, mix_by_loudness
    from semisonic.features.augment.builder import Chain, OwnView, augmenter
    from semisonic.features.augment.gain import Gain
    from semisonic.features.augment.mixing import PairMixing, mix_targets, other_rows
    from semisonic.features.augment.mixup import Mixup, blend
    from semisonic.features.augment.noise import PinkNoise, WhiteNoise
    from semisonic.features.augment.pitch_shift import PitchShift
    from semisonic.features.augment.resized_crop import ResizedCrop
    from semisonic.features.augment.stretch import Stretch
    from semisonic.features.augment.time_crop import TimeCrop
    from semisonic.features.augment.time_mask import TimeMask
    from semisonic.features.augment.time_shift import TimeShift

_WHERE = {
    "base": ("Augmentation",),
    "background": ("Background",),
    "band_gain": ("BandGain",),
    "band_mask": ("BandMask",),
    "between_class": ("BetweenClass", "mix_by_loudness"),
    "builder": ("Chain", "OwnView", "augmenter"),
    "gain": ("Gain",),
    "mixup": ("Mixup", "blend"),
    "mixing": ("PairMixing", "mix_targets", "other_rows"),
    "noise": ("PinkNoise", "WhiteNoise"),
    "pitch_shift": ("PitchShift",),
    "resized_crop": ("ResizedCrop",),
    "stretch": ("Stretch",),
    "time_crop": ("TimeCrop",),
    "time_mask": ("TimeMask",),
    "time_shift": ("TimeShift",),
}

__all__ = [
    "OWN",
    "PRESETS",
    "AugmentOptions",
    "Augmentation",
    "Background",
    "BandGain",
    "BandMask",
    "BetweenClass",
    "Chain",
    "Gain",
    "Mixup",
    "OwnView",
    "PairMixing",
    "PinkNoise",
    "PitchShift",
    "ResizedCrop",
    "Stretch",
    "TimeCrop",
    "TimeMask",
    "TimeShift",
    "WhiteNoise",
    "augmenter",
    "blend",
    "mix_by_loudness",
    "mix_targets",
    "other_rows",
    "preset",
    "register_augmentation",
    "suited",
]

__getattr__ = lazy_names(__name__, _WHERE)
