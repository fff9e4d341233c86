"""A teacher: a copy of a network that follows it slowly.

Paper: Tarvainen and Valpola 2017, "Mean teachers are better role models". The copy's weights
are a moving average of the network's, so its answers are steadier than those of any one step.

Where we differ: the running statistics of batch normalisation are averaged as well, since
averaged weights need averaged statistics.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from semisonic.base.errors import OptionError
from semisonic.learning.ramp import exact


class Teacher(nn.Module):
    """An average of a network's weights over the steps of a training.

    After step n the decay is the smaller of ``decay`` and (1 + n) / (10 + n), so that the
    random first weights are soon forgotten.

    Parameters
    ----------
    network : nn.Module
        Stays as it is; it is not held by the teacher.
    decay : float
        From 0 (a plain copy of the last weights) to less than 1.
    """

    network: Any
    """The copy; it has whatever the network has."""

    n_updates: Tensor

    def __init__(self, network: nn.Module, decay: float = 0.99) -> None:
        super().__init__()
        if not 0.0 <= decay < 1.0:
            raise OptionError(
                f"option 'decay' of a teacher: found {decay}, expected 0 to less than 1"
            )
        self.decay = decay
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.register_buffer("n_updates", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def follow(self, network: nn.Module) -> None:
        """Take in the weights of the network after a step."""
        self.n_updates += 1
        n = exact(self.n_updates)
        share = (1.0 - ((1 + n) / (10 + n)).clamp(max=self.decay)).float()
        mine, theirs = self.network.state_dict(), network.state_dict()
        for name, tensor in mine.items():
            if tensor.is_floating_point():
                tensor.lerp_(theirs[name].to(tensor.dtype), share.to(tensor.dtype))
            else:
                tensor.copy_(theirs[name])

    def train(self, mode: bool = True) -> Teacher:
        """A teacher is never in training mode: its dropout is off, its statistics are averages."""
        super().train(mode)
        self.network.eval()
        return self

    def extra_repr(self) -> str:
        """What torch prints of it beside its modules."""
        return f"decay={self.decay}"
