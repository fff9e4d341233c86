"""The trainings of ``label_noise.py``: one data set, noise, draw, fold and loss each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from planted_noise import LabelNoise, plant_label_noise
from semisonic.classifier.config import MethodOptions, TrainConfig
from semisonic.classifier.prepare import prepare
from semisonic.classifier.scoring import mean_by, score_rows
from semisonic.classifier.simple import JUDGE, fit_scores
from semisonic.classifier.training import TrainingData, train_model
from semisonic.core.errors import DataError
from semisonic.core.files import replacing
from semisonic.core.seeds import derive
from semisonic.data.clips import Clips
from semisonic.data.datasets.load import load_clips
from semisonic.data.options import SynthOptions
from semisonic.data.splits import Split, fold_splits
from semisonic.data.synth.dataset import load_synth, make_synth
from semisonic.experiments.material import FeatureTable
from semisonic.features.options import MelOptions
from semisonic.features.statistics import mel_statistics
from semisonic.training.options import FitOptions

CONTROL, STATISTICS = "cross-entropy", "statistics"
ARMS = (CONTROL, "label-smoothing", "bootstrap", "lq", "small-loss", "lq+small-loss", STATISTICS)
"""The last is no loss: the simple models that ``semisonic suspects`` judges by."""

KINDS = ("symmetric", "pair")
FAST = {"precision": "bf16"}
PLAIN = {"precision": "fp32"}


@dataclass(frozen=True)
class Job:
    """What tells one training from another."""

    data: str
    kind: str
    rate: float
    draw: int
    fold: int
    arm: str

    @property
    def name(self) -> str:
        """A path for its scores."""
        noise = f"{self.kind}-{100 * self.rate:g}"
        return f"{self.data}/{noise}/draw-{self.draw}/{self.arm}-fold-{self.fold}"


@dataclass(frozen=True)
class DataSet:
    """Clips with their true labels, their features and their official folds."""

    name: str
    clips: Clips
    table: FeatureTable
    splits: tuple[Split, ...]

    @classmethod
    def load(cls, data: str, cache: Path) -> DataSet:
        """Make ``synth``, or read a folder; compute the features."""
        if data == "synth":
            make_synth(cache / "synth", replace(SynthOptions(), n_pool=0))
            clips, _ = load_synth(cache / "synth")
        else:
            clips = load_clips(Path(data))
        prepared = prepare(clips, MelOptions(), cache)
        if prepared.failures:
            raise DataError(f"{data}: {len(prepared.failures)} clips could not be read")
        splits = fold_splits(clips, validation=0.0, seed=0)
        return cls(clips.name, clips, FeatureTable.of(prepared), tuple(splits))

    def noise(self, job: Job) -> LabelNoise:
        """The table with wrong labels: the same ones for all losses of a draw."""
        kind: Any = job.kind
        return plant_label_noise(self.clips, job.rate, kind=kind, seed=job.draw)

    def split(self, fold: int) -> Split:
        """The split that tests a fold."""
        return next(split for split in self.splits if split.fold == fold)


@dataclass(frozen=True)
class Context:
    """What the jobs of a process share."""

    folder: Path
    sets: dict[str, DataSet]
    model: str
    epochs: int
    augment: str
    fast: bool
    device: str


_context: list[Context] = []
_statistics: dict[str, np.ndarray] = {}


def start(context: Context) -> None:
    """Set what the jobs of this process share."""
    _context[:] = [context]


def result_file(folder: Path, job: Job) -> Path:
    """Where a job leaves the rows of its test fold and their scores."""
    return folder / f"{job.name}.npz"


def run(job: Job) -> None:
    """Learn from noisy labels, score the test fold once, keep the scores."""
    (context,) = _context
    data = context.sets[job.data]
    split, noisy = data.split(job.fold), data.noise(job)
    target = noisy.clips.target()[data.table.source]
    train, test = (data.table.rows_of(rows) for rows in (split.train, split.test))
    seed = derive(job.draw, "label noise benchmark", job.fold)
    features = data.table.features
    if job.arm == STATISTICS:
        x = _statistics_of(data)
        scores = fit_scores(
            JUDGE,
            x[train],
            target[train],
            x[test],
            n_classes=len(data.clips.classes),
            seed=seed,
            workers=1,
        )
        seconds = 0.0
    else:
        outcome = train_model(
            config_of(job, context),
            TrainingData(features, target, data.clips.classes, train),
            seed=seed,
            device=context.device,
        )
        scores = score_rows(outcome.model.to(context.device), features, test, device=context.device)
        seconds = outcome.seconds
    owner, means = mean_by(data.table.source[test], scores)
    with replacing(result_file(context.folder, job)) as part, part.open("wb") as stream:
        np.savez(stream, rows=owner, scores=means.astype(np.float32), seconds=seconds)


def _statistics_of(data: DataSet) -> np.ndarray:
    """Statistics of all clips, computed once in a process."""
    if data.name not in _statistics:
        _statistics[data.name] = mel_statistics(data.table.features)
    return _statistics[data.name]


def config_of(job: Job, context: Context) -> TrainConfig:
    """The same training for all arms, but for the loss. The noise rate is taken as known."""
    rate = job.rate
    losses: dict[str, dict[str, Any]] = {
        "bootstrap": {"loss": "bootstrap"},
        "lq": {"loss": "lq"},
        "small-loss": {"noise_rate": rate},
        "lq+small-loss": {"loss": "lq", "noise_rate": rate},
    }
    speed: dict[str, Any] = FAST if context.fast else PLAIN
    fit = FitOptions(
        epochs=context.epochs,
        batch_size=32,
        optimizer="adamw",
        learning_rate=3e-3,
        weight_decay=0.01,
        schedule="onecycle",
        **speed,
    )
    return TrainConfig(
        model=context.model,
        label_smoothing=0.1 if job.arm == "label-smoothing" else 0.0,
        method_params=MethodOptions(augment=context.augment, **losses.get(job.arm, {})),
        fit=fit,
    )
