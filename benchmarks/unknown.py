"""How well sounds of classes that were never learned are told from known ones.

    python benchmarks/unknown.py path/to/esc10 -o benchmarks/results/unknown.json

In each draw three classes are left out. A small network learns the other seven on three quarters
of the recordings outside one official fold; the last quarter fits the rules and sets their limits,
so that 95 % of known clips should pass. Then all clips of the fold are scored: the known ones,
which trained and fitted nothing, and those of the classes left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import fmean
from time import process_time
from typing import Any

import numpy as np
import torch
from scipy.special import logsumexp
from sklearn.metrics import roc_auc_score

from measuring import head
from score_networks import EPOCHS, MEL, features, network, rounded
from semisonic.classifier.calibration import fit_decision
from semisonic.classifier.scoring import network_outputs
from semisonic.core.files import write_json
from semisonic.core.options import to_dict
from semisonic.core.seeds import generator
from semisonic.data.datasets.load import load_clips
from semisonic.data.splits import fold_splits
from semisonic.evaluation.metrics import accuracy
from semisonic.models.decision import Decision
from semisonic.models.sound_model import SoundModel

DRAWS, LEFT_OUT = 10, 3
RULES = ("highest score", "energy")


def decided(model: SoundModel, outputs: Any) -> list[np.ndarray]:
    """Scores, and how known the sounds are, by the model's decision."""
    return [one.numpy() for one in model.decide(*map(torch.from_numpy, outputs))]


def ood_metrics(known: Any, unknown: Any, kept: float = 0.95) -> dict[str, float]:
    """How well a score that is higher for unknown sounds tells them from known ones.

    The area under the ROC curve, and the share of unknown sounds taken for known where ``kept``
    of the known ones pass (FPR at 95 % TPR).
    """
    kinds = np.r_[np.zeros(len(known)), np.ones(len(unknown))]
    limit = np.quantile(known, kept, method="inverted_cdf")
    return {
        "auroc": float(roc_auc_score(kinds, np.r_[known, unknown])),
        "false_alarms": float((unknown <= limit).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="ESC-10, or another set with official folds")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/calibration/cache"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = process_time()
    every = load_clips(options.data)
    rows: list[dict[str, Any]] = []
    for draw in range(DRAWS):
        out = generator(draw, "classes left out").choice(len(every.classes), LEFT_OUT, False)
        left = sorted(every.classes[i] for i in out)
        names = tuple(name for name in every.classes if name not in left)
        strange = np.array([labels[0] in left for labels in every.labels])
        known = every[~strange].with_columns(classes=names)
        split = fold_splits(known, validation=0.0, seed=draw)[draw % 5]
        prepared = features(known, options.cache)
        model, held = network(known, split.train, prepared, seed=draw)
        others = every[strange & (every.fold == split.fold)].without_labels()
        unknown = features(others, options.cache)
        ours = network_outputs(model, prepared.features, prepared.rows_of(split.test))
        theirs = network_outputs(model, unknown.features, np.arange(len(unknown)))
        target = known.target()[prepared.source[prepared.rows_of(split.test)]]
        row: dict[str, Any] = {
            "draw": draw,
            "fold": split.fold,
            "left_out": left,
            "known": len(target),
            "unknown": len(unknown),
            "accuracy": accuracy(target, ours[0].argmax(axis=1)),
        }
        model.decision = Decision()
        plain = [decided(model, x)[0].max(axis=1) for x in (ours, theirs)]
        row["highest score"] = ood_metrics(-plain[0], -plain[1])
        model.decision = fit_decision(
            model, prepared, held, known, precision=None, seed=draw
        ).decision
        energies = [-logsumexp(x.logits, axis=1) for x in (ours, theirs)]
        passes = [decided(model, x)[1] >= 0.5 for x in (ours, theirs)]
        row["energy"] = {
            **ood_metrics(*energies),
            "known_that_pass": float(passes[0].mean()),
            "unknown_that_pass": float(passes[1].mean()),
        }
        rows.append(row)
        print(draw, split.fold, left, *(f"{r} {row[r]['auroc']:.3f}" for r in RULES), flush=True)
    means = {
        rule: {key: fmean(row[rule][key] for row in rows) for key in rows[0][rule]}
        for rule in RULES
    }
    shown = "python benchmarks/unknown.py ESC-10 -o benchmarks/results/unknown.json"
    write_json(
        options.output,
        {
            **head(shown, list(range(DRAWS))),
            "processor_seconds": round(process_time() - started),
            "data": every.name,
            "network": "small",
            "epochs": EPOCHS,
            "front_end": to_dict(MEL),
            "note": "known_that_pass and unknown_that_pass: of the rule with its rule for noise",
            "means": rounded(means),
            "rows": rounded(rows),
        },
    )


if __name__ == "__main__":
    main()
