"""Whether a few labels are better held out to choose the epoch by, or all learned from.

    python benchmarks/hold_out.py ESC-10 -o benchmarks/results/hold_out.json

``train --method supervised`` with its other options at their defaults, on a few labels of each
class, drawn by recording. "held out": 15 % of them choose the epoch. "all, last": all are learned
from for all epochs, and the last weights stay. "all, averaged": the moving average of the weights.
Each model is scored on the clips of the training folds that were not drawn, of other recordings;
``--test`` scores it on the test fold, which is for the way that was chosen and the one before.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from measuring import head, rounded
from semisonic.classifier.config import TRAIN_FIT, VALIDATION, TrainConfig
from semisonic.classifier.scoring import score_rows
from semisonic.classifier.selection import in_fold, outside_fold
from semisonic.classifier.sounds import Sounds
from semisonic.classifier.training import NO_ROWS, TrainingData, train_model
from semisonic.core.files import write_json
from semisonic.data.datasets.load import load_clips
from semisonic.data.splits import hold_out, label_budget
from semisonic.features.options import MelOptions
from semisonic.training.options import FitOptions

FOLDS, DRAWS = (1, 2), (0, 1, 2)
WAYS: dict[str, tuple[float, FitOptions]] = {
    "held out": (VALIDATION, TRAIN_FIT),
    "all, last": (0.0, TRAIN_FIT),
    "all, averaged": (0.0, replace(TRAIN_FIT, ema_decay=0.98)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="labelled recordings with official folds")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--labels", type=int, nargs="+", default=[4, 8, 16], help="per class")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--test", action="store_true", help="score on the test folds")
    parser.add_argument("--cache", type=Path, default=Path("runs/hold_out/cache"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    clips = load_clips(options.data)
    prepared = Sounds(clips).prepare(MelOptions(), options.cache, 1)
    target, rows = clips.target(), list[dict[str, Any]]()
    at, of_rows = prepared.rows_of, prepared.clips.target()
    for budget, fold, draw in (
        (budget, fold, draw) for budget in options.labels for fold in FOLDS for draw in DRAWS
    ):
        rest = outside_fold(clips, fold)
        used = label_budget(clips, rest, budget, draw)
        scored = in_fold(clips, fold)
        if not options.test:
            scored = rest[~np.isin(clips.group[rest], clips.group[used])]
        for way in options.ways:
            share, fit = WAYS[way]
            kept, held = hold_out(clips, used, share, draw) if share else (used, NO_ROWS)
            data = TrainingData(prepared.features, of_rows, clips.classes, at(kept), at(held))
            trained = train_model(TrainConfig(method="supervised", fit=fit), data, seed=draw)
            windows = at(scored)
            scores, owner = prepared.per_clip(
                score_rows(trained.model, prepared.features, windows), windows
            )
            rows.append(
                {
                    "labels_per_class": budget,
                    "fold": fold,
                    "draw": draw,
                    "way": way,
                    "held_out": len(held),
                    "epoch": trained.best_epoch,
                    "accuracy": rounded(float((scores.argmax(axis=1) == target[owner]).mean())),
                }
            )
            print(rows[-1], flush=True)
    found = pd.DataFrame(rows).groupby(["labels_per_class", "way"], sort=False).accuracy.mean()
    means = {
        f"{budget} labels a class, {way}": rounded(mean) for (budget, way), mean in found.items()
    }
    print(means)
    test = " --test" if options.test else ""
    labels = " ".join(map(str, options.labels))
    ways = "" if options.ways == list(WAYS) else " --ways " + " ".join(map(repr, options.ways))
    shown = f"python benchmarks/hold_out.py ESC-10 --labels {labels}{ways}{test} -o FILE"
    scored_on = "test folds" if options.test else "clips of the training folds not drawn"
    write_json(
        options.output,
        {**head(shown, list(DRAWS)), "scored_on": scored_on, "means": means, "rows": rows},
    )


if __name__ == "__main__":
    main()
