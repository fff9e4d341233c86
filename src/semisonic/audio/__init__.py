"""Recordings to samples: find, probe, decode, resample, check and write audio.

The room knows files and numbers, and nothing of labels or learning. Samples are always
mono ``float32`` within about ±1, times are seconds.
"""

from semisonic.audio.checks import MIN_DURATION, is_silent, problems
from semisonic.audio.find import AUDIO_SUFFIXES, OTHER_SUFFIXES, find_audio
from semisonic.audio.read import read, read_blocks, read_start
from semisonic.audio.resample import fit_length, resample
from semisonic.audio.source import AudioInfo, probe
from semisonic.audio.write import encode, write

__all__ = [
    "AUDIO_SUFFIXES",
    "MIN_DURATION",
    "OTHER_SUFFIXES",
    "AudioInfo",
    "encode",
    "find_audio",
    "fit_length",
    "is_silent",
    "probe",
    "problems",
    "read",
    "read_blocks",
    "read_start",
    "resample",
    "write",
]
