"""Vectors of a published network, and what learns from them: once for all clips, then each model.

BirdNET: windows of 3 s side by side, the last one filled up with silence; the vector behind the
pooling (1024 numbers), which is what custom classifiers of BirdNET-Analyzer learn from.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
import torch
import way
from ai_edge_litert.interpreter import Interpreter
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from semisonic.classifier.config import MethodOptions
from semisonic.classifier.probe import fit_probe

sys.path.append(str(Path(__file__).parents[1]))


def birdnet(file: str, paths: Sequence[str]) -> Any:
    net = Interpreter(file, experimental_preserve_all_tensors=True, num_threads=1)
    net.allocate_tensors()
    into, last = net.get_input_details()[0]["index"], net.get_output_details()[0]["index"] - 1
    rate, n = 48000, 144000
    rows = []
    for path in paths:
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
    return np.stack(rows).astype("float32")


def yamnet(job: way.Job, paths: Sequence[str]) -> Any:
    from general_encoder import embeddings

    clips, x, _ = embeddings(Path("yamnet"), Path(job["data"]), Path(job["cache"]), 5.0)
    order = {str(path): row for row, path in enumerate(clips.paths)}
    return x[[order[path] for path in paths]]


def vectors(job: way.Job, paths: Sequence[str]) -> Any:
    torch.set_num_threads(1)
    return birdnet(job["birdnet"], paths) if job["network"] == "birdnet" else yamnet(job, paths)


def learn(job: way.Job, x: Any, model: dict[str, Any]) -> Any:
    y, train, test = np.array(job["labels"]), np.array(model["train"]), np.array(model["test"])
    if job["learner"] == "logistic":
        pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        return pipeline.fit(x[train], y[train]).predict(x[test])
    from general_encoder import Embedded

    head: Any = Embedded(x.shape[1], [str(name) for name in range(int(y.max()) + 1)])
    # what 'semisonic train --encoder' does: a linear layer, and pseudo-labels
    pool = np.array(model["pool"], dtype=np.int64)
    fit_probe(head, x[:, None, :, None], y, train, pool, MethodOptions(threshold=0.7))
    return head.named(x[test])


if __name__ == "__main__":
    way.by_vectors(vectors, learn, ["semisonic", "scikit-learn", "torch", "ai-edge-litert"])
