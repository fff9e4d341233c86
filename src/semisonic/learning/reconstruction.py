"""Pre-training by reconstruction: an auto-encoder repeats what it is given.

Papers: Masci et al. 2011, "Stacked convolutional auto-encoders for hierarchical feature
extraction"; the student paper that this project sets out from used it on environmental
sounds: pre-train on unlabelled clips, then fine-tune on few labels.

What it changes: no labels are needed; the mean squared error between the input and its
reconstruction is minimised, and the encoder is kept.

Where we differ: the error is taken on standardised features, not on raw decibels (0 to -80).
Raw decibels make a loss of hundreds, whose first steps push rectified units so far that
they never answer again. The error in dB² is recorded beside it, to compare with the paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from semisonic.learning.base import BatchLike, Objective

if TYPE_CHECKING:
    from semisonic.features import Standardize
    from semisonic.models import AutoEncoder


class Reconstruction(Objective):
    """Mean squared error of the reconstruction of standardised features.

    Parameters
    ----------
    autoencoder : AutoEncoder
        Maps (batch, channel, mel, frame) to the same shape.
    standardize : Standardize
        Fitted; its buffers ``mean`` and ``std`` are not trained.

    Notes
    -----
    Reads the stream ``unlabelled``. Terms: ``loss`` (1 is what the constant zero scores on
    the clips the statistics were fitted on) and ``mse_db2``, the same error in dB².
    """

    streams = ("unlabelled",)

    def __init__(self, autoencoder: AutoEncoder, standardize: Standardize) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.standardize = standardize

    def forward(self, batches: Mapping[str, BatchLike]) -> dict[str, Tensor]:
        """The loss of one batch, labelled or not."""
        x = self.standardize(batches["unlabelled"].x)  # (batch, channel, mel, frame)
        difference = self.autoencoder(self.corrupt(x)).float() - x.float()
        loss = functional.mse_loss(difference, torch.zeros_like(difference))
        return {"loss": loss, "mse_db2": self.in_decibels(difference.detach())}

    def corrupt(self, x: Tensor) -> Tensor:
        """What the auto-encoder is shown of standardised features: here all of them."""
        return x

    @torch.no_grad()
    def in_decibels(self, difference: Tensor) -> Tensor:
        """Mean square, in dB², of a difference of standardised features."""
        return (difference * self.standardize.std).square().mean()
