"""Small stand-ins for models and batches, so that objectives are tested by themselves."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Clips:
    x: Tensor
    y: Tensor | None = None


class Linear(nn.Module):
    """Stands for a SoundModel: logits from features."""

    def __init__(self, n_classes=4, multi_label=False, dtype=torch.float32, norm=False, seed=0):
        super().__init__()
        self.multi_label, self.dtype = multi_label, dtype
        self.classes = tuple("abcdefgh"[:n_classes])
        self.norm = nn.BatchNorm1d(6) if norm else nn.Identity()
        self.layer = nn.Linear(6, n_classes)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            nn.init.normal_(self.layer.weight)
            nn.init.uniform_(self.layer.bias, -0.4, 0.4)

    def from_features(self, x):
        return self.layer(self.norm(x.flatten(1))).to(self.dtype)

    def probabilities(self, logits):
        return logits.sigmoid() if self.multi_label else logits.softmax(1)


class Sure(Linear):
    """A model whose logits are the features themselves: sure of what it is given."""

    def from_features(self, x):
        return x.flatten(1) + 0.0 * self.layer(torch.zeros(len(x), 6))


class Plus(nn.Module):
    """A view that adds a number, and counts its calls."""

    def __init__(self, number=0.0):
        super().__init__()
        self.number, self.calls = number, 0

    def forward(self, x):
        self.calls += 1
        return x + self.number


def features(n, seed=0):
    return torch.randn(n, 1, 2, 3, generator=torch.Generator().manual_seed(seed))
