"""From recordings to scores: how many times real time, and how soon the first answer comes.

    python benchmarks/prediction_speed.py path/to/esc10 -o benchmarks/results/prediction_speed.json

Compressed files (as the set has them) and the same as 16-bit wav go through decoding alone,
decoding with resampling, the front end besides, our whole prediction (PyTorch), and exported files
run by onnxruntime (float32 and 8 bits) behind the same reader. All ways have their turn in every
round, one thread each; processor time is counted, so what else runs on the machine hardly changes
it. The weights are random: speed does not depend on them. The start of the command is a process
of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile as sf
import torch

from semisonic.audio import read
from semisonic.base.files import write_json
from semisonic.data import Clips, load_clips
from semisonic.data.readers import from_files
from semisonic.features import MelOptions, make_extractor
from semisonic.inference import ExportOptions, score_clips
from semisonic.inference.exporting.running import onnx_runner
from semisonic.inference.exporting.speed import in_turn, one_thread
from semisonic.inference.pipeline import features_of_wave
from semisonic.inference.verbs.export import export_file
from semisonic.models import SoundModel, build, save
from semisonic.training import commit, machine, versions

N_CLIPS = 40
ROUNDS = 7


def as_wav(clips: Clips, folder: Path) -> Clips:
    """The same recordings as 16-bit wav."""
    files = []
    for i, path in enumerate(clips.paths):
        samples, rate = sf.read(path)
        files.append(folder / f"{i:03d}.wav")
        sf.write(files[-1], samples, rate, subtype="PCM_16")
    return from_files(files)


def ways(
    clips: Clips, model: SoundModel, exported: dict[str, Path]
) -> dict[str, Callable[[], object]]:
    mel, extractor = model.mel, make_extractor(model.mel)

    def decode() -> None:
        for path in clips.paths:
            sf.read(path, dtype="float32", always_2d=True)

    def resampled() -> list[np.ndarray]:
        return [read(path, sample_rate=mel.sample_rate)[0] for path in clips.paths]

    def front_end() -> list[np.ndarray]:
        return [features_of_wave(wave[: mel.n_samples], mel, extractor) for wave in resampled()]

    def predict() -> None:
        for _ in score_clips(model, clips, workers=1):
            pass

    def by_onnx(file: Path) -> Callable[[], None]:
        run = onnx_runner(file)

        def work() -> None:
            for wave in resampled():
                run(np.pad(wave, (0, max(0, mel.n_samples - len(wave))))[None, : mel.n_samples])

        return work

    return {
        "decode alone": decode, "decode and resample": resampled, "with the front end": front_end,
        "predict (PyTorch)": predict,
        **{f"onnxruntime, {name}": by_onnx(file) for name, file in exported.items()},
    }  # fmt: skip


def cold_start(model: Path, recording: Path) -> dict[str, float]:
    """Processor seconds of whole processes, the median of five."""
    found = {}
    for name, command in {
        "python alone": ["-c", "pass"],
        "import torch": ["-c", "import torch"],
        "semisonic --help": ["-m", "semisonic", "--help"],
        "semisonic predict, one clip": [
            "-m",
            "semisonic",
            "predict",
            str(model),
            str(recording),
            "-q",
        ],
    }.items():  # fmt: skip
        times = []
        for _ in range(5):
            code = (
                "import resource, subprocess, sys;"
                "subprocess.run([sys.executable, *sys.argv[1:]], check=True, capture_output=True);"
                "u = resource.getrusage(resource.RUSAGE_CHILDREN); print(u.ru_utime + u.ru_stime)"
            )
            done = subprocess.run(
                [sys.executable, "-c", code, *command], capture_output=True, text=True, check=True
            )
            times.append(float(done.stdout))
        found[name] = round(float(np.median(times)), 3)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="a set of compressed recordings, such as ESC-10")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = load_clips(options.data)
    clips = found[np.linspace(0, len(found) - 1, N_CLIPS).astype(int)]
    mel = MelOptions()
    model = build("small", mel, [f"class {i}" for i in range(10)], seed=0).eval()
    with tempfile.TemporaryDirectory() as place, one_thread():
        folder = Path(place)
        save(folder / "model.zip", model)
        exported = {}
        for name, quantize in (("float32", "none"), ("8 bits", "int8")):
            file = folder / f"{quantize}.onnx"
            export_file(ExportOptions(
                folder / "model.zip", file, quantize=quantize, speed=False,
                calibrate_on=options.data if quantize == "int8" else None,
            ))  # fmt: skip
            exported[name] = file
        kinds = {"compressed": clips, "wav": as_wav(clips, folder)}
        seconds = sum(sf.info(path).duration for path in clips.paths)
        rows = []
        for kind, table in kinds.items():
            for way, time in in_turn(ways(table, model, exported), ROUNDS).items():
                rows.append({"files": kind, "way": way, "ms_a_clip": 1e3 * time / len(table),
                             "times_real_time": seconds / time})  # fmt: skip
                print(
                    f"{kind:10s}  {way:24s}  {rows[-1]['times_real_time']:8.0f} x real time",
                    flush=True,
                )
        start = cold_start(folder / "model.zip", clips.paths[0])
    print(start)
    write_json(options.output, {
        "what": "times real time from files to scores on one thread (medians of interleaved "
        "rounds, processor time), and processor seconds of whole processes",
        "command": "python benchmarks/prediction_speed.py DATA -o FILE", "commit": commit(),
        "machine": machine(), "versions": versions(), "data": found.name, "clips": len(clips),
        "network": model.name, "sample_rate": mel.sample_rate, "rows": rows, "start_s": start,
    })  # fmt: skip


if __name__ == "__main__":
    main()
