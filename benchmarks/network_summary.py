"""What the runs of network designs come to; a part of ``network_designs.py``."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
from numpy.typing import NDArray

from network_speed import Record
from semisonic.evaluation.intervals import paired_bootstrap


def summarise(record: Record) -> list[Record]:
    """A row for each design and kind of run, the best first."""
    kinds = sorted({(r["labels"], r["steps"], r["augment"]) for r in record["runs"]})
    rows = []
    for kind in kinds:
        runs = [r for r in record["runs"] if (r["labels"], r["steps"], r["augment"]) == kind]
        part = [_summary(name, runs, record["validation"]) for name in {r["design"] for r in runs}]
        head = dict(zip(("labels", "steps", "augment"), kind, strict=True))
        rows += [head | row for row in sorted(part, key=lambda row: -row["accuracy"])]
    return rows


def _summary(design: str, runs: list[Record], validation: Record) -> Record:
    own = {(r["fold"], r["seed"]): r for r in runs if r["design"] == design}
    small = {(r["fold"], r["seed"]): r for r in runs if r["design"] == "small"}
    folds, seeds = sorted({f for f, _ in own}), sorted({s for _, s in own})
    means = [statistics.mean(r["accuracy"] for (_, s), r in own.items() if s == n) for n in seeds]
    row = {
        "design": design,
        "accuracy": round(statistics.mean(r["accuracy"] for r in own.values()), 4),
        "spread_over_seeds": round(statistics.stdev(means), 4) if len(means) > 1 else None,
        "loss": round(statistics.mean(r["loss"] for r in own.values()), 4),
        "runs": len(own),
        "seconds_a_run": round(statistics.median(r["seconds"] for r in own.values()), 1),
        "accuracy_by_fold": {
            str(fold): round(
                statistics.mean(r["accuracy"] for k, r in own.items() if k[0] == fold), 4
            )
            for fold in folds
        },
    }
    both = [seed for seed in seeds if all((f, seed) in own and (f, seed) in small for f in folds)]
    if design != "small" and both:
        a, b = (_right(found, both, folds, validation) for found in (small, own))
        recordings = [name for fold in folds for name in validation[str(fold)]["recording"].split()]
        test = paired_bootstrap(a, b, recordings)
        row["against_small"] = {"difference": round(test.difference, 4), **_interval(test)}
    return row


def _interval(test: Any) -> Record:
    return {"low": round(test.low, 4), "high": round(test.high, 4), "p": round(test.p, 4)}


def _right(
    found: dict[tuple[int, int], Record], seeds: list[int], folds: list[int], validation: Record
) -> NDArray[np.bool_]:
    """Which validation clips were right, shape (seeds, clips of all folds)."""
    truth = [label for fold in folds for label in validation[str(fold)]["truth"].split()]
    guesses = [
        [guess for fold in folds for guess in found[fold, seed]["guesses"].split()]
        for seed in seeds
    ]
    return np.equal(guesses, truth)
