"""What a training is: its options, seed, data, objective and first weights.

A checkpoint of one training must not be continued by another. Data are told apart by the
content of the first and the last batch of each stream, which also tells other features,
another order or other rows apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor

from semisonic.base.errors import OptionError
from semisonic.base.files import digest
from semisonic.base.options import to_dict
from semisonic.learning import BatchLike, Objective
from semisonic.training.checkpoint import Identity, tensors_digest, weights_digest
from semisonic.training.options import FitOptions

# Options that do not change what is computed. Number format and memory layout do, but may be
# left to the device: what the checkpoint says is used, or compared, when it is loaded.
_FREE = ("checkpoint_interval", "precision", "channels_last", "compile")


class BatchStream(Protocol):
    """Batches as a pure function of the step number, such as ``semisonic.data.streams.Stream``."""

    @property
    def steps_per_epoch(self) -> int:
        """Steps in one pass."""

    def at(self, step: int, rank: int = 0, world: int = 1) -> BatchLike:
        """The batch of a step, or the share of it that is process ``rank``'s of ``world``."""


Streams = Mapping[str, BatchStream]


def identity_of(
    objective: Objective, streams: Streams, options: FitOptions, seed: int, validated: bool
) -> Identity:
    """A nested mapping of plain values that two trainings share only if they are the same."""
    chosen: dict[str, Any] = {k: v for k, v in to_dict(options).items() if k not in _FREE}
    text = re.sub(r"0x[0-9a-f]+", "", repr(objective))  # without addresses in memory
    return {
        "seed": seed,
        "options": chosen,
        "validated": validated,
        "objective": f"{type(objective).__name__} {digest(text)}",
        "first weights": weights_digest(objective),
        "streams": {name: stream_identity(streams[name]) for name in objective.streams},
    }


def stream_identity(stream: BatchStream) -> dict[str, Any]:
    """Length of a stream and hashes of its first and last batch."""
    last = stream.steps_per_epoch - 1
    return {
        "steps per epoch": stream.steps_per_epoch,
        "first batch": _batch_digest(stream.at(0)),
        "last batch": _batch_digest(stream.at(last)),
    }


def check_streams(objective: Objective, streams: Streams, device_type: str) -> None:
    """See that the objective gets the streams it reads, on the right device.

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
        found = stream.at(0).x.device.type
        if found != device_type:
            raise OptionError(
                f"the stream '{name}' gives batches on '{found}', but the training is on "
                f"'{device_type}': make both with the same device"
            )


def _batch_digest(batch: BatchLike) -> str:
    row: Tensor | None = getattr(batch, "row", None)
    return tensors_digest([("x", batch.x), ("y", batch.y), ("row", row)])
