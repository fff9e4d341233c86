"""What a graphics card gains: steps a second, a fold of ESC-10, the paper's table.

    python benchmarks/gpu.py steps -o steps.json
    python benchmarks/gpu.py auto path/to/esc10 -o auto.json
    python benchmarks/gpu.py table path/to/ESC-50 --unlabelled path/to/pool -o table.json

``steps``: training steps a second of ``fit`` on noise, for the network of the paper (28 x 36) and
for ``small`` (64 x 216): features kept beforehand (``kept``) and computed in the batch
(``in batch``). The second of two epochs is timed, and the first stands beside; rounds are
interleaved, medians count. ``auto``: seconds of ``train --method auto`` for each fold, from files
to a model, and the accuracy on the fold. ``table``: seconds of the recipe
``cae-pretraining`` on all folds.

Without a card, or with ``--device cpu``, all three run on the processor.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from measuring import head
from semisonic.audio.write import write
from semisonic.classifier.evaluate import evaluate
from semisonic.classifier.options import EvaluateOptions, TrainOptions
from semisonic.classifier.prepare import Prepared, prepare
from semisonic.classifier.train import train
from semisonic.core.files import write_json
from semisonic.core.seeds import generator
from semisonic.data.batches import Stream
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.experiments.options import RunOptions
from semisonic.experiments.run import run_recipe
from semisonic.features.options import MelOptions
from semisonic.learning.objective import Objective
from semisonic.models.sound_model import build
from semisonic.training.devices import choose_device
from semisonic.training.loop import fit
from semisonic.training.options import FitOptions

PAPER = MelOptions(
    sample_rate=44100,
    duration=5.0,
    n_fft=12288,
    hop_length=6144,
    n_mels=28,
    reference="max",
    top_db=80.0,
    peak_normalize=True,
)
NETWORKS = {
    "paper": ("(64)5c-2p-(64)3c-2p-(64)3c-2p-128fc", PAPER),
    "small": ("small", MelOptions()),
}
CLASSES = [f"class {i}" for i in range(10)]


class Classify(Objective):
    streams = ("labelled",)

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batches: Any) -> dict[str, torch.Tensor]:
        batch = batches["labelled"]
        logits = self.model.from_features(batch.x).float()
        return {"loss": nn.functional.cross_entropy(logits, batch.y)}


def noise(folder: Path, n: int, mel: MelOptions) -> Clips:
    """Recordings of noise at the rate of a front end."""
    rng = generator(0, "noise for speed")
    for i in range(n):
        wave = rng.normal(0, 0.1, mel.n_samples).astype(np.float32)
        write(folder / f"{i:05d}.wav", wave, mel.sample_rate)
    return Clips.from_rows(folder, [{"file": f"{i:05d}.wav"} for i in range(n)])


class Way:
    """One way to compute a training."""

    def __init__(
        self,
        name: str,
        model: str,
        prepared: Prepared,
        device: torch.device,
        batch_size: int,
    ) -> None:
        n = len(prepared)
        self.name, self.model, self.mel = name, model, prepared.mel
        self.device = device
        self.stream = Stream(
            prepared.features,
            np.arange(n),
            batch_size=batch_size,
            seed=0,
            target=np.arange(n) % len(CLASSES),
            device=device,
        )
        self.rates: list[float] = []
        self.start = 0.0

    def train(self, n_steps: int) -> float:
        """Steps a second of a training of so many steps, in epochs of all of them."""
        options = FitOptions(epochs=2, epoch_steps=n_steps)
        objective = Classify(build(self.model, self.mel, CLASSES, standardize="none", seed=0))
        begun = time.perf_counter()
        result = fit(objective, {"labelled": self.stream}, options, seed=0, device=self.device)
        total = time.perf_counter() - begun
        # The first epoch warms the device up.
        second = result.history[1]["seconds"]
        self.start = total - second
        return result.n_steps / 2 / second


def steps(arguments: argparse.Namespace) -> dict[str, Any]:
    """Steps a second of each way on each network."""
    device = choose_device(arguments.device)
    found: dict[str, Any] = {}
    for network in arguments.networks:
        model, mel = NETWORKS[network]
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            clips = noise(folder, arguments.clips, mel)
            begun = time.perf_counter()
            kept = prepare(clips, mel, folder / "kept")
            preparing = time.perf_counter() - begun
            batched = prepare(clips, mel, folder / "batch", in_batch=device)
            ways = [
                Way(name, model, prepared, device, arguments.batch_size)
                for name, prepared in (("kept", kept), ("in batch", batched))
            ]
            for _ in range(arguments.rounds):
                for way in ways:
                    way.rates.append(way.train(arguments.steps))
        found[network] = {
            "features beforehand, s": round(preparing, 3),
            "resident": batched.features._kept is not None,  # type: ignore[union-attr]
            "steps a second": {way.name: round(statistics.median(way.rates), 2) for way in ways},
            "first epoch, s": {way.name: round(way.start, 2) for way in ways},
        }
        print(network, found[network]["steps a second"])
    return found


def auto(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds and accuracy of ``train --method auto`` for each fold."""
    clips = load_clips(arguments.data)
    folds = arguments.folds or clips.folds
    rows = []
    for fold in folds:
        with tempfile.TemporaryDirectory() as place:
            options = TrainOptions(
                data=arguments.data,
                output=Path(place) / "run",
                test_fold=fold,
                device=arguments.device,
                method=arguments.method,
            )
            if arguments.epochs:
                options = replace(options, fit=replace(options.fit, epochs=arguments.epochs))
            begun = time.perf_counter()
            result = train(options)
            seconds = time.perf_counter() - begun
            scored = evaluate(
                EvaluateOptions(
                    model=result.model,
                    data=arguments.data,
                    fold=fold,
                    bootstrap=100,
                    output=Path(place) / "evaluation",
                    device=arguments.device,
                )
            )
        accuracy = float(scored.measurement.metrics["accuracy"])
        rows.append({"fold": fold, "seconds": round(seconds, 2), "accuracy": round(accuracy, 4)})
        print(rows[-1])
    return {"folds": rows, "longest, s": max(row["seconds"] for row in rows)}


def table(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of a recipe on all folds, and what it found."""
    with tempfile.TemporaryDirectory() as place:
        begun = time.perf_counter()
        result = run_recipe(
            RunOptions(
                recipe=arguments.recipe,
                data=arguments.data,
                unlabelled=arguments.unlabelled,
                output=Path(place) / "run",
                device=arguments.device,
                workers=arguments.workers,
            )
        )
        seconds = time.perf_counter() - begun
    print(result.table)
    return {"recipe": arguments.recipe, "seconds": round(seconds, 1), "verdicts": result.answers}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(dest="what", required=True)
    of = {
        name: parts.add_parser(name, help=(function.__doc__ or "").strip())
        for name, function in (("steps", steps), ("auto", auto), ("table", table))
    }
    for one in of.values():
        one.add_argument("-o", "--output", type=Path, help="JSON file for the results")
        one.add_argument("--device", default="auto")
    of["steps"].add_argument("--clips", type=int, default=1600)
    of["steps"].add_argument("--steps", type=int, default=1000, help="steps of an epoch")
    of["steps"].add_argument("--batch-size", type=int, default=32)
    of["steps"].add_argument("--rounds", type=int, default=3)
    of["steps"].add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    of["auto"].add_argument("data", type=Path)
    of["auto"].add_argument("--folds", type=int, nargs="*")
    of["auto"].add_argument("--method", default="auto")
    of["auto"].add_argument("--epochs", type=int, help="at most so many, for a trial")
    of["table"].add_argument("data", type=Path)
    of["table"].add_argument("--unlabelled", type=Path)
    of["table"].add_argument("--recipe", default="cae-pretraining")
    of["table"].add_argument("--workers", type=int, help="processes that train at once")
    arguments = parser.parse_args()
    found = {"steps": steps, "auto": auto, "table": table}[arguments.what](arguments)
    result = {
        "what": arguments.what,
        **head("python benchmarks/gpu.py " + " ".join(sys.argv[1:]), 0),
        "device": str(choose_device(arguments.device)),
        "results": found,
    }
    if arguments.output:
        write_json(arguments.output, result)


if __name__ == "__main__":
    main()
