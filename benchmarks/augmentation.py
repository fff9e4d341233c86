"""Augmentations on one core, in microseconds a clip.

    python benchmarks/augmentation.py -o benchmarks/results/augmentation.json

Process CPU time, medians of interleaved rounds, one thread, clips of 5 s: features of 64 bands
and 216 frames in batches of 20 and of 80, samples at 22 050 Hz in batches of 20. ``step`` is a
training step of the network ``small`` (float32, AdamW) on a batch of 20, for comparison.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

import measuring
from semisonic.core.files import write_json
from semisonic.features.augmentation import (
    Background,
    BandCrop,
    BandGain,
    BandMask,
    Gain,
    Mixup,
    Speed,
    TimeCrop,
    TimeMask,
    TimeShift,
    TimeStretch,
    augmenter,
)
from semisonic.features.logmel import LogMel
from semisonic.features.options import MelOptions
from semisonic.features.wave_augmentation import (
    PICZAK_ESC10,
    PICZAK_OTHERS,
    ClassWise,
    Noise,
    PitchShift,
)
from semisonic.models.sound_model import build

MEL = MelOptions()
SAMPLES = MelOptions(input="wave")
CLASSES = [*PICZAK_ESC10, "rain", "clock_tick", "crackling_fire"]
SPECTROGRAM: dict[str, nn.Module] = {
    "time shift": TimeShift(MEL, 60.0),
    "gain": Gain(MEL, 6.0),
    "band gain": BandGain(MEL, 6.0),
    "time masks": TimeMask(MEL, 2, 0.4),
    "band masks": BandMask(MEL, 2, 8),
    "stretch": TimeStretch(MEL, 0.8, 1.25),
    "background": Background(MEL, 10.0, 20.0),
    "time crop to 2 s": TimeCrop(MEL, 2.0),
    "crop of bands": BandCrop(MEL, 8),
    "set weak": augmenter("weak", MEL),
    "set strong": augmenter("strong", MEL),
}
WAVES: dict[str, nn.Module] = {
    "time shift": TimeShift(SAMPLES, 60.0),
    "gain": Gain(SAMPLES, 6.0),
    "speed": Speed(SAMPLES, 0.8, 1.25),
    "stretch": TimeStretch(SAMPLES, 0.8, 1.25),
    "pitch shift": PitchShift(SAMPLES, 3.0),
    "white noise": Noise(SAMPLES, "white", 10.0, 20.0),
    "pink noise": Noise(SAMPLES, "pink", 10.0, 20.0),
}


def measure(calls: dict[str, Callable[[], Any]], n_clips: int, rounds: int) -> dict[str, float]:
    """Median microseconds of CPU time a clip; calls take turns."""
    times = measuring.take_turns(calls, rounds)
    return {name: round(statistics.median(t) / n_clips * 1e6, 1) for name, t in times.items()}


def training_step(x: Tensor, y: Tensor) -> Callable[[], None]:
    model = build("small", MEL, CLASSES)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)

    def step() -> None:
        loss = functional.cross_entropy(model.from_features(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, help="JSON file for the results")
    parser.add_argument("--rounds", type=int, default=31, help="rounds (default 31)")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    waves = 0.1 * torch.randn(80, MEL.n_samples)
    waves[::4, 22050:] = 0.0  # a quarter is padded, as in ESC-10
    features = LogMel(MEL)(waves)
    shares = torch.eye(len(CLASSES))[torch.randint(len(CLASSES), (80,))]
    result: dict[str, Any] = {
        **measuring.record(
            what="augmentations on one core, CPU time in microseconds a clip of 5 s",
            rounds=arguments.rounds,
        ),
        "spectrograms": {},
    }
    for n in (20, 80):
        x, y = features[:n].clone(), shares[:n].clone()
        calls: dict[str, Callable[[], Any]] = {
            name: partial(f, x) for name, f in SPECTROGRAM.items()
        }
        calls["mixup"] = partial(Mixup(0.4), x, y)
        result["spectrograms"][f"batch {n}"] = measure(calls, n, arguments.rounds)
    x, y = waves[:20].clone(), shares[:20].argmax(1)
    bend = ClassWise(MEL.sample_rate, CLASSES, PICZAK_ESC10, PICZAK_OTHERS)
    calls = {name: partial(f, x) for name, f in WAVES.items()}
    calls["limits by class"] = partial(bend, x, y)
    result["samples"] = measure(calls, 20, max(3, arguments.rounds // 6))
    step = training_step(features[:20].clone(), y)
    result["step"] = measure({"small": step}, 20, max(3, arguments.rounds // 6))
    print(json.dumps(result, indent=2))
    if arguments.output:
        write_json(arguments.output, result)


if __name__ == "__main__":
    main()
