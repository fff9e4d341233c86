"""Tiny recordings of three kinds of sound that are easy to tell apart."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

from semisonic.core.seeds import generator
from semisonic.features.options import MelOptions
from semisonic.training.options import FitOptions

RATE = 8000
KINDS = ("hiss", "hum", "sweep")
MEL = MelOptions(sample_rate=RATE, duration=0.5, n_fft=256, hop_length=128, n_mels=16)
NOTATION = "(8)3c-2p-(8)3c-2p-16fcr"
PLAIN: dict[str, Any] = {"batch_size": 8, "precision": "fp32"}
QUICK = FitOptions(epochs=12, learning_rate=5e-3, monitor="val_choice", **PLAIN)
QUICK_PRETRAIN = FitOptions(epochs=2, learning_rate=3e-3, **PLAIN)


def sound(kind: str, number: int, duration: float = 0.5) -> np.ndarray:
    """A sound of a kind; each number is another recording."""
    rng = generator(number, "test sound", kind)
    time = np.arange(round(duration * RATE)) / RATE
    if kind == "hiss":
        wave = rng.normal(0, 0.15, len(time))
    elif kind == "hum":
        wave = 0.4 * np.sin(2 * np.pi * rng.uniform(150, 300) * time)
    else:
        low, high = rng.uniform(800, 1200), rng.uniform(2500, 3500)
        wave = 0.4 * np.sin(2 * np.pi * (low + (high - low) * time / duration / 2) * time)
    return (wave + rng.normal(0, 0.01, len(time))).astype(np.float32)


def write_kinds(folder: Path, n: int, first: int = 0, suffix: str = ".wav") -> Path:
    """A folder of class folders with ``n`` recordings each."""
    for kind in KINDS:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(first, first + n):
            sf.write(folder / kind / f"{number:02d}{suffix}", sound(kind, number), RATE)
    return folder


@lru_cache
def features_of_kinds(n: int, mel: MelOptions = MEL) -> np.ndarray:
    """Features of ``n`` recordings whose kinds take turns; they cannot be written to."""
    from semisonic.classifier.prepare import prepare_waves
    from semisonic.data.clips import Clips

    waves = [sound(KINDS[i % 3], i) for i in range(n)]
    clips = Clips.from_rows(".", [{"file": f"{i:02d}"} for i in range(n)])
    found = np.asarray(prepare_waves(clips, waves, mel).features)
    found.flags.writeable = False
    return found
