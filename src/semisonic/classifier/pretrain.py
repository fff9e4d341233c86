"""``pretrain``: an encoder from recordings without labels."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semisonic.classifier.config import WITHOUT_DECODER, TrainConfig
from semisonic.classifier.model_file import ENCODER
from semisonic.classifier.options import PretrainOptions, TrainOptions
from semisonic.classifier.prepare import Failures, in_batch_device, without_silence
from semisonic.classifier.pretraining import (
    PretrainOutcome,
    hold_out_recordings,
    pretrain_encoder,
)
from semisonic.classifier.provenance import DataPart
from semisonic.classifier.run_files import (
    about,
    cache_of,
    in_processes,
    open_run,
    prepare_in,
    record_data,
    recordings_in,
    unreadable,
    write_curves,
)
from semisonic.classifier.selection import load_data
from semisonic.classifier.starting_encoder import (
    standardize_of,
    start_of,
    starting_note,
    with_start,
)
from semisonic.classifier.strategy import check_network, network_of
from semisonic.core.cluster import open_engine
from semisonic.core.errors import DataError, OptionError
from semisonic.core.files import json_ready
from semisonic.core.options import check
from semisonic.core.seeds import generator
from semisonic.core.text import Result, count_text, text_table
from semisonic.data.clips import Clips
from semisonic.data.recordings import COPIES
from semisonic.learning.contrastive import EmbeddingSpread
from semisonic.models.model_file import save_encoder
from semisonic.models.pretrained import AutoEncoder

if TYPE_CHECKING:
    import pandas as pd

_log = logging.getLogger(__name__)


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
        o = self.outcome
        lines = [
            f"pre-trained '{o.network.name}' by {_how(o)} on {count_text(self.n_train, 'clip')}, "
            f"{self.n_held_out} held out: best of {count_text(len(o.history), 'epoch')} is "
            f"{o.fit.best_epoch}, {o.seconds:.0f} s, {o.fit.precision}",
            _held_out_line(o),
            _spread_line(o.spread),
            text_table(
                ["layer", "units", "never active"],
                [[d.layer, d.n_units, d.n_dead] for d in o.dead_units],
                ruled=True,
            ),
        ]
        lines += self.notes
        lines += unreadable(self.failures, self.remarks)
        lines.append(f"encoder: {self.encoder}")
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
    check_objective(options)
    if options.encoder is None:
        check_network(options.model, options.mel, learns=True)
    pool = load_data(options.data, "none", "pretrain", options).without_labels()
    with open_run("pretrain", options) as run, open_engine(options.where) as engine:
        if options.group == COPIES:
            pool = recordings_in(run, pool, options).clips
        pool = drawn(pool, options.limit, options.seed)
        start = start_of(options, run)
        name, mel = network_of(options.model, options.mel, start)
        place = in_batch_device(options.in_batch, options.device)
        prepared = prepare_in(run, pool, mel, options, engine, place)
        hashes = record_data(run, pool, options.workers, cache=cache_of(options, run))
        rows, silence = without_silence(prepared, np.arange(len(prepared)), 0)
        kept, held = hold_out_recordings(prepared.clips, rows, options.validation, options.seed)
        _log.info("%d clips to learn from, %d held out", len(kept), len(held))
        config = TrainConfig(
            name,
            objective=options.objective,
            decoder=options.decoder,
            standardize=standardize_of(options, start),
            mel=mel,
            pretrain=options.fit,
            pretext=options.pretext,
        )
        training = partial(
            pretrain_encoder,
            config,
            prepared.features,
            kept,
            held,
            seed=options.seed,
            folder=run.path("training"),
            start=start,
        )
        outcome = in_processes(training, options.processes, engine, options.device)
        heard = {"pretraining": DataPart.of(pool, hashes).to_dict()}
        parts = with_start(heard, options.encoder, run)
        file = save_pretrained(run.path(ENCODER), outcome, about("pretrain", options, **parts))
        run.note(**numbers_of(outcome))
        write_curves(run.folder, outcome.history, "Pre-training")
    notes = (*pool.notes, *starting_note(options.encoder), *silence)
    return PretrainResult(
        outcome, file, len(kept), len(held), prepared.failures, prepared.remarks, notes
    )


def check_objective(options: PretrainOptions | TrainOptions) -> None:
    """See that no option was given that the objective does not read.

    Raises
    ------
    OptionError
        With its name.
    """
    options.pretext.check_for(options.objective)
    fit = options.fit if isinstance(options, PretrainOptions) else options.pretrain
    for name, off in (("freeze_epochs", 0.0), ("layer_decay", 1.0)):
        if getattr(fit, name) != off:
            raise OptionError(
                f"option '{name}' of pre-training: found {getattr(fit, name)}, but only the "
                "training of a classifier reads it; leave the option out"
            )
    if options.decoder != "auto" and options.objective in WITHOUT_DECODER:
        raise OptionError(
            f"option 'decoder': found '{options.decoder}', but the objective "
            f"'{options.objective}' has no decoder; leave the option out"
        )


def drawn(pool: Clips, limit: int, seed: int) -> Clips:
    """At most so many clips of a pool, at random, in their order; 0 is all."""
    if not len(pool):
        raise DataError(f"'{pool.name}': holds no clips")
    if not limit or limit >= len(pool):
        return pool
    rows = generator(seed, "limit of the pool").permutation(len(pool))[:limit]
    return pool[np.sort(rows)]


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


def _how(outcome: PretrainOutcome) -> str:
    """The objective, the decoder if there is one, and the layers trained before the whole."""
    words = outcome.objective
    if isinstance(outcome.network, AutoEncoder):
        words += f" with decoder '{outcome.network.decoder_name}'"
    if outcome.layers:
        epochs = ", ".join(str(len(layer.history)) for layer in outcome.layers)
        words += f" (epochs of single layers: {epochs})"
    return words


def _held_out_line(outcome: PretrainOutcome) -> str:
    if math.isnan(outcome.error):
        return "nothing was held out: all epochs were run and the last weights kept"
    if math.isnan(outcome.error_db2):
        return f"held-out loss {outcome.error:.4f}"
    return (
        f"held-out error {outcome.error:.4f} of the features' variance "
        f"({outcome.error_db2:.1f} dB², {math.sqrt(outcome.error_db2):.1f} dB)"
    )


def _spread_line(spread: EmbeddingSpread) -> str:
    line = (
        f"embeddings: deviation {spread.deviation:.2f}, effective rank {spread.rank:.1f} of "
        f"{spread.n_dimensions}"
    )
    return line + "; they have collapsed: do not use this encoder" * spread.is_collapsed
