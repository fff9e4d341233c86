"""Pre-training by two views without negatives: an online network predicts a slow one.

Papers: Grill et al. 2020, "Bootstrap your own latent"; Niizumi et al. 2021, "BYOL for audio:
self-supervised learning for general-purpose audio representation", who made it work on
spectrograms, with random crops, other sounds beneath and resized crops as changes.

What it changes: no clip is pushed away from others, so batches may be small and a pool may
hold many clips of one kind, as a pool of field recordings does. A predictor on one side and
a slowly moving target on the other keep the embedding from collapsing; whether they do is
measured beside the loss (see :mod:`semisonic.learning.collapse`).

Where we differ: the encoder is any of this package instead of theirs. Both views go through
the encoder in one batch, so batch normalisation sees them together. The changes are those of
``semisonic.features.augment``; other sounds come from the same batch instead of a memory of
past ones. The target is a :class:`Teacher`: its decay is lower in the first steps and then
constant, as in the audio paper, and it normalises by averages of the online network's
statistics (Cai et al. 2021, "Exponential moving average normalization") instead of the batch's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from semisonic.learning.base import BatchLike
from semisonic.learning.teacher import Teacher
from semisonic.learning.two_views import TwoViews, mlp, pooled

if TYPE_CHECKING:
    from semisonic.features import Standardize
    from semisonic.models import Encoder


class Byol(TwoViews):
    """Distance between the prediction from one view and the target of the other.

    Parameters
    ----------
    encoder, standardize, view, projection, seed
        See :class:`TwoViews`.
    target_decay : float
        Share of the target's weights that stays at each step, from 0 up to 1 (excluded). 0
        is no slow target: the online network of the step before, as nearly in SimSiam.
    predictor : bool
        Whether the online side has a predictor. Without one the embedding collapses.

    Notes
    -----
    Reads the stream ``unlabelled``. Terms: ``loss``, the mean over clips and both directions
    of 2 - 2 cos, from 0 (the same) to 4 (opposite). It is low in a collapse, too, so look at
    the spread of the embeddings beside it.
    """

    def __init__(
        self,
        encoder: Encoder,
        standardize: Standardize,
        view: nn.Module,
        *,
        projection: int = 128,
        target_decay: float = 0.99,
        predictor: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(encoder, standardize, view, projection=projection, seed=seed)
        self.predictor: nn.Module = (
            mlp(projection, projection, seed, "predictor.") if predictor else nn.Identity()
        )
        self.target_encoder = Teacher(encoder, target_decay)
        self.target_projector = Teacher(self.projector, target_decay)

    def forward(self, batches: Mapping[str, BatchLike]) -> dict[str, Tensor]:
        """The loss of one batch, labelled or not."""
        views = self.two_views(batches["unlabelled"].x)  # (2 * batch, channel, mel, frame)
        predicted = self.predictor(self.projector(pooled(self.encoder(views))))
        with torch.no_grad():
            code = self.target_encoder.network(views)
            target = self.target_projector.network(pooled(code))
        first, second = target.chunk(2)
        cosine = functional.cosine_similarity(
            predicted.float(), torch.cat((second, first)).float(), dim=1
        )
        return {"loss": (2 - 2 * cosine).mean()}

    def after_step(self) -> None:
        """The target moves towards the online network."""
        self.target_encoder.follow(self.encoder)
        self.target_projector.follow(self.projector)
