"""A moving average of the weights, which is often better than the last weights.

Papers: Polyak and Juditsky 1992 (averaging); Tarvainen and Valpola 2017, "Mean teachers",
for the exponential form and the lower decay of the first steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]


def weights_of(module: nn.Module) -> Weights:
    """All that a saved module consists of, by name: parameters and buffers, not copied."""
    state: Weights = module.state_dict()
    return state


@torch.no_grad()
def put_weights(module: nn.Module, weights: Weights) -> None:
    """Copy weights into a module, each into its own memory and layout."""
    for name, tensor in weights_of(module).items():
        tensor.copy_(weights[name])


class WeightAverage:
    """Exponential moving average of a module's parameters and buffers.

    After step n the decay is the smaller of ``decay`` and (1 + n) / (10 + n), so that the
    random first weights are soon forgotten. The running means and variances of batch
    normalisation are averaged like the weights they belong to; whole numbers (its count of
    batches) are copied.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.n_updates = 0
        self.weights: Weights = {name: t.detach().clone() for name, t in weights_of(module).items()}
        self._pairs = self._pair(module)

    def _pair(self, module: nn.Module) -> list[tuple[Tensor, Tensor]]:
        # state_dict() shares memory with the module, and walking it every step is slow.
        return [(self.weights[name], t.detach()) for name, t in weights_of(module).items()]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the module's weights after a step."""
        self.n_updates += 1
        decay = min(self.decay, (1 + self.n_updates) / (10 + self.n_updates))
        for average, current in self._pairs:
            if average.is_floating_point():
                average.lerp_(current, 1.0 - decay)
            else:
                average.copy_(current)

    @contextmanager
    def in_place_of(self, module: nn.Module) -> Iterator[None]:
        """Within the block the module carries the averaged weights."""
        current = {name: t.detach().clone() for name, t in weights_of(module).items()}
        put_weights(module, self.weights)
        try:
            yield
        finally:
            put_weights(module, current)

    def state(self) -> dict[str, object]:
        """What a checkpoint must hold."""
        return {"n_updates": self.n_updates, "weights": self.weights}

    @torch.no_grad()
    def load(self, n_updates: int, weights: Weights) -> None:
        """Go on from a checkpoint."""
        self.n_updates = n_updates
        for name, tensor in self.weights.items():
            tensor.copy_(weights[name])
