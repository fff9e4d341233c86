"""Pre-training: an encoder learns from features of clips without labels.

Statistics are taken from the training rows; the loss on held-out rows decides when to stop
and which epoch's weights are kept. What is asked of the encoder is one of the objectives of
:mod:`semisonic.inference.pretext`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from semisonic.base.errors import DataError
from semisonic.base.options import option
from semisonic.base.seeds import generator
from semisonic.data.clips import Clips
from semisonic.data.streams import Stream
from semisonic.features import MelOptions, Standardize
from semisonic.inference.held_out import held_out_terms, never_active, spread_over
from semisonic.inference.options import DECODERS, DEFAULT_MODEL, PRETRAIN_FIT, STANDARDIZE
from semisonic.inference.pretext import (
    LAYERWISE,
    OBJECTIVE_HELP,
    OBJECTIVES,
    RECONSTRUCTION,
    PretextOptions,
)
from semisonic.inference.pretext_objectives import build_network, build_objective, frontend_of
from semisonic.learning import Objective, Spread
from semisonic.models import AutoEncoder, DeadUnits, PretrainedEncoder, transfer
from semisonic.training import FitOptions, FitResult, choose_device, fit
from semisonic.training.layerwise import fit_layers

Rows = NDArray[np.int64]
MAX_INSPECTED = 512
"""Held-out clips that never-active units and the spread of embeddings are looked for on."""


@dataclass(frozen=True)
class PretrainSettings:
    """What is pre-trained, and how."""

    model: str = option(DEFAULT_MODEL, "architecture notation or the name of an architecture")
    decoder: str = option("auto", "the auto-encoder's way back up", choices=DECODERS)
    standardize: str = option(
        "global", "statistics that features are standardised by", choices=STANDARDIZE
    )
    fit: FitOptions = field(default_factory=lambda: PRETRAIN_FIT)
    objective: str = option(RECONSTRUCTION, OBJECTIVE_HELP, choices=OBJECTIVES)
    pretext: PretextOptions = field(default_factory=PretextOptions)


@dataclass(frozen=True)
class PretrainOutcome:
    """A pre-trained encoder and how it came about.

    Attributes
    ----------
    network : PretrainedEncoder
        With the weights of the best epoch and its front end, on the CPU, in evaluation mode.
        An :class:`AutoEncoder` unless the objective has no decoder.
    objective : str
    fit : FitResult
        Of the last training; for layer-wise training that of the whole auto-encoder.
    layers : tuple of FitResult
        Of the layers before it; empty for all other objectives.
    dead_units : tuple of DeadUnits
        A row a layer: units that were active nowhere in held-out clips.
    spread : Spread
        How far and in how many directions the embeddings of held-out clips differ.
    error : float
        Loss of the objective on held-out clips; NaN without any. For objectives with a
        decoder it is the mean squared error on standardised features (1 is what a constant
        scores), over hidden cells alone where these alone count.
    error_db2 : float
        The same in dB²; NaN for objectives without a decoder.
    """

    network: PretrainedEncoder
    objective: str
    fit: FitResult
    layers: tuple[FitResult, ...]
    dead_units: tuple[DeadUnits, ...]
    spread: Spread
    error: float
    error_db2: float

    @property
    def standardize(self) -> Standardize:
        """Fitted on the training rows."""
        return frontend_of(self.network).standardize

    @property
    def history(self) -> list[dict[str, float]]:
        """A row per epoch."""
        return self.fit.history

    @property
    def seconds(self) -> float:
        """Time in epochs, those of single layers included."""
        return self.fit.seconds + sum(layer.seconds for layer in self.layers)


def pretrain_encoder(
    features: Any,
    rows_train: ArrayLike,
    rows_validation: ArrayLike,
    settings: PretrainSettings,
    *,
    mel: MelOptions,
    seed: int,
    device: str | torch.device = "cpu",
    folder: Path | None = None,
    start: PretrainedEncoder | None = None,
) -> PretrainOutcome:
    """Train an encoder, stop when it no longer gets better on held-out clips.

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
        Of first weights, order of clips and whatever else is random.
    folder : Path, optional
        Keeps the checkpoint; an interrupted training goes on, a finished one returns at once.
    start : PretrainedEncoder, optional
        Gives the encoder's first weights and the standardisation, which is then not fitted.

    Raises
    ------
    DataError
        Without rows to learn from.
    ModelError
        When ``start`` was trained for another front end or network.
    OptionError
        When an option was changed that the objective does not read.
    """
    train = np.asarray(rows_train, np.int64)
    held_out = np.asarray(rows_validation, np.int64)
    if not len(train):
        raise DataError("pre-training: found no clips to learn from")
    place, name = choose_device(device), settings.objective
    network = build_network(
        name, settings.model, mel, decoder=settings.decoder, standardize=settings.standardize,
        seed=seed,
    )  # fmt: skip
    standardize = frontend_of(network).standardize
    if start is not None:
        transfer(start, network)
    else:
        standardize.fit(feature_parts(features, train))
    objective = build_objective(name, network, settings.pretext, seed)
    stream = Stream(
        features, train, batch_size=settings.fit.batch_size, seed=seed, device=place,
        name="unlabelled",
    )  # fmt: skip
    options = settings.fit if len(held_out) else without_validation(settings.fit)

    def validate(one: Objective) -> Mapping[str, float]:
        return held_out_terms(one, features, held_out, place, seed)

    def run(one: Objective, place_of_it: Path | None) -> FitResult:
        return fit(
            one,
            {"unlabelled": stream},
            options,
            seed=seed,
            device=place,
            validate=(lambda: validate(one)) if len(held_out) else None,
            folder=place_of_it,
            label="pre-train",
        )

    layers: tuple[FitResult, ...] = ()
    if name == LAYERWISE and isinstance(network, AutoEncoder):
        objective.to(place)
        layers = fit_layers(
            network, standardize, stream, options,
            layer_epochs=settings.pretext.layer_epochs, seed=seed, device=place,
            validate=validate if len(held_out) else None, folder=folder,
        )  # fmt: skip
    if layers and not settings.pretext.together:
        result, layers = layers[-1], layers[:-1]
    else:
        result = run(objective, folder)
    error = dict(validate(objective)) if len(held_out) else {}
    looked_at = (held_out if len(held_out) > 1 else train)[:MAX_INSPECTED]
    dead = never_active(network, features, looked_at, place)
    spread = spread_over(network, features, looked_at, place)
    objective.cpu()
    network.cpu().eval()
    return PretrainOutcome(
        network, name, result, layers, dead, spread,
        error.get("loss", np.nan), error.get("mse_db2", np.nan),
    )  # fmt: skip


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

    Which recordings are held out depends on their names and the seed, not on their order. One
    that is larger than the whole share stays to be learnt from, while there are smaller ones.

    Returns
    -------
    kept, held : ndarray of int64
        Row numbers, ascending. With a single recording nothing is held out.
    """
    index = np.sort(np.asarray(rows, np.int64))
    names, inverse, count = np.unique(clips.group[index], return_inverse=True, return_counts=True)
    order = generator(seed, "held-out recordings").permutation(len(names))
    order = order[count[order] <= max(share * len(index), count.min(initial=len(index)))]
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
