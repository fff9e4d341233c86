"""What is minimised: tensors in, a loss and named terms out.

An objective holds the modules it trains, says which streams of batches it reads and
computes the loss of one step. It never sees a file, an optimiser or an epoch; the
training loop never sees a method. A new method is one new file in this room.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from semisonic.core.errors import DataError

if TYPE_CHECKING:
    from semisonic.models.encoder import Encoder


class BatchLike(Protocol):
    """What an objective reads of a batch."""

    @property
    def x(self) -> Tensor:
        """Features, (batch, channel, mel, frame), in dB and not standardised."""

    @property
    def y(self) -> Tensor | None:
        """Targets, (batch,) class numbers or (batch, class) shares; None without labels."""


class Objective(nn.Module):
    """Base of all objectives.

    Attributes
    ----------
    streams : tuple of str
        The streams of batches it reads. The first is the primary one: one pass over it
        is an epoch.

    Notes
    -----
    ``forward`` gives a mapping with the key ``"loss"``, a scalar that is the mean over the
    rows of the primary batch, and any number of other scalars to be recorded beside it.
    Random numbers (dropout, noise) are drawn from torch's global generator, which the
    training loop seeds before every step.
    """

    streams: tuple[str, ...] = ()

    def forward(self, batches: Mapping[str, BatchLike]) -> dict[str, Tensor]:
        """The loss and its named terms for one batch of each stream."""
        raise NotImplementedError

    @property
    def body(self) -> Encoder | None:
        """The encoder that may be frozen, or learn more slowly than what stands on it.

        None where the two cannot be told apart.
        """
        return None

    def after_step(self) -> None:
        """Called after every change of the weights; what follows them (a teacher) moves here.

        Whatever it changes must be a parameter or a buffer, so that checkpoints hold it.
        """


def full_precision(x: Tensor) -> AbstractContextManager[None]:
    """A context without autocast, for changes of features in dB.

    bfloat16 has eight bits: at -80 dB it knows steps of half a decibel.
    """
    return torch.autocast(x.device.type, enabled=False)


def targets_of(batch: BatchLike, stream: str) -> Tensor:
    """The targets of a batch that must have some.

    Parameters
    ----------
    batch : BatchLike
    stream : str
        The name of its stream, for the message.

    Returns
    -------
    Tensor

    Raises
    ------
    DataError
        When the batch comes from a stream without labels.
    """
    if batch.y is None:
        raise DataError(
            f"the stream '{stream}' gives batches without targets, expected labelled ones: "
            "make the stream with target=..."
        )
    return batch.y


@contextmanager
def eval_mode(network: nn.Module) -> Iterator[None]:
    """Within the block a network is in evaluation mode, and then each module as it was.

    A frozen encoder is in evaluation mode while what stands on it is trained.
    """
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
