"""Log-mel on one core: our extractor against librosa and plain torch.stft.

    python benchmarks/frontend.py -o benchmarks/results/frontend.json

Process CPU time in milliseconds a clip, medians of interleaved rounds, one thread. Decoding
and resampling are not counted. ``worst_db`` is the largest difference from librosa on cells
less than 70 dB below the loudest of their frame.
"""

# ruff: noqa: E402  (thread counts must be set before numpy and torch are imported)
from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.features import LogMel, MelExtractor, MelOptions

Wave = NDArray[np.float32]
SETTINGS = {
    "paper 28x36": MelOptions(44100, n_fft=12288, hop_length=6144, n_mels=28),
    "default 64x216": MelOptions(),
    "piczak 60x216": MelOptions(n_mels=60),
    "large 128x501": MelOptions(32000, n_fft=1024, hop_length=320, n_mels=128),
}


def by_librosa(options: MelOptions) -> Callable[[Wave], NDArray[np.floating]]:
    def run(x: Wave) -> NDArray[np.floating]:
        mel = librosa.feature.melspectrogram(
            y=x,
            sr=options.sample_rate,
            n_fft=options.n_fft,
            hop_length=options.hop_length,
            n_mels=options.n_mels,
            pad_mode="reflect",
        )
        return librosa.power_to_db(mel, top_db=None)

    return run


def by_stft(options: MelOptions) -> Callable[[Wave], NDArray[np.floating]]:
    module = LogMel(options)

    def run(x: Wave) -> NDArray[np.floating]:
        with torch.inference_mode():
            return module(torch.from_numpy(x)[None])[0, 0].numpy()

    return run


def by_extractor(options: MelOptions) -> Callable[[Wave], NDArray[np.floating]]:
    extractor = MelExtractor(options)
    return lambda x: extractor(x)[0]


WAYS = {"librosa": by_librosa, "torch.stft": by_stft, "extractor": by_extractor}


def measure(options: MelOptions, rounds: int, clips: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    t = np.arange(options.n_samples) / options.sample_rate
    tone = 0.3 * np.sin(2 * np.pi * 440 * t)
    waves = [(tone + 0.05 * rng.standard_normal(len(t))).astype(np.float32) for _ in range(8)]
    ways = {name: make(options) for name, make in WAYS.items()}
    outputs = {name: run(waves[0]) for name, run in ways.items()}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            run(waves[0])
            start = time.process_time()
            for i in range(clips):
                run(waves[i % len(waves)])
            times[name].append((time.process_time() - start) / clips * 1e3)
    median = {name: statistics.median(values) for name, values in times.items()}
    audible = outputs["librosa"] > outputs["librosa"].max(axis=0) - 70
    worst = np.abs(outputs["extractor"] - outputs["librosa"])[audible].max()
    return {
        "shape": list(options.shape),
        "ms_per_clip": {name: round(value, 4) for name, value in median.items()},
        "librosa_over_extractor": round(median["librosa"] / median["extractor"], 2),
        "stft_over_extractor": round(median["torch.stft"] / median["extractor"], 2),
        "worst_db": float(f"{worst:.2e}"),
    }


def commit() -> str:
    run = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return run.stdout.strip() or "unknown"


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, help="JSON file for the results")
    parser.add_argument("--rounds", type=int, default=9, help="interleaved rounds (default 9)")
    parser.add_argument("--clips", type=int, default=40, help="clips a round (default 40)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result: dict[str, Any] = {
        "what": "log-mel on one core, CPU time in ms a clip of 5 s",
        "command": "python benchmarks/frontend.py",
        "rounds": arguments.rounds,
        "clips": arguments.clips,
        "seed": 0,
        "commit": commit(),
        "machine": processor(),
        "cores": os.cpu_count(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "librosa": librosa.__version__,
        },
        "settings": {},
    }
    for name, options in SETTINGS.items():
        found = measure(options, arguments.rounds, arguments.clips)
        result["settings"][name] = found
        print(name, found["ms_per_clip"], f"x{found['librosa_over_extractor']} against librosa")
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        print(f"written: {arguments.output}", file=sys.stderr)


if __name__ == "__main__":
    main()
