"""The memory and speed of ``detect`` on recordings of an hour and of a day.

    python benchmarks/detect_memory.py -o benchmarks/results/detect_memory.json

Each recording is heard in a process of its own; the numbers are its largest resident memory,
imports included, and the seconds of audio heard in a second. The recordings are an hour of noise
with tones, over and over; the network is ``small`` as it is before training, which costs the same.
Windows of five seconds start every five seconds; by default they would start four times as often.
"""

# ruff: noqa: E402  (thread counts must be set before numpy and torch are imported)
from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile as sf
import torch

from measuring import head
from semisonic.core.files import write_json
from semisonic.core.seeds import generator
from semisonic.features.options import MelOptions
from semisonic.models.model_file import save
from semisonic.models.sound_model import build

RATE = 16_000
CLASSES = tuple(f"class {i}" for i in range(10))
HEARD = """
import json, resource, sys, torch
torch.set_num_threads(1)
from semisonic.classifier.options import EventOptions
from semisonic.classifier.detection.detect import run_detect
from pathlib import Path
model, file, output = sys.argv[1:]
found = run_detect(
    Path(model), (Path(file),), Path(output), EventOptions(hop=5.0, threshold="0.1"), device="cpu",
    workers=1,
)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([peak / 1024, found.scored_seconds / found.seconds, len(found.events)]))
"""


def write_hours(path: Path, hours: int) -> None:
    """An hour of noise with a tone every ten seconds, over and over."""
    minutes = []
    for minute in range(60):
        rng = generator(minute, "minute")
        wave = rng.normal(0, 0.01, 60 * RATE)
        for start in range(0, 60, 10):
            tone = 0.2 * np.sin(2 * np.pi * rng.uniform(300, 4000) * np.arange(RATE) / RATE)
            wave[start * RATE : (start + 1) * RATE] += tone
        minutes.append((32767 * wave).astype(np.int16))
    with sf.SoundFile(path, "w", RATE, 1, "PCM_16") as stream:
        for _ in range(hours):
            for part in minutes:
                stream.write(part)


def write_model(path: Path) -> None:
    """The network ``small`` for clips of five seconds."""
    torch.manual_seed(0)
    mel = MelOptions(sample_rate=RATE)
    model = build("small", mel, CLASSES)
    model.frontend.standardize.fit(np.random.default_rng(0).normal(-40, 15, (4, *mel.shape)))
    save(path, model)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--hours", default="1,24")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_model(place / "model.zip")
        for hours in map(int, options.hours.split(",")):
            write_hours(place / "long.wav", hours)
            command = [
                sys.executable,
                "-c",
                HEARD,
                place / "model.zip",
                place / "long.wav",
                place / f"run-{hours}",
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            peak, speed, n_events = json.loads(done.stdout)
            rows.append(
                {
                    "hours": hours,
                    "peak_resident_mb": round(peak, 1),
                    "n_events": n_events,
                    "times_faster_than_real_time": round(speed, 1),
                    "recording_mb": round((place / "long.wav").stat().st_size / 1e6, 1),
                }
            )
            print(rows[-1], flush=True)
            write_json(
                options.output,
                {
                    **head(" ".join(["python", *sys.argv]), 0),
                    "rows": rows,
                },
            )


if __name__ == "__main__":
    main()
