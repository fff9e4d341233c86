"""A pre-trained encoder: what a classifier starts from, whatever it was trained by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from semisonic.features import Frontend, MelOptions
from semisonic.models.catalogue import create
from semisonic.models.encoder import Encoder
from semisonic.models.initialise import initialise, undisturbed
from semisonic.models.necks import Neck


class PretrainedEncoder(nn.Module):
    """An encoder and the front end that its weights are learned behind.

    An :class:`AutoEncoder` is one that has a decoder as well.

    Parameters
    ----------
    encoder : Encoder
        Its weights stay as they are.
    frontend : Frontend or None
        What made the features; needed to save.
    name : str
        The registered name or the architecture of the encoder; needed to save.
    neck : Neck or None
        Of a published network: its layers between the map and the embedding, learned as well.

    Attributes
    ----------
    published : mapping
        Where its weights are from, if it began with published ones: other people's labels.
        Kept in its file and handed on to what is trained from it; empty otherwise.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        frontend: Frontend | None = None,
        name: str = "",
        neck: Neck | None = None,
    ) -> None:
        super().__init__()
        self.frontend = frontend
        self.encoder = encoder
        self.name = name
        self.neck = neck
        self.published: Mapping[str, Any] = {}

    def forward(self, x: Tensor) -> Tensor:
        """The code of standardised features (batch, channel, mel, frame)."""
        return self.encode(x)

    def encode(self, x: Tensor) -> Tensor:
        """The code, shape (batch, out_channels, fewer mel, fewer frames)."""
        code: Tensor = self.encoder(x)
        return code


def build_encoder(
    name_or_notation: str, mel: MelOptions, *, standardize: str = "global", seed: int = 0
) -> PretrainedEncoder:
    """A new encoder with its front end, to be pre-trained without a decoder.

    It starts from the weights that :func:`semisonic.models.build` gives the same network with
    the same seed. Dense layers of an architecture are no part of it.

    Parameters
    ----------
    name_or_notation : str
        A registered name or an architecture.
    mel : MelOptions
    standardize : {"global", "mel", "none"}
        Fit ``frontend.standardize`` on the training features before training.
    seed : int
        The initial weights depend on it only.

    Raises
    ------
    ModelError
        For a network that does not fit the features.
    """
    with undisturbed(seed):
        body = create(name_or_notation, mel.shape)
        initialise(body.encoder, seed, "encoder.")
        frontend = Frontend(mel, standardize)
    return PretrainedEncoder(body.encoder, frontend=frontend, name=body.name)
