"""Exported files against the model: size, speed on one thread, accuracy on a fold of ESC-10.

    python benchmarks/export_speed.py path/to/esc10 -o benchmarks/results/export-speed.json

Three networks are trained quickly on four folds; the fifth tells what eight bits cost. Ranges for
eight bits come from training clips. Each speed is the median of rounds in which all forms have
their turn, one clip at a time, so a busy moment of the machine meets all of them. Sizes of files
and differences of scores do not depend on the machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch

from measuring import head
from semisonic.classifier.export import ExportResult, export
from semisonic.classifier.export_graph import onnx_runner
from semisonic.classifier.model_file import open_model
from semisonic.classifier.options import TrainOptions
from semisonic.classifier.scoring import evaluating
from semisonic.classifier.train import train
from semisonic.classifier.windows import features_of_wave
from semisonic.core.files import write_csv, write_json
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.features.frontend import make_extractor
from semisonic.features.options import MelOptions
from semisonic.models.notation import PAPER
from semisonic.training.options import FitOptions

NETWORKS = {
    "small": ("small", MelOptions()),
    "tiny": ("tiny", MelOptions()),
    "paper": (PAPER, MelOptions(44100, n_fft=12288, hop_length=6144, n_mels=28)),
}
FOLD, SEED = 5, 0
FIT = FitOptions(epochs=30, schedule="onecycle", learning_rate=3e-3, restore_best=False)


Work = Callable[[], object]
LEAST_ROUNDS, MOST_ROUNDS, MOST_TIME = 5, 41, 4.0


def timed(run: Path, kind: str, files: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Size and speed of a model and of its files, all in turn in every round.

    Processor time is counted, so what else runs on the machine hardly changes it.
    """
    model = open_model(run)
    wave = np.random.default_rng(0).normal(0, 0.1, model.mel.n_samples).astype(np.float32)
    extractor = make_extractor(model.mel)
    features = features_of_wave(wave, model.mel, extractor)
    x = (wave if kind == "audio" else features)[None]

    def eager() -> object:
        found = features_of_wave(wave, model.mel, extractor) if kind == "audio" else features
        return model.score(torch.from_numpy(found[None]))

    def of(file: Path) -> Work:
        session = onnx_runner(file)
        return lambda: session(x)

    works: dict[str, Work] = {"PyTorch": eager}
    works.update({name: of(file) for name, file in files.items()})
    sizes = [one.stat().st_size for one in (run / "model.zip", *files.values())]
    with evaluating(model):
        times = in_turn(works, MOST_ROUNDS)
    return [
        {
            "name": name,
            "n_bytes": size,
            "milliseconds": 1e3 * seconds,
            "real_time": model.mel.duration / seconds,
        }
        for (name, seconds), size in zip(times.items(), sizes, strict=True)
    ]


def in_turn(works: Mapping[str, Work], rounds: int) -> dict[str, float]:
    """The median processor time of each work, s; a slower moment of the machine meets them all."""
    for work in works.values():
        work(), work()
    times: dict[str, list[float]] = {name: [] for name in works}
    begin = perf_counter()
    for number in range(rounds):
        if number >= LEAST_ROUNDS and perf_counter() - begin > MOST_TIME:
            break
        for name, work in works.items():
            start = process_time()
            work()
            times[name].append(process_time() - start)
    return {name: float(np.median(found)) for name, found in times.items()}


def listed(clips: Clips, rows: Sequence[int], file: Path) -> Path:
    """Some clips of a set as a table of their own."""
    table = [[(clips.root / str(clips.file[i])).resolve(), clips.labels[i][0]] for i in rows]
    write_csv(file, ["file", "label"], table)
    return file


def told(result: ExportResult) -> dict[str, Any]:
    """What is kept of an export."""
    parity = asdict(result.parity) if result.parity else {}
    return {
        "takes": result.kind,
        "any_length": result.any_length,
        "parity": parity,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="ESC-10, or another set with five official folds")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs/export-speed"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    clips, begun = load_clips(options.data), process_time()
    runs = options.runs
    test = [i for i, fold in enumerate(clips.fold.tolist()) if fold == FOLD]
    others = [i for i, fold in enumerate(clips.fold.tolist()) if fold != FOLD]
    check_on = listed(clips, test, runs / "test.csv")
    calibrate_on = listed(clips, others, runs / "others.csv")
    rows = []
    for name, (network, mel) in NETWORKS.items():
        run = runs / name
        train(
            TrainOptions(
                data=options.data,
                output=run,
                model=network,
                mel=mel,
                method="supervised",
                validation=0.0,
                test_fold=FOLD,
                seed=SEED,
                fit=FIT,
                workers=1,
            )
        )
        plain = export(run, run / "model.onnx", check_on=check_on)
        small = export(
            run,
            run / "int8.onnx",
            quantize="int8",
            calibrate_on=calibrate_on,
            check_on=check_on,
        )
        print(f"{name}\n{plain.summary()}\n{small.summary()}\n", flush=True)
        forms = timed(run, plain.kind, {"ONNX": plain.file, "ONNX, 8 bits": small.file})
        rows.append({"network": name, "float32": told(plain), "int8": told(small), "forms": forms})
    record = {
        "what": "exported files against the model: MB, ms a clip of 5 s on one thread (medians of "
        "interleaved rounds), differences of scores, accuracy on fold 5 after a quick training",
        **head("python benchmarks/export_speed.py DATA -o FILE", SEED),
        "data": clips.name,
        "epochs": FIT.epochs,
        "test_clips": len(test),
        "seconds_of_processor": round(process_time() - begun),
        "rows": rows,
    }
    write_json(options.output, record)


if __name__ == "__main__":
    main()
