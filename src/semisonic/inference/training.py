"""Training a classifier from labelled features, from scratch or from a pre-trained encoder.

Where the standardisation comes from: it is fitted on the training rows, that is on the
labelled training clips only. With ``start`` it is the pre-trained encoder's, since its weights
were learned behind those statistics. So an arm with and an arm without pre-training that get
the same rows, settings and seed differ in the encoder's first weights and in these statistics,
and in nothing else: the head's first weights, the order of clips and the dropout are the same.
Give ``standardize`` to have the very same statistics in both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from semisonic import evaluation
from semisonic.base.errors import DataError, ModelError
from semisonic.base.options import option
from semisonic.data.streams import Stream
from semisonic.features import MelOptions, Standardize
from semisonic.inference.options import DEFAULT_MODEL, STANDARDIZE, TRAIN_FIT
from semisonic.inference.pretraining import feature_parts, frontend_of, without_validation
from semisonic.inference.scoring import score_rows
from semisonic.learning import Supervised
from semisonic.models import AutoEncoder, SoundModel, build, transfer
from semisonic.training import FitOptions, FitResult, choose_device, fit


@dataclass(frozen=True)
class TrainSettings:
    """What is trained, and how."""

    model: str = option(DEFAULT_MODEL, "architecture notation or the name of an architecture")
    standardize: str = option(
        "global", "statistics that features are standardised by", choices=STANDARDIZE
    )
    dropout: float = option(
        0.0, "share of the embedding dropped in training", minimum=0.0, maximum=0.95
    )
    label_smoothing: float = option(
        0.0, "share of each label spread over all classes", minimum=0.0, maximum=0.9
    )
    fit: FitOptions = field(default_factory=lambda: TRAIN_FIT)


@dataclass(frozen=True)
class TrainOutcome:
    """A trained model and how it came about.

    Attributes
    ----------
    model : SoundModel
        On the CPU, in evaluation mode; with the weights of the best epoch when there were
        rows to validate on, else with the last ones.
    fit : FitResult
    """

    model: SoundModel
    fit: FitResult

    @property
    def history(self) -> list[dict[str, float]]:
        """A row an epoch."""
        return self.fit.history

    @property
    def best_epoch(self) -> int:
        """The epoch that the weights are from."""
        return self.fit.best_epoch

    @property
    def seconds(self) -> float:
        """Time in epochs, validation included."""
        return self.fit.seconds


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
    start: AutoEncoder | None = None,
    standardize: Standardize | None = None,
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
    start : AutoEncoder, optional
        Pre-trained: gives the encoder's first weights and the standardisation.
    standardize : Standardize, optional
        Statistics to use instead (see the head of this module).

    Raises
    ------
    DataError
        Without rows to learn from, or with rows that have no label.
    ModelError
        When ``start`` was trained for another front end or network.
    """
    train = np.asarray(rows_train, np.int64)
    held_out = np.asarray(rows_validation, np.int64)
    _check_rows(target, train, held_out, len(classes))
    place = choose_device(device)
    if standardize is None and start is not None:
        standardize = frontend_of(start).standardize
    model = build(
        settings.model,
        mel,
        tuple(classes),
        standardize=settings.standardize if standardize is None else standardize.kind,
        multi_label=target.ndim == 2,
        dropout=settings.dropout,
        seed=seed,
    )
    if start is not None:
        transfer(start, model, statistics="own")
    if standardize is not None:
        _take_statistics(model, standardize)
    else:
        model.frontend.standardize.fit(feature_parts(features, train))
    options = settings.fit if len(held_out) else without_validation(settings.fit)
    if model.multi_label and options.monitor == "val_accuracy":
        options = replace(options, monitor="val_lwlrap")
    stream = Stream(
        features, train, batch_size=options.batch_size, seed=seed, target=target, device=place,
        name="labelled",
    )  # fmt: skip

    def validate() -> Mapping[str, float]:
        scores = score_rows(model, features, held_out, device=place)
        return validation_metrics(target[held_out], scores)

    result = fit(
        Supervised(model, settings.label_smoothing),
        {"labelled": stream},
        options,
        seed=seed,
        device=place,
        validate=validate if len(held_out) else None,
        folder=folder,
        label="train",
    )
    model.cpu().eval()
    return TrainOutcome(model, result)


def validation_metrics(target: NDArray[Any], scores: NDArray[np.float64]) -> dict[str, float]:
    """What the history holds of validation clips.

    ``accuracy`` and ``loss`` (nats), or for clips with several labels ``lwlrap``, ``map`` and
    ``loss`` (binary cross-entropy, mean over classes, nats). ``choice`` is what tells the best
    epoch by default: the accuracy, and of epochs with the same one, which are common when few
    clips validate, the one with the lower loss; for several labels the lwlrap.
    """
    if target.ndim == 1:
        accuracy = evaluation.accuracy(target, scores.argmax(axis=1))
        loss = evaluation.log_loss(target, scores)
        # Accuracies differ by 1/n at least, so this term only ever decides between equal ones.
        choice = accuracy + 0.5 / len(target) / (1.0 + loss)
        return {"accuracy": accuracy, "loss": loss, "choice": choice}
    sure = np.clip(scores, 1e-7, 1.0 - 1e-7)
    loss = -float(np.mean(target * np.log(sure) + (1.0 - target) * np.log1p(-sure)))
    lwlrap = evaluation.lwlrap(target, scores)
    average = evaluation.mean_average_precision(target, scores)
    return {"lwlrap": lwlrap, "map": average, "loss": loss, "choice": lwlrap}


def _take_statistics(model: SoundModel, standardize: Standardize) -> None:
    if not standardize.is_fitted:
        raise ModelError("the standardisation to use was never fitted; call its fit() first")
    model.frontend.standardize.load_state_dict(standardize.state_dict())


def _check_rows(target: NDArray[Any], train: Any, held_out: Any, n_classes: int) -> None:
    if not len(train):
        raise DataError("training: found no labelled clips to learn from")
    rows = np.concatenate([train, held_out])
    shape = (n_classes,) if target.ndim == 2 else ()
    if target.shape[1:] != shape:
        raise DataError(
            f"training: found targets of shape {target.shape}, expected (n,) or (n, {n_classes})"
        )
    if target.ndim == 1 and len(rows):
        low, high = int(target[rows].min()), int(target[rows].max())
        if low < 0 or high >= n_classes:
            raise DataError(
                f"training: found class numbers {low} to {high}, expected 0 to {n_classes - 1}; "
                "rows without a label belong in pre-training"
            )
    if np.intersect1d(train, held_out).size:
        raise DataError("training: some rows are both learnt from and validated on")
