"""How sure a guess must be to be learned from.

Papers: a fixed threshold, Sohn et al. 2020, "FixMatch"; relative to how sure the network is of
labelled clips, Berthelot et al. 2022, "AdaMatch"; rising with the network's sureness of the
pool and lower for classes it is less sure of, Wang et al. 2023, "FreeMatch".

Where we differ: FreeMatch's fairness term is left out; distribution alignment takes its place.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semisonic.base.errors import OptionError
from semisonic.base.options import nearest

THRESHOLDS = ("fixed", "relative", "adaptive")


class Threshold(nn.Module):
    """Which guesses are used.

    Parameters
    ----------
    kind : {"fixed", "relative", "adaptive"}
    value : float
        0 to 1. ``fixed``: the least score of the best class. ``relative``: that share of the
        mean best score of labelled clips. ``adaptive``: that share of FreeMatch's thresholds,
        which are the running mean of the best scores of the pool, lower for rarer classes.
    n_classes : int
    momentum : float
        Of the running means, 0 to less than 1.
    """

    sureness: Tensor
    by_class: Tensor

    def __init__(self, kind: str, value: float, n_classes: int, momentum: float = 0.98) -> None:
        super().__init__()
        if kind not in THRESHOLDS:
            raise OptionError(
                f"option 'threshold_kind': found {kind!r}; {nearest(kind, THRESHOLDS)}"
            )
        if not 0.0 <= value <= 1.0:
            raise OptionError(f"option 'threshold': found {value}, expected 0 to 1")
        self.kind, self.value, self.momentum = kind, value, momentum
        self.register_buffer("sureness", torch.tensor(1.0 / n_classes))
        self.register_buffer("by_class", torch.full((n_classes,), 1.0 / n_classes))

    @torch.no_grad()
    def observe(self, scores: Tensor) -> None:
        """Take in scores, (batch, class): of labelled clips if relative, of the pool else."""
        rate = 1.0 - self.momentum
        self.sureness.lerp_(scores.amax(dim=1).mean().float(), rate)
        self.by_class.lerp_(scores.mean(dim=0).float(), rate)

    def forward(self, scores: Tensor) -> Tensor:
        """Which rows are used, bool (batch,)."""
        best, number = scores.max(dim=1)
        return best >= self.limits()[number]

    def limits(self) -> Tensor:
        """The threshold of each class, (class,)."""
        if self.kind == "fixed":
            return torch.full_like(self.by_class, self.value)
        if self.kind == "relative":
            return (self.value * self.sureness).expand_as(self.by_class)
        return self.value * self.sureness * self.by_class / self.by_class.amax()

    def extra_repr(self) -> str:
        """What torch prints of it."""
        return f"{self.kind}, value={self.value}, momentum={self.momentum}"
