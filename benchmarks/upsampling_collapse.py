"""Why did the paper's up-sampling auto-encoder end at chance (0.018 with 50 classes)?

Pre-trains the paper's network under combinations of decoder, standardisation and learning
rate, counts the units of each layer that are never active afterwards, fine-tunes from it and
scores held-out training clips (never the test fold). An encoder whose last layer is dead gives
the same code for every clip, and a ReLU that is always zero passes no gradient back: fine-tuning
cannot leave chance.

    python benchmarks/upsampling_collapse.py --data DATA --unlabelled POOL -o FILE.json
"""

from __future__ import annotations

import argparse
import itertools
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from measuring import head
from semisonic.classifier.config import TrainConfig
from semisonic.classifier.prepare import prepare
from semisonic.classifier.pretrain import pretrain_encoder
from semisonic.classifier.training import TrainingData, train_model
from semisonic.core.files import write_json
from semisonic.data.clips import join
from semisonic.data.datasets.load import load_clips
from semisonic.data.splits import fold_splits
from semisonic.experiments.material import FeatureTable
from semisonic.experiments.recipe import read_recipe
from semisonic.models.notation import PAPER
from semisonic.recipes import find
from semisonic.training.options import FitOptions

FAST = {"precision": "bf16"}


def trial(
    table: FeatureTable,
    target: np.ndarray,
    classes: tuple[str, ...],
    rows: dict[str, np.ndarray],
    point: tuple[str, str, float, int],
) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)
    decoder, standardize, rate, seed = point
    features = table.features
    config = TrainConfig(
        model=PAPER,
        decoder=decoder,
        objective="reconstruction",
        standardize=standardize,
        mel=read_recipe(find("cae-decoders")).settings[0].mel,
        pretrain=FitOptions(epochs=10, learning_rate=rate, restore_best=False, **FAST),
    )
    start = pretrain_encoder(config, features, rows["pool"], rows["held out"], seed=seed)
    fit = FitOptions(epochs=30, monitor="val_accuracy", restore_best=False, **FAST)
    outcome = train_model(
        replace(config, objective="none", fit=fit),
        TrainingData(features, target, tuple(classes), rows["train"], rows["validation"]),
        seed=seed,
        start=start.network,
    )
    return {
        "decoder": decoder,
        "standardize": standardize,
        "learning_rate": rate,
        "seed": seed,
        "error_db2": start.error_db2,
        "dead": {layer.layer: layer.share for layer in start.dead_units},
        "validation_accuracy": outcome.history[-1]["val_accuracy"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--unlabelled", required=True, type=Path)
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()

    mel = read_recipe(find("cae-decoders")).settings[0].mel
    labelled, pool = load_clips(args.data), load_clips(args.unlabelled, labels="none")
    prepared = prepare(join(labelled, pool), mel, args.cache)
    table = FeatureTable.of(prepared)
    target = np.full(len(table.source), -1, np.int64)
    own = table.source < len(labelled)
    target[own] = labelled.target()[table.source[own]]
    split = fold_splits(labelled, seed=0)[0]
    heard = np.concatenate([split.train, np.arange(len(labelled), len(labelled) + len(pool))])
    rows = {
        "pool": table.rows_of(heard),
        "held out": table.rows_of(split.validation),
        "train": table.rows_of(split.train),
        "validation": table.rows_of(split.validation),
    }
    grid = list(
        itertools.product(
            ("unpool", "upsample"), ("none", "global"), (0.001, 0.003, 0.01), range(args.seeds)
        )
    )
    n = len(grid)
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as workers:
        results = list(
            workers.map(trial, [table] * n, [target] * n, [labelled.classes] * n, [rows] * n, grid)
        )
    for r in results:
        dead = "  ".join(f"{layer} {share:4.0%}" for layer, share in r["dead"].items())
        print(
            f"{r['decoder']:9} {r['standardize']:7} lr {r['learning_rate']:<6} seed {r['seed']}"
            f"  dead: {dead}  accuracy {r['validation_accuracy']:.2f}"
        )
    if args.output:
        command = (
            "python benchmarks/upsampling_collapse.py --data ESC10 --unlabelled ANIMALS "
            f"--seeds {args.seeds}"
        )
        write_json(
            args.output,
            {
                **head(command, list(range(args.seeds))),
                "results": results,
            },
        )


if __name__ == "__main__":
    main()
