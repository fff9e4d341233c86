"""Pre-training: an auto-encoder learns to repeat features of clips without labels.

Statistics are taken from the training rows; the error on held-out rows decides when to stop
and which epoch's weights are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from semisonic.base.errors import DataError, ModelError
from semisonic.base.options import option
from semisonic.base.seeds import generator
from semisonic.data.clips import Clips
from semisonic.data.streams import Stream, batches
from semisonic.features import Frontend, MelOptions, Standardize
from semisonic.inference.options import DECODERS, DEFAULT_MODEL, PRETRAIN_FIT, STANDARDIZE
from semisonic.inference.scoring import BATCH_SIZE, evaluating
from semisonic.learning import Reconstruction
from semisonic.models import AutoEncoder, DeadUnits, build_autoencoder, create, dead_units
from semisonic.training import FitOptions, FitResult, choose_device, fit

Rows = NDArray[np.int64]
MAX_INSPECTED = 512
"""Held-out clips that never-active units are looked for on."""


@dataclass(frozen=True)
class PretrainSettings:
    """What is pre-trained, and how."""

    model: str = option(DEFAULT_MODEL, "architecture notation or the name of an architecture")
    decoder: str = option("auto", "the auto-encoder's way back up", choices=DECODERS)
    standardize: str = option(
        "global", "statistics that features are standardised by", choices=STANDARDIZE
    )
    fit: FitOptions = field(default_factory=lambda: PRETRAIN_FIT)


@dataclass(frozen=True)
class PretrainOutcome:
    """A pre-trained auto-encoder and how it came about.

    Attributes
    ----------
    autoencoder : AutoEncoder
        With the weights of the best epoch and its front end, on the CPU, in evaluation mode.
    fit : FitResult
    dead_units : tuple of DeadUnits
        A row a layer: units that were active nowhere in held-out clips.
    error : float
        Mean squared error of the reconstruction of held-out clips, on standardised features
        (1 is what a constant scores); NaN without held-out clips.
    error_db2 : float
        The same in dB².
    """

    autoencoder: AutoEncoder
    fit: FitResult
    dead_units: tuple[DeadUnits, ...]
    error: float
    error_db2: float

    @property
    def standardize(self) -> Standardize:
        """Fitted on the training rows."""
        return frontend_of(self.autoencoder).standardize

    @property
    def history(self) -> list[dict[str, float]]:
        """A row an epoch."""
        return self.fit.history

    @property
    def seconds(self) -> float:
        """Time in epochs."""
        return self.fit.seconds


def pretrain_autoencoder(
    features: Any,
    rows_train: ArrayLike,
    rows_validation: ArrayLike,
    settings: PretrainSettings,
    *,
    mel: MelOptions,
    seed: int,
    device: str | torch.device = "cpu",
    folder: Path | None = None,
) -> PretrainOutcome:
    """Train an auto-encoder, stop when it no longer gets better on held-out clips.

    Parameters
    ----------
    features : FeatureStore or ndarray, shape (n, channel, mel, frame)
        In dB.
    rows_train, rows_validation : array of int
        Rows to learn from and rows to stop by. Without any of the latter, all epochs are run
        and the last weights kept.
    settings : PretrainSettings
    mel : MelOptions
        The front end that made the features.
    seed : int
        Of first weights, order of clips and dropout.
    folder : Path, optional
        Keeps the checkpoint; an interrupted training goes on, a finished one returns at once.

    Raises
    ------
    DataError
        Without rows to learn from.
    """
    train = np.asarray(rows_train, np.int64)
    held_out = np.asarray(rows_validation, np.int64)
    if not len(train):
        raise DataError("pre-training: found no clips to learn from")
    place = choose_device(device)
    autoencoder = build_autoencoder(
        settings.model,
        mel,
        decoder=choose_decoder(settings.decoder, settings.model, mel),
        standardize=settings.standardize,
        seed=seed,
    )
    standardize = frontend_of(autoencoder).standardize
    standardize.fit(feature_parts(features, train))
    objective = Reconstruction(autoencoder, standardize)
    stream = Stream(
        features, train, batch_size=settings.fit.batch_size, seed=seed, device=place,
        name="unlabelled",
    )  # fmt: skip

    def validate() -> Mapping[str, float]:
        return reconstruction_error(objective, features, held_out, place)

    result = fit(
        objective,
        {"unlabelled": stream},
        settings.fit if len(held_out) else without_validation(settings.fit),
        seed=seed,
        device=place,
        validate=validate if len(held_out) else None,
        folder=folder,
        label="pre-train",
    )
    error = validate() if len(held_out) else {"loss": np.nan, "mse_db2": np.nan}
    looked_at = (held_out if len(held_out) else train)[:MAX_INSPECTED]
    dead = never_active(objective, features, looked_at, place)
    objective.cpu()
    return PretrainOutcome(autoencoder, result, dead, error["loss"], error["mse_db2"])


@torch.no_grad()
def reconstruction_error(
    objective: Reconstruction, features: Any, rows: Rows, device: str | torch.device
) -> dict[str, float]:
    """Mean over clips of the error, standardised (``loss``) and in dB² (``mse_db2``)."""
    total = {"loss": 0.0, "mse_db2": 0.0}
    with evaluating(objective):
        for batch in batches(features, rows, BATCH_SIZE, device):
            terms = objective({"unlabelled": batch})
            for name in total:
                total[name] += float(terms[name]) * len(batch.x)
    return {name: value / max(len(rows), 1) for name, value in total.items()}


def never_active(
    objective: Reconstruction, features: Any, rows: Rows, device: str | torch.device
) -> tuple[DeadUnits, ...]:
    """Units of the encoder that none of some rows activates, layer by layer."""
    parts = batches(features, rows, BATCH_SIZE, device)
    with torch.no_grad():
        standardised = (objective.standardize(batch.x) for batch in parts)
        return tuple(dead_units(objective.autoencoder.encoder, standardised))


def frontend_of(autoencoder: AutoEncoder) -> Frontend:
    """The front end that an auto-encoder was made with.

    Raises
    ------
    ModelError
        When it was made without one.
    """
    if autoencoder.frontend is None:
        raise ModelError(
            "this auto-encoder does not know the front end of its features; make it with "
            "build_autoencoder, or load it from a file"
        )
    return autoencoder.frontend


def choose_decoder(decoder: str, model: str, mel: MelOptions) -> str:
    """The decoder asked for; ``auto`` is un-pooling where the encoder can, else up-sampling."""
    if decoder != "auto":
        return decoder
    return "unpool" if create(model, mel.shape).encoder.has_switches else "upsample"


def without_validation(options: FitOptions) -> FitOptions:
    """The same training when nothing is held out: all epochs, the last weights."""
    schedule_follows = options.schedule == "plateau"
    return replace(
        options,
        patience=0,
        restore_best=False,
        monitor="loss" if schedule_follows else options.monitor,
    )


def hold_out_recordings(
    clips: Clips, rows: ArrayLike, share: float, seed: int
) -> tuple[Rows, Rows]:
    """Cut a share of unlabelled clips off, whole recordings at a time.

    Which recordings are held out depends on their names and the seed, not on their order.

    Returns
    -------
    kept, held : ndarray of int64
        Row numbers, ascending. With a single recording nothing is held out.
    """
    index = np.sort(np.asarray(rows, np.int64))
    names, inverse, count = np.unique(clips.group[index], return_inverse=True, return_counts=True)
    order = generator(seed, "held-out recordings").permutation(len(names))
    before = np.cumsum(count[order]) - count[order]
    chosen = order[before < share * len(index)] if share > 0 else order[:0]
    chosen = chosen[: max(len(names) - 1, 0)]
    held = np.isin(inverse, chosen)
    return index[~held], index[held]


def feature_parts(features: Any, rows: Rows, size: int = 256) -> Any:
    """Pieces of some rows, so that no large pool is in memory at once."""
    for start in range(0, len(rows), size):
        part = np.asarray(features[rows[start : start + size]], np.float32)
        yield part
