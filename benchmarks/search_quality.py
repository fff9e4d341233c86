"""Search by example on ESC-10: does what is found carry the label of what was looked for?

    python benchmarks/search_quality.py path/to/esc10 -o benchmarks/results/search_quality.json \\
        --encoder yamnet.encoder

Each clip is looked for once, by cosine. Its fold took no part in the training of the classifier
that embeds it. ``other folds``: it is looked for among the clips of the four other folds, which
that classifier was trained on. ``same fold``: among the clips of its own fold, of other
recordings, so the classifier has heard neither. Statistics of log-mel spectrograms, standardised
over the clips looked in, are what a search needs no training for. A published encoder is measured
when given; it has learned from other people's labels and stands apart.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from measuring import head
from semisonic import embed
from semisonic.classifier.options import TrainOptions
from semisonic.classifier.prepare import prepare
from semisonic.classifier.scoring import mean_by
from semisonic.classifier.train import train
from semisonic.core.files import write_json
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.features.options import MelOptions
from semisonic.features.statistics import mel_statistics
from semisonic.labeling.nearest import nearest
from semisonic.training.options import FitOptions

AT = (1, 5, 10)
EPOCHS = 30
SEED = 0
Vectors = NDArray[np.float32]


def statistics_of(clips: Clips, cache: Path) -> Vectors:
    """Statistics of log-mel, (clip, number)."""
    prepared = prepare(clips, MelOptions(), cache, workers=1)
    owner, means = mean_by(
        prepared.source, mel_statistics(np.asarray(prepared.features[:])).astype(np.float64)
    )
    assert owner.tolist() == list(range(len(clips)))
    return means.astype(np.float32)


def embedded(model: Path, clips: Clips, folder: Path) -> Vectors:
    """A vector a clip, in the order of the table."""
    index = embed(model, clips, folder, per="clip", device="cpu", workers=1)
    row = {path.resolve(): i for i, path in enumerate(index.clips.paths)}
    return np.asarray(index.vectors)[[row[path.resolve()] for path in clips.paths]]


def trained(data: Path, fold: int, place: Path) -> Path:
    """A classifier that has not heard a fold."""
    output = place / f"model-{fold}"
    train(
        TrainOptions(
            data=data,
            output=output,
            cache=place / "cache",
            test_fold=fold,
            seed=SEED,
            method="supervised",
            objective="none",
            validation=0.0,
            device="cpu",
            workers=1,
            fit=FitOptions(epochs=EPOCHS, patience=0, monitor="train_loss"),
        )
    )
    return output


def standardised(x: Vectors, by: Vectors) -> Vectors:
    return np.asarray((x - by.mean(axis=0)) / np.maximum(by.std(axis=0), 1e-6), np.float32)


def of_query(same: NDArray[np.bool_]) -> dict[str, float]:
    """Precision at some ranks and average precision, from which of the found have the label."""
    precision = np.cumsum(same) / np.arange(1, len(same) + 1)
    found = {f"precision_at_{k}": float(precision[min(k, len(same)) - 1]) for k in AT}
    return {**found, "average_precision": float(precision[same].mean()) if same.any() else 0.0}


def measure(clips: Clips, of_fold: dict[int, Vectors], where: str, whiten: bool) -> dict[str, Any]:
    """Means over all queries, and over the queries of each fold."""
    target, folds = clips.target(), []
    for fold in clips.folds:
        x = of_fold[fold]
        queries = np.flatnonzero(clips.fold == fold)
        rows = []
        for query in queries:
            inside = clips.fold != fold if where == "other folds" else clips.fold == fold
            looked_in = np.flatnonzero(inside & (clips.group != clips.group[query]))
            base, example = x[looked_in], x[query][None]
            if whiten:
                base, example = standardised(base, base), standardised(example, base)
            order = looked_in[nearest(base, example, len(base)).rows[0]]
            rows.append(of_query(target[order] == target[query]))
        folds.append({name: float(np.mean([row[name] for row in rows])) for name in rows[0]})
    means = {name: round(float(np.mean([f[name] for f in folds])), 4) for name in folds[0]}
    return {
        **means,
        "average_precision_of_folds": [round(f["average_precision"], 4) for f in folds],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="ESC-10, or another set with official folds")
    parser.add_argument("--encoder", type=Path, help="published encoder, converted")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    begun = process_time()
    clips = load_clips(options.data)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        statistics = statistics_of(clips, place / "cache")
        arms = {"statistics of log-mel": (dict.fromkeys(clips.folds, statistics), True)}
        learned = {
            fold: embedded(trained(options.data, fold, place), clips, place / f"index-{fold}")
            for fold in clips.folds
        }
        arms["classifier, 4 folds"] = (learned, False)
        if options.encoder is not None:
            published = embedded(options.encoder, clips, place / "index-published")
            arms["published encoder"] = (dict.fromkeys(clips.folds, published), False)
        rows = []
        for arm, (vectors, whiten) in arms.items():
            for where in ("other folds", "same fold"):
                found = measure(clips, vectors, where, whiten)
                rows.append({"vectors": arm, "looked_in": where, **found})
                print(rows[-1], flush=True)
    record = {
        **head("python benchmarks/search_quality.py DATA --encoder ENCODER -o FILE", SEED),
        "epochs": EPOCHS,
        "data": clips.name,
        "clips": len(clips),
        "queries": len(clips),
        "published_encoder": None if options.encoder is None else options.encoder.name,
        "processor_minutes": round((process_time() - begun) / 60, 1),
        "rows": rows,
    }
    write_json(options.output, record)


if __name__ == "__main__":
    main()
