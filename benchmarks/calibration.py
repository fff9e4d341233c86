"""How far scores and truth lie apart, before and after each calibration, on clips of other folds.

    python benchmarks/calibration.py path/to/esc10 -o benchmarks/results/calibration.json

For each of some official folds and draws a small network learns from three quarters of the other
folds' recordings; the last quarter calibrates it; the fold itself, which did neither, is measured.
Made-up silence and noise is scored by the same models, before and after.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import fmean
from time import process_time
from typing import Any

import numpy as np
import torch

from measuring import head
from score_networks import EPOCHS, MEL, features, network, rounded
from semisonic.classifier.calibration import fit_decision
from semisonic.classifier.scoring import predict_rows, score_rows
from semisonic.classifier.unknown import check_noise
from semisonic.core.files import write_json
from semisonic.core.options import to_dict
from semisonic.data.datasets.load import load_clips
from semisonic.data.splits import fold_splits
from semisonic.evaluation.calibration import reliability
from semisonic.evaluation.metrics import accuracy, log_loss
from semisonic.models.decision import Decision
from semisonic.models.sound_model import SoundModel

FOLDS, DRAWS = (1, 3, 5), 2
METHODS = ("none", "temperature", "vector", "auto")


def measured(model: SoundModel, prepared: Any, rows: Any, target: Any) -> dict[str, float]:
    """The numbers of a model with the decision it has now."""
    said = predict_rows(model, prepared.features, rows)
    return {
        "calibration_error": reliability(target, said.scores).error,
        "log_loss": log_loss(target, said.scores),
        "accuracy": accuracy(target, said.scores.argmax(axis=1)),
        "called_known": float((said.known >= 0.5).mean()),
    }


def noise(model: SoundModel, seed: int) -> dict[str, dict[str, float]]:
    """What is said of silence and noise."""
    rows = check_noise(model, seed=seed)
    names = {"called unknown": "refused", "highest score": "surest"}
    return rows.set_index("noise")[list(names)].rename(columns=names).to_dict("index")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="ESC-10, or another set with official folds")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/calibration/cache"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = process_time()
    clips = load_clips(options.data)
    prepared = features(clips, options.cache)
    rows: list[dict[str, Any]] = []
    curves: dict[str, list[Any]] = {name: [] for name in METHODS}
    for draw in range(DRAWS):
        for split in fold_splits(clips, validation=0.0, seed=draw):
            if split.fold not in FOLDS:
                continue
            model, held = network(clips, split.train, prepared, seed=100 * draw + split.fold)
            test = prepared.rows_of(split.test)
            target = clips.target()[prepared.source[test]]
            row: dict[str, Any] = {"draw": draw, "fold": split.fold, "clips": len(test)}
            row["clips_to_calibrate"] = prepared.n_clips(held)
            row["noise_before"] = noise(model, draw)
            for method in METHODS:
                fitted = fit_decision(
                    model, prepared, held, clips, method=method, unknown=False, seed=draw
                )
                model.decision = fitted.decision
                row[method] = measured(model, prepared, test, target)
                row[method]["chosen"] = fitted.decision.calibration.method
                scores = score_rows(model, prepared.features, test)
                curves[method] += zip(target.tolist(), scores.tolist(), strict=True)
                model.decision = Decision()
            model.decision = fit_decision(model, prepared, held, clips, seed=draw).decision
            row["auto with unknown"] = measured(model, prepared, test, target)
            row["noise_after"] = noise(model, draw + 1000)
            rows.append(row)
            print(
                draw,
                split.fold,
                *(f"{m} {row[m]['calibration_error']:.3f}" for m in METHODS),
                flush=True,
            )
    names = (*METHODS, "auto with unknown")
    means = {
        name: {
            key: fmean(row[name][key] for row in rows)
            for key in ("calibration_error", "log_loss", "accuracy", "called_known")
        }
        for name in names
    }
    pooled = {}
    for name, pairs in curves.items():
        found = reliability([a for a, _ in pairs], np.array([b for _, b in pairs]))
        pooled[name] = {
            "calibration_error": found.error,
            "n": found.n_clips.tolist(),
            "score": np.nan_to_num(found.confidence, nan=-1.0).tolist(),
            "right": np.nan_to_num(found.accuracy, nan=-1.0).tolist(),
        }
    kinds = {
        kind: {
            when: {
                key: (fmean if key == "refused" else max)(row[when][kind][key] for row in rows)
                for key in ("refused", "surest")
            }
            for when in ("noise_before", "noise_after")
        }
        for kind in rows[0]["noise_after"]
    }
    shown = "python benchmarks/calibration.py ESC-10 -o benchmarks/results/calibration.json"
    write_json(
        options.output,
        {
            **head(shown, list(range(DRAWS))),
            "processor_seconds": round(process_time() - started),
            "data": clips.name,
            "network": "small",
            "epochs": EPOCHS,
            "front_end": to_dict(MEL),
            "means": rounded(means),
            "noise": rounded(kinds),
            "pooled": rounded(pooled),
            "rows": rounded(rows),
        },
    )


if __name__ == "__main__":
    main()
