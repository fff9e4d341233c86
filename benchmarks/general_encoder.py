"""A published encoder left as it is: a linear layer on its embeddings, official folds.

    semisonic encoder get yamnet
    python benchmarks/general_encoder.py yamnet path/to/esc10 \\
        -o benchmarks/results/general-encoder.json
    python benchmarks/general_encoder.py yamnet path/to/animals --labels 4 \\
        -o benchmarks/results/general-encoder-animals.json
    python benchmarks/general_encoder.py yamnet path/to/urbansound8k --labels 4 16 --duration 4 \\
        -o benchmarks/results/general-encoder-urbansound.json

Every clip is embedded once (a long one by the mean of its windows); then ``fit_probe``
learns from labels drawn by recording, alone and with the training folds as a pool. Each clip is
scored once a draw, by a layer that has not learned from its fold. A set without folds gets five,
with copies of a sound in one of them. The two ways to learn are compared by fold and draw, with the
t-test that allows for shared training clips. Not from scratch: the result says what the encoder
was trained on.

``--further FOLDS`` adds the other way: the whole encoder is trained further on the same labels
(``train --encoder NAME --method supervised``, nothing chosen by results), on the folds named.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from measuring import head
from semisonic.classifier.classifier import SoundClassifier
from semisonic.classifier.config import MethodOptions
from semisonic.classifier.model_file import open_encoder
from semisonic.classifier.prepare import prepare
from semisonic.classifier.probe import fit_probe
from semisonic.classifier.scoring import embed_rows, mean_by
from semisonic.core.files import write_json
from semisonic.data.datasets.load import load_clips
from semisonic.data.recordings import copies_together
from semisonic.data.splits import fold_splits, label_budget
from semisonic.evaluation.statistics import corrected_resampled_t
from semisonic.models.necks import GlobalPoolNeck
from semisonic.models.pretrained import transfer
from semisonic.models.sound_model import build

BUDGETS = (1, 2, 4, 5, 10, 0)  # labels a class; 0: all
DRAWS = 5
HOW = MethodOptions(threshold=0.7)  # as auto sets it
ARMS = ("labels", "labels and guesses")


class Embedded(nn.Module):
    """Stands where a model does, for embeddings that are known: what a probe needs of one."""

    def __init__(self, dim: int, classes: Sequence[str]) -> None:
        super().__init__()
        self.classes = tuple(classes)
        self.neck = GlobalPoolNeck(dim)
        self.head = nn.Sequential(nn.Identity(), nn.Linear(dim, len(classes)))

    def embed(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    @torch.inference_mode()
    def named(self, x: NDArray[np.float32]) -> NDArray[np.int64]:
        found: NDArray[np.int64] = self.head(torch.from_numpy(x)).argmax(1).numpy()
        return found


def embeddings(
    encoder: Path, data: Path, cache: Path, duration: float
) -> tuple[Any, NDArray[np.float32], Any]:
    """Clips, their embeddings (clip, dim), and what the encoder says, with its speed."""
    start = open_encoder(encoder)
    mel = replace(start.mel, duration=duration)
    clips = load_clips(data)
    if not clips.folds:
        clips = copies_together(clips, workers=1, cache=cache).clips
    prepared = prepare(clips, mel, cache, workers=1)
    kind = start.frontend.standardize.kind
    model = build(start.name, mel, clips.classes, standardize=kind).eval()
    transfer(start, model)
    begun = process_time()
    x = embed_rows(model, prepared.features, np.arange(len(prepared)))
    speed = 1000 * (process_time() - begun) / len(prepared)
    owner, means = mean_by(prepared.source, x)
    said = {"encoder": dict(start.published), "ms_of_processor_a_window": round(speed, 1)}
    return clips[owner], means.astype(np.float32), said


def accuracies(clips: Any, x: NDArray[np.float32], labels: int, arm: str) -> list[list[float]]:
    """For each draw the accuracy of each fold."""
    target, draws = clips.target(), []
    for draw in range(DRAWS if labels else 1):
        folds = []
        for split in fold_splits(clips, validation=0.0):
            rows = label_budget(clips, split.train, labels, draw) if labels else split.train
            pool = split.train if arm != ARMS[0] else np.zeros(0, np.int64)
            model: Any = Embedded(x.shape[1], clips.classes)
            fit_probe(model, x[:, None, :, None], target, rows, pool, HOW)
            folds.append(float(np.mean(model.named(x[split.test]) == target[split.test])))
        draws.append(folds)
    return draws


def trained_further(
    encoder: Path, clips: Any, labels: int, folds: Sequence[int], duration: float
) -> list[dict[str, Any]]:
    """For each of the folds the accuracy of an encoder trained further on the first draw."""
    found = []
    for fold, split in enumerate(fold_splits(clips, validation=0.0), start=1):
        if fold not in folds:
            continue
        rows = label_budget(clips, split.train, labels, 0) if labels else split.train
        begun = process_time()
        classifier = SoundClassifier(
            encoder=encoder,
            method="supervised",
            mel={"duration": duration},
            validation=0.0,
            workers=1,
        ).fit(clips[rows])
        seconds = process_time() - begun
        named = classifier.classes_[classifier.predict_proba(clips[split.test]).argmax(1)]
        truth = np.asarray(clips.classes)[clips.target()[split.test]]
        accuracy = float(np.mean(named == truth))
        found.append({"fold": fold, "accuracy": accuracy, "seconds_of_processor": round(seconds)})
        print(
            f"fold {fold}, trained further: {100 * accuracy:.1f} after {seconds:.0f} s", flush=True
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("encoder", type=Path, help="name or file of a general encoder")
    parser.add_argument("data", type=Path, help="a data set with labels")
    parser.add_argument("--labels", type=int, nargs="+", default=BUDGETS, help="a class; 0: all")
    parser.add_argument("--duration", type=float, default=5.0, help="of a window, in seconds")
    parser.add_argument("--further", type=int, nargs="+", default=(), metavar="FOLD")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/general/cache"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    clips, x, said = embeddings(options.encoder, options.data, options.cache, options.duration)
    n_folds, rows = len(clips.folds) or 5, []
    for labels in options.labels:
        found = [accuracies(clips, x, labels, arm) for arm in (ARMS if labels else ARMS[:1])]
        for arm, draws in zip(ARMS, found, strict=False):
            means = [statistics.fmean(folds) for folds in draws]
            spread = statistics.stdev(means) if len(means) > 1 else None
            rows.append(
                {
                    "labels_per_class": labels,
                    "learned_from": arm,
                    "accuracy": statistics.fmean(means),
                    "deviation_over_draws": spread,
                    "folds_of_draws": draws,
                }
            )
            print(f"{labels or 'all'} labels, {arm}: {100 * rows[-1]['accuracy']:.1f}", flush=True)
        if labels:
            gain = np.subtract(found[1], found[0]).ravel()
            rows[-1]["gain"] = corrected_resampled_t(gain, 1 / (n_folds - 1))._asdict()
            print(f"  gain: {rows[-1]['gain']}", flush=True)
        if options.further:
            rows[-2 if labels else -1]["trained_further"] = trained_further(
                options.encoder, clips, labels, options.further, options.duration
            )
    shown = " ".join(
        [
            "python benchmarks/general_encoder.py ENCODER DATA --labels",
            *map(str, options.labels),
            f"--duration {options.duration:g}",
            *(["--further", *map(str, options.further)] if options.further else []),
            "-o FILE",
        ]
    )
    record = {
        **head(shown, list(range(DRAWS))),
        "from_scratch": False,
        **said,
        "data": clips.name,
        "clips": len(clips),
        "rows": rows,
    }
    write_json(options.output, record)


if __name__ == "__main__":
    main()
