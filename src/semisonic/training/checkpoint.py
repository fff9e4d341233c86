"""Checkpoints: a training that was interrupted goes on as if it had not been.

A checkpoint is one file of plain values and tensors, read without executing anything
(``weights_only``). It is either whole or not there. It belongs to the options, the seed,
the data and the first weights it was made with, and is refused for others.
"""

from __future__ import annotations

import hashlib
import pickle
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from semisonic.base.errors import ModelError, OptionError
from semisonic.base.files import replacing
from semisonic.training.compare import differences

FORMAT = 1
NAME = "checkpoint.pt"
WRITING_SHARE = 0.01  # of the time that may go into checkpoints at the ends of epochs

Identity = dict[str, Any]


def save_checkpoint(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the checkpoint of a folder, in place of the one before."""
    with replacing(folder / NAME) as part:
        torch.save({"format": FORMAT, **content}, part)


def load_checkpoint(folder: Path, identity: Identity) -> dict[str, Any] | None:
    """The checkpoint of a folder, or None where there is none.

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
        found, version = content["identity"], content["format"]
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise ModelError(
            f"{path}: not a readable checkpoint ({error}); delete it to train from the start"
        ) from error
    if version != FORMAT:
        raise ModelError(
            f"{path}: format {version}, expected {FORMAT}; delete it to train from the start"
        )
    changed = differences(found, identity)
    if changed:
        raise OptionError(
            f"{path}: the checkpoint belongs to another training: {'; '.join(changed)}. "
            "Choose another folder, or delete the checkpoint to train from the start"
        )
    return dict(content)


def tensors_digest(tensors: Iterable[tuple[str, Tensor | None]]) -> str:
    """A short hash (16 hex digits) of names, types, shapes and values of tensors."""
    hashed = hashlib.sha256()
    for name, tensor in tensors:
        if tensor is None:
            hashed.update(f"{name}:none".encode())
            continue
        plain = tensor.detach().cpu().contiguous()
        hashed.update(f"{name}:{plain.dtype}:{tuple(plain.shape)}".encode())
        hashed.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return hashed.hexdigest()[:16]


def weights_digest(module: nn.Module) -> str:
    """A short hash of a module's parameters and buffers."""
    return tensors_digest(sorted(module.state_dict().items()))


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
