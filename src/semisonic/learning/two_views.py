"""What all objectives have in common that compare two views of a clip.

A clip is changed twice at random, and both results shall get embeddings that say the same.
What the changes leave alone is what the encoder learns to listen to. The changes come as a
module from the caller; this file holds the rest: pooling, small networks on top of it, and
what is measured of the embedding.

Pooling: the mean over mel, then mean plus maximum over frames, as in Niizumi et al. 2023,
"BYOL for audio: exploring pre-trained general-purpose audio representations". It fits clips
and views of any length, whatever neck a classifier puts on the encoder later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from semisonic.base.errors import OptionError
from semisonic.learning.base import Objective
from semisonic.models.initialise import initialise, undisturbed

if TYPE_CHECKING:
    from semisonic.features import Standardize
    from semisonic.models import Encoder

HIDDEN = 2
"""Width of the hidden layer of a small network, in widths of its output."""


class TwoViews(Objective):
    """Base: an encoder, a module that makes views, and a projector.

    Parameters
    ----------
    encoder : Encoder
        What is kept afterwards.
    standardize : Standardize
        Fitted.
    view : nn.Module
        Features in dB, (batch, channel, mel, frame), to a random view of each row, in dB,
        with as many frames or fewer. It stays in training mode.
    projection : int
        Length of the vectors that are compared.
    seed : int
        Of the projector's first weights.

    Notes
    -----
    Reads the stream ``unlabelled``. Views are random in evaluation, too: with a seed set
    before it, each validation compares the same views.
    """

    streams = ("unlabelled",)

    def __init__(
        self,
        encoder: Encoder,
        standardize: Standardize,
        view: nn.Module,
        *,
        projection: int = 128,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if projection < 2:
            raise OptionError(f"option 'projection': found {projection}, expected at least 2")
        self.encoder = encoder
        self.standardize = standardize
        self.view = view
        self.projection = projection
        self.projector = mlp(encoder.out_channels, projection, seed, "projector.")

    def train(self, mode: bool = True) -> TwoViews:
        """Set the mode of the networks; views are made in both."""
        super().train(mode)
        self.view.train()
        return self

    def two_views(self, x: Tensor) -> Tensor:
        """Both views of each clip, standardised, (2 * batch, channel, mel, frame).

        In full precision: half of it would round levels to half a decibel.
        """
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            both: Tensor = self.standardize(torch.cat((self.view(x), self.view(x))))
            return both

    def embed(self, x: Tensor) -> Tensor:
        """Embeddings, (batch, out_channels), of unchanged clips, features in dB."""
        return pooled(self.encoder(self.standardize(x)))


def pooled(code: Tensor) -> Tensor:
    """One vector a clip, (batch, channel), of a code (batch, channel, mel, frame)."""
    over_mel = code.mean(dim=2)
    return over_mel.mean(dim=2) + over_mel.amax(dim=2)


def mlp(n_inputs: int, n_outputs: int, seed: int, name: str) -> nn.Sequential:
    """A small network: dense, batch normalisation, ReLU, dense."""
    hidden = HIDDEN * n_outputs
    with undisturbed():
        network = nn.Sequential(
            nn.Linear(n_inputs, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, n_outputs),
        )
        initialise(network, seed, name)
    return network
