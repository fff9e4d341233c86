"""The jobs of an experiment: their names, what a finished one leaves, and how it is read."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from semisonic.classifier.config import (
    MAJORITY,
    MEAN,
    NO_OBJECTIVE,
    SOLVED,
    MethodOptions,
    PretextOptions,
)
from semisonic.classifier.simple import CLASSIFIERS, EMBEDDING
from semisonic.core.files import digest, read_json, replacing, write_json
from semisonic.data.clips import Clips
from semisonic.evaluation.predictions import Predictions
from semisonic.experiments.recipe import TRAINED, Budget, Setting
from semisonic.training.loop import FitResult

# The two kinds of jobs, and their names: hashes of everything that a result depends on.
#
# What a job does not read is left out of its name, so equal work is done once (the control is the
# same for every decoder) and a finished job of an interrupted run is found again.


Rows = NDArray[np.int64]

SIMPLE_VERSION = 1
"""Part of the names of jobs that train no network: raise it when a classifier changes."""


@dataclass(frozen=True, eq=False)
class PretrainJob:
    """Pre-train an encoder. Row numbers count the joined table: labelled clips, then pool."""

    name: str
    setting: Setting
    fold: int
    draw: int
    seed: int
    rows: Rows
    held_out: Rows
    show: Rows

    @property
    def needs(self) -> tuple[str, ...]:
        """No job comes before it."""
        return ()


@dataclass(frozen=True, eq=False)
class TrainJob:
    """Train a classifier and score its test fold once."""

    name: str
    setting: Setting
    budget: Budget
    arm: str
    fold: int
    draw: int
    seed: int
    train: Rows
    validation: Rows
    test: Rows
    pool: Rows
    start: PretrainJob | None

    @property
    def needs(self) -> tuple[str, ...]:
        """The pre-training that it starts from."""
        return (self.start.name,) if self.start else ()


def named_pretraining(job: PretrainJob, source: str) -> PretrainJob:
    """The job under its name; held-out rows join the others where nothing is chosen by them.

    Parameters
    ----------
    job : PretrainJob
    source : str
        What tells the set apart that settings with ``start = "trained"`` begin from.
    """
    setting, rows, held_out = job.setting, job.rows, job.held_out
    if not setting.pretrain.heeds_validation:
        rows, held_out = np.sort(np.concatenate([rows, held_out])), held_out[:0]
    plain = Setting()  # what only the training after it reads is left out
    reads = replace(
        setting,
        name="",
        dropout=plain.dropout,
        label_smoothing=plain.label_smoothing,
        method=plain.method,
        pool=plain.pool,
        method_params=plain.method_params,
        loss=plain.loss,
        fit=plain.fit,
        classifier=plain.classifier,
        inputs=plain.inputs,
        group_first=plain.group_first,
        generated=plain.generated,
        segments=replace(setting.segments, voting=plain.segments.voting),
    )
    name = digest(
        "pre-train",
        reads,
        job.fold,
        job.seed,
        rows.tolist(),
        held_out.tolist(),
        *_begun(setting, source),
    )
    return replace(job, name=f"pretrain-{name}", rows=rows, held_out=held_out)


def named_training(
    job: TrainJob, source: str, categories: Mapping[str, str] | None = None
) -> TrainJob:
    """The job under its name, without the pool where it is not heard.

    Parameters
    ----------
    job : TrainJob
    source : str
        As for :func:`named_pretraining`.
    categories : mapping of class to group, optional
        Read by settings that name the group first.
    """
    setting = job.setting
    if setting.classifier:
        return replace(job, name=_name_of_simple(job, source, categories), pool=job.pool[:0])
    plain = Setting()  # of what is not read, or told by the rows
    reads = replace(
        setting,
        name="",
        pretrain=plain.pretrain,
        pool=plain.pool,
        segments=replace(setting.segments, voting=plain.segments.voting),  # both are written
    )
    if job.start is None:
        reads = replace(reads, decoder="unpool", objective=NO_OBJECTIVE, pretext=PretextOptions())
    if not setting.generated.is_used:
        reads = replace(reads, generated=plain.generated)
    if setting.method in SOLVED:
        reads = replace(
            reads,
            fit=plain.fit,
            loss=plain.loss,
            dropout=plain.dropout,
            label_smoothing=plain.label_smoothing,
        )
    if setting.method == "supervised":
        reads = replace(reads, method_params=_without_pool(setting.method_params))
        job = replace(job, pool=job.pool[:0])
    # What is trained on is named by rows: a method that hears the test clips is another job.
    name = digest(
        "train",
        reads,
        job.fold,
        job.seed,
        job.train.tolist(),
        job.validation.tolist(),
        job.pool.tolist(),
        job.start.name if job.start else "",
        *_begun(setting, source),
    )
    return replace(job, name=f"train-{name}")


def _name_of_simple(job: TrainJob, source: str, categories: Mapping[str, str] | None) -> str:
    """Of a simple classifier, which hears no pool and has no epoch to choose.

    It is made of what it reads alone: one that has nothing random in it is the same work in
    every draw of the same labels.
    """
    setting, cut = job.setting, job.setting.segments
    reads: list[object] = [setting.classifier, setting.inputs, setting.front.key()]
    reads.append((cut.hop, cut.rest, cut.copies))
    reads.append(job.seed if CLASSIFIERS[setting.classifier].is_random else "")
    reads.append(sorted((categories or {}).items()) if setting.group_first else "")
    if job.start is not None:
        reads.append(job.start.name)
    elif setting.inputs == EMBEDDING:
        reads += [setting.architecture, setting.standardize, setting.start]
        reads += _begun(setting, source)
    name = digest("simple", SIMPLE_VERSION, *reads, job.fold, job.train.tolist())
    return f"train-{name}"


def _begun(setting: Setting, source: str) -> list[object]:
    """What a job's name says of the set that its encoder was trained on before; often nothing."""
    return [source] if setting.start == TRAINED else []


def _without_pool(params: MethodOptions) -> MethodOptions:
    """What supervised training reads of a method's options."""
    return MethodOptions(augment=params.augment, mixup=params.mixup)


# What a finished job leaves: its scored test clips and a record of itself.


DONE = "job.json"
GENERATOR = "generator"
"""Folder of a generator's checkpoint, in that of the job."""
PREDICTIONS = {MEAN: "predictions.csv.gz", MAJORITY: "majority.csv.gz"}
"""By the way that the segments of a clip vote; the second where a clip has several."""


def predictions_of(
    job: TrainJob, labelled: Clips, rows: Rows, scores: NDArray[np.float64]
) -> Predictions:
    """The scores of a job's test clips as a table.

    Parameters
    ----------
    rows : ndarray of int64
        Of the labelled clips.
    scores : ndarray, shape (len(rows), n_classes)
    """
    return Predictions.of(
        [labelled.ids[i] for i in rows],
        labelled.target()[rows],
        scores,
        labelled.classes,
        group=labelled.group[rows],
        fold=job.fold,
        draw=job.draw,
        seed=job.seed,
        setting="",
        arm=job.arm,
    )


def write_done(
    folder: Path,
    job: TrainJob,
    predictions: Predictions,
    *,
    seconds: float,
    fit: FitResult | None = None,
    n_parameters: int | None = None,
    on_pool: dict[str, Any] | None = None,
    made: dict[str, Any] | None = None,
) -> None:
    """Write what a finished job says of itself; it is done from then on."""
    course = course_of(fit) if fit is not None else {"best_epoch": 0, "history": []}
    write_json(
        folder / DONE,
        {
            "kind": "train",
            "arm": job.arm,
            "setting": job.setting.name,
            "start": job.start.name if job.start else "",
            "labels_per_class": job.budget.labels_per_class,
            "fold": job.fold,
            "draw": job.draw,
            "seed": job.seed,
            "n_train": len(job.train),
            "n_validation": len(job.validation),
            "n_test": len(job.test),
            "n_pool": len(job.pool),
            "accuracy": float(predictions.correct.mean()),
            "on_pool": on_pool or {},
            **({"generated": made} if made else {}),
            "n_parameters": n_parameters,
            "seconds": seconds,
            "peak_memory_mib": peak_memory(),
            **course,
        },
    )


def course_of(fit: FitResult) -> dict[str, Any]:
    """What the record of a job says of a training's course."""
    return {
        "n_steps": fit.n_steps,
        "precision": fit.precision,
        "best_epoch": fit.best_epoch,
        "history": fit.history,
    }


def peak_memory() -> float | None:
    """The most memory that this process has held so far, in MiB; None where nobody tells."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1 << 20 if sys.platform == "darwin" else 1 << 10)


# What lies in the folder of a job, and how it is read once the job is done.


ENCODER, MODEL, PICTURES = "encoder.zip", "model.zip", "pictures.npz"


class AnyJob(Protocol):
    """A job, as far as its folder is concerned."""

    @property
    def name(self) -> str:
        """Of the folder."""


def is_done(folder: Path, job: AnyJob) -> bool:
    """Whether an earlier run finished this job."""
    return (folder / job.name / DONE).is_file()


def read_job(folder: Path, job: AnyJob) -> dict[str, Any]:
    """What a finished job wrote of itself."""
    record: dict[str, Any] = read_json(folder / job.name / DONE)
    return record


def read_predictions(folder: Path, job: TrainJob, setting: str) -> Predictions:
    """The scored test clips of a finished job, under the names it has in this run: setting, arm,
    draw and seed.

    Equal work is done once, whatever it is called where.
    """
    file = folder / job.name / PREDICTIONS[job.setting.segments.voting]
    # Where no clip has two segments, both votes are one.
    table = Predictions.read(file if file.is_file() else file.with_name(PREDICTIONS[MEAN]))
    n = len(table)
    return replace(
        table,
        setting=_all_of(setting, n),
        arm=_all_of(job.arm, n),
        draw=np.full(n, job.draw, np.int64),
        seed=np.full(n, job.seed, np.int64),
    )


def _all_of(name: str, n: int) -> NDArray[np.str_]:
    return np.full(n, name, dtype=np.dtype(f"<U{max(1, len(name))}"))


def read_arrays(folder: Path, job: PretrainJob | TrainJob) -> dict[str, NDArray[Any]]:
    """The arrays that figures of a finished job are drawn from; empty when it kept none."""
    file = folder / job.name / PICTURES
    if not file.is_file():
        return {}
    with np.load(file, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def write_arrays(path: Path, **arrays: NDArray[Any]) -> None:
    """Keep arrays that figures of a job are drawn from."""
    with replacing(path) as part, open(part, "wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)


def tidy(folder: Path) -> None:
    """Remove checkpoints: a finished job needs none, and they are by far its largest files."""
    for place in (folder, *folder.glob("layer-*"), *folder.glob(GENERATOR)):
        for name in ("checkpoint.pt", "timing.json", "history.json"):
            (place / name).unlink(missing_ok=True)
        if place != folder:
            place.rmdir()
