"""What one process does: train a stage and score its test clips, or filter labels by a stage.

Processes share what :mod:`semisonic.experiments.worker` sets up. A job that is done has its
``job.json``, which is written last.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semisonic.base.errors import DataError
from semisonic.base.files import write_json
from semisonic.data.clips import Clips
from semisonic.evaluation.tagging import TagScores
from semisonic.experiments.job_folder import MODEL, tidy
from semisonic.experiments.material import FeatureTable
from semisonic.experiments.records import DONE, course_of, peak_memory
from semisonic.experiments.stages.plan import FilterJob, Rows, StageJob
from semisonic.experiments.worker import Context, here
from semisonic.inference.methods.label_filter import (
    filter_labels,
    kept_labels,
    read_decisions,
    write_decisions,
)
from semisonic.inference.provenance import Part
from semisonic.inference.scoring import score_owners
from semisonic.inference.training import TrainSettings, train_model
from semisonic.models import SoundModel, count_parameters, load, save

SCORES, DECISIONS = "scores.csv.gz", "decisions.csv"


def run_stage(job: StageJob) -> None:
    """Train the job's stage, keep its model, and score its test clips once."""
    context = here()
    folder, stage, network = context.folder / job.name, job.stage, job.network
    labelled = context.material.labelled
    table = context.material.table(network.mel)
    features = table.open()
    target, noisy, unlabelled = _labels(job, context)
    parts = (job.curated, noisy) if stage.is_beside else (np.union1d(job.curated, noisy), noisy[:0])
    outcome = train_model(
        features,
        table.spread(target),
        table.rows_of(parts[0]),
        table.rows_of(job.validation),
        TrainSettings(
            model=network.model,
            standardize=network.standardize,
            dropout=network.dropout,
            method=stage.method,
            how=stage.how,
            loss=stage.loss,
            fit=stage.whole_fit,
            noisy=stage.noisy,
        ),
        mel=network.mel,
        classes=labelled.classes,
        seed=job.seed,
        device=context.device,
        folder=folder,
        start=load(context.folder / job.start.name / MODEL) if job.start else None,
        rows_pool=table.rows_of(unlabelled),
        rows_noisy=table.rows_of(parts[1]),
        label=stage.name,
    )
    scores = _tested(job, outcome.model, table, features, labelled)
    folder.mkdir(parents=True, exist_ok=True)
    scores.write(folder / SCORES)
    save(folder / MODEL, outcome.model, about=_provenance(job, context))
    write_json(
        folder / DONE,
        {
            "kind": "train", "stage": stage.name, "fold": job.fold, "draw": job.draw,
            "seed": job.seed, "start": job.start.name if job.start else "",
            "filter": job.filter.name if job.filter else "",
            "n_curated": len(job.curated), "n_noisy": len(noisy),
            "n_unlabelled": len(unlabelled), "n_validation": len(job.validation),
            "n_test": len(job.test), "lwlrap": scores.lwlrap,
            "mean_average_precision": scores.mean_average_precision,
            "n_parameters": count_parameters(outcome.model),
            "seconds": outcome.seconds, "peak_memory_mib": peak_memory(), **course_of(outcome.fit),
        },
    )  # fmt: skip
    tidy(folder)


def run_filter(job: FilterJob) -> None:
    """Score the clips by the job's model, in evaluation mode, and decide about their labels."""
    context = here()
    labelled = context.material.labelled
    table = context.material.table(job.of.network.mel)
    model = load(context.folder / job.of.name / MODEL)
    rows = table.rows_of(job.rows)
    owner, scores = score_owners(
        model, table.open(), rows, table.source[rows], pooling=job.of.network.pooling,
        device=context.device,
    )  # fmt: skip
    clips = labelled[owner]
    decisions = filter_labels(clips.ids, clips.labels, scores, model.classes, job.keep)
    folder = context.folder / job.name
    folder.mkdir(parents=True, exist_ok=True)
    write_decisions(folder / DECISIONS, decisions)
    left = kept_labels(decisions).values()
    write_json(
        folder / DONE,
        {
            "kind": "filter", "stage": job.of.stage.name, "fold": job.fold, "draw": job.draw,
            "n_clips": len(clips), "n_labels": len(decisions),
            "n_kept": sum(one.kept for one in decisions),
            "n_unlabelled": sum(not labels for labels in left), "seconds": 0.0,
        },
    )  # fmt: skip


def _labels(job: StageJob, context: Context) -> tuple[NDArray[np.float32], Rows, Rows]:
    """Targets of all rows of the joined table, the noisy rows learned, and those without label."""
    labelled, pool = context.material.labelled, context.material.pool
    target = np.zeros((len(labelled) + len(pool), len(labelled.classes)), np.float32)
    target[: len(labelled)] = labelled.targets()
    if job.filter is None:
        return target, job.noisy, job.unlabelled
    left = kept_labels(read_decisions(context.folder / job.filter.name / DECISIONS))
    ids, column = labelled.ids, {name: k for k, name in enumerate(labelled.classes)}
    target[job.noisy] = 0.0
    for row in job.noisy.tolist():
        target[row, [column[name] for name in left[ids[row]]]] = 1.0
    has_label = target[job.noisy].any(axis=1)
    kept = job.noisy[has_label]
    if not len(kept) and not len(job.curated):
        raise DataError(
            f"stage '{job.stage.name}': the filter left no label to learn; let it keep more"
        )
    return target, kept, np.setdiff1d(job.unlabelled, kept)


def _tested(
    job: StageJob, model: SoundModel, table: FeatureTable, features: Any, labelled: Clips
) -> TagScores:
    rows = table.rows_of(job.test)
    owner, scores = score_owners(
        model, features, rows, table.source[rows], pooling=job.network.pooling
    )
    clips = labelled[owner]
    return TagScores.of(
        clips.ids, clips.targets(), scores, labelled.classes, group=clips.group, fold=job.fold,
        draw=job.draw,
    )  # fmt: skip


def _provenance(job: StageJob, context: Context) -> dict[str, Any]:
    """What the model file says of its making, earlier stages included."""
    labelled, pool = context.material.labelled, context.material.pool
    heard: Rows = np.zeros(0, np.int64)
    one: StageJob | None = job
    while one is not None:
        heard = np.union1d(heard, np.concatenate([one.curated, one.noisy, one.unlabelled]))
        one = one.start
    own = heard[heard < len(labelled)]
    about: dict[str, Any] = {
        "stage": job.stage.name, "fold": job.fold, "draw": job.draw, "seed": job.seed,
        "training": Part.of(labelled[own], context.hashes["labelled"]).to_dict(),
        "validation": Part.of(labelled[job.validation], context.hashes["labelled"]).to_dict(),
    }  # fmt: skip
    if len(own) < len(heard):
        others = pool[heard[len(own) :] - len(labelled)]
        about["pool"] = Part.of(others, context.hashes["pool"]).to_dict()
    return about


def read_scores(folder: Path, job: StageJob) -> TagScores:
    """The scored test clips of a finished job."""
    return TagScores.read(folder / job.name / SCORES, fold=job.fold, draw=job.draw)
