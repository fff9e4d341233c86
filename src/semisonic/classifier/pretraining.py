"""Pre-training: an encoder learns from features of clips without labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from semisonic.classifier import config as pretext
from semisonic.classifier.config import (
    LAYERWISE,
    PretextOptions,
    TrainConfig,
)
from semisonic.classifier.scoring import BATCH_SIZE, evaluating
from semisonic.core.errors import DataError, ModelError, OptionError
from semisonic.core.seeds import derive, generator
from semisonic.data.batches import Stream, batches
from semisonic.data.clips import Clips
from semisonic.features.augment.chain import RegisteredAugmentation, augmenter
from semisonic.features.augment.time import TimeCrop
from semisonic.features.frontend import Frontend, Standardize
from semisonic.features.options import REGISTERED, WAVE, MelOptions, preset
from semisonic.learning.contrastive import (
    EmbeddingSpread,
    SimClr,
    embedding_spread,
    pooled,
)
from semisonic.learning.objective import Objective
from semisonic.learning.reconstruction import Denoising, Reconstruction
from semisonic.models.inspection import DeadUnits, dead_units
from semisonic.models.pretrained import (
    AutoEncoder,
    PretrainedEncoder,
    build_autoencoder,
    build_encoder,
    transfer,
)
from semisonic.models.registry import create
from semisonic.training.devices import choose_device, kept_randomness, seed_torch
from semisonic.training.layerwise import fit_layers
from semisonic.training.loop import FitResult, fit
from semisonic.training.options import FitOptions

# From the name of a pre-training objective and its options to what is minimised.


BACKGROUND_SNR_DB = (0.0, 20.0)
"""Range of the ratio of a view to another clip beneath it."""


def build_network(
    objective: str, model: str, mel: MelOptions, *, decoder: str, standardize: str, seed: int
) -> PretrainedEncoder:
    """The network that an objective trains: an auto-encoder, or an encoder alone.

    Its standardisation is still to be fitted.
    """
    if objective in pretext.WITHOUT_DECODER:
        return build_encoder(model, mel, standardize=standardize, seed=seed)
    chosen = choose_decoder(decoder, model, mel)
    return build_autoencoder(model, mel, decoder=chosen, standardize=standardize, seed=seed)


def build_objective(
    objective: str, network: PretrainedEncoder, options: PretextOptions, seed: int
) -> Objective:
    """The objective that trains a network made by :func:`build_network`.

    For layer-wise training it is the one after the layers, for the whole auto-encoder.

    Raises
    ------
    OptionError
        When an option was changed that the objective does not read.
    """
    options.check_for(objective)
    frontend = frontend_of(network)
    standardize = frontend.standardize
    if not isinstance(network, AutoEncoder):
        return SimClr(
            network.encoder,
            standardize,
            build_view(options, frontend.options),
            projection=options.projection,
            temperature=options.contrast_temperature,
            seed=seed,
        )
    if objective == pretext.DENOISING:
        return Denoising(
            network, standardize, noise_db=options.noise_db, cell_dropout=options.cell_dropout
        )
    return Reconstruction(network, standardize)


def build_view(options: PretextOptions, mel: MelOptions) -> nn.Module:
    """The module that makes a random view of each clip: a part of it, changed.

    Raises
    ------
    OptionError
        For waveforms, whose views are not made for comparing.
    """
    if mel.input == WAVE:
        raise OptionError(
            "option 'objective': comparing views of clips is made for spectrograms, and this "
            "network hears the waveform; give the objective 'none' and the method 'supervised'"
        )
    low, high = BACKGROUND_SNR_DB
    own = options.views in REGISTERED
    changes = dataclasses.replace(
        preset("none" if own else options.views, mel),
        background=options.view_background,
        snr_min_db=low,
        snr_max_db=high,
        crop_bands=int(options.view_crop * mel.n_mels),
    )
    steps: list[nn.Module] = [RegisteredAugmentation(options.views)] if own else []
    steps.append(augmenter(changes, mel))
    if options.view_share < 1:
        steps.insert(0, TimeCrop(mel, options.view_share * mel.duration))
    return nn.Sequential(*steps)


def frontend_of(network: PretrainedEncoder) -> Frontend:
    """The front end that an encoder was made with.

    Raises
    ------
    ModelError
        When it was made without one.
    """
    if network.frontend is None:
        raise ModelError(
            "this encoder does not know the front end of its features; make it with "
            "build_encoder or build_autoencoder, or load it from a file"
        )
    return network.frontend


def choose_decoder(decoder: str, model: str, mel: MelOptions) -> str:
    """The decoder asked for; ``auto`` is un-pooling where the encoder can, else up-sampling."""
    if decoder != "auto":
        return decoder
    return "unpool" if create(model, mel.shape).encoder.has_switches else "upsample"


# What is measured of an encoder on clips that it does not learn from, without any labels.


Rows = NDArray[np.int64]
MAX_MEASURED = 512
"""Held-out clips whose embeddings are measured after each epoch."""


def held_out_terms(
    objective: Objective, features: Any, rows: Rows, device: torch.device, seed: int
) -> dict[str, float]:
    """Mean over clips of an objective's loss and terms.

    What it draws at random (noise, masks, views) is drawn anew from the seed each time, so
    that epochs are measured alike. Objectives of two views also give ``deviation`` and
    ``rank`` of the embeddings, see :class:`semisonic.learning.contrastive.EmbeddingSpread`.
    """
    means: dict[str, float] = {}
    with evaluating(objective), kept_randomness(device):
        for number, batch in enumerate(batches(features, rows, BATCH_SIZE, device)):
            seed_torch(derive(seed, "held-out clips", number), device)
            terms = objective({"unlabelled": batch})
            for name, value in terms.items():
                share = len(batch.x) / len(rows)
                means[name] = means.get(name, 0.0) + share * float(value)
        if isinstance(objective, SimClr) and len(rows) > 1:
            parts = batches(features, rows[:MAX_MEASURED], BATCH_SIZE, device)
            spread = embedding_spread(
                torch.cat([objective.embed(batch.x).float() for batch in parts])
            )
            means |= {"deviation": spread.deviation, "rank": spread.rank}
    return means


def spread_over(
    network: PretrainedEncoder, features: Any, rows: Rows, device: torch.device
) -> EmbeddingSpread:
    """How far and in how many directions the embeddings of some rows differ.

    A single row is no spread: all its numbers are zero.
    """
    if len(rows) < 2:
        return EmbeddingSpread(0.0, 0.0, network.encoder.out_channels)
    standardize = frontend_of(network).standardize
    with evaluating(network):
        parts = [
            pooled(network.encode(standardize(batch.x))).float()
            for batch in batches(features, rows, BATCH_SIZE, device)
        ]
        return embedding_spread(torch.cat(parts))


def never_active(
    network: PretrainedEncoder, features: Any, rows: Rows, device: torch.device
) -> tuple[DeadUnits, ...]:
    """Units of the encoder that none of some rows activates, layer by layer."""
    standardize = frontend_of(network).standardize
    with torch.no_grad():
        parts = (standardize(b.x) for b in batches(features, rows, BATCH_SIZE, device))
        return tuple(dead_units(network.encoder, parts))


# Pre-training: an encoder learns from features of clips without labels.
#
# Statistics are taken from the training rows; the loss on held-out rows decides when to stop
# and which epoch's weights are kept. What is asked of the encoder is one of the objectives of
# :mod:`semisonic.classifier.config`.


MAX_INSPECTED = 512
"""Held-out clips that never-active units and the spread of embeddings are looked for on."""


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
    spread: EmbeddingSpread
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
    config: TrainConfig,
    features: Any,
    rows_train: ArrayLike,
    rows_validation: ArrayLike,
    *,
    seed: int,
    device: str | torch.device = "cpu",
    folder: Path | None = None,
    start: PretrainedEncoder | None = None,
) -> PretrainOutcome:
    """Train an encoder, stop when it no longer gets better on held-out clips.

    Parameters
    ----------
    config : TrainConfig
        Its objective, ``pretext``, ``pretrain``, network and front end are read.
    features : FeatureStore or ndarray, shape (n, channel, mel, frame)
        In dB.
    rows_train, rows_validation : array of int
        Rows to learn from and rows to stop by. Without any of the latter, all epochs are run
        and the last weights kept.
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
    place, name = choose_device(device), config.objective
    network = build_network(
        name,
        config.model,
        config.mel,
        decoder=config.decoder,
        standardize=config.standardize,
        seed=seed,
    )
    standardize = frontend_of(network).standardize
    if start is not None:
        transfer(start, network)
    else:
        standardize.fit(feature_parts(features, train))
    objective = build_objective(name, network, config.pretext, seed)
    stream = Stream(
        features,
        train,
        batch_size=config.pretrain.batch_size,
        seed=seed,
        device=place,
        name="unlabelled",
    )
    options = config.pretrain if len(held_out) else without_validation(config.pretrain)

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
            network,
            standardize,
            stream,
            options,
            layer_epochs=config.pretext.layer_epochs,
            seed=seed,
            device=place,
            validate=validate if len(held_out) else None,
            folder=folder,
        )
    if layers and not config.pretext.together:
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
        network,
        name,
        result,
        layers,
        dead,
        spread,
        error.get("loss", np.nan),
        error.get("mse_db2", np.nan),
    )


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
