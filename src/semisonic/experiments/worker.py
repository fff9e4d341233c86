"""The work of one process of an experiment: run jobs, each in its own folder.

A finished job has its ``job.json``, which is written last. An interrupted job continues from its
checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from semisonic.classifier.config import MAJORITY, MEAN
from semisonic.classifier.finish import finish_training
from semisonic.classifier.model_file import open_encoder
from semisonic.classifier.pretrain import PretrainOutcome, pretrain_encoder
from semisonic.classifier.provenance import DataPart, chained
from semisonic.classifier.scoring import evaluating, mean_by, score_rows
from semisonic.classifier.simple import Scores, fit_scores, vectors
from semisonic.classifier.training import TrainingData, train_model
from semisonic.core.files import digest, json_ready, replacing
from semisonic.data.cache import Key
from semisonic.data.fingerprints import Fingerprint
from semisonic.evaluation.predictions import Predictions
from semisonic.experiments.generated import train_with_patches
from semisonic.experiments.material import Material
from semisonic.experiments.plan import (
    ENCODER,
    MODEL,
    PICTURES,
    PREDICTIONS,
    Job,
    Rows,
    pretraining_way,
)
from semisonic.experiments.recipe import TRAINED, Setting
from semisonic.models.inspection import count_parameters
from semisonic.models.model_file import load_encoder, read_about, save, save_encoder
from semisonic.models.pretrained import AutoEncoder, PretrainedEncoder
from semisonic.models.sound_model import SoundModel


@dataclass(frozen=True)
class WorkerContext:
    """What all jobs of a run share.

    ``hashes`` are content hashes of the recordings, by table ("labelled", "pool") and file;
    ``whole`` names the job whose model is given a decision and an event layer, and ``prints`` are
    the fingerprints of labelled clips that its file keeps.
    """

    folder: Path
    material: Material
    device: str
    hashes: Mapping[str, Mapping[str, str]]
    categories: Mapping[str, str] = field(default_factory=dict)
    whole: str = ""
    prints: Mapping[Key, Fingerprint] = field(default_factory=dict)

    def start_file(self, setting: Setting) -> Path:
        """The encoder that learned elsewhere, which a setting starts from."""
        return self.folder.parent / "starts" / f"{digest(*network_key(setting))}.zip"


def network_key(setting: Setting) -> tuple[str, ...]:
    """What an encoder must have been made for, and from what, to begin a setting with."""
    return setting.start, setting.architecture, setting.mel.key(), setting.standardize


_context: WorkerContext | None = None


def start(context: WorkerContext) -> None:
    """Set what the jobs of this process share."""
    global _context
    _context = context


def here() -> WorkerContext:
    """What the jobs of this process share; :func:`start` has set it."""
    if _context is None:
        raise RuntimeError("start() was not called in this process")
    return _context


def run_pretrain(job: Job) -> None:
    """Pre-train the job's encoder, save it, and keep its reconstructions of test clips for
    figures.
    """
    context = here()
    folder = context.folder / job.name
    table = context.material.table(job.setting.mel, job.setting.segments)
    features = table.features
    outcome = pretrain_encoder(
        job.setting.config,
        features,
        table.rows_of(job.train),
        table.rows_of(job.validation),
        seed=job.seed,
        device=context.device,
        folder=folder,
        start=_start_of(job),
    )
    about = {"fold": job.fold, "draw": job.draw, "seed": job.seed}
    save_encoder(folder / ENCODER, outcome.network, about=about)
    clips = np.asarray(features[table.rows_of(job.test)[:8]], np.float32)
    write_arrays(folder / PICTURES, **_rebuilt(outcome, clips))
    job.finish(
        context.folder,
        outcome.seconds,
        outcome.fit,
        way=pretraining_way(job.setting),
        error=json_ready(outcome.error),
        error_db2=json_ready(outcome.error_db2),
        dead_units=[asdict(layer) for layer in outcome.dead_units],
        spread=asdict(outcome.spread),
        n_parameters=count_parameters(outcome.network),
    )


def run_train(job: Job) -> None:
    """Train the job's classifier and score its test fold, once."""
    if job.setting.classifier:
        _run_simple(job)
        return
    context, segments = here(), job.setting.segments
    folder, labelled = context.folder / job.name, context.material.labelled
    folder.mkdir(parents=True, exist_ok=True)
    table = context.material.table(job.setting.mel, segments)
    features, target = table.features, table.target(labelled)
    owner = np.maximum(table.source, table.copy_of)
    pool = table.rows_of(job.pool)
    train = sounding(features, table.with_copies(job.train), owner, segments.silence_db)
    data = TrainingData(
        features,
        target,
        labelled.classes,
        train,
        sounding(features, table.rows_of(job.validation), owner, segments.silence_db),
        pool,
        truth=target,
    )
    how: dict[str, Any] = {"seed": job.seed, "device": context.device, "folder": folder}
    seconds, generated = 0.0, {}
    if job.setting.generated_ratio:
        outcome, made = train_with_patches(job.setting.config, data, start=_start_of(job), **how)
        seconds, last = made.fit.seconds, made.fit.history[-1].items()
        generated = {k: v for k, v in last if k not in ("epoch", "lr", "seconds")}
        generated |= {"n_patches": len(made.target), "seconds": seconds}
        if job.draw == 0:
            clips, patches = (_two_of_each(values) for values in (target[train], made.target))
            write_arrays(
                folder / PICTURES,
                heard=np.asarray(features[train[clips]], np.float16)[:, 0],
                heard_class=target[train[clips]],
                made=made.features[patches, 0],
                made_class=made.target[patches],
            )
    else:
        outcome = train_model(job.setting.config, data, start=_start_of(job), **how)
    rows = sounding(features, table.scored_rows(job.test), owner, segments.silence_db)
    scores = score_rows(outcome.model, features, rows)
    predictions = _predictions(job, *mean_by(owner[rows], scores))
    predictions.write(folder / PREDICTIONS[MEAN])
    if len(np.unique(owner[rows])) < len(rows):
        votes = majority_by(owner[rows], scores)
        _predictions(job, *votes).write(folder / PREDICTIONS[MAJORITY])
    if job.name == context.whole:
        finish_training(
            outcome,
            replace(table, source=owner),
            data,
            labelled,
            job.setting.config,
            seed=job.seed,
            device=context.device,
        )
    if job.draw == 0:
        _save(job, outcome.model)
    job.finish(
        context.folder,
        outcome.seconds + seconds,
        outcome.fit,
        accuracy=float(predictions.correct.mean()),
        n_parameters=count_parameters(outcome.model),
        generated=generated,
    )


def _two_of_each(values: Rows) -> Rows:
    """The places of the first two of each class, for pictures."""
    return np.concatenate([np.flatnonzero(values == one)[:2] for one in np.unique(values)])


def _run_simple(job: Job) -> None:
    """Fit the job's simple classifier on numbers of its clips, and score its test fold once."""
    context, setting = here(), job.setting
    labelled = context.material.labelled
    table = context.material.table(setting.front, setting.segments)
    features, target = table.features, table.target(labelled)
    train, test = table.with_copies(job.train), table.scored_rows(job.test)
    begun = perf_counter()
    x = vectors(setting.inputs, features, np.r_[train, test])
    parts = x[: len(train)], target[train], x[len(train) :]
    if setting.group_first:
        names = list(dict.fromkeys(context.categories.values()))
        group_of = [names.index(context.categories[name]) for name in labelled.classes]
        scores = fit_hierarchy(setting.classifier, *parts, group_of=group_of, seed=job.seed)
    else:
        n_classes = len(labelled.classes)
        scores = fit_scores(setting.classifier, *parts, n_classes=n_classes, seed=job.seed)
    predictions = _predictions(job, *mean_by(table.source[test], scores))
    (context.folder / job.name).mkdir(parents=True, exist_ok=True)
    predictions.write(context.folder / job.name / PREDICTIONS[MEAN])
    job.finish(
        context.folder,
        perf_counter() - begun,
        accuracy=float(predictions.correct.mean()),
        n_parameters=None,
    )


def _start_of(job: Job) -> PretrainedEncoder | None:
    """The encoder that a job starts from: pre-trained, or learned elsewhere; or none."""
    context = here()
    if job.start is not None:
        return load_encoder(context.folder / job.start.name / ENCODER)
    if job.setting.start == "fresh":
        return None
    return open_encoder(context.start_file(job.setting))


def _predictions(job: Job, rows: Rows, scores: NDArray[np.float64]) -> Predictions:
    """The scores of some labelled clips as a table."""
    labelled = here().material.labelled
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


def provenance_of(job: Job, **rows: Rows) -> dict[str, Any]:
    """What a model file says of its making, so that a leak can be seen later.

    Parameters
    ----------
    job : Job
    **rows : ndarray of int64
        Rows of the joined table by role; those of the pool, and the job's, are one part.
    """
    context = here()
    labelled, n = context.material.labelled, len(context.material.labelled)
    about: dict[str, Any] = {"setting": job.setting.name, "arm": job.arm}
    about |= {"fold": job.fold, "draw": job.draw, "seed": job.seed}
    parts = {role: (labelled[chosen[chosen < n]], "labelled") for role, chosen in rows.items()}
    heard = np.unique(np.concatenate([job.pool, *rows.values()]))
    if heard.max(initial=0) >= n:
        parts["pool"] = context.material.pool[heard[heard >= n] - n], "pool"
    prints = context.prints if job.name == context.whole else {}
    of = {
        role: DataPart.of(clips, context.hashes[name], prints)
        for role, (clips, name) in parts.items()
    }
    return about | {role: part.to_dict() for role, part in of.items()}


def _save(job: Job, model: SoundModel) -> None:
    context, begun = here(), job.start
    rows = {"training": job.train, "validation": job.validation}
    if begun is not None:
        rows["pretraining"] = np.concatenate([begun.train, begun.validation])
    about = provenance_of(job, **rows)
    if job.setting.start == TRAINED:
        about = chained(about, read_about(context.start_file(job.setting))["about"])
    save(context.folder / job.name / MODEL, model, about=about)


def write_arrays(path: Path, **arrays: NDArray[Any]) -> None:
    """Keep arrays that figures of a job are drawn from."""
    with replacing(path) as part, open(part, "wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]  # not allow_pickle


def _rebuilt(outcome: PretrainOutcome, clips: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Some clips and their reconstructions; nothing without a decoder."""
    if not isinstance(outcome.network, AutoEncoder):
        return {}
    with evaluating(outcome.network):
        x = outcome.standardize(torch.from_numpy(clips))
        again = outcome.network(x).numpy()
    return {"truth": x.numpy()[:, 0], "again": again[:, 0]}


# Clips as overlapping segments that are classified one by one and vote.
#
# Paper: Piczak 2015, "Environmental sound classification with convolutional neural networks":
# segments of 0.95 or 2.3 s, half of one overlapping the next, silent ones left out, and the
# answer for a clip by the majority of its segments or by their mean probabilities.
#
# Where we differ: a clip of nothing but silence keeps all its segments, so every clip is scored,
# and a tie between classes goes to the one with the larger mean probability.


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
    sounds = level > silence_db
    return rows[sounds | ~np.isin(source[rows], source[rows[sounds]])]


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
