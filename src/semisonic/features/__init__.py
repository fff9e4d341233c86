"""Samples to features: log-mel spectrograms, deltas, standardisation, MFCC statistics.

One front end serves training, prediction and export: :class:`LogMel` works on batches on
any device, :class:`MelExtractor` on one clip at a time on the CPU, and both give the same
numbers. Names are imported when first used, so that :class:`MelOptions` (which the command
line needs for its help) does not pull in torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from semisonic.base.lazy import lazy_names
from semisonic.features.options import CepstrumOptions, MelOptions

if TYPE_CHECKING:
    from semisonic.features.cepstrum import mfcc, mfcc_statistics
    from semisonic.features.deltas import delta
    from semisonic.features.extractor import MelExtractor
    from semisonic.features.filterbank import hz_to_mel, mel_filters, mel_to_hz
    from semisonic.features.frontend import Frontend
    from semisonic.features.logmel import LogMel
    from semisonic.features.standardize import Standardize
    from semisonic.features.statistics import mel_statistics
    from semisonic.features.wave import Extractor, WaveExtractor, Waveform, make_extractor

__all__ = [
    "CepstrumOptions",
    "Extractor",
    "Frontend",
    "LogMel",
    "MelExtractor",
    "MelOptions",
    "Standardize",
    "WaveExtractor",
    "Waveform",
    "delta",
    "hz_to_mel",
    "make_extractor",
    "mel_filters",
    "mel_statistics",
    "mel_to_hz",
    "mfcc",
    "mfcc_statistics",
]

_WHERE = {
    "wave": ("Extractor", "WaveExtractor", "Waveform", "make_extractor"),
    "frontend": ("Frontend",),
    "logmel": ("LogMel",),
    "extractor": ("MelExtractor",),
    "standardize": ("Standardize",),
    "deltas": ("delta",),
    "filterbank": ("hz_to_mel", "mel_filters", "mel_to_hz"),
    "statistics": ("mel_statistics",),
    "cepstrum": ("mfcc", "mfcc_statistics"),
}

__getattr__ = lazy_names(__name__, _WHERE)
