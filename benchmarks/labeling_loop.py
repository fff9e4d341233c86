"""How fast a classifier grows with answers, by what is asked: a simulated annotator.

python benchmarks/labeling_loop.py path/to/esc10 -o benchmarks/results/labeling_loop_esc10.json

For each fold, the others are the pool, without labels; the fold itself is heard by nobody. The
encoder has learned synthetic sounds and no recording. Queues of ten are asked for, answered as the
data set says, and learned from, as 'semisonic project' does; then the classifier is tested on the
fold.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from scipy.special import softmax

from measuring import head
from semisonic.classifier.start import synthetic_file
from semisonic.core.files import read_json, write_json
from semisonic.core.progress import track
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.data.duplicates import find_duplicates, group_duplicates
from semisonic.data.splits import make_folds
from semisonic.evaluation.comparison import ArmAccuracy
from semisonic.evaluation.learning_curve import CurvePoint, LearningCurve
from semisonic.evaluation.plots.results import label_curve
from semisonic.evaluation.statistics import Interval, bootstrap
from semisonic.features.options import MelOptions
from semisonic.labeling.answers import LabelledRows
from semisonic.labeling.embed import embed
from semisonic.labeling.index import EmbeddingIndex
from semisonic.labeling.probe import learn_probe
from semisonic.labeling.suggest import CandidatePool, choose

BATCH = 10
BUDGETS = (10, 20, 40, 80)
ARMS = {
    "random": ("random", "random"),
    "uncertain": ("typical", "uncertain"),
    "typical": ("typical", "typical"),
    "mix": ("mix", "mix"),
    "mix without chance": ("mix", "mix"),
}
"""What the first queue asks, when there is no classifier, and what the others ask."""


def folded(path: Path) -> Clips:
    """A labelled set with its own folds, or some by recording, copies of a clip in one of them."""
    clips = load_clips(path)
    if clips.folds:
        return clips
    clips = group_duplicates(clips, find_duplicates(clips, workers=1))
    return clips.with_columns(fold=make_folds(clips, 5, seed=0))


def aligned(clips: Clips, index: EmbeddingIndex) -> Clips:
    """The labels and folds of the rows of an index."""
    named = {str(p.resolve()): row for row, p in enumerate(clips.paths)}
    return clips[np.array([named[str(p.resolve())] for p in index.clips.paths])]


def simulate(table: Clips, vectors: np.ndarray, fold: int, arm: str, seed: int) -> dict[int, float]:
    """Accuracy on the fold after so many answers."""
    pool_rows, test = np.flatnonzero(table.fold != fold), np.flatnonzero(table.fold == fold)
    clips, x = table[pool_rows].without_labels(), vectors[pool_rows]
    ends = np.where(np.isnan(clips.end_time), 5.0, clips.end_time)
    clips = clips.with_columns(end_time=ends)
    truth, classes = table.target(), table.classes
    cluster = np.full(len(clips), -1)
    first, then = ARMS[arm]
    share = 0.0 if arm == "mix without chance" else 0.2
    asked = np.zeros(0, np.int64)
    scores, found, learned = None, {}, ()
    while len(asked) < BUDGETS[-1]:
        pool = CandidatePool(clips, x, cluster, scores, learned)
        answered = clips[asked] if len(asked) else None
        queue = choose(
            pool, BATCH, then if scores is not None else first, seed, answered, random_share=share
        )
        row_of = {name: row for row, name in enumerate(clips.file.tolist())}
        asked = np.r_[asked, [row_of[row.file] for row in queue]].astype(np.int64)
        target = truth[pool_rows[asked]]
        seen = np.unique(target)
        if len(seen) < 2:
            predicted = np.full(len(test), seen[0])
        else:
            hot = (target[:, None] == seen[None]).astype(np.float32)
            learned = tuple(classes[k] for k in seen)
            known = LabelledRows(
                asked, hot, np.ones(len(asked)), clips.group[asked], learned, False
            )
            probe = learn_probe(x, known, np.arange(len(clips)), seed=seed)
            scores = softmax(probe.logits(x), axis=1)
            predicted = seen[probe.logits(vectors[test]).argmax(axis=1)]
        if len(asked) in BUDGETS:
            found[len(asked)] = float(np.mean(predicted == truth[test]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--folds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cache", type=Path, default=Path("runs/labeling_loop"))
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--figure", type=Path, help="draw the results that are there, run nothing")
    options = parser.parse_args()
    if options.figure is not None:
        draw(read_json(options.output), options.figure)
        return
    if len(set(options.folds)) < 2 or options.seeds < 2:
        parser.error("the intervals are over folds and seeds: give at least two of each")
    begun = time.process_time()
    clips = folded(options.data)
    encoder = synthetic_file("small", MelOptions(), device="cpu")
    index = embed(encoder, clips, options.cache / clips.name, per="clip", device="cpu")
    table, vectors = aligned(clips, index), np.array(index.vectors)
    results: dict[str, list[dict[str, object]]] = {}
    jobs = [(a, f, s) for a in ARMS for f in options.folds for s in range(options.seeds)]
    for arm, fold, seed in track(jobs, "simulate", "run"):
        found = simulate(table, vectors, fold, arm, seed)
        results.setdefault(arm, []).append({"fold": fold, "seed": seed, "accuracy": found})
    write_json(options.output, record(clips, results, options, time.process_time() - begun))
    for arm, rows in results.items():
        print(arm, {b: round(float(np.mean([r["accuracy"][b] for r in rows])), 4) for b in BUDGETS})


def record(clips: Clips, results: dict, options: argparse.Namespace, seconds: float) -> dict:
    """What is written down: means, differences to random, and every run."""
    means: dict[str, object] = {}
    for arm, rows in results.items():
        entry = {}
        for budget in BUDGETS:
            table = by_fold(rows, budget)
            entry[budget] = {
                "accuracy": round(float(table.mean()), 4),
                "spread_over_seeds": round(float(table.mean(axis=1).std(ddof=1)), 4),
            }
            if arm != "random":
                gap = table - by_fold(results["random"], budget)
                one = bootstrap(gap)
                entry[budget] |= {
                    "minus_random": round(one.mean, 4),
                    "low": round(one.low, 4),
                    "high": round(one.high, 4),
                }
        means[arm] = entry
    return {
        **head("python benchmarks/labeling_loop.py DATA -o FILE", list(range(options.seeds))),
        "data": clips.name,
        "clips": len(clips),
        "classes": len(clips.classes),
        "folds": options.folds,
        "seeds": options.seeds,
        "encoder": "small, synthetic sounds",
        "batch": BATCH,
        "core_seconds": round(seconds),
        "means": means,
        "accuracy_by_seed_and_fold": {
            arm: {budget: str(by_fold(rows, budget).round(4).tolist()) for budget in BUDGETS}
            for arm, rows in results.items()
        },
    }


def draw(found: dict, path: Path) -> None:
    """Chance and the mix by answers a class."""
    curves = []
    for arm, name in (("random", "drawn at random"), ("mix", "asked by 'mix'")):
        points = []
        for budget in BUDGETS:
            accuracy = np.array(json.loads(found["accuracy_by_seed_and_fold"][arm][str(budget)]))
            draws, around = accuracy.mean(axis=1), bootstrap(accuracy)
            mean, spread = float(draws.mean()), float(draws.std(ddof=1))
            arm_accuracy = ArmAccuracy(name, mean, spread, Interval(around.low, around.high))
            points.append(
                CurvePoint(budget / found["classes"], arm_accuracy, tuple(draws.tolist()))
            )
        curves.append(LearningCurve(name, tuple(points)))
    figure = label_curve(curves)
    figure.suptitle(f"{found['data']}: which clips to label first")
    figure.axes[0].set_xlabel("answers, a class on average")
    figure.savefig(path, dpi=110)


def by_fold(rows: list, budget: int) -> np.ndarray:
    """Accuracies of an arm, (seed, fold)."""
    seeds = sorted({row["seed"] for row in rows})
    return np.array([[r["accuracy"][budget] for r in rows if r["seed"] == s] for s in seeds])


if __name__ == "__main__":
    main()
