"""What does a search over settings bring on a real set, and what was promised?

For each fold of a labelled set: `semisonic tune` on the other folds, then the best settings against
the recipe's own on that fold, once. Beside what the search said of itself: the score of its best
trial, and that score without the luck of the choice.

    python benchmarks/tune.py --data DATA -o FILE.json
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from measuring import head
from semisonic.core.files import read_json, write_json
from semisonic.experiments.options import RunOptions, TuneOptions
from semisonic.experiments.run import run_recipe
from semisonic.experiments.tune import tune


def one_fold(args: argparse.Namespace, sampler: str, fold: int) -> dict[str, Any]:
    folder = args.runs / f"{sampler}-{fold}"
    found = tune(
        TuneOptions(
            recipe=args.recipe,
            data=args.data,
            output=folder,
            trials=args.trials,
            sampler=sampler,
            test_folds=(fold,),
            workers=1,
            cache=args.runs / f"cache-{fold}",
        )
    )
    test = args.runs / f"{sampler}-{fold}-test"
    run_recipe(
        RunOptions(
            recipe=str(found.recipe),
            data=args.data,
            output=test,
            workers=1,
            change=(f"budgets=[{{draws={args.draws}}}]",),
            cache=args.runs / "cache-test",
        )
    )
    measured = read_json(test / "results.json")["comparisons"][0]
    chosen = found.chosen
    assert chosen is not None, "two complete trials at least"
    states = [trial.state for trial in found.trials]
    return {
        "sampler": sampler,
        "fold": fold,
        "best": dict(found.best),
        "inner": {
            "best": found.score,
            "without_luck": found.without_luck,
            "default": found.default_score,
            "gain_without_luck": [chosen.gain, chosen.gain_low, chosen.gain_high],
        },
        "test": {
            "tuned": measured["b"]["mean"],
            "default": measured["a"]["mean"],
            "draws": measured["draws"],
        },
        "n_trials": {state: states.count(state) for state in sorted(set(states))},
        "seconds": sum(trial.seconds for trial in found.trials),
        "best_so_far": np.fmax.accumulate(
            [t.score if t.state == "complete" else np.nan for t in found.trials]
        ).tolist(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--recipe", default="tune-demo")
    parser.add_argument("--samplers", default="tpe")
    parser.add_argument("--folds", default="1,2,3,4,5")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--draws", type=int, default=5, help="trainings of each arm on a test fold")
    parser.add_argument("--runs", type=Path, default=Path("runs/bench/tune"))
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    results = []
    for sampler in args.samplers.split(","):
        for fold in map(int, args.folds.split(",")):
            results.append(one_fold(args, sampler, fold))
            inner, test = results[-1]["inner"], results[-1]["test"]
            print(
                f"{sampler:6} fold {fold}: inner {inner['best']:.3f} (without luck "
                f"{inner['without_luck']:.3f}, default {inner['default']:.3f}), test "
                f"{test['tuned']:.3f} (default {test['default']:.3f})",
                flush=True,
            )
    if args.output:
        command = (
            f"python benchmarks/tune.py --data {args.data.name.upper()} --samplers {args.samplers} "
            f"--folds {args.folds} --trials {args.trials} --draws {args.draws}"
        )
        write_json(
            args.output,
            {
                **head(command, 0),
                "results": results,
            },
        )


if __name__ == "__main__":
    main()
