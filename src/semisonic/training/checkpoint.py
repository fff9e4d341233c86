"""Checkpoints: a training that was interrupted goes on as if it had not been.

A checkpoint is one file of plain values and tensors, read without executing anything
(``weights_only``). It is either whole or not there. It belongs to the options, the seed, the data
and the first weights it was made with, and is refused for others. Data are told apart by the
content of the first and the last batch of each stream, which also tells other features, another
order or other rows apart.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from semisonic.core.errors import ModelError, OptionError
from semisonic.core.files import digest, replacing
from semisonic.core.options import to_dict
from semisonic.learning.objective import BatchLike, Objective
from semisonic.models.weights import tensors_digest, weights_digest
from semisonic.training.options import FitOptions
from semisonic.training.run_folder import differences

FORMAT = 2
NAME = "checkpoint.pt"

Checkpoint = dict[str, Any]


class BatchStream(Protocol):
    """Batches as a pure function of the step number, such as ``semisonic.data.batches.Stream``."""

    @property
    def steps_per_epoch(self) -> int:
        """Steps in one pass."""

    def at(self, step: int, rank: int = 0, world: int = 1) -> BatchLike:
        """The batch of a step, or the share of it that is process ``rank``'s of ``world``."""


Streams = Mapping[str, BatchStream]


def identity_of(
    objective: Objective, streams: Streams, options: FitOptions, seed: int, validated: bool
) -> Checkpoint:
    """What a training is: two share it only if they compute the same.

    Parameters
    ----------
    objective : Objective
        With its first weights.
    streams : mapping of str to BatchStream
    options : FitOptions
        Without effect are how often checkpoints are written, and the number format: it may be left
        to the device, and the checkpoint's is used or compared when it is loaded.
    seed : int
    validated : bool
        Whether a validation follows each epoch.

    Returns
    -------
    dict
        Nested, of plain values.
    """
    chosen = to_dict(options)
    del chosen["checkpoint_interval"], chosen["precision"]
    text = re.sub(r"0x[0-9a-f]+", "", repr(objective))  # without addresses in memory
    return {
        "seed": seed,
        "options": chosen,
        "validated": validated,
        "objective": f"{type(objective).__name__} {digest(text)}",
        "first weights": weights_digest(objective),
        "streams": {
            name: {
                "steps per epoch": streams[name].steps_per_epoch,
                "first batch": _batch_digest(streams[name].at(0)),
                "last batch": _batch_digest(streams[name].at(streams[name].steps_per_epoch - 1)),
            }
            for name in objective.streams
        },
    }


def _batch_digest(batch: BatchLike) -> str:
    return tensors_digest([("x", batch.x), ("y", batch.y), ("row", getattr(batch, "row", None))])


def save_checkpoint(folder: Path, content: Checkpoint) -> None:
    """Write the checkpoint of a folder, in place of the one before."""
    with replacing(folder / NAME) as part:
        torch.save({"format": FORMAT, **content}, part)


def load_checkpoint(folder: Path, identity: Checkpoint, precision: str) -> Checkpoint | None:
    """The checkpoint of a folder; None where there is none.

    Parameters
    ----------
    folder : Path
    identity : dict
        What the training is, see :func:`identity_of`.
    precision : {"auto", "fp32", "bf16"}

    Returns
    -------
    dict or None

    Raises
    ------
    ModelError
        When the file cannot be read.
    OptionError
        When it belongs to another training; the message names all that differs.
    """
    path = folder / NAME
    if not path.exists():
        return None
    advice = "delete it to train from the start"
    try:
        content: Checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        recorded, version, computed = (content[k] for k in ("identity", "format", "precision"))
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise ModelError(f"{path}: not a readable checkpoint ({error}); {advice}") from error
    if version != FORMAT:
        raise ModelError(f"{path}: format {version}, expected {FORMAT}; {advice}")
    changed = differences(recorded, identity)
    if precision not in ("auto", computed):
        changed.append(f"'precision' was {computed}, now {precision}")
    if changed:
        raise OptionError(
            f"{path}: the checkpoint belongs to another training: {'; '.join(changed)}. "
            "Choose another folder, or delete the checkpoint to train from the start"
        )
    return content


def check_streams(objective: Objective, streams: Streams) -> None:
    """Raise OptionError unless these are the streams that the objective reads."""
    wanted, given = set(objective.streams), set(streams)
    if wanted != given or not wanted:
        raise OptionError(
            f"{type(objective).__name__} reads the streams {sorted(wanted)}, found {sorted(given)}"
        )
