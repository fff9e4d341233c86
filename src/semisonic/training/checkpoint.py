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
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from semisonic.core.errors import ModelError, OptionError
from semisonic.core.files import digest, replacing
from semisonic.core.options import to_dict
from semisonic.learning.objective import BatchLike, Objective
from semisonic.models.weights import tensors_digest, weights_digest
from semisonic.training.options import FitOptions
from semisonic.training.run_folder import differences

FORMAT = 1
NAME = "checkpoint.pt"
WRITING_SHARE = 0.01  # of the time that may go into checkpoints at the ends of epochs

Identity = dict[str, Any]


def save_checkpoint(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the checkpoint of a folder, in place of the one before."""
    with replacing(folder / NAME) as part:
        torch.save({"format": FORMAT, **content}, part)


def load_checkpoint(folder: Path, identity: Identity) -> dict[str, Any] | None:
    """The checkpoint of a folder.

    Parameters
    ----------
    folder : Path
    identity : mapping
        What the training is, see :func:`identity_of`.

    Returns
    -------
    dict or None
        None where there is no checkpoint.

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
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        recorded, version = content["identity"], content["format"]
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise ModelError(
            f"{path}: not a readable checkpoint ({error}); delete it to train from the start"
        ) from error
    if version != FORMAT:
        raise ModelError(
            f"{path}: format {version}, expected {FORMAT}; delete it to train from the start"
        )
    changed = differences(recorded, identity)
    if changed:
        raise OptionError(
            f"{path}: the checkpoint belongs to another training: {'; '.join(changed)}. "
            "Choose another folder, or delete the checkpoint to train from the start"
        )
    return dict(content)


class CheckpointClock:
    """Says when to write: after ``interval`` seconds, and at the ends of epochs.

    Epochs of a fraction of a second do not all get a checkpoint: at the end of an epoch one
    is written when the time since the last is long against the time that writing takes.
    """

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._last = time.monotonic()
        self._cost = 0.0

    def is_due(self, epoch_ended: bool = False) -> bool:
        """Whether to write now."""
        waited = time.monotonic() - self._last
        return waited >= self.interval or (epoch_ended and waited >= self._cost / WRITING_SHARE)

    def written(self, seconds: float) -> None:
        """Take note that a checkpoint was written in so many seconds."""
        self._cost = seconds
        self._last = time.monotonic()


# Options that do not change what is computed. Number format and memory layout do, but may be
# left to the device: what the checkpoint says is used, or compared, when it is loaded.
_FREE = ("checkpoint_interval", "precision", "channels_last")


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
) -> Identity:
    """What a training is: two share it only if they compute the same.

    Parameters
    ----------
    objective : Objective
        With its first weights.
    streams : mapping of str to BatchStream
    options : FitOptions
        Those that do not change what is computed are left out.
    seed : int
    validated : bool
        Whether a validation follows each epoch.

    Returns
    -------
    dict
        Nested, of plain values.
    """
    chosen: dict[str, Any] = {k: v for k, v in to_dict(options).items() if k not in _FREE}
    text = re.sub(r"0x[0-9a-f]+", "", repr(objective))  # without addresses in memory
    return {
        "seed": seed,
        "options": chosen,
        "validated": validated,
        "objective": f"{type(objective).__name__} {digest(text)}",
        "first weights": weights_digest(objective),
        "streams": {name: _stream_identity(streams[name]) for name in objective.streams},
    }


def _stream_identity(stream: BatchStream) -> dict[str, Any]:
    """Length of a stream and hashes of its first and last batch."""
    last = stream.steps_per_epoch - 1
    return {
        "steps per epoch": stream.steps_per_epoch,
        "first batch": _batch_digest(stream.at(0)),
        "last batch": _batch_digest(stream.at(last)),
    }


def check_streams(objective: Objective, streams: Streams, device_type: str) -> None:
    """See that the objective gets the streams it reads, on the right device.

    Parameters
    ----------
    objective : Objective
    streams : mapping of str to BatchStream
    device_type : str
        Such as ``cuda``.

    Raises
    ------
    OptionError
        When streams are missing, not used, empty or on another kind of device.
    """
    wanted, given = set(objective.streams), set(streams)
    if wanted != given or not wanted:
        raise OptionError(
            f"{type(objective).__name__} reads the streams {sorted(wanted)}, found {sorted(given)}"
        )
    for name, stream in streams.items():
        if stream.steps_per_epoch < 1:
            raise OptionError(f"the stream '{name}' is empty, expected at least one batch")
        kind = stream.at(0).x.device.type
        if kind != device_type:
            raise OptionError(
                f"the stream '{name}' gives batches on '{kind}', but the training is on "
                f"'{device_type}': make both with the same device"
            )


def _batch_digest(batch: BatchLike) -> str:
    row: Tensor | None = getattr(batch, "row", None)
    return tensors_digest([("x", batch.x), ("y", batch.y), ("row", row)])
