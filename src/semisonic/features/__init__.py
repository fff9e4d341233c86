"""Samples to features: log-mel spectrograms, deltas, standardisation, MFCC statistics.

One front end serves training, prediction and export: :class:`LogMel` works on batches on
any device, :class:`MelExtractor` on one clip at a time on the CPU, and both give the same
numbers. Names are imported when first used, so that :class:`MelOptions` (which the command
line needs for its help) does not pull in torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

_HOME = {
    "Extractor": "wave",
    "Frontend": "frontend",
    "LogMel": "logmel",
    "MelExtractor": "extractor",
    "Standardize": "standardize",
    "WaveExtractor": "wave",
    "Waveform": "wave",
    "delta": "deltas",
    "hz_to_mel": "filterbank",
    "make_extractor": "wave",
    "mel_filters": "filterbank",
    "mel_statistics": "statistics",
    "mel_to_hz": "filterbank",
    "mfcc": "cepstrum",
    "mfcc_statistics": "cepstrum",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
