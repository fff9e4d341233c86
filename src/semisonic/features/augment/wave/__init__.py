"""Augmentation of samples, (batch, time), on any device; each row by its own draw."""

from semisonic.features.augment.wave.background import Background
from semisonic.features.augment.wave.base import WaveAugmentation
from semisonic.features.augment.wave.class_wise import (
    PICZAK_ESC10,
    PICZAK_OTHERS,
    ClassWise,
    Limits,
    piczak_limits,
)
from semisonic.features.augment.wave.crop import Crop
from semisonic.features.augment.wave.gain import Gain
from semisonic.features.augment.wave.noise import PinkNoise, WhiteNoise
from semisonic.features.augment.wave.pitch_shift import PitchShift, played
from semisonic.features.augment.wave.resampling import resampled
from semisonic.features.augment.wave.speed import Speed
from semisonic.features.augment.wave.stretch import Stretch
from semisonic.features.augment.wave.time_shift import TimeShift
from semisonic.features.augment.wave.views import WaveChain, wave_view
from semisonic.features.augment.wave.vocoder import phase_vocoder

__all__ = [
    "PICZAK_ESC10",
    "PICZAK_OTHERS",
    "Background",
    "ClassWise",
    "Crop",
    "Gain",
    "Limits",
    "PinkNoise",
    "PitchShift",
    "Speed",
    "Stretch",
    "TimeShift",
    "WaveAugmentation",
    "WaveChain",
    "WhiteNoise",
    "phase_vocoder",
    "piczak_limits",
    "played",
    "resampled",
    "wave_view",
]
