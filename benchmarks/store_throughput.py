"""Clips a second into the sample store: decoding and resampling, the front end not counted.

Builds the store of a folder anew with one thread and with two, and beside them runs a bare
loop (soundfile, mean of the channels, soxr, one thread) that throws its samples away. Runs
alternate, so that a load on the machine meets all; ratios are medians over neighbouring runs.
Wall time measures the machine with its neighbours, processor time the work itself. A build
that finds everything done is measured as well.

    python benchmarks/store_throughput.py DATA/esc10 -o benchmarks/results/store_throughput.json
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr

from semisonic.audio import find_audio
from semisonic.base.files import write_json
from semisonic.data.clips import Clips
from semisonic.data.store import SampleStore
from semisonic.training import commit, machine, versions

Seconds = tuple[float, float]  # a run: on the wall, of the processor


def bare_loop(clips: Clips, rate: int) -> None:
    for path in clips.paths:
        x, rate_in = sf.read(path, dtype="float32", always_2d=True)
        soxr.resample(np.ascontiguousarray(x.mean(axis=1)), rate_in, rate, "HQ")


def timed(run: Callable[[], object]) -> Seconds:
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def measure(clips: Clips, rate: int, rounds: int) -> dict[str, list[Seconds]]:
    """Times of each way to go through all clips; the first round warms the disk's cache."""

    def build(folder: str, workers: int) -> None:
        SampleStore.build(clips, folder, sample_rate=rate, workers=workers)

    times: dict[str, list[Seconds]] = {}
    for number in range(-1, rounds):
        with tempfile.TemporaryDirectory() as folder:
            ways = {
                "bare loop": lambda: bare_loop(clips, rate),
                "store, 1 thread": lambda: build(f"{folder}/1", 1),
                "store, 2 threads": lambda: build(f"{folder}/2", 2),
                "store, nothing to do": lambda: build(f"{folder}/2", 2),
            }
            for name, way in ways.items():
                seconds = timed(way)
                if number >= 0:
                    times.setdefault(name, []).append(seconds)
    return times


def summarise(times: dict[str, list[Seconds]], n_clips: int) -> dict[str, dict[str, float]]:
    table = {}
    for name, runs in times.items():
        wall = statistics.median(run[0] for run in runs)
        cpu = statistics.median(run[1] for run in runs)
        row = {
            "clips_per_second": n_clips / wall,
            "wall_ms_per_clip": 1e3 * wall / n_clips,
            "cpu_ms_per_clip": 1e3 * cpu / n_clips,
        }
        for other in ("bare loop", "store, 1 thread"):
            pairs = list(zip(runs, times[other], strict=True))
            row[f"speed over {other}"] = statistics.median(b[0] / a[0] for a, b in pairs)
            row[f"cpu over {other}"] = statistics.median(a[1] / b[1] for a, b in pairs)
        table[name] = {key: round(value, 4) for key, value in row.items()}
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="recordings")
    parser.add_argument("-o", "--output", type=Path, help="JSON file to write")
    parser.add_argument("--rate", type=int, default=22050, help="Hz of the store [22050]")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each way [5]")
    arguments = parser.parse_args()
    rows = [
        {"file": path.relative_to(arguments.folder).as_posix()}
        for path in find_audio(arguments.folder)
    ]
    clips = Clips.from_rows(arguments.folder, rows)
    times = measure(clips, arguments.rate, arguments.rounds)
    table = summarise(times, len(clips))
    print(f"{'':<22}{'clips/s':>9}{'wall ms':>9}{'cpu ms':>9}{'x bare':>8}{'x 1 thread':>12}")
    for name, row in table.items():
        print(
            f"{name:<22}{row['clips_per_second']:9.0f}{row['wall_ms_per_clip']:9.2f}"
            f"{row['cpu_ms_per_clip']:9.2f}{row['speed over bare loop']:8.2f}"
            f"{row['speed over store, 1 thread']:12.2f}"
        )
    if arguments.output is not None:
        record = {
            "command": " ".join(["python", *sys.argv]),
            "commit": commit(),
            "machine": machine(),
            "versions": versions(),
            "n_clips": len(clips),
            "sample_rate": arguments.rate,
            "rounds": arguments.rounds,
            "results": table,
            "seconds": {name: [list(run) for run in runs] for name, runs in times.items()},
        }
        write_json(arguments.output, record)


if __name__ == "__main__":
    main()
