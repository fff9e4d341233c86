"""The two kinds of jobs, and their names: hashes of everything that a result depends on.

What a job does not read is left out of its name, so equal work is done once (the control is the
same for every decoder) and a finished job of an interrupted run is found again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from semisonic.base.files import digest
from semisonic.experiments.recipe import TRAINED, Budget, Setting
from semisonic.inference.methods.options import LEFT_OUT, PROTOTYPE, SOLVED, MethodOptions
from semisonic.inference.pretext import RECONSTRUCTION, PretextOptions
from semisonic.inference.simple.classifiers import CLASSIFIERS
from semisonic.inference.simple.inputs import EMBEDDING

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
        setting, name="", dropout=plain.dropout, label_smoothing=plain.label_smoothing,
        method=plain.method, pool=plain.pool, how=plain.how, loss=plain.loss, train=plain.train,
        classifier=plain.classifier, inputs=plain.inputs, group_first=plain.group_first,
        generated=plain.generated,
        segments=replace(setting.segments, voting=plain.segments.voting),
    )  # fmt: skip
    name = digest(
        "pre-train", reads, job.fold, job.seed, rows.tolist(), held_out.tolist(),
        *_begun(setting, source),
    )  # fmt: skip
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
        setting, name="", pretrain=plain.pretrain, pool=plain.pool,
        segments=replace(setting.segments, voting=plain.segments.voting),  # both are written
    )  # fmt: skip
    if job.start is None:
        reads = replace(reads, decoder="unpool", objective=RECONSTRUCTION, pretext=PretextOptions())
    if not setting.generated.is_used:
        reads = replace(reads, generated=plain.generated)
    if setting.method in SOLVED:
        reads = replace(
            reads, train=plain.train, loss=plain.loss, dropout=plain.dropout,
            label_smoothing=plain.label_smoothing,
        )  # fmt: skip
    if setting.method in (PROTOTYPE, LEFT_OUT):
        reads, job = replace(reads, how=plain.how), replace(job, pool=job.pool[:0])
    if setting.method == "supervised":
        reads = replace(reads, how=_without_pool(setting.how))
        if not setting.generated.generator_pool:
            job = replace(job, pool=job.pool[:0])
    # What is trained on is named by rows: a method that hears the test clips is another job.
    name = digest(
        "train", reads, job.fold, job.seed, job.train.tolist(), job.validation.tolist(),
        job.pool.tolist(), job.start.name if job.start else "", *_begun(setting, source),
    )  # fmt: skip
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


def _without_pool(how: MethodOptions) -> MethodOptions:
    """What supervised training reads of a method's options."""
    return MethodOptions(augment=how.augment, mixup=how.mixup)
