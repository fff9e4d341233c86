"""Pre-training by telling clips apart: two views of a clip find each other among all others.

Paper: Chen et al. 2020, "A simple framework for contrastive learning of visual
representations" (SimCLR), with the loss NT-Xent. For sounds: Fonseca et al. 2021,
"Unsupervised contrastive learning of sound event representations".

What it changes: of all views in a batch, the other view of the same clip must be the most
alike. Other clips push each other apart, which keeps the embedding wide without a slow target
or a term for it.

Where we differ: batches are small (64 clips), so that a clip of the same class seldom stands
among those that are pushed away, and the temperature is 0.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from semisonic.base.errors import OptionError
from semisonic.learning.base import BatchLike
from semisonic.learning.two_views import TwoViews, pooled

if TYPE_CHECKING:
    from semisonic.features import Standardize
    from semisonic.models import Encoder


class SimClr(TwoViews):
    """Cross-entropy of finding a clip's other view by cosine similarity.

    Parameters
    ----------
    encoder, standardize, view, projection, seed
        See :class:`TwoViews`.
    temperature : float
        What similarities are divided by, above 0. Smaller: the most alike of the other clips
        count more.

    Notes
    -----
    Reads the stream ``unlabelled``. Terms: ``loss`` (nats), and ``found``, the share of views
    whose other view was the most alike. A batch of one clip has nothing to be told apart
    from: its loss is 0.
    """

    def __init__(
        self,
        encoder: Encoder,
        standardize: Standardize,
        view: nn.Module,
        *,
        projection: int = 128,
        temperature: float = 0.2,
        seed: int = 0,
    ) -> None:
        super().__init__(encoder, standardize, view, projection=projection, seed=seed)
        if not temperature > 0:
            raise OptionError(f"option 'temperature': found {temperature}, expected above 0")
        self.temperature = temperature

    def forward(self, batches: Mapping[str, BatchLike]) -> dict[str, Tensor]:
        """The loss of one batch, labelled or not."""
        views = self.two_views(batches["unlabelled"].x)  # (2 * batch, channel, mel, frame)
        z = functional.normalize(self.projector(pooled(self.encoder(views))).float(), dim=1)
        n = len(z) // 2
        other = torch.arange(2 * n, device=z.device).roll(n)  # row of each view's other view
        alike = (z @ z.T / self.temperature).fill_diagonal_(-torch.inf)
        return {
            "loss": functional.cross_entropy(alike, other),
            "found": (alike.detach().argmax(dim=1) == other).float().mean(),
        }

    def extra_repr(self) -> str:
        """What torch prints of it beside its modules."""
        return f"temperature={self.temperature:g}"
