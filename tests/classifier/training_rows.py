"""Trainings on rows of features, as many tests need them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from tiny_sounds import MEL, NOTATION, QUICK, QUICK_PRETRAIN

from semisonic.classifier.config import TrainConfig
from semisonic.classifier.options import PretrainOptions, TrainOptions
from semisonic.classifier.pretrain import PretrainOutcome, pretrain_encoder
from semisonic.classifier.training import TrainedModel, TrainingData, train_model
from semisonic.features.options import MelOptions

TRAIN = TrainOptions(
    method="supervised",
    model=NOTATION,
    mel=MEL,
    fit=QUICK,
    pretrain=QUICK_PRETRAIN,
    device="cpu",
    workers=1,
)
PRETRAIN = PretrainOptions(model=NOTATION, mel=MEL, fit=QUICK_PRETRAIN, device="cpu", workers=1)
"""A quick training and pre-training of the verbs; data and output are still to be named."""


def _rows(rows: Any) -> np.ndarray:
    return np.asarray(rows, np.int64)


def train_rows(
    features: Any,
    target: np.ndarray,
    rows_train: Any,
    rows_validation: Any,
    settings: TrainConfig,
    *,
    mel: MelOptions,
    classes: Sequence[str],
    rows_pool: Any = (),
    rows_noisy: Any = (),
    truth: np.ndarray | None = None,
    **more: Any,
) -> TrainedModel:
    """Train on some rows of features."""
    data = TrainingData(
        features,
        target,
        tuple(classes),
        _rows(rows_train),
        _rows(rows_validation),
        _rows(rows_pool),
        _rows(rows_noisy),
        truth,
    )
    return train_model(replace(settings, mel=mel), data, **more)


def pretrain_rows(
    features: Any,
    rows_train: Any,
    rows_held: Any,
    settings: TrainConfig,
    *,
    mel: MelOptions,
    **more: Any,
) -> PretrainOutcome:
    """Pre-train on some rows of features."""
    return pretrain_encoder(replace(settings, mel=mel), features, rows_train, rows_held, **more)
