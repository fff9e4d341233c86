"""Objectives: from tensors to a loss and named terms.

An objective has the modules it trains, names the streams of batches it uses and computes the loss
of one step. It does not know files, optimisers or epochs; the training loop does not know methods.
A new method is one new file in this subpackage.
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
    """The parts of a batch that an objective uses."""

    @property
    def x(self) -> Tensor:
        """Features, (batch, channel, mel, frame), in dB and not standardised.

        An objective passes them to views and to the model only, so with modules of your own they
        may be anything that these take.
        """

    @property
    def y(self) -> Tensor | None:
        """Targets, (batch,) class numbers or (batch, class) shares; None without labels."""


class Objective(nn.Module):
    """Base of all objectives.

    Attributes
    ----------
    streams : tuple of str
        The streams of batches it uses. The first is the primary one: one pass over it is an epoch.

    Notes
    -----
    ``forward`` gives a mapping with the key ``"loss"``, a scalar that is the mean over the rows of
    the primary batch, and any number of other scalars to record. Random numbers (dropout, noise)
    are drawn from torch's global generator, which the training loop seeds before every step.
    """

    streams: tuple[str, ...] = ()

    def forward(self, batches: Mapping[str, BatchLike]) -> dict[str, Tensor]:
        """The loss and its named terms for one batch of each stream."""
        raise NotImplementedError

    @property
    def body(self) -> Encoder | None:
        """The encoder, which may be frozen, or trained with a lower rate than the layers after it.

        None if the two cannot be separated.
        """
        return None

    def after_step(self) -> None:
        """Called after every change of the weights, for modules that follow them, such as a
        teacher.

        It may change only parameters and buffers, so that checkpoints have them.
        """


def full_precision(x: Tensor) -> AbstractContextManager[None]:
    """A context without autocast, for changes of features in dB.

    bfloat16 has eight bits: at -80 dB it knows steps of half a decibel.
    """
    return torch.autocast(x.device.type, enabled=False)


def targets_of(batch: BatchLike, stream: str) -> Tensor:
    """The targets of a batch, which must have some.

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
        If the batch comes from a stream without labels.
    """
    if batch.y is None:
        raise DataError(
            f"the stream '{stream}': found batches without targets, expected labelled ones; "
            "make the stream with target=..."
        )
    return batch.y


@contextmanager
def eval_mode(network: nn.Module) -> Iterator[None]:
    """Within the block, a network is in evaluation mode; afterwards each module is as before.

    A frozen encoder is in evaluation mode while the layers after it are trained.
    """
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
