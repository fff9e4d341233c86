"""What do losses for noisy labels bring, and how right is the list of suspicious labels?

Wrong labels are planted, the same ones for all losses of a draw. A network learns from the noisy
training folds for a fixed number of epochs (nothing is chosen by labels that may be wrong) and
scores the test fold once. The scores are held against the true labels, which tells what a loss
brings, and against the given ones, which tells how well wrong labels are found: the test fold's
labels are noisy too, and no model has learnt them.

    python benchmarks/label_noise.py --data synth --data ESC10 -o FILE.json

Every training leaves its scores below --work, so the command can be stopped and goes on where
it was. Parts: choose --data, --rate, --arm and --draws, and run it as often as needed; with
--collect nothing is trained and what is there is put together.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from label_noise_jobs import ARMS, CONTROL, KINDS, Context, DataSet, Job, result_file, run, start
from measuring import head
from semisonic.core import progress
from semisonic.core.files import digest, write_json
from semisonic.core.parallel import Task, run_tasks
from semisonic.data.clips import Clips
from semisonic.evaluation.comparison import compare
from semisonic.evaluation.label_errors import find_suspects
from semisonic.evaluation.metrics import average_precision
from semisonic.evaluation.predictions import Predictions
from semisonic.evaluation.statistics import holm


def jobs_of(data: DataSet, args: argparse.Namespace) -> list[Job]:
    """All trainings of a data set, draw by draw, so that a stopped run has whole draws."""
    return [
        Job(data.name, args.kind, rate, draw, split.fold, arm)
        for draw in range(args.draws)
        for rate in args.rate
        for arm in args.arm
        for split in data.splits
    ]


def scores_of(data: DataSet, jobs: Sequence[Job], folder: Path) -> np.ndarray | None:
    """The scores of all clips in one draw of one arm; None when a fold is not there yet."""
    scores = np.full((len(data.clips), len(data.clips.classes)), np.nan)
    for job in jobs:
        if not result_file(folder, job).is_file():
            return None
        with np.load(result_file(folder, job)) as found:
            scores[found["rows"]] = found["scores"]
    return None if np.isnan(scores).any() else scores


def predictions_of(
    clips: Clips, scores: np.ndarray, fold: np.ndarray, setting: str, arm: str, draw: int
) -> Predictions:
    return Predictions.of(
        clips.ids,
        clips.target(),
        scores,
        clips.classes,
        group=clips.group,
        fold=fold,
        draw=draw,
        seed=draw,
        setting=setting,
        arm=arm,
    )


def suspicion(given: np.ndarray, wrong: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    """How right the list of suspects is on planted errors."""
    found: dict[str, Any] = {"n_wrong": int(wrong.sum())}
    suspects = find_suspects(given, scores)
    hits, n = int((suspects.is_suspect & wrong).sum()), int(suspects.is_suspect.sum())
    found["noise-rate"] = {
        "n_suspects": n,
        "precision": hits / n if n else None,
        "recall": hits / int(wrong.sum()) if wrong.any() else None,
    }
    found["estimated_wrong_share"] = suspects.wrong_share
    if wrong.any():
        found["average_precision"] = average_precision(wrong, 1.0 - suspects.quality)
        worst = np.argsort(suspects.quality, kind="stable")[: int(wrong.sum())]
        found["precision_at_n_wrong"] = float(wrong[worst].mean())
    return found


def collect(data: DataSet, jobs: Sequence[Job], folder: Path) -> list[dict[str, Any]]:
    """Accuracies, comparisons with cross-entropy and the suspects, a row a rate."""
    fold = np.zeros(len(data.clips), np.int64)
    for split in data.splits:
        fold[split.test] = split.fold
    results = []
    for rate in sorted({job.rate for job in jobs}):
        setting = f"{data.name}, {100 * rate:g} %"
        tables: dict[str, dict[int, Predictions]] = {}
        lists: dict[str, list[dict[str, Any]]] = {}
        for arm in dict.fromkeys(job.arm for job in jobs):
            for draw in sorted({job.draw for job in jobs}):
                own = [j for j in jobs if (j.rate, j.arm, j.draw) == (rate, arm, draw)]
                scores = scores_of(data, own, folder)
                if scores is None:
                    continue
                table = predictions_of(data.clips, scores, fold, setting, arm, draw)
                tables.setdefault(arm, {})[draw] = table
                noisy = data.noise(own[0])
                found = suspicion(noisy.clips.target(), noisy.is_changed, scores)
                lists.setdefault(arm, []).append({"draw": draw, **found})
        results.append(
            {
                "data": data.name,
                "rate": rate,
                "n_clips": len(data.clips),
                "accuracy": {arm: accuracy_of(draws.values()) for arm, draws in tables.items()},
                "against_cross_entropy": comparisons(tables, setting),
                "suspects": lists,
            }
        )
    return results


def accuracy_of(tables: Iterable[Predictions]) -> dict[str, Any]:
    """On true labels: the mean over draws, and every draw and fold."""
    parts = list(tables)
    by_draw = [float(part.correct.mean()) for part in parts]
    by_fold = [
        [float(part.correct[part.fold == k].mean()) for k in np.unique(part.fold).tolist()]
        for part in parts
    ]
    spread = float(np.std(by_draw, ddof=1)) if len(by_draw) > 1 else None
    return {
        "mean": float(np.mean(by_draw)),
        "spread": spread,
        "by_draw": by_draw,
        "by_fold": by_fold,
    }


def comparisons(tables: dict[str, dict[int, Predictions]], setting: str) -> dict[str, Any]:
    """Each arm against cross-entropy over the draws that both have, with Holm's correction."""
    found = {}
    for arm, draws in tables.items():
        shared = sorted(draws.keys() & tables.get(CONTROL, {}).keys())
        if arm == CONTROL or not shared:
            continue
        both = [tables[a][draw] for a in (CONTROL, arm) for draw in shared]
        found[arm] = compare(Predictions.concat(both), CONTROL, arm, setting=setting)
    corrected = holm([comparison.p for comparison in found.values()])
    return {
        arm: {**comparison.to_dict(), "p_holm": p}
        for (arm, comparison), p in zip(found.items(), corrected, strict=True)
    }


def show(results: Iterable[dict[str, Any]]) -> None:
    for row in results:
        print(f"\n{row['data']}, {100 * row['rate']:g} % wrong labels")
        print(f"{'':16}{'accuracy':>10}{'':8}{'gain':>7}{'p':>8}{'precision':>11}{'recall':>8}")
        for arm, accuracy in row["accuracy"].items():
            other = row["against_cross_entropy"].get(arm)
            lists = [found["noise-rate"] for found in row["suspects"][arm]]
            hits = [
                f"{100 * np.mean([one[key] or 0.0 for one in lists]):8.1f}"
                for key in ("precision", "recall")
            ]
            spread = f" ± {100 * accuracy['spread']:.1f}" if accuracy["spread"] else ""
            gain = f"{100 * other['difference']:+7.1f}{other['p']:8.3f}" if other else " " * 15
            mean = f"{100 * accuracy['mean']:.1f}{spread}"
            print(f"{arm:16}{mean:>18}{gain}{hits[0]:>11}{hits[1]}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", action="append", help="synth or a folder; may be repeated")
    parser.add_argument("--rate", action="append", type=float, help="share of wrong labels")
    parser.add_argument("--arm", action="append", choices=ARMS, help="default: all")
    parser.add_argument("--kind", choices=KINDS, default="symmetric")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--model", default="small")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--augment", default="weak", help="as in semisonic train")
    parser.add_argument("--fast", action="store_true", help="bf16 and channels-last")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--work", type=Path, default=Path("runs/label-noise"))
    parser.add_argument("--collect", action="store_true", help="train nothing")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    args.data, args.rate = args.data or ["synth"], args.rate or [0.2, 0.4]
    args.arm = args.arm or list(ARMS)
    return args


def main() -> None:
    args = arguments()
    progress.show_progress()
    settings = {k: getattr(args, k) for k in ("model", "epochs", "augment", "fast", "kind")}
    folder = args.work / digest(*settings.items())  # other settings never mix with these
    sets = {data.name: data for data in (DataSet.load(d, args.cache) for d in args.data)}
    jobs = {name: jobs_of(data, args) for name, data in sets.items()}
    every = [job for found in jobs.values() for job in found]
    todo = [job for job in every if not result_file(folder, job).is_file()]
    if todo and not args.collect:
        context = Context(
            folder, sets, args.model, args.epochs, args.augment, args.fast, args.device
        )
        run_tasks(
            [Task(job.name, run, (job,)) for job in todo],
            workers=args.workers,
            label="train",
            done=len(every) - len(todo),
            initializer=start,
            context=(context,),
        )
    results = [row for name, data in sets.items() for row in collect(data, jobs[name], folder)]
    show(results)
    if args.output:
        n_missing = sum(not result_file(folder, job).is_file() for job in every)
        command = " ".join(
            ["python benchmarks/label_noise.py", *(f"--data {name}" for name in sets)]
            + [f"--rate {rate:g}" for rate in args.rate]
            + [f"--draws {args.draws} --epochs {args.epochs} --augment {args.augment}"]
            + [f"--model {args.model} --kind {args.kind}" + " --fast" * args.fast]
        )
        write_json(
            args.output,
            {
                **head(command, list(range(args.draws))),
                "settings": settings,
                "n_trainings": len(every),
                "n_missing": n_missing,
                "results": results,
            },
        )


if __name__ == "__main__":
    main()
