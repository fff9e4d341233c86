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

from semisonic.core.errors import DataError, OptionError

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


class Ramp(nn.Module):
    """A weight that rises from 0 to 1, as exp(-5 (1 - t)²), over some steps.

    Papers: Laine and Aila 2017, "Temporal ensembling", from where the form is. A network that
    knows nothing yet has nothing to be consistent with.

    Parameters
    ----------
    n_steps : int
        Steps until it is 1; with 0 it always is.
    """

    step: Tensor

    def __init__(self, n_steps: int) -> None:
        super().__init__()
        if n_steps < 0:
            raise OptionError(f"option 'ramp_steps': found {n_steps}, expected at least 0")
        self.n_steps = n_steps
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    @property
    def value(self) -> Tensor:
        """The weight of the current step, 0 to 1, a scalar on the device: reading it there stops
        a graphics card until it has caught up."""
        if not self.n_steps:
            return torch.ones((), device=self.step.device)
        share = (exact(self.step) / self.n_steps).clamp(max=1.0)
        return torch.exp(-5.0 * (1.0 - share) ** 2).float()

    def advance(self) -> None:
        """Go on to the next step."""
        self.step += 1

    def extra_repr(self) -> str:
        """What torch prints of it."""
        return f"n_steps={self.n_steps}"


def exact(count: Tensor) -> Tensor:
    """A count as float64, or as float32 where a device has nothing better."""
    return count.float() if count.device.type == "mps" else count.double()


@torch.no_grad()
def move_towards(
    average: Mapping[str, Tensor], weights: Mapping[str, Tensor], share: float | Tensor
) -> None:
    """Move averaged weights by a share of the way to others; whole numbers are copied.

    Parameters
    ----------
    average, weights : mapping of str to Tensor
        Parameters and buffers by name. The running statistics of batch normalisation are averaged
        like the weights they belong to.
    share : float or scalar Tensor
    """
    for name, mine in average.items():
        if mine.is_floating_point():
            mine.lerp_(weights[name], share)
        else:
            mine.copy_(weights[name])
