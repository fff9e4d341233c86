"""How well sounds of a class that was never learned are told from known ones.

    python benchmarks/unknown.py path/to/esc10 path/to/animals -o benchmarks/results/unknown.json

One fold is for the test. An encoder learns from all other clips without labels, as ``train
--method auto`` has it; with ``--objective none`` it is the start that comes with the package. Then
each class is left out in turn: a probe learns the others, its rules are fitted on the same labels,
and the clips of the test fold are scored: the known ones, which trained and fitted nothing, and
those of the class left out. A set without official folds gets five, by recording.

The pool is all other clips. "the class in the pool": as in recordings of the same place, it holds
the class left out, without labels. "not in the pool": the class layer and the rules learn from a
pool without it; the encoder has heard it. "no pool": both learn from the labels alone. With
``--inner`` the test fold is left out and the next fold tests, which is for choosing rules.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from time import process_time
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from measuring import head
from score_networks import rounded
from semisonic.classifier.calibration import decide_after_training
from semisonic.classifier.config import PROBE, SIMCLR, MethodOptions, TrainConfig
from semisonic.classifier.probe import fit_probe
from semisonic.classifier.scoring import network_outputs
from semisonic.classifier.sounds import Sounds
from semisonic.classifier.train import TrainingJob, select_job
from semisonic.classifier.training import NO_ROWS, TrainingData, train_model
from semisonic.core.files import write_json
from semisonic.core.seeds import generator
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.data.splits import make_folds
from semisonic.models.decision import KNOWN_THRESHOLD
from semisonic.models.sound_model import SoundModel

IN_POOL, NOT_IN_POOL, NO_POOL = POOLS = ("the class in the pool", "not in the pool", "no pool")
HOW = TrainConfig(method=PROBE, objective=SIMCLR, method_params=MethodOptions(threshold=0.7))
Rows = np.ndarray[Any, np.dtype[np.int64]]


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


def trained(clips: Clips, fold: int, cache: Path, objective: str) -> tuple[SoundModel, TrainingJob]:
    """A model whose encoder has learned from all clips but those of a fold."""
    how = replace(HOW, objective=objective)
    job = select_job(how, Sounds(clips), start="synth", seed=0, share=0.0, test_fold=fold)
    job.prepare(
        cache, device="cpu", workers=1, in_batch="no", folder=cache / f"{clips.name}-{fold}"
    )
    return train_model(job.config, job.data, seed=0, start=job.start).model, job


def some_of(rows: Rows, target: Any, group: Any, n: int, seed: int) -> Rows:
    """So many rows of each class, of different recordings as far as there are."""
    if not n:
        return rows
    rng, chosen = generator(seed, "labels"), []
    for one in np.unique(target[rows]):
        mine = rng.permutation(rows[target[rows] == one])
        first = np.unique(group[mine], return_index=True)[1]
        chosen += [*mine[np.sort(first)], *np.delete(mine, first)][:n]
    return np.sort(np.array(chosen))


def left_out(
    model: SoundModel, job: TrainingJob, x: Any, test: Clips, name: str, budget: int
) -> dict[str, Any]:
    """The numbers of one class left out."""
    found: dict[str, Any] = {"left_out": name, "labels_per_class": budget}
    for pool in POOLS:
        found |= with_pool(model, job, x, test, name, budget, pool)
    return found


def with_pool(
    model: SoundModel, job: TrainingJob, x: Any, test: Clips, name: str, budget: int, pool: str
) -> dict[str, Any]:
    """Those with one pool."""
    prepared, clips = job.prepared, job.labelled.clips
    names = tuple(one for one in clips.classes if one != name)
    number = {one: i for i, one in enumerate(names)}
    target = np.array([number.get(one[0], -1) for one in clips.labels])[prepared.source]
    rows = some_of(
        np.flatnonzero(target >= 0), target, clips.group[prepared.source], budget, seed=budget
    )
    made = model.with_head(names)
    rest = {
        IN_POOL: np.arange(len(target)),
        NOT_IN_POOL: np.flatnonzero(target >= 0),
        NO_POOL: NO_ROWS,
    }[pool]
    data = TrainingData(prepared.features, target, names, rows, pool=rest)
    fit_probe(made, data.features, target, rows, data.pool, HOW.method_params)
    decide_after_training(made, prepared, data, clips, HOW, 0)
    strange = np.array([one[0] == name for one in test.labels])
    outputs = network_outputs(made, x, np.arange(len(test)))
    scores, known = (one.numpy() for one in made.decide(*map(torch.from_numpy, outputs)))
    plain = made.calibrated(torch.from_numpy(outputs.logits)).numpy().max(axis=1)
    truth = np.array([number.get(one[0], -1) for one in test.labels])
    passes = known >= KNOWN_THRESHOLD
    right = scores.argmax(axis=1)[~strange] == truth[~strange]
    numbers = {
        **ood_metrics(-known[~strange], -known[strange]),
        "known_that_pass": float(passes[~strange].mean()),
        "unknown_that_pass": float(passes[strange].mean()),
        "accuracy": float(right.mean()),
    }
    highest = ood_metrics(-plain[~strange], -plain[strange])
    return {pool: numbers} | ({"highest score": highest} if pool == IN_POOL else {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, nargs="+", help="labelled recordings")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--fold", type=int, default=1, help="the test fold")
    parser.add_argument("--inner", action="store_true", help="test with another fold instead")
    parser.add_argument("--objective", default=SIMCLR, help="of pre-training, or none")
    parser.add_argument(
        "--budgets", type=int, nargs="+", default=[16, 0], help="labels per class; 0: all"
    )
    parser.add_argument("--cache", type=Path, default=Path("runs/unknown/cache"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    started, sets = process_time(), dict[str, Any]()
    for place in options.data:
        clips = load_clips(place)
        if not (clips.fold > 0).any():
            clips = clips.with_columns(fold=make_folds(clips, 5, seed=0))
        fold = options.fold
        if options.inner:
            clips = clips[clips.fold != fold]
            fold = next(one for one in sorted(set(clips.fold.tolist())) if one > fold)
        model, job = trained(clips, fold, options.cache, options.objective)
        test = clips[clips.fold == fold]
        heard = Sounds(test).prepare(model.mel, options.cache, 1)
        test = test[heard.source]
        here = [name for name in clips.classes if any(one[0] == name for one in test.labels)]
        rows = []
        for budget in options.budgets:
            rows += [left_out(model, job, heard.features, test, name, budget) for name in here]
        means = {
            str(budget or "all"): {
                rule: {
                    key: fmean(row[rule][key] for row in rows if row["labels_per_class"] == budget)
                    for key in rows[0][rule]
                }
                for rule in ("highest score", *POOLS)
            }
            for budget in options.budgets
        }
        sets[clips.name] = {"test_clips": len(test), "means": rounded(means), "rows": rounded(rows)}
        print(clips.name, rounded(means), flush=True)
        shown = "python benchmarks/unknown.py ESC-10 ANIMALS URBANSOUND8K_PART -o FILE"
        shown += f" --objective {options.objective} --budgets {' '.join(map(str, options.budgets))}"
        shown += " --inner" if options.inner else ""
        write_json(
            options.output,
            {
                **head(shown, [0]),
                "processor_seconds": round(process_time() - started),
                "objective": options.objective,
                "fold": fold,
                "sets": sets,
            },
        )


if __name__ == "__main__":
    main()
