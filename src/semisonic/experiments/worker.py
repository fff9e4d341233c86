"""What one process does: open the features once, then run jobs, each in a folder of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from semisonic.classifier.config import MAJORITY, MEAN
from semisonic.classifier.model_file import open_encoder
from semisonic.classifier.pretraining import PretrainOutcome, pretrain_encoder
from semisonic.classifier.provenance import DataPart, chained
from semisonic.classifier.scoring import embed_rows, evaluating, mean_by, score_rows
from semisonic.classifier.simple import Scores, fit_scores, vectors
from semisonic.classifier.training import TrainedModel, TrainingData
from semisonic.core.files import json_ready, write_json
from semisonic.experiments.generated import shown, train_with_patches
from semisonic.experiments.jobs import (
    DONE,
    ENCODER,
    MODEL,
    PICTURES,
    PREDICTIONS,
    PretrainJob,
    TrainJob,
    course_of,
    peak_memory,
    predictions_of,
    tidy,
    write_arrays,
    write_done,
)
from semisonic.experiments.jobs import Rows as jobs_Rows
from semisonic.experiments.material import Material
from semisonic.experiments.plan import pretraining_way
from semisonic.experiments.recipe import TRAINED
from semisonic.experiments.source import network_key
from semisonic.models.inspection import count_parameters
from semisonic.models.model_file import load_encoder, read_about, save, save_encoder
from semisonic.models.pretrained import AutoEncoder, PretrainedEncoder

# Clips as overlapping segments that are classified one by one and vote.
#
# Paper: Piczak 2015, "Environmental sound classification with convolutional neural networks":
# segments of 0.95 or 2.3 s, half of one overlapping the next, silent ones left out, and the
# answer for a clip by the majority of its segments or by their mean probabilities.
#
# Where we differ: a clip of nothing but silence keeps all its segments, so every clip is scored,
# and a tie between classes goes to the one with the larger mean probability.


Rows = NDArray[np.int64]
_TIE = 1e-3  # weight of mean probabilities beside a vote: it parts ties and nothing else
_CHUNK = 256


def sounding(
    features: Any, rows: ArrayLike, source: NDArray[np.int64], silence_db: float | None
) -> Rows:
    """Those of some rows of features that are not silent.

    Parameters
    ----------
    features : array-like, shape (n, channel, mel, frame)
        In dB; the first channel counts.
    rows : array of int
    source : ndarray of int64, shape (n,)
        The clip that each row of features belongs to.
    silence_db : float, optional
        Rows with a mean level at or below are left out, but for clips without any above.

    Returns
    -------
    ndarray of int64
        In their order.
    """
    rows = np.asarray(rows, np.int64)
    if silence_db is None or not len(rows):
        return rows
    level = np.empty(len(rows))
    for start in range(0, len(rows), _CHUNK):
        part = np.asarray(features[rows[start : start + _CHUNK]])[:, 0]
        level[start : start + _CHUNK] = part.mean(axis=(1, 2), dtype=np.float64)
    heard = level > silence_db
    return rows[heard | ~np.isin(source[rows], source[rows[heard]])]


def majority_by(
    owner: ArrayLike, scores: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The share of votes for each class, as of the segments of one clip.

    Parameters
    ----------
    owner : array of int, shape (n,)
    scores : ndarray, shape (n, n_classes)
        A row votes for its largest.

    Returns
    -------
    owners : ndarray of int64, shape (n_owners,)
        Each once, in rising order.
    shares : ndarray, shape (n_owners, n_classes)
        They sum to one. Mean probabilities enter with a thousandth, so that no tie is left.
    """
    votes = np.zeros_like(scores)
    votes[np.arange(len(scores)), scores.argmax(axis=1)] = 1.0
    owners, shares = mean_by(owner, votes)
    tie_break = _TIE / max(int(np.bincount(np.asarray(owner, np.int64)).max(initial=1)), 1)
    mixed = shares + tie_break * mean_by(owner, scores)[1]
    return owners, mixed / mixed.sum(axis=1, keepdims=True)


# Groups of classes first: which group is it, then which class of the group.
#
# The score of a class is the probability of its group, times that of the class by a model which
# has learned from this group's clips alone. Piczak (2015) proposed it for ESC-50 with its five
# groups. A wrong group cannot be made good by the second model, which is the price of its
# knowing less to tell apart.


def fit_hierarchy(
    name: str,
    learn_from: NDArray[Any],
    target: NDArray[np.int64],
    to_score: NDArray[Any],
    *,
    group_of: Sequence[int],
    seed: int,
) -> Scores:
    """Learn groups, and the classes within each, and score others.

    Parameters
    ----------
    name : str
        The classifier of both steps.
    group_of : sequence of int, length n_classes
        The number of each class's group.

    Returns
    -------
    ndarray of float64, shape (m, n_classes)
        P(group) times P(class given the group). The rest as for
        :func:`semisonic.classifier.simple.fit_scores`.
    """
    groups = np.asarray(group_of, np.int64)
    n_groups = int(groups.max()) + 1
    of_group = fit_scores(name, learn_from, groups[target], to_score, n_classes=n_groups, seed=seed)
    scores = np.zeros((len(to_score), len(groups)))
    for group in np.unique(groups[target]):
        inside = groups[target] == group
        within = fit_scores(
            name, learn_from[inside], target[inside], to_score, n_classes=len(groups), seed=seed
        )
        scores += of_group[:, [group]] * within
    return scores


# A job that trains no network: a simple classifier on a few numbers of each clip.


def run_simple(
    job: TrainJob,
    folder: Path,
    material: Material,
    categories: Mapping[str, str],
    encoder: PretrainedEncoder | None,
) -> None:
    """Learn from the job's clips, score its test fold once, and write both into ``folder``.

    Parameters
    ----------
    categories : mapping of class to group
        Read where the group is named first.
    encoder : PretrainedEncoder, optional
        What embeds the clips, where embeddings are the inputs.
    """
    setting, labelled = job.setting, material.labelled
    table = material.table(setting.front, setting.segments)
    features, target = table.open(), table.target(labelled)
    train, test = table.with_copies(job.train), table.rows_of(job.test)
    begun = perf_counter()
    x = vectors(setting.inputs, features, np.r_[train, test], encoder=encoder, mel=setting.mel)
    learn_from, to_score = x[: len(train)], x[len(train) :]
    if setting.group_first:
        names = list(dict.fromkeys(categories.values()))
        group_of = [names.index(categories[name]) for name in labelled.classes]
        scores = fit_hierarchy(
            setting.classifier,
            learn_from,
            target[train],
            to_score,
            group_of=group_of,
            seed=job.seed,
        )
    else:
        scores = fit_scores(
            setting.classifier,
            learn_from,
            target[train],
            to_score,
            n_classes=len(labelled.classes),
            seed=job.seed,
        )
    predictions = predictions_of(job, labelled, *mean_by(table.source[test], scores))
    folder.mkdir(parents=True, exist_ok=True)
    predictions.write(folder / PREDICTIONS[MEAN])
    write_done(folder, job, predictions, seconds=perf_counter() - begun)


# What one process does: open the features once, then run jobs, each in a folder of its own.
#
# A job that is done has its ``job.json``, which is written last. A job that was cut off goes
# on from its checkpoint.


@dataclass(frozen=True)
class WorkerContext:
    """What every job of a run shares."""

    folder: Path
    material: Material
    device: str
    hashes: dict[str, dict[str, str]]
    """Content hashes of the recordings, by table ("labelled", "pool") and file."""
    starts: Mapping[tuple[str, ...], Path] = field(default_factory=dict)
    """Files of encoders of made-up sounds and of classifiers of another set, by
    :func:`~semisonic.experiments.source.network_key`."""
    categories: Mapping[str, str] = field(default_factory=dict)
    """The group of each class, where classes have groups."""


_context: WorkerContext | None = None


def start(context: WorkerContext) -> None:
    """Set what the jobs of this process share."""
    global _context
    _context = context


def run_pretrain(job: PretrainJob) -> None:
    """Pre-train the job's encoder, keep it, and draw what it makes of test clips."""
    context = here()
    folder = context.folder / job.name
    table = context.material.table(job.setting.mel, job.setting.segments)
    features = table.open()
    outcome = pretrain_encoder(
        job.setting.config,
        features,
        table.rows_of(job.rows),
        table.rows_of(job.held_out),
        seed=job.seed,
        device=context.device,
        folder=folder,
        start=_earlier(job, context),
    )
    about = {"fold": job.fold, "draw": job.draw, "seed": job.seed}
    save_encoder(folder / ENCODER, outcome.network, about=about)
    shown = np.asarray(features[table.rows_of(job.show)[:8]], np.float32)
    write_arrays(
        folder / PICTURES,
        filters=_first_filters(outcome.network.encoder),
        **_repeated(outcome, shown),
    )
    write_json(
        folder / DONE,
        {
            "kind": "pre-train",
            "setting": job.setting.name,
            "way": pretraining_way(job.setting),
            "objective": job.setting.objective,
            "decoder": job.setting.decoder,
            "fold": job.fold,
            "draw": job.draw,
            "seed": job.seed,
            "n_clips": len(job.rows),
            "n_held_out": len(job.held_out),
            "error": json_ready(outcome.error),
            "error_db2": json_ready(outcome.error_db2),
            "dead_units": [asdict(layer) for layer in outcome.dead_units],
            "spread": asdict(outcome.spread),
            "n_parameters": count_parameters(outcome.network),
            "seconds": outcome.seconds,
            "peak_memory_mib": peak_memory(),
            **course_of(outcome.fit),
        },
    )
    tidy(folder)


def run_train(job: TrainJob) -> None:
    """Train the job's classifier and score its test fold, once."""
    context = here()
    if job.setting.classifier:
        run_simple(
            job,
            context.folder / job.name,
            context.material,
            context.categories,
            _start_of(job, context) if job.setting.has_encoder else None,
        )
        return
    folder = context.folder / job.name
    labelled = context.material.labelled
    segments = job.setting.segments
    table = context.material.table(job.setting.mel, segments)
    features = table.open()
    target = table.target(labelled)
    owner = np.maximum(table.source, table.copy_of)
    pool = table.rows_of(job.pool)
    rows_train = sounding(features, table.with_copies(job.train), owner, segments.silence_db)
    data = TrainingData(
        features,
        target,
        labelled.classes,
        rows_train,
        sounding(features, table.rows_of(job.validation), owner, segments.silence_db),
        pool,
        truth=target,
    )
    outcome, made = train_with_patches(
        job.setting.config,
        job.setting.generated,
        data,
        seed=job.seed,
        device=context.device,
        folder=folder,
        start=_start_of(job, context),
    )
    rows = sounding(features, table.rows_of(job.test), owner, segments.silence_db)
    scores = score_rows(outcome.model, features, rows)
    folder.mkdir(parents=True, exist_ok=True)
    predictions = predictions_of(job, labelled, *mean_by(owner[rows], scores))
    predictions.write(folder / PREDICTIONS[MEAN])
    if len(np.unique(owner[rows])) < len(rows):
        votes = predictions_of(job, labelled, *majority_by(owner[rows], scores))
        votes.write(folder / PREDICTIONS[MAJORITY])
    first = job.draw == 0
    if first:
        save(folder / MODEL, outcome.model, about=_provenance(job, context))
        write_arrays(
            folder / PICTURES,
            filters=_first_filters(outcome.model.encoder),
            points=embed_rows(outcome.model, features, rows),
            target=target[rows],
            **(shown(made, features, target, rows_train) if made else {}),
        )
    write_done(
        folder,
        job,
        predictions,
        seconds=outcome.seconds + (made.fit.seconds if made else 0.0),
        fit=outcome.fit,
        n_parameters=count_parameters(outcome.model),
        on_pool=on_pool(outcome, features, target, pool, table.rows_of(job.train)),
        made=made.summary() if made else None,
    )
    tidy(folder)


def _start_of(job: TrainJob, context: WorkerContext) -> PretrainedEncoder | None:
    """The encoder that a classifier starts from."""
    if job.start is not None:
        return load_encoder(context.folder / job.start.name / ENCODER)
    return _earlier(job, context)


def _earlier(job: PretrainJob | TrainJob, context: WorkerContext) -> PretrainedEncoder | None:
    """The encoder that learned elsewhere, where the setting starts from one."""
    if job.setting.start == "fresh":
        return None
    return open_encoder(context.starts[network_key(job.setting)])


def on_pool(
    outcome: TrainedModel, features: Any, target: jobs_Rows, pool: jobs_Rows, labelled: jobs_Rows
) -> dict[str, Any]:
    """How often the final model is right about unlabelled clips whose class is known.

    ``accuracy`` and, by class, ``precision``: the share of right answers among all clips that
    were given that class (None where none was). Empty without such clips.
    """
    rows = np.setdiff1d(pool[target[pool] >= 0], labelled)
    if not len(rows):
        return {}
    found = score_rows(outcome.model, features, rows).argmax(axis=1)
    right = found == target[rows]
    by_class = {
        name: float(right[found == number].mean()) if (found == number).any() else None
        for number, name in enumerate(outcome.model.classes)
    }
    return {"n_clips": len(rows), "accuracy": float(right.mean()), "precision": by_class}


def _provenance(job: TrainJob, context: WorkerContext) -> dict[str, Any]:
    """What the model file says of its making, so that a leak can be seen later."""
    labelled, pool = context.material.labelled, context.material.pool
    about: dict[str, Any] = {"arm": job.arm, "fold": job.fold, "seed": job.seed}
    rows = {"training": job.train, "validation": job.validation}
    if job.start is not None:
        heard = np.concatenate([job.start.rows, job.start.held_out])
        rows["pretraining"] = heard[heard < len(labelled)]
    for role, chosen in rows.items():
        about[role] = DataPart.of(labelled[chosen], context.hashes["labelled"]).to_dict()
    if job.start is not None and len(pool):
        about["pool"] = DataPart.of(pool, context.hashes["pool"]).to_dict()
    if job.setting.start == TRAINED:
        about = chained(about, read_about(context.starts[network_key(job.setting)])["about"])
    return about


def here() -> WorkerContext:
    """What the jobs of this process share; :func:`start` has set it."""
    if _context is None:
        raise RuntimeError("start() was not called in this process")
    return _context


def _first_filters(encoder: torch.nn.Module) -> NDArray[np.float32]:
    """Weights of the first convolution, (filter, height, width), of its first channel."""
    for module in encoder.modules():
        if isinstance(module, torch.nn.Conv2d):
            weights: NDArray[np.float32] = module.weight.detach().float().cpu().numpy()[:, 0]
            return weights
    return np.zeros((0, 1, 1), np.float32)


def _repeated(outcome: PretrainOutcome, shown: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Some clips and what the auto-encoder makes of them; nothing without a decoder."""
    if not isinstance(outcome.network, AutoEncoder):
        return {}
    with evaluating(outcome.network):
        x = outcome.standardize(torch.from_numpy(shown))
        again = outcome.network(x).numpy()
    return {"truth": x.numpy()[:, 0], "again": again[:, 0]}
