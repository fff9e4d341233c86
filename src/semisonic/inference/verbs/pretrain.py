"""``pretrain``: an encoder from recordings without labels."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semisonic.base.errors import DataError
from semisonic.base.options import check
from semisonic.base.seeds import generator
from semisonic.data.clips import Clips
from semisonic.inference.datasets import load_data
from semisonic.inference.modelfile import ENCODER
from semisonic.inference.options import PretrainOptions
from semisonic.inference.prepare import Failures
from semisonic.inference.pretraining import (
    PretrainOutcome,
    PretrainSettings,
    hold_out_recordings,
    pretrain_autoencoder,
)
from semisonic.inference.provenance import Part
from semisonic.inference.tables import plain_table
from semisonic.inference.verbs.figures import write_curves
from semisonic.inference.verbs.runs import about, open_run, prepare_in, record_data, unreadable
from semisonic.models import save_encoder

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PretrainResult:
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
        Clips that were used although they are silent, clipped or the like.
    """

    outcome: PretrainOutcome
    encoder: Path
    n_train: int
    n_held_out: int
    failures: Failures
    remarks: Failures = ()

    def summary(self) -> str:
        """For a terminal."""
        o = self.outcome
        lines = [
            f"pre-trained '{o.autoencoder.name}' with decoder '{o.autoencoder.decoder_name}' on "
            f"{self.n_train} clips, {self.n_held_out} held out: best of {len(o.history)} epochs "
            f"is {o.fit.best_epoch}, {o.seconds:.0f} s, {o.fit.precision}",
            f"held-out error {o.error:.4f} of the features' variance "
            f"({o.error_db2:.1f} dB², {np.sqrt(o.error_db2):.1f} dB)",
            plain_table(
                ["layer", "units", "never active"],
                [[d.layer, d.n_units, d.n_dead] for d in o.dead_units],
            ),
        ]
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
    check(options)
    pool = load_data(options.data, "none", options.group, "pretrain").without_labels()
    with open_run("pretrain", options) as run:
        pool = drawn(pool, options.limit, options.seed)
        prepared = prepare_in(run, pool, options.mel, options)
        hashes = record_data(run, pool, options.workers)
        rows = np.arange(len(prepared))
        kept, held = hold_out_recordings(prepared.clips, rows, options.validation, options.seed)
        _log.info("%d clips to learn from, %d held out", len(kept), len(held))
        outcome = pretrain_autoencoder(
            prepared.features,
            kept,
            held,
            PretrainSettings(options.model, options.decoder, options.standardize, options.fit),
            mel=options.mel,
            seed=options.seed,
            device=options.device,
            folder=run.path("training"),
        )
        part = Part.of(pool, hashes)
        file = save_pretrained(run.path(ENCODER), outcome, about(
            "pretrain", options, pretraining=part.to_dict(),
        ))  # fmt: skip
        run.note(**numbers_of(outcome))
        write_curves(run.folder, outcome.history, "Pre-training")
    return PretrainResult(outcome, file, len(kept), len(held), prepared.failures, prepared.remarks)


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
    save_encoder(path, outcome.autoencoder, about={**provenance, "measured": numbers_of(outcome)})
    return path


def numbers_of(outcome: PretrainOutcome) -> dict[str, object]:
    """What was measured in a pre-training, for records."""
    return {
        "held_out_error": outcome.error,
        "held_out_error_db2": outcome.error_db2,
        "best_epoch": outcome.fit.best_epoch,
        "epochs": len(outcome.history),
        "never_active": {unit.layer: [unit.n_dead, unit.n_units] for unit in outcome.dead_units},
    }
