"""What listening costs: work a window, real-time factor and latency on one core.

    python benchmarks/live_latency.py -o benchmarks/results/live_latency.json

Two networks with untrained weights (time does not depend on them): the default, and the paper's.
Work is measured on sound taken as fast as possible, window by window; latency on a file played in
real time, from the capture of a window's last sample to its scores. Latency includes the rest of
the block that the window ends in (up to 20 ms) and what the resampler holds back: the stream has
48 000 Hz, the models 22 050 and 44 100. Other work on the machine lengthens all but CPU time.
"""

# ruff: noqa: E402  (thread counts must be set before numpy and torch are imported)
from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
import torch

from measuring import head
from semisonic.audio.live import BLOCK_TIME, Playback
from semisonic.classifier.live.listen import listen
from semisonic.classifier.live.scorer import LiveScorer
from semisonic.classifier.options import EventOptions
from semisonic.core.files import write_json
from semisonic.features.options import MelOptions
from semisonic.models.sound_model import SoundModel, build
from semisonic.training.run_folder import versions

PAPER = "(64)5c-2p-(64)3c-2p-(64)3c-2p-128fc"
MODELS = {
    "small, 64 x 216": ("small", MelOptions()),
    "paper, 28 x 36": (PAPER, MelOptions(44100, n_fft=12288, hop_length=6144, n_mels=28)),
}
RATE, HOP, CLASSES = 48000, 0.5, 10


def made(name: str, mel: MelOptions) -> SoundModel:
    """An untrained classifier."""
    names = [f"class {number}" for number in range(CLASSES)]
    return build(name, mel, names, standardize="none").eval()


def work(model: SoundModel, sound: np.ndarray) -> dict[str, float]:
    """Processing alone: blocks as a microphone gives them, one after the other."""
    scorer = LiveScorer(model, RATE, EventOptions(hop=HOP))
    scorer.warm_up()
    n_block = round(BLOCK_TIME * RATE)
    with_window: list[float] = []
    without: list[float] = []
    cpu: list[float] = []
    for start in range(0, len(sound), n_block):
        began, began_cpu = time.perf_counter(), time.process_time()
        windows = scorer.push(sound[start : start + n_block])
        (with_window if windows else without).append(time.perf_counter() - began)
        if windows:
            cpu.append(time.process_time() - began_cpu)
    total = sum(with_window) + sum(without)
    return {
        "windows": len(with_window),
        "ms_a_window_median": round(1000 * float(np.median(with_window)), 2),
        "ms_a_window_95": round(1000 * float(np.quantile(with_window, 0.95)), 2),
        "cpu_ms_a_window_median": round(1000 * float(np.median(cpu)), 2),
        "ms_a_block_without_window": round(1000 * float(np.median(without)), 3),
        "real_time_factor": round(total / (len(sound) / RATE), 5),
        "share_of_hop": round(float(np.median(with_window)) / HOP, 5),
    }


def latency(model: SoundModel, file: Path) -> dict[str, float]:
    """A file played in real time, through the whole path."""
    listening = listen(model, Playback(file, 1.0), EventOptions(threshold="0.5", hop=HOP))
    for _ in listening:
        pass
    meter = listening.meter
    quantile = 1000 * np.quantile(meter.latencies, [0.5, 0.95])
    return {
        "seconds": round(meter.seconds, 2),
        "windows": meter.n_windows,
        "skipped": meter.n_skipped,
        "latency_ms_median": round(float(quantile[0]), 1),
        "latency_ms_95": round(float(quantile[1]), 1),
        "latency_ms_longest": round(1000 * max(meter.latencies), 1),
        "real_time_factor": round(meter.real_time_factor, 5),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--work-seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(options.seed)
    sound = rng.normal(0, 0.1, round(options.work_seconds * RATE)).astype(np.float32)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "noise.wav"
        sf.write(file, sound[: round(options.seconds * RATE)], RATE)
        for label, (name, mel) in MODELS.items():
            model = made(name, mel)
            found[label] = {"work": work(model, sound), "in_real_time": latency(model, file)}
            print(label, json.dumps(found[label], indent=2))
    result = {
        "what": "listening on one core: work a window, and latency from capture to score",
        **head("python benchmarks/live_latency.py", options.seed),
        "load_average_of_the_machine": [round(load, 1) for load in os.getloadavg()],
        "versions": versions(),
        "sample_rate_of_the_stream": RATE,
        "window_s": 5.0,
        "hop_s": HOP,
        "block_s": BLOCK_TIME,
        "models": found,
    }
    if options.output:
        write_json(options.output, result)


if __name__ == "__main__":
    main()
