"""``pretrain`` and ``convert``: encoders for ``train --encoder``; what a training starts from."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semisonic.classifier import run_files
from semisonic.classifier.config import TrainConfig, check_pretraining
from semisonic.classifier.job import published_note, start_of, with_start
from semisonic.classifier.model_file import ENCODER
from semisonic.classifier.options import PretrainOptions
from semisonic.classifier.prepare import Failures, in_batch_device, without_silence
from semisonic.classifier.pretraining import (
    PretrainOutcome,
    hold_out_recordings,
    pretrain_encoder,
    synthetic_file,
)
from semisonic.classifier.provenance import DataPart, PublishedOrigin
from semisonic.classifier.selection import load_data
from semisonic.classifier.training import network_of
from semisonic.core.cluster import open_engine
from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import json_ready
from semisonic.core.options import check
from semisonic.core.seeds import generator
from semisonic.core.text import Result, count_text, text_table
from semisonic.data.outputs import check_file
from semisonic.data.recordings import COPIES
from semisonic.models.inspection import count_parameters
from semisonic.models.model_file import (
    load_encoder,
    save_encoder,
)
from semisonic.models.pretrained import AutoEncoder, PretrainedEncoder
from semisonic.models.published import convert_published
from semisonic.models.registry import create

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PretrainResult(Result):
    """What ``pretrain`` made.

    Attributes
    ----------
    outcome : PretrainOutcome
    encoder : Path
        The file for ``train --encoder``.
    n_train, n_held_out : int
        Clips (windows of long recordings) learnt from and stopped by.
    failures : tuple of (str, str)
    remarks : tuple of (str, str)
        Clips that are silent, clipped or the like.
    notes : tuple of str
        What was left out, and whether it began with published weights.
    """

    outcome: PretrainOutcome
    encoder: Path
    n_train: int
    n_held_out: int
    failures: Failures
    remarks: Failures = ()
    notes: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """A row per epoch: losses, learning rate, what was held out."""
        import pandas as pd

        return pd.DataFrame(self.outcome.history)

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
            held_out = "nothing was held out: all epochs were run and the last weights kept"
        elif not math.isnan(o.error_db2):
            held_out = (
                f"held-out error {o.error:.4f} of the features' variance "
                f"({o.error_db2:.1f} dB², {math.sqrt(o.error_db2):.1f} dB)"
            )
        collapsed = "; they have collapsed: do not use this encoder" * spread.is_collapsed
        dead = [[d.layer, d.n_units, d.n_dead] for d in o.dead_units]
        lines = [
            f"pre-trained '{o.network.name}' by {how} on {count_text(self.n_train, 'clip')}, "
            f"{self.n_held_out} held out: best of {count_text(len(o.history), 'epoch')} is "
            f"{o.fit.best_epoch}, {o.seconds:.0f} s, {o.fit.precision}",
            held_out,
            f"embeddings: deviation {spread.deviation:.2f}, effective rank {spread.rank:.1f} of "
            f"{spread.n_dimensions}{collapsed}",
            text_table(["layer", "units", "never active"], dead, ruled=True),
            *self.notes,
            *run_files.unreadable(self.failures, self.remarks),
            f"encoder: {self.encoder}",
        ]
        return "\n".join(lines)


def pretrain(options: PretrainOptions) -> PretrainResult:
    """Pre-train an encoder; the same command goes on with an interrupted run.

    Raises
    ------
    OptionError
        When an option is wrong or the run folder belongs to another run.
    DataError
        When there is nothing to read.
    """
    options = check(options).settled()
    check_pretraining(options.objective, options.decoder, options.pretext, options.fit)
    if options.encoder is None:
        create(options.model, options.mel.shape)  # a wrong one is refused before hours of decoding
    pool = load_data(options.data, "none", "pretrain", options).without_labels()
    if not len(pool):
        raise DataError(f"'{pool.name}': holds no clips")
    with run_files.open_run("pretrain", options) as run, open_engine(options.where) as engine:
        if options.group == COPIES:
            pool = run_files.recordings_in(run, pool, options).clips
        if 0 < options.limit < len(pool):
            order = generator(options.seed, "limit of the pool").permutation(len(pool))
            pool = pool[np.sort(order[: options.limit])]
        start = start_of(options.encoder)
        if isinstance(start, str):
            file = synthetic_file(
                options.model,
                options.mel,
                standardize=options.standardize,
                device=options.device,
                workers=options.workers,
            )
            start = load_encoder(file)
        name, mel = network_of(options.model, options.mel, start)
        place = in_batch_device(options.in_batch, options.device)
        prepared = run_files.prepare_in(run, pool, mel, options, engine, place)
        cache = run_files.cache_of(options)
        hashes = run_files.record_data(run, pool, options.workers, cache=cache)
        rows, silence = without_silence(prepared, np.arange(len(prepared)), 0)
        kept, held = hold_out_recordings(prepared.clips, rows, options.validation, options.seed)
        kind = options.standardize if start is None else start.frontend.standardize.kind
        config = TrainConfig(
            name,
            objective=options.objective,
            decoder=options.decoder,
            standardize=kind,
            mel=mel,
            pretrain=options.fit,
            pretext=options.pretext,
        )
        outcome = pretrain_encoder(
            config,
            prepared.features,
            kept,
            held,
            seed=options.seed,
            device=options.device,
            folder=run.path("training"),
            start=start,
        )
        parts = {"pretraining": DataPart.of(pool, hashes).to_dict()}
        parts = with_start(parts, options.encoder, run)
        file = save_pretrained(
            run.path(ENCODER), outcome, run_files.about("pretrain", options, **parts)
        )
        run.note(**numbers_of(outcome))
        run_files.write_curves(run.folder, outcome.history, "Pre-training")
    notes = (*pool.notes, *published_note(options.encoder), *silence)
    return PretrainResult(
        outcome, file, len(kept), len(held), prepared.failures, prepared.remarks, notes
    )


def save_pretrained(path: Path, outcome: PretrainOutcome, provenance: dict[str, object]) -> Path:
    """Write the encoder's file with its provenance and what was measured."""
    save_encoder(path, outcome.network, about={**provenance, "measured": numbers_of(outcome)})
    return path


def numbers_of(outcome: PretrainOutcome) -> dict[str, object]:
    """What was measured in a pre-training, for records; what could not be is None."""
    numbers: dict[str, object] = {
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
    return {name: json_ready(value) for name, value in numbers.items()}


# ``convert``: published weights to an encoder of ours, for ``train --encoder``.


@dataclass(frozen=True)
class ConvertResult(Result):
    """What ``convert`` made: the encoder, its file, and where its weights are from."""

    network: PretrainedEncoder
    encoder: Path
    origin: PublishedOrigin

    def to_frame(self) -> pd.DataFrame:
        """One row: the network, its parameters, its file."""
        import pandas as pd

        n = count_parameters(self.network)
        row = {"network": self.network.name, "parameters": n, "encoder": str(self.encoder)}
        return pd.DataFrame([row])

    def summary(self) -> str:
        """For a terminal."""
        mel = self.network.frontend.options
        lines = [
            f"{self.origin.title}, {count_parameters(self.network):,} parameters",
            f"input: {mel.duration:g} s at {mel.sample_rate} Hz, shorter clips padded",
            *self.origin.facts(),
            f"encoder: {self.encoder}",
        ]
        return "\n".join(lines)


def convert(
    network: str,
    weights: str | os.PathLike[str],
    output: str | os.PathLike[str] = "general.encoder",
    *,
    duration: float = 5.0,
) -> ConvertResult:
    """Make an encoder file of a published network's weights; nothing in their file is run.

    Parameters
    ----------
    network : str
        Such as ``"yamnet"``.
    weights : path
        File of its published weights.
    output : path
        The encoder's file, for ``encoder=`` of ``train``.
    duration : float
        Length of the clips it will be used for, in seconds; shorter ones are padded.

    Returns
    -------
    ConvertResult

    Raises
    ------
    ModelError
        When the file is missing, damaged, needs code to be run, or is that of another network.
    OptionError
        For a duration out of range, or when there is a file of the output's name.
    """
    if not 0.5 <= duration <= 60:
        raise OptionError(f"option 'duration': found {duration:g} s, expected 0.5 to 60 s")
    source, target = Path(weights), Path(output)
    check_file(target, "convert", (".encoder", ".zip"), inputs=[source], again=False)
    found = convert_published(network, source, duration=duration)
    options = {
        "network": network,
        "weights": str(source),
        "output": str(target),
        "duration": duration,
    }
    save_encoder(target, found, about={**run_files.stamp("convert"), "options": options})
    return ConvertResult(found, target, PublishedOrigin.told(found.published))
