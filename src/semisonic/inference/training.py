"""Training a classifier from labelled features and a pool, from scratch or from an encoder.

Where the standardisation comes from: it is fitted on the training rows, that is on the
labelled training clips only. With ``start`` it is the pre-trained encoder's, since its weights
were learned behind those statistics. So an arm with and an arm without pre-training that get
the same rows, settings and seed differ in the encoder's first weights and in these statistics,
and in nothing else: the head's first weights, the order of clips and the dropout are the same.
Give ``standardize`` to have the very same statistics in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from semisonic.base.errors import OptionError
from semisonic.features import MelOptions, Standardize
from semisonic.inference.methods.noisy_student import Round, train_in_rounds
from semisonic.inference.methods.options import (
    SOLVED,
)
from semisonic.inference.training_settings import TrainOutcome, TrainSettings
from semisonic.inference.training_work import TrainingWork
from semisonic.models import PretrainedEncoder, SoundModel
from semisonic.training import (
    RateSweep,
    SweepOptions,
    sweep_rate,
)

__all__ = ["TrainOutcome", "TrainSettings", "sweep_model", "train_model"]


def train_model(
    features: Any,
    target: NDArray[Any],
    rows_train: ArrayLike,
    rows_validation: ArrayLike,
    settings: TrainSettings,
    *,
    mel: MelOptions,
    classes: Sequence[str],
    seed: int,
    device: str | torch.device = "cpu",
    folder: Path | None = None,
    start: PretrainedEncoder | SoundModel | None = None,
    standardize: Standardize | None = None,
    rows_pool: ArrayLike = (),
    rows_noisy: ArrayLike = (),
    truth: NDArray[np.int64] | None = None,
    groups: Sequence[str] | NDArray[np.str_] | None = None,
    label: str = "train",
) -> TrainOutcome:
    """Train a classifier on some rows of features.

    Parameters
    ----------
    features : FeatureStore or ndarray, shape (n, channel, mel, frame)
        In dB.
    target : ndarray
        For all rows of ``features``: class numbers, int64 (n,), or, when a clip can carry
        several labels, float32 (n, n_classes).
    rows_train, rows_validation : array of int
        Rows to learn from and rows that choose the epoch. Without any of the latter, all
        epochs are run and the last weights kept.
    settings : TrainSettings
    mel : MelOptions
        The front end that made the features.
    classes : sequence of str
    seed : int
        Of first weights, order of clips and dropout.
    folder : Path, optional
        Keeps the checkpoint; an interrupted training goes on, a finished one returns at once.
    start : PretrainedEncoder or SoundModel, optional
        What was trained before. An encoder gives the encoder's first weights and the
        standardisation; a classifier of the same network and classes is trained further as a
        whole, with its class layer and the running statistics of its norms.
    standardize : Standardize, optional
        Statistics to use instead (see the head of this module).
    rows_pool : array of int
        Rows that methods which read unlabelled clips learn from. Rows of labelled clips may
        be among them: their labels are not looked at there.
    rows_noisy : array of int
        Rows with labels that nobody checked, to learn from beside ``rows_train``: by a loss and a
        weight of their own (``settings.noisy``), a share of each batch as large as theirs of all
        rows. An epoch is one pass over both.
    truth : ndarray of int64, shape (n,), optional
        Class numbers of all rows, -1 where unknown, to record how often guesses about the pool
        are right. For measuring: training does not depend on it.
    groups : sequence of str, optional
        The recording of each row of ``features``, for a method that leaves recordings out; each
        row its own if not given.
    label : str
        What the progress bar is called.

    Raises
    ------
    DataError
        Without rows to learn from, with rows that have no label, or without a pool for a
        method that needs one.
    ModelError
        When ``start`` was trained for another front end or network.
    """
    work = TrainingWork.of(
        features, target, rows_train, rows_validation, settings, mel=mel, classes=classes,
        device=device, start=start, standardize=standardize, rows_pool=rows_pool,
        rows_noisy=rows_noisy, truth=truth, groups=groups, label=label,
    )  # fmt: skip
    work = work.with_patches(seed, folder)
    train, pool = work.labelled, work.pool
    if settings.method in SOLVED:
        return work.solve(seed)
    if settings.method != "noisy-student":
        return work.fit(target, train, seed, folder)
    outcomes: list[TrainOutcome] = []

    def train_round(one: Round) -> SoundModel:
        outcomes.append(work.fit(one.target, one.rows, one.seed, one.folder))
        return outcomes[-1].model

    guesses = train_in_rounds(
        features, target, train, pool, len(classes), settings.how, train_round,
        seed=seed, folder=folder, device=work.device,
    )  # fmt: skip
    return replace(outcomes[-1], teachers=tuple(o.fit for o in outcomes[:-1]), guesses=guesses)


def check_has_rate(method: str) -> None:
    """Refuse a method that has no learning rate.

    Raises
    ------
    OptionError
    """
    if method in SOLVED:
        raise OptionError(
            f"option 'method': '{method}' solves for its linear layer and has no learning rate; "
            "choose a method that trains, such as 'supervised'"
        )


def sweep_model(
    features: Any,
    target: NDArray[Any],
    rows_train: ArrayLike,
    settings: TrainSettings,
    sweep: SweepOptions,
    *,
    seed: int,
    **more: Any,
) -> RateSweep:
    """Try learning rates on some rows of features; see :func:`semisonic.training.sweep_rate`.

    ``more`` is what :func:`train_model` takes besides. Nothing is left behind: a training
    afterwards is the same as one without.

    Raises
    ------
    OptionError
        For a method that has no learning rate, such as probe.
    """
    check_has_rate(settings.method)
    work = TrainingWork.of(features, target, rows_train, [], settings, **more)
    work = work.with_patches(seed, None)
    objective, streams, options = work.parts(work.fresh_model(seed), target, work.labelled, seed)
    return sweep_rate(objective, streams, options, sweep, seed=seed, device=work.device)
