"""Augmenting a batch, against librosa's effects and a loop over clips, beside a training step.

    python benchmarks/augmentation_speed.py -o runs/bench/augmentation_speed.json

``augmentation.py`` has the times of every augmentation.
"""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import torch
from torch import Tensor

import limits
import material
import measuring
from measuring import Row
from semisonic.features.augmentation import BandMask, TimeMask, TimeStretch, augmenter
from semisonic.features.logmel import LogMel
from semisonic.features.options import MelOptions
from semisonic.features.wave_augmentation import PitchShift

PART, N, MEL = "augmentation", 32, MelOptions()
SAMPLES = MelOptions(input="wave")
MASKS, WIDTH_S, BANDS = 2, 0.4, 8


def masks_by_hand(x: Tensor, numbers: torch.Generator) -> Tensor:
    """Two masks in time and two of bands for each clip, a clip at a time (Park et al. 2019)."""
    y = x.clone()
    width = round(WIDTH_S * MEL.sample_rate / MEL.hop_length)
    for clip in y:
        level = clip.mean()
        for size, axis in ((width, 2), (width, 2), (BANDS, 1), (BANDS, 1)):
            n = int(torch.randint(0, size + 1, (), generator=numbers))
            start = int(torch.randint(0, clip.shape[axis] - n, (), generator=numbers))
            clip.narrow(axis, start, n).fill_(level)
    return y


def measure(data: Path | None) -> list[Row]:
    del data  # speed does not depend on the sounds
    waves = torch.from_numpy(np.stack([material.noise(MEL.n_samples, i) for i in range(8)]))
    x, numbers = LogMel(MEL)(waves).repeat(N // 8, 1, 1, 1), torch.Generator().manual_seed(0)
    masks = (TimeMask(MEL, MASKS, WIDTH_S), BandMask(MEL, MASKS, BANDS))
    strong = augmenter("strong", MEL)
    n_bytes = x.numel() * x.element_size()
    copy = ("a copy in memory", 2 * n_bytes / limits.bandwidth(1 << 26))
    times = measuring.take_turns(
        {
            "ours": lambda: masks[1](masks[0](x)),
            "a loop over clips": lambda: masks_by_hand(x, numbers),
        },
        25,
    )
    rows = measuring.compare(
        PART,
        "masks in time and bands",
        times,
        ours="ours",
        n=N,
        against=("a loop over clips",),
        limit=copy,
        unit="ms a clip",
    )
    rows += measuring.compare(
        PART,
        "set strong",
        measuring.take_turns({"ours": lambda: strong(x)}, 25),
        ours="ours",
        n=N,
        against=(),
        limit=copy,
    )
    stretch = TimeStretch(SAMPLES, 0.8, 1.25)
    pitch = PitchShift(SAMPLES, 3.0)
    clips = list(waves.numpy())
    times = measuring.take_turns(
        {
            "stretch": lambda: stretch(waves),
            "pitch": lambda: pitch(waves),
            "librosa time_stretch": lambda: [
                librosa.effects.time_stretch(x, rate=1.1) for x in clips
            ],
            "librosa pitch_shift": lambda: [
                librosa.effects.pitch_shift(x, sr=MEL.sample_rate, n_steps=2) for x in clips
            ],
        },
        3,
    )
    for name, ours, theirs in (
        ("stretch of samples", "stretch", "librosa time_stretch"),
        ("pitch shift of samples", "pitch", "librosa pitch_shift"),
    ):
        rows += measuring.compare(PART, name, times, ours=ours, n=len(clips), against=(theirs,))
    return rows


if __name__ == "__main__":
    measuring.main(__doc__, measure)
