"""Training of network designs on inner parts of folds; a part of ``network_designs.py``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from network_speed import BATCH, FIT, Record
from semisonic.classifier.prepare import prepare
from semisonic.classifier.scoring import score_rows
from semisonic.core.seeds import derive
from semisonic.data.batches import Stream
from semisonic.data.budgets import label_budget
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.data.splits import fold_splits
from semisonic.experiments.material import FeatureTable
from semisonic.features.augment.chain import augmenter
from semisonic.features.augment.mixing import Mixup
from semisonic.features.options import MelOptions, preset
from semisonic.learning.supervised import Supervised
from semisonic.models.sound_model import build
from semisonic.training.devices import PrecisionPlan
from semisonic.training.loop import fit
from semisonic.training.options import FitOptions

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Run:
    """What one training is told apart by."""

    design: str
    labels: int  # a class; 0: all
    steps: int
    augment: str
    fold: int
    seed: int


def train(
    table: FeatureTable, target: Rows, rows: tuple[Rows, Rows], run: Run, plan: str, device: str
) -> Record:
    """Train one network, score the validation part once."""
    torch.set_num_threads(1)
    features, mel = table.open(), table.mel
    classes = [f"class {i}" for i in range(int(target.max()) + 1)]
    model = build(run.design, mel, classes, dropout=0.3, seed=run.seed)
    model.frontend.standardize.fit(np.asarray(features[rows[0]], np.float32))
    augment = augmenter(preset(run.augment, mel), mel)
    objective = Supervised(model, augment=augment, mix=Mixup(mel, 0.4))
    stream = Stream(
        features, rows[0], batch_size=BATCH, seed=run.seed, target=target, device=device
    )
    found = PrecisionPlan.parse(plan)
    options = asdict(FIT) | {
        "steps": run.steps,
        "precision": "bf16" if found.bf16 else "fp32",
        "channels_last": "on" if found.channels_last else "off",
    }
    result = fit(
        objective,
        {"labelled": stream},
        FitOptions(**options),
        seed=derive(run.seed, "fit", run.fold),
        device=device,
    )
    scores, truth = _per_clip(
        score_rows(model, features, rows[1], device=device), table, target, rows[1]
    )
    guesses, right = scores.argmax(axis=1), scores[np.arange(len(truth)), truth]
    return {
        **asdict(run),
        "accuracy": float((guesses == truth).mean()),
        "loss": float(-np.log(np.maximum(right, 1e-12)).mean()),
        "training_loss": result.history[-1]["loss"],
        "steps_done": result.n_steps,
        "seconds": round(result.seconds, 1),
        "precision": result.precision,
        "guesses": " ".join(map(str, guesses.tolist())),
    }


def _per_clip(
    scores: NDArray[np.float64], table: FeatureTable, target: Rows, rows: Rows
) -> tuple[NDArray[np.float64], Rows]:
    """Scores and class of each clip: the mean of its windows, if it is longer than one."""
    _, first, owner, count = np.unique(
        table.source[rows], return_index=True, return_inverse=True, return_counts=True
    )
    total = np.zeros((len(first), scores.shape[1]))
    np.add.at(total, owner, scores)
    return total / count[:, None], target[rows[first]]


@dataclass(frozen=True)
class Material:
    """Clips, their features, and the two parts of each outer fold."""

    clips: Clips
    table: FeatureTable
    target: Rows
    parts: dict[int, tuple[Rows, Rows]]  # rows of the clips: training, validation

    @classmethod
    def load(cls, data: Path, cache: Path) -> Material:
        """Decode and split."""
        clips = load_clips(data)
        table = FeatureTable.of(prepare(clips, MelOptions(), cache))
        splits = fold_splits(clips, validation_fold="previous")
        parts = {split.fold: (split.train, split.validation) for split in splits}
        return cls(clips, table, clips.target()[table.source], parts)

    def rows(self, run: Run) -> tuple[Rows, Rows]:
        """Rows of features that a run trains on and validates on."""
        kept, held = self.parts[run.fold]
        if run.labels:
            kept = label_budget(self.clips, kept, run.labels, run.seed)
        return self.table.rows_of(kept), self.table.rows_of(held)

    def validation(self) -> dict[str, Record]:
        """Classes and recordings (as numbers) of the validation clips of each fold."""
        number = {name: i for i, name in enumerate(sorted(set(self.clips.group)))}
        found = {}
        for fold, (_, held) in self.parts.items():
            recordings = [number[self.clips.group[row]] for row in held]
            truth = self.clips.target()[held].tolist()
            found[str(fold)] = {
                "truth": " ".join(map(str, truth)),
                "recording": " ".join(map(str, recordings)),
            }
        return found
