"""One of two augmentations for each clip, drawn anew."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semisonic.features.augment.base import share


class Either(nn.Module):
    """Some clips go through one module, the others through another; nothing in ``eval()``.

    With few labels, strong changes of every clip leave too few that sound as clips do.

    Parameters
    ----------
    first, second : nn.Module
        (batch, channel, mel, frame) in dB to the same shape.
    probability : float
        Share of clips that go through ``second``, 0 to 1.
    """

    def __init__(self, first: nn.Module, second: nn.Module, probability: float = 0.5) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.probability = share(probability, "Either, option 'probability'")

    def forward(self, x: Tensor) -> Tensor:
        """Changed features in training, the same ones otherwise."""
        if not self.training:
            return x
        chosen = torch.rand(len(x), device=x.device) < self.probability
        rows = torch.cat([(~chosen).nonzero()[:, 0], chosen.nonzero()[:, 0]])
        n = len(x) - int(chosen.sum())
        parts = [
            module(part)
            for module, part in ((self.first, x[rows[:n]]), (self.second, x[rows[n:]]))
            if len(part)
        ]
        changed = torch.empty_like(x)
        changed[rows] = torch.cat(parts)
        return changed

    def extra_repr(self) -> str:
        """What torch prints of it beside its modules."""
        return f"probability={self.probability:g}"
