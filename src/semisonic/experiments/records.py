"""What a finished job leaves: its scored test clips and a record of itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.base.files import write_json
from semisonic.data.clips import Clips
from semisonic.evaluation.results import Predictions
from semisonic.experiments.jobs import Rows, TrainJob
from semisonic.inference.segment_options import MAJORITY, MEAN
from semisonic.training import FitResult

DONE = "job.json"
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
        [labelled.ids[i] for i in rows], labelled.target()[rows], scores, labelled.classes,
        group=labelled.group[rows], fold=job.fold, draw=job.draw, seed=job.seed,
        setting="", arm=job.arm,
    )  # fmt: skip


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
            "kind": "train", "arm": job.arm, "setting": job.setting.name,
            "start": job.start.name if job.start else "",
            "labels_per_class": job.budget.labels_per_class,
            "fold": job.fold, "draw": job.draw, "seed": job.seed,
            "n_train": len(job.train), "n_validation": len(job.validation),
            "n_test": len(job.test), "n_pool": len(job.pool),
            "accuracy": float(predictions.correct.mean()), "on_pool": on_pool or {},
            **({"generated": made} if made else {}),
            "n_parameters": n_parameters, "seconds": seconds,
            "peak_memory_mib": peak_memory(), **course,
        },
    )  # fmt: skip


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
