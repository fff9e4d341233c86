"""OpenSoundscape's network from scratch on the same labels and folds, beside ``semisonic train``.

    python benchmarks/peer_opensoundscape.py path/to/esc10 \\
        --auto benchmarks/results/few-labels-4.json --python VENV/bin/python --folds 1 2 3 \\
        -o benchmarks/results/peer-opensoundscape.json

OpenSoundscape is installed in an environment of its own, whose Python ``--python`` names. It gets
the labels, folds and draws of the run whose results ``--auto`` names, so that each fold of each
draw is a pair with ``auto``. Its published weights of ImageNet are not used: ResNet18 starts from
random weights, as ``auto`` has seen no recordings of others either. It learns from the labels
alone; ``auto`` also has the training folds without their labels. The augmentation by random gain is
left out: a clip of digital silence has a level of minus infinity, which makes its gain and then all
weights NaN.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from measuring import head
from semisonic.core.files import write_json
from semisonic.data.datasets.load import load_clips
from semisonic.data.recordings import copies_together
from semisonic.data.splits import fold_splits, label_budget
from semisonic.evaluation.statistics import corrected_resampled_t

AUTO = "encoder first"
"""The arm of a run of ``few-labels`` in which ``auto`` is."""

USED = """
model = CNN("resnet18", classes, sample_duration=5.0, sample_rate=22050, single_target=True,
            arch_weights=None, height=size, width=size)
model.preprocessor.pipeline.adaptive_random_gain.bypass = True
model.train(train, None, steps=steps, batch_size=batch, save_path=folder)
scores = model.predict(test, batch_size=64)
"""
"""What its user writes for one model; ``train`` is a table with a column of 0 and 1 a class."""

WORK = """
import json, resource, sys, time
import opensoundscape, pandas as pd, torch
from opensoundscape import CNN
torch.set_num_threads(1)
todo = json.load(open(sys.argv[1]))
folder, classes, size = sys.argv[2], todo["classes"], todo["size"]
steps, batch = todo["steps"], todo["batch"]
one_hot = pd.DataFrame(0, index=todo["files"], columns=classes)
for path, label in zip(todo["files"], todo["labels"]):
    one_hot.loc[path, label] = 1
for job in todo["jobs"]:
    torch.manual_seed(job["seed"])
    train, test = one_hot.iloc[job["train"]], one_hot.iloc[job["test"]]
    wall, cpu = time.perf_counter(), time.process_time()
    USED
    right = scores.to_numpy().argmax(1) == test.to_numpy().argmax(1)
    found = {"fold": job["fold"], "draw": job["draw"], "accuracy": float(right.mean()),
             "not_finite": int(scores.isna().any(axis=1).sum()),
             "minutes": (time.perf_counter() - wall) / 60,
             "minutes_of_processor": (time.process_time() - cpu) / 60,
             "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
             "versions": {"opensoundscape": opensoundscape.__version__, "torch": torch.__version__}}
    print("RESULT" + json.dumps(found), flush=True)
""".replace("    USED\n", "".join(f"    {line}\n" for line in USED.strip().splitlines()))


def jobs_of(data: Path, auto: Path, folds: Sequence[int], draws: int) -> tuple[Any, dict[str, Any]]:
    """Pairs of auto's folds and draws, and what OpenSoundscape is to do."""
    run = json.loads(auto.read_text(encoding="utf-8"))
    (compared,) = (c for c in run["comparisons"] if c["b"]["name"] == AUTO)
    labels = int(compared["setting"].partition(" ")[0])
    clips = load_clips(data)
    if not clips.folds:
        clips = copies_together(clips, workers=1).clips
    splits = {split.fold: split for split in fold_splits(clips, validation=0.0)}
    wanted = [row for row in compared["folds"] if row["fold"] in folds and row["draw"] < draws]
    jobs = []
    for row in wanted:
        split = splits[row["fold"]]
        chosen = label_budget(clips, split.train, labels, row["seed"])
        jobs.append(
            {name: row[name] for name in ("fold", "draw", "seed")}
            | {"train": chosen.tolist(), "test": split.test.tolist()}
        )
    names = [clips.classes[number] for number in clips.target()]
    files = [str(path.resolve()) for path in clips.paths]
    todo = {"files": files, "labels": names, "classes": list(clips.classes), "jobs": jobs}
    return wanted, todo | {"data": clips.name, "labels_per_class": labels, "n_folds": len(splits)}


def worked(python: Path, todo: dict[str, Any], minutes: float) -> list[dict[str, Any]]:
    """The results of the jobs that were done within so many minutes."""
    with tempfile.TemporaryDirectory() as folder:
        listed, said = Path(folder) / "todo.json", Path(folder) / "said.txt"
        listed.write_text(json.dumps(todo), encoding="utf-8")
        with said.open("w", encoding="utf-8") as out:
            try:
                command = [python, "-c", WORK, listed, folder]
                subprocess.run(command, check=True, stdout=out, timeout=60 * minutes)
            except subprocess.TimeoutExpired:
                print(f"stopped after {minutes:g} minutes", flush=True)
        lines = said.read_text(encoding="utf-8").splitlines()
    return [json.loads(line.removeprefix("RESULT")) for line in lines if line.startswith("RESULT")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--auto", type=Path, required=True, help="results of 'run few-labels'")
    parser.add_argument("--python", type=Path, required=True, help="with OpenSoundscape")
    parser.add_argument("--folds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=128, help="of the picture, in pixels")
    parser.add_argument("--minutes", type=float, default=60, help="after which it is stopped")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    pairs, todo = jobs_of(options.data, options.auto, options.folds, options.draws)
    todo |= {"steps": options.steps, "batch": options.batch, "size": options.size}
    rows = worked(options.python, todo, options.minutes)
    if not rows:
        raise SystemExit(f"no fold was done within {options.minutes:g} minutes; give --minutes")
    theirs = [row["accuracy"] for row in rows]
    ours = [pair["accuracy_b"] for pair in pairs[: len(rows)]]
    gain = np.subtract(ours, theirs)
    tested = corrected_resampled_t(gain, 1 / (todo["n_folds"] - 1)) if len(rows) > 2 else None
    shown = (
        "python benchmarks/peer_opensoundscape.py DATA --auto RESULTS --python PYTHON "
        f"--folds {' '.join(map(str, options.folds))} --draws {options.draws} "
        f"--steps {options.steps} --batch {options.batch} --size {options.size} -o FILE"
    )
    record = {
        **head(shown, sorted({pair["seed"] for pair in pairs})),
        "data": todo["data"],
        "labels_per_class": todo["labels_per_class"],
        "written_by_the_user": USED.strip().splitlines(),
        "accuracy": statistics.fmean(theirs),
        "auto": {
            "results": options.auto.name,
            "accuracy_of_the_same_folds": statistics.fmean(ours),
        },
        "auto_minus_this": tested._asdict() if tested else None,
        "folds": rows,
    }
    write_json(options.output, record)
    print(f"{statistics.fmean(theirs):.3f}, auto {statistics.fmean(ours):.3f}, {tested}")


if __name__ == "__main__":
    main()
