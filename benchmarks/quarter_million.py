"""A quarter of a million clips: seconds, disk and memory of each part, from a folder to an encoder.

    python benchmarks/quarter_million.py --clips 25000 250000 -o results.json

Some thousand different short sounds are made, and every clip is a hard link to one of them: what
counts here are paths, journals, rows and steps, and they are as many as the clips. Each part runs
in a process of its own:

* ``list``: the table of clips, from the folder;
* ``store``: headers, decoding, 16-bit samples;
* ``features``: spectrograms from the samples;
* ``again``: the same three with nothing left to do;
* ``killed``: the store anew, killed with ``kill -9`` when half of it is there, and ``resumed``;
* ``epoch``: statistics, and one epoch of pre-training with its checks.

Memory is the peak of what a process has of its own (``RssAnon``), less that of one that has only
imported the package; pages of mapped files belong to the system, which takes them back. From two
numbers of clips follow the bytes a clip. Clips are shorter than those of ESC-US, to spare the disk:
the options ``--seconds`` and ``--rate`` make them as long.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from semisonic.audio.write import write
from semisonic.core.files import read_json, write_json
from semisonic.core.seeds import generator

IN_A_FOLDER = 1000
N_SOUNDS = 4000
N_MELS, N_FFT, HOP = 32, 256, 256
NETWORK = "(4)3c-2p-(8)3c-2p-16fc"
PARTS = ("list", "store", "features", "again", "epoch")


def make(folder: Path, n_clips: int, seconds: float, rate: int) -> None:
    """Folders of hard links to different sounds."""
    sounds = folder.with_name("sounds")
    sounds.mkdir(parents=True, exist_ok=True)
    time_axis = np.arange(round(seconds * rate)) / rate
    for i in range(min(N_SOUNDS, n_clips)):
        file = sounds / f"{i:05d}.wav"
        if file.exists():
            continue
        rng = generator(i, "sound of a quarter of a million")
        wave = 0.3 * np.sin(2 * np.pi * rng.uniform(100, rate / 3) * time_axis)
        write(file, (wave + rng.normal(0, 0.05, len(wave))).astype(np.float32), rate)
    for i in range(n_clips):
        place = folder / f"{i // IN_A_FOLDER:03d}"
        if not i % IN_A_FOLDER:
            place.mkdir(parents=True, exist_ok=True)
        file = place / f"{i % N_SOUNDS}-{i:06d}-A.wav"
        if not file.exists():
            os.link(sounds / f"{i % N_SOUNDS:05d}.wav", file)


class Peak:
    """The largest anonymous memory of this process, looked at fifty times a second."""

    def __enter__(self) -> Peak:
        self.bytes, self._stop = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.bytes = max(self.bytes, anonymous())
            if self._stop.wait(0.02):
                return


def anonymous() -> int:
    """Bytes of memory that this process has of its own."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("RssAnon:"):
            return 1024 * int(line.split()[1])
    return 0


def part(name: str, work: Path, seconds: float, rate: int, workers: int | None) -> dict[str, Any]:
    """Do one part in this process."""
    import torch

    from semisonic.classifier.config import TrainConfig
    from semisonic.classifier.prepare import prepare
    from semisonic.classifier.pretrain import (
        hold_out_recordings,
        pretrain_encoder,
    )
    from semisonic.data.datasets.load import load_clips
    from semisonic.features.options import MelOptions
    from semisonic.training.options import FitOptions

    torch.set_num_threads(1)
    mel = MelOptions(sample_rate=rate, duration=seconds, n_fft=N_FFT, hop_length=HOP, n_mels=N_MELS)
    base = anonymous()
    with Peak() as peak:
        begun = time.perf_counter()
        clips = load_clips(work / "clips", labels="none")
        if name != "list":
            in_batch = torch.device("cpu") if name == "store" else None
            prepared = prepare(clips, mel, work / "cache", workers=workers, in_batch=in_batch)
        if name == "epoch":
            begun = time.perf_counter()
            fit = FitOptions(epochs=1, batch_size=256, precision="fp32")
            rows = np.arange(len(prepared))
            kept, held = hold_out_recordings(prepared.group, rows, 0.01, np.random.default_rng(0))
            pretrain_encoder(
                TrainConfig(NETWORK, objective="reconstruction", mel=mel, pretrain=fit),
                prepared.features,
                kept,
                held,
                seed=0,
                folder=work / "training",
            )
        taken = time.perf_counter() - begun
    return {"seconds": round(taken, 2), "memory_mb": round((peak.bytes - base) / 1e6, 1)}


def child(name: str, work: Path, arguments: argparse.Namespace) -> subprocess.Popen[bytes]:
    """A process that does one part."""
    words = [sys.executable, __file__, "--part", name, "--work", str(work)]
    words += ["--seconds", str(arguments.seconds), "--rate", str(arguments.rate)]
    words += ["--workers", str(arguments.workers)] if arguments.workers else []
    return subprocess.Popen(words)


def run(name: str, work: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Do one part in a process of its own."""
    if child(name, work, arguments).wait():
        raise SystemExit(f"the part '{name}' failed")
    found: dict[str, Any] = read_json(work / f"{name}.json")
    print(f"{name:10} {found['seconds']:9.2f} s {found['memory_mb']:9.1f} MB", flush=True)
    return found


def killed(work: Path, arguments: argparse.Namespace, n_bytes: int) -> dict[str, Any]:
    """Build the store anew, kill it when half is there, and go on."""
    shutil.rmtree(work / "cache")
    process = child("store", work, arguments)
    while process.poll() is None and used(work / "cache") < n_bytes / 2:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    half = used(work / "cache")
    return {"bytes_when_killed": half, **run("store", work, arguments)}


def used(folder: Path) -> int:
    """Bytes of the disk that the files below a folder take."""
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.exists() else []
    return sum(512 * path.stat().st_blocks for path in files)


def measure(n_clips: int, work: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """All parts for one number of clips."""
    begun = time.perf_counter()
    make(work / "clips", n_clips, arguments.seconds, arguments.rate)
    print(f"{n_clips} clips made in {time.perf_counter() - begun:.1f} s", flush=True)
    found: dict[str, Any] = {}
    for name in ("list", "store"):
        found[name] = run(name, work, arguments)
    stored = used(work / "cache")
    if arguments.kill:
        found["resumed"] = killed(work, arguments, stored)
    found["features"] = run("features", work, arguments)
    found["disk_mb"] = {"samples": round(stored / 1e6), "all": round(used(work / "cache") / 1e6)}
    found["again"] = run("again", work, arguments)
    found["epoch"] = run("epoch", work, arguments)
    return found


def bytes_a_clip(found: dict[int, dict[str, Any]]) -> dict[str, float]:
    """How memory grows with the number of clips, from the smallest and the largest."""
    few, many = min(found), max(found)
    if few == many:
        return {}
    return {
        name: round(
            1e6 * (found[many][name]["memory_mb"] - found[few][name]["memory_mb"]) / (many - few)
        )
        for name in PARTS
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, nargs="+", default=[25_000, 250_000])
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a clip")
    parser.add_argument("--rate", type=int, default=8000, help="sampling rate in Hz")
    parser.add_argument("--workers", type=int, help="threads that decode; by default one a core")
    parser.add_argument("--kill", action="store_true", help="also kill the store, and go on")
    parser.add_argument("--work", type=Path, help="folder for all of it; by default a new one")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path, help="JSON file for the results")
    arguments = parser.parse_args()
    if arguments.part:
        found = part(
            arguments.part, arguments.work, arguments.seconds, arguments.rate, arguments.workers
        )
        write_json(arguments.work / f"{arguments.part}.json", found)
        return
    from measuring import head

    results = {}
    for n_clips in arguments.clips:
        with tempfile.TemporaryDirectory(dir=arguments.work) as place:
            results[n_clips] = measure(n_clips, Path(place), arguments)
    growth = bytes_a_clip(results)
    print("bytes a clip:", growth)
    if arguments.output:
        write_json(
            arguments.output,
            {
                "what": "parts of a pre-training on many clips",
                **head(
                    "python benchmarks/quarter_million.py --clips "
                    + " ".join(map(str, arguments.clips))
                    + " --kill" * arguments.kill,
                    0,
                ),
                "seconds_a_clip": arguments.seconds,
                "rate": arguments.rate,
                "load": os.getloadavg(),
                "clips": results,
                "bytes_a_clip": growth,
            },
        )


if __name__ == "__main__":
    main()
