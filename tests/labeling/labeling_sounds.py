"""Tiny recordings of three kinds of sound that any network tells apart."""

from __future__ import annotations

import numpy as np
import soundfile as sf

from semisonic.core.seeds import generator
from semisonic.features.options import MelOptions

RATE = 8000
KINDS = ("hiss", "hum", "sweep")
MEL = MelOptions(sample_rate=RATE, duration=0.5, n_fft=256, hop_length=128, n_mels=16)


def sound(kind, number):
    """Half a second of a kind; each number is another recording."""
    rng = generator(number, "labeling sound", kind)
    time = np.arange(RATE // 2) / RATE
    if kind == "hiss":
        wave = rng.normal(0, 0.15, len(time))
    elif kind == "hum":
        wave = 0.4 * np.sin(2 * np.pi * rng.uniform(190, 210) * time)
    else:
        low, high = rng.uniform(900, 1100), rng.uniform(2900, 3100)
        wave = 0.4 * np.sin(2 * np.pi * (low + (high - low) * time) * time)
    return (wave + rng.normal(0, 0.005, len(time))).astype(np.float32)


def write_kinds(folder):
    """Class folders of six recordings each; the folder."""
    for kind in KINDS:
        (folder / kind).mkdir(parents=True)
        for number in range(6):
            sf.write(folder / kind / f"{number}.wav", sound(kind, number), RATE)
    return folder
