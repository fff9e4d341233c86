"""What lies in the folder of a job, and how it is read once the job is done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from semisonic.base.files import read_json, replacing
from semisonic.evaluation.results import Predictions
from semisonic.experiments.jobs import PretrainJob, TrainJob
from semisonic.experiments.records import DONE, PREDICTIONS
from semisonic.inference.segment_options import MEAN
from semisonic.inference.training_work import GENERATOR

ENCODER, MODEL, PICTURES = "encoder.zip", "model.zip", "pictures.npz"


class Named(Protocol):
    """A job, as far as its folder is concerned."""

    @property
    def name(self) -> str:
        """Of the folder."""


def is_done(folder: Path, job: Named) -> bool:
    """Whether an earlier run finished this job."""
    return (folder / job.name / DONE).is_file()


def read_job(folder: Path, job: Named) -> dict[str, Any]:
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
        table, setting=_all_of(setting, n), arm=_all_of(job.arm, n),
        draw=np.full(n, job.draw, np.int64), seed=np.full(n, job.seed, np.int64),
    )  # fmt: skip


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
