"""Recordings that a small network can tell apart, and models that were never trained on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

from semisonic.features.options import MelOptions

RATE = 8000
MEL = MelOptions(sample_rate=RATE, duration=0.5, n_fft=256, hop_length=128, n_mels=16)
FRONT_END = "--sample-rate 8000 --duration 0.5 --n-fft 256 --hop-length 128 --n-mels 16 "
"""The same as options of a command."""


def write_sounds(folder: Path, n: int = 8, kinds: Sequence[str] = ("noise", "tone")) -> Path:
    """Folders of noise and of tones (any other name), half a second each: noise/noise0.wav."""
    time = np.arange(RATE // 2) / RATE
    for kind in kinds:
        (folder / kind).mkdir(parents=True)
        for number in range(n):
            rng = np.random.default_rng([number, len(kind)])
            wave = rng.normal(0, 0.2 if kind == "noise" else 0.01, len(time))
            if kind != "noise":
                wave += 0.3 * np.sin(2 * np.pi * (300 + 20 * number + 40 * len(kind)) * time)
            sf.write(folder / kind / f"{kind}{number}.wav", wave, RATE)
    return folder


def untrained(
    file: Path, classes: Sequence[str] = ("noise", "tone"), notation: str = "(8)3c-2p-gp"
) -> Path:
    """The file of a model with random weights."""
    from semisonic.models.model_file import save
    from semisonic.models.sound_model import build

    more: dict[str, Any] = {"standardize": "none"}
    save(file, build(notation, MEL, tuple(classes), **more), about={"seed": 0})
    return file
