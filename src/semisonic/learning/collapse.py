"""How much an embedding still tells: has it collapsed to a point, or to a few directions?

An objective without negatives may be satisfied by giving every clip the same vector, and an
auto-encoder may lose its units one by one. The loss does not show it; these measures do.

Papers: Chen and He 2021, "Exploring simple Siamese representation learning" (deviation of
normalised embeddings); Roy and Vetterli 2007, "The effective rank" (the exponential of the
entropy of normalised singular values).

Where we differ: the effective rank is taken of centred embeddings, so that a mean that all
clips share, which ReLU makes, does not count as a direction. It is therefore blind to a
collapse onto a point, and the deviation to one onto a line: look at both.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from semisonic.base.errors import DataError

MIN_DEVIATION = 0.02
"""Below this deviation all clips have nearly the same embedding."""

MIN_RANK = 2.0
"""Below this effective rank embeddings differ along one line only."""


@dataclass(frozen=True)
class Spread:
    """How far and in how many directions the embeddings of some clips differ.

    Attributes
    ----------
    deviation : float
        Root mean square distance of normalised embeddings from their mean: 0 when all are
        the same, 1 when they point in all directions evenly. Embeddings that are never
        negative share a mean and stay well below 1.
    rank : float
        Effective rank, from 1 up to ``n_dimensions``; 0 when all embeddings are the same.
    n_dimensions : int
        Length of an embedding; with fewer clips than that, fewer directions can be seen.
    """

    deviation: float
    rank: float
    n_dimensions: int

    @property
    def is_collapsed(self) -> bool:
        """Whether the embeddings hardly tell one clip from another."""
        return self.deviation < MIN_DEVIATION or self.rank < MIN_RANK


@torch.no_grad()
def spread_of(embeddings: Tensor) -> Spread:
    """Measure embeddings of different clips.

    Parameters
    ----------
    embeddings : Tensor, shape (n, dimensions)

    Raises
    ------
    DataError
        For fewer than two embeddings, or values that are not finite.
    """
    if embeddings.ndim != 2 or len(embeddings) < 2:
        raise DataError(
            f"spread of embeddings: found shape {tuple(embeddings.shape)}, expected "
            "(at least 2, dimensions)"
        )
    if not torch.isfinite(embeddings).all():
        raise DataError("spread of embeddings: found values that are not finite")
    z = embeddings.double().cpu()
    normalised = functional.normalize(z, dim=1)
    deviation = (normalised - normalised.mean(0)).square().sum(1).mean().sqrt()
    return Spread(float(deviation), _effective_rank(z - z.mean(0)), z.shape[1])


def _effective_rank(centred: Tensor) -> float:
    values = torch.linalg.svdvals(centred)
    total = values.sum()
    if total <= 1e-12 * max(1.0, float(centred.shape[0])):
        return 0.0
    shares = values / total
    return float(torch.special.entr(shares).sum().exp())
