"""``pretrain``: encoders from clips without labels."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray
from torch import nn

from semisonic.classifier import run_files
from semisonic.classifier.config import (
    DENOISING,
    LAYERWISE,
    PROBE,
    WITHOUT_DECODER,
    PretextOptions,
    TrainConfig,
    check_pretraining,
    check_trainable,
)
from semisonic.classifier.model_file import ENCODER
from semisonic.classifier.options import PretrainOptions
from semisonic.classifier.prepare import (
    Failures,
    Prepared,
    in_batch_device,
    without_silence,
)
from semisonic.classifier.provenance import DataPart
from semisonic.classifier.scoring import BATCH_SIZE, evaluating
from semisonic.classifier.selection import (
    Rows,
    load_data,
)
from semisonic.classifier.start import published_note, start_of, synthetic_encoder, with_start
from semisonic.classifier.training import (
    choose_decoder,
    feature_parts,
    network_of,
    without_validation,
)
from semisonic.core.cluster import open_engine
from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import json_ready
from semisonic.core.html import Result
from semisonic.core.options import check
from semisonic.core.seeds import derive, generator
from semisonic.core.text import count_text, text_table
from semisonic.data.batches import Stream, batches
from semisonic.data.recordings import COPIES
from semisonic.features.augmentation import TimeCrop, augmenter
from semisonic.features.frontend import Standardize
from semisonic.features.options import WAVE, MelOptions
from semisonic.learning.contrastive import EmbeddingSpread, SimClr, embedding_spread, pooled
from semisonic.learning.objective import Objective
from semisonic.learning.reconstruction import (
    Denoising,
    LayerReconstruction,
    Reconstruction,
    layer_decoder,
    put_together,
)
from semisonic.models.inspection import DeadUnits, dead_units
from semisonic.models.model_file import (
    save_encoder,
)
from semisonic.models.pretrained import (
    AutoEncoder,
    PretrainedEncoder,
    build_autoencoder,
    build_encoder,
    transfer,
)
from semisonic.models.registry import create
from semisonic.models.weights import initialise, undisturbed
from semisonic.training.devices import choose_device, kept_randomness, seed_torch
from semisonic.training.loop import BatchStream, FitResult, fit
from semisonic.training.options import FitOptions

if TYPE_CHECKING:
    import pandas as pd


_log = logging.getLogger(__name__)

MAX_MEASURED = 512
"""Held-out clips whose embeddings and units are looked at."""
BACKGROUND = 0.5
"""Share of views with another clip beneath, at a ratio of 0 to 20 dB."""
CROPPED_BANDS = 0.25
"""Most that is cut off a view's bands, as a share; the rest is stretched over them."""


def build_network(
    objective: str, model: str, mel: MelOptions, *, decoder: str, standardize: str, seed: int
) -> PretrainedEncoder:
    """The network that an objective trains: an auto-encoder, or only an encoder.

    Its standardisation is still to be fitted.
    """
    if objective in WITHOUT_DECODER:
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
        If an option was changed that the objective does not use.
    """
    options.check_for(objective)
    frontend = network.frontend
    standardize = frontend.standardize
    if isinstance(network, AutoEncoder):
        kind = Denoising if objective == DENOISING else Reconstruction
        return kind(network, standardize)
    view = build_view(options, frontend.options)
    return SimClr(network.encoder, standardize, view, seed=seed)


def build_view(options: PretextOptions, mel: MelOptions) -> nn.Module:
    """The module that makes a random view of each clip: a part of it, changed.

    Raises
    ------
    OptionError
        For waveforms, whose views are not made for comparing.
    """
    if mel.input == WAVE:
        raise OptionError(
            "option 'objective': comparing views of clips needs spectrograms, but this network "
            "reads the waveform; give the objective 'none' and the method 'supervised'"
        )
    cut = int(CROPPED_BANDS * mel.n_mels)
    view = augmenter(options.views, mel, max_cut=cut, background=BACKGROUND)
    if options.view_share < 1:
        return nn.Sequential(TimeCrop(mel, options.view_share * mel.duration), view)
    return view


def held_out_terms(
    objective: Objective, features: Any, rows: Rows, device: torch.device, seed: int
) -> dict[str, float]:
    """Mean over held-out clips of an objective's loss and terms.

    Random parts (noise, masks, views) are drawn from the seed each time, so that all epochs are
    measured in the same way. Objectives of two views also give ``deviation`` and ``rank`` of the
    embeddings, see :class:`semisonic.learning.contrastive.EmbeddingSpread`.
    """
    means: dict[str, float] = {}
    with evaluating(objective), kept_randomness(device):
        for number, batch in enumerate(batches(features, rows, BATCH_SIZE, device)):
            seed_torch(derive(seed, "held-out clips", number), device)
            for name, value in objective({"unlabelled": batch}).items():
                share = len(batch.x) / len(rows)
                means[name] = means.get(name, 0.0) + share * float(value)
        if isinstance(objective, SimClr) and len(rows) > 1:
            parts = batches(features, rows[:MAX_MEASURED], BATCH_SIZE, device)
            spread = embedding_spread(torch.cat([objective.embed(b.x).float() for b in parts]))
            means |= {"deviation": spread.deviation, "rank": spread.rank}
    return means


@dataclass(frozen=True)
class PretrainOutcome:
    """A pre-trained encoder and its training.

    Attributes
    ----------
    network : PretrainedEncoder
        With the weights of the best epoch and its front end, on the CPU, in evaluation mode.
        An :class:`AutoEncoder` unless the objective has no decoder.
    objective : str
    fit : FitResult
        Result of the last training; for layer-wise training, that of the whole auto-encoder.
    layers : tuple of FitResult
        Results of the layers before it; empty for all other objectives.
    dead_units : tuple of DeadUnits
        A row a layer: units that were active nowhere in held-out clips.
    spread : EmbeddingSpread
        The spread of the embeddings of held-out clips, and in how many directions; zero for a
        single clip.
    error : float
        Loss of the objective on held-out clips; NaN without any. For objectives with a decoder it
        is the mean squared error on standardised features (1 is what a constant scores), or over
        hidden cells only, if only these count.
    error_db2 : float
        The same in dB²; NaN for objectives without a decoder.
    n_train, n_held_out : int
        Clips (windows of long recordings) used for training, and held out to stop.
    """

    network: PretrainedEncoder
    objective: str
    fit: FitResult
    layers: tuple[FitResult, ...]
    dead_units: tuple[DeadUnits, ...]
    spread: EmbeddingSpread
    error: float
    error_db2: float
    n_train: int
    n_held_out: int

    @property
    def standardize(self) -> Standardize:
        """Fitted on the training rows."""
        return self.network.frontend.standardize

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
    """Train an encoder; stop when it no longer improves on held-out clips.

    Parameters
    ----------
    config : TrainConfig
        Its objective, ``pretext``, ``pretrain``, network and front end are read.
    features : FeatureStore or ndarray, shape (n, channel, mel, frame)
        In dB.
    rows_train, rows_validation : array of int
        Rows to learn from (they give the statistics that features are standardised by) and rows
        to stop by. Without any of the latter, all epochs are run and the last weights kept.
    seed : int
        Of first weights, order of clips and whatever else is random.
    folder : Path, optional
        Keeps the checkpoint; an interrupted training continues, a finished one returns at once.
    start : PretrainedEncoder, optional
        Gives the network, its first weights and the standardisation, which is then not fitted.

    Raises
    ------
    DataError
        Without rows to learn from.
    ModelError
        If ``start`` was trained for another front end or network.
    OptionError
        If an option was changed that the objective does not use.
    """
    train = np.asarray(rows_train, np.int64)
    held_out = np.asarray(rows_validation, np.int64)
    if not len(train):
        raise DataError("pre-training: found no clips to learn from")
    place, name = choose_device(device), config.objective
    if start is not None:
        check_trainable(start.name, start.encoder.trainable, PROBE, name)
        kind = start.frontend.standardize.kind
        config = replace(config, model=start.name, standardize=kind)
    network = build_network(
        name,
        config.model,
        config.mel,
        decoder=config.decoder,
        standardize=config.standardize,
        seed=seed,
    )
    standardize = network.frontend.standardize
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
    result = fit(
        objective,
        {"unlabelled": stream},
        options,
        seed=seed,
        device=place,
        validate=(lambda: validate(objective)) if len(held_out) else None,
        folder=folder,
        label="pre-train",
    )
    error = dict(validate(objective)) if len(held_out) else {}
    measured = (held_out if len(held_out) > 1 else train)[:MAX_MEASURED]
    dead, spread = _measured(network, features, measured, place)
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
        len(train),
        len(held_out),
    )


def fit_layers(
    autoencoder: AutoEncoder,
    standardize: Standardize,
    stream: BatchStream,
    options: FitOptions,
    *,
    layer_epochs: int,
    seed: int,
    device: str | torch.device = "cpu",
    validate: Callable[[Objective], Mapping[str, float]] | None = None,
    folder: Path | None = None,
) -> tuple[FitResult, ...]:
    """Train the encoder part by part and put the auto-encoder together.

    Parameters
    ----------
    autoencoder : AutoEncoder
        Its weights are the first weights; it has the trained ones afterwards.
    standardize : Standardize
        Fitted.
    stream : BatchStream
        Batches without labels.
    options : FitOptions
        For every layer alike, but for the epochs.
    layer_epochs : int
        Epochs of each layer.
    validate : callable, optional
        Gets the objective of the layer at hand.
    folder : Path, optional
        Keeps a folder ``layer-1``, ``layer-2`` ... with a checkpoint each.

    Returns
    -------
    tuple of FitResult
        One a layer.

    Raises
    ------
    ModelError
        If the encoder cannot be cut into layers, or the decoder has skips past the code.
    """
    place, results = choose_device(device), []
    n_layers = len(autoencoder.encoder.part_plans)
    decoders = [layer_decoder(autoencoder, number) for number in range(n_layers)]
    for number, decoder in enumerate(decoders):
        with undisturbed():
            initialise(decoder, seed, f"layer {number + 1}.")
        layer = LayerReconstruction(autoencoder.encoder, number, decoder, standardize).to(place)
        results.append(
            fit(
                layer,
                {"unlabelled": stream},
                replace(options, epochs=layer_epochs, steps=0),
                seed=seed,
                device=place,
                validate=None if validate is None else partial(validate, layer),
                folder=None if folder is None else folder / f"layer-{number + 1}",
                label=f"layer {number + 1} of {n_layers}",
            )
        )
    put_together(autoencoder, [decoder.to(place) for decoder in decoders])
    return tuple(results)


def _measured(
    network: PretrainedEncoder, features: Any, rows: Rows, device: torch.device
) -> tuple[tuple[DeadUnits, ...], EmbeddingSpread]:
    """Units of the encoder that no row activates, and how far the embeddings of rows differ."""
    standardize = network.frontend.standardize
    with torch.no_grad():
        parts = (standardize(b.x) for b in batches(features, rows, BATCH_SIZE, device))
        dead = tuple(dead_units(network.encoder, parts))
    if len(rows) < 2:
        return dead, EmbeddingSpread(0.0, 0.0, network.encoder.out_channels)
    with evaluating(network):
        parts = (standardize(b.x) for b in batches(features, rows, BATCH_SIZE, device))
        vectors = torch.cat([pooled(network.encode(x)).float() for x in parts])
        return dead, embedding_spread(vectors)


HELD_OUT = "held-out recordings"
"""The key of the random numbers that choose them."""


def hold_out_recordings(
    group: NDArray[Any], rows: ArrayLike, share: float, rng: np.random.Generator
) -> tuple[Rows, Rows]:
    """Hold out a share of some rows without labels, by whole recordings.

    Which recordings are held out depends on their names and the random numbers, not on their order.
    A recording larger than the whole share is kept for training if there are smaller ones.

    Parameters
    ----------
    group : array, shape (n,)
        The recording of each row.
    rows : array of int
    share : float
        0 to 1.
    rng : numpy.random.Generator

    Returns
    -------
    kept, held : ndarray of int64
        Row numbers, ascending. With a single recording nothing is held out.
    """
    index = np.sort(np.asarray(rows, np.int64))
    names, inverse, count = np.unique(
        np.asarray(group)[index], return_inverse=True, return_counts=True
    )
    order = rng.permutation(len(names))
    order = order[count[order] <= max(share * len(index), count.min(initial=len(index)))]
    before = np.cumsum(count[order]) - count[order]
    chosen = order[before < share * len(index)] if share > 0 else order[:0]
    chosen = chosen[: max(len(names) - 1, 0)]
    held = np.isin(inverse, chosen)
    return index[~held], index[held]


# ``pretrain``.


@dataclass(frozen=True)
class PretrainResult(Result):
    """The result of ``pretrain``.

    Attributes
    ----------
    outcome : PretrainOutcome
    encoder : Path
        The file for ``train --encoder``.
    prepared : Prepared
        The clips and their faults.
    notes : tuple of str
        What was left out, and whether the training started from published weights.
    """

    outcome: PretrainOutcome
    encoder: Path
    prepared: Prepared
    notes: tuple[str, ...] = ()

    @property
    def failures(self) -> Failures:
        """Clips that could not be read, with the reason."""
        return self.prepared.failures

    def to_frame(self) -> pd.DataFrame:
        """A row per epoch: losses, learning rate, validation."""
        import pandas as pd

        return pd.DataFrame(self.outcome.history)

    def _html_parts(self) -> Iterable[Markup]:
        from semisonic.classifier.show import training_parts

        return training_parts(self, self.outcome.history)

    def summary(self) -> str:
        """For a terminal."""
        o, spread = self.outcome, self.outcome.spread
        how = o.objective
        if isinstance(o.network, AutoEncoder):
            how += f" with decoder '{o.network.decoder_name}'"
        if o.layers:
            epochs = ", ".join(str(len(layer.history)) for layer in o.layers)
            how += f" (epochs of single layers: {epochs})"
        held_out = f"held-out loss {o.error:.4f}"
        if math.isnan(o.error):
            held_out = "no clips were held out: all epochs were run and the last weights kept"
        elif not math.isnan(o.error_db2):
            held_out = (
                f"held-out error {o.error:.4f} of the features' variance "
                f"({o.error_db2:.1f} dB², {math.sqrt(o.error_db2):.1f} dB)"
            )
        collapsed = "; the embeddings have collapsed: do not use this encoder" * spread.is_collapsed
        dead = [[d.layer, d.n_units, d.n_dead] for d in o.dead_units]
        lines = [
            f"pre-trained '{o.network.name}' by {how} on {count_text(o.n_train, 'clip')}, "
            f"{o.n_held_out} held out: best of {count_text(len(o.history), 'epoch')} is "
            f"{o.fit.best_epoch}, {o.seconds:.0f} s, {o.fit.precision}",
            held_out,
            f"embeddings: deviation {spread.deviation:.2f}, effective rank {spread.rank:.1f} of "
            f"{spread.n_dimensions}{collapsed}",
            text_table(["layer", "units", "never active"], dead, ruled=True),
            *self.notes,
            *run_files.unreadable(self.failures, self.prepared.remarks),
            f"encoder: {self.encoder}",
        ]
        return "\n".join(lines)


def pretrain(options: PretrainOptions) -> PretrainResult:
    """Pre-train an encoder; the same command continues an interrupted run.

    Raises
    ------
    OptionError
        If an option is wrong or the run folder belongs to another run.
    DataError
        If there is nothing to read.
    """
    options = check(options).settled()
    check_pretraining(options.objective, options.decoder, options.pretext, options.fit)
    if options.encoder is None:
        create(options.model, options.mel.shape)  # a wrong one is refused before hours of decoding
    pool = load_data(options.data, "none", "pretrain", options).without_labels()
    if not len(pool):
        raise DataError(f"'{pool.name}': found no clips; give a folder or table with recordings")
    with run_files.open_run("pretrain", options) as run, open_engine(options.where) as engine:
        if options.group == COPIES:
            pool = run_files.recordings_in(run, pool, options).clips
        if 0 < options.limit < len(pool):
            order = generator(options.seed, "limit of the pool").permutation(len(pool))
            pool = pool[np.sort(order[: options.limit])]
        config = TrainConfig(
            options.model,
            objective=options.objective,
            decoder=options.decoder,
            standardize=options.standardize,
            mel=options.mel,
            pretrain=options.fit,
            pretext=options.pretext,
        )
        start = start_of(options.encoder)
        if isinstance(start, str):
            start = synthetic_encoder(config, device=options.device, workers=options.workers)
        name, mel = network_of(config.model, config.mel, start)
        place = in_batch_device(options.in_batch, options.device)
        prepared = run_files.prepare_in(run, pool, mel, options, engine, place)
        cache = run_files.cache_of(options)
        hashes = run_files.record_data(run, pool, options.workers, cache=cache)
        rows, silence = without_silence(prepared, np.arange(len(prepared)), 0)
        outcome = pretrain_encoder(
            replace(config, model=name, mel=mel),
            prepared.features,
            *hold_out_recordings(
                prepared.group, rows, options.validation, generator(options.seed, HELD_OUT)
            ),
            seed=options.seed,
            device=options.device,
            folder=run.path("training"),
            start=start,
        )
        parts = {"pretraining": DataPart.of(pool, hashes).to_dict()}
        parts = with_start(parts, options.encoder, run)
        about = run_files.about("pretrain", options, **parts)
        run.note(**save_pretrained(run.path(ENCODER), outcome, about))
        run_files.write_curves(run.folder, outcome.history, "Pre-training")
    notes = (*pool.notes, *published_note(options.encoder), *silence)
    return PretrainResult(outcome, run.folder / ENCODER, prepared, notes)


def save_pretrained(
    path: Path, outcome: PretrainOutcome, provenance: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the encoder's file; return the measurements for records, None if not measured."""
    numbers: dict[str, Any] = {
        "objective": outcome.objective,
        "precision": outcome.fit.precision,
        "held_out_error": outcome.error,
        "held_out_error_db2": outcome.error_db2,
        "best_epoch": outcome.fit.best_epoch,
        "epochs": len(outcome.history),
        "layer_epochs": [len(layer.history) for layer in outcome.layers],
        "deviation": outcome.spread.deviation,
        "effective_rank": outcome.spread.rank,
        "collapsed": outcome.spread.is_collapsed,
        "never_active": {unit.layer: [unit.n_dead, unit.n_units] for unit in outcome.dead_units},
    }
    numbers = {name: json_ready(value) for name, value in numbers.items()}
    save_encoder(path, outcome.network, about={**provenance, "measured": numbers})
    return numbers
