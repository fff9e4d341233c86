"""The convolutional auto-encoder: an encoder and a decoder that mirrors it."""

from __future__ import annotations

from torch import Tensor

from semisonic.features.frontend import Frontend
from semisonic.features.options import MelOptions
from semisonic.models.decoders import Decoder, UNetDecoder, decoder_class
from semisonic.models.encoder import Encoder
from semisonic.models.pretrained import PretrainedEncoder, build_encoder
from semisonic.models.weights import initialise, undisturbed


class AutoEncoder(PretrainedEncoder):
    """Reconstructs standardised features from the encoder's code.

    With the paper's encoder and ``unpool`` it has the published 150 977 parameters.

    Parameters
    ----------
    encoder : Encoder
        Its weights stay as they are.
    decoder : {"unpool", "upsample", "subpixel", "unet"}
        See :mod:`semisonic.models.decoders`.
    skip_dropout : float
        For "unet": probability that a skip of a clip is closed in training.
    seed : int
        Of the decoder's initial weights.
    frontend : Frontend or None
        What made the features; needed to save.
    name : str
        The registered name or the architecture of the encoder; needed to save.
    """

    decoder: Decoder

    def __init__(
        self,
        encoder: Encoder,
        decoder: str = "unpool",
        *,
        skip_dropout: float = 0.5,
        seed: int = 0,
        frontend: Frontend | None = None,
        name: str = "",
    ) -> None:
        super().__init__(encoder, frontend=frontend, name=name)
        kind = decoder_class(decoder)
        encoder.require_mirror()
        if kind.needs_switches:
            encoder.require_switches()
        self.decoder_name = decoder
        self.skip_dropout = skip_dropout
        with undisturbed():
            if kind is UNetDecoder:
                self.decoder = UNetDecoder(encoder.plan, skip_dropout)
            else:
                self.decoder = kind(encoder.plan)
            initialise(self.decoder, seed, "decoder.")

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction.

        Parameters
        ----------
        x : Tensor, shape (batch, channel, mel, frame)
            Standardised features.

        Returns
        -------
        Tensor, same shape
        """
        code, trace = self.encoder.trace(
            x, switches=self.decoder.needs_switches, maps=self.decoder.needs_maps
        )
        reconstruction: Tensor = self.decoder(code, trace)
        return reconstruction

    def reconstruct(self, features: Tensor) -> Tensor:
        """The reconstruction in dB of features in dB, both (batch, channel, mel, frame)."""
        if self.frontend is None:
            return self(features)  # type: ignore[no-any-return]
        standardize = self.frontend.standardize
        return standardize.inverse(self(standardize(features)))


def build_autoencoder(
    name_or_notation: str,
    mel: MelOptions,
    *,
    decoder: str = "unpool",
    standardize: str = "global",
    skip_dropout: float = 0.5,
    seed: int = 0,
) -> AutoEncoder:
    """A new auto-encoder with its front end.

    Its encoder starts from the weights that :func:`semisonic.models.sound_model.build` gives the
    same network with the same seed. Dense layers of an architecture are no part of it.

    Parameters
    ----------
    name_or_notation : str
        A registered name or an architecture.
    mel : MelOptions
    decoder : {"unpool", "upsample", "subpixel", "unet"}
    standardize : {"global", "mel", "none"}
        Fit ``frontend.standardize`` on the training features before training.
    skip_dropout : float
        For "unet".
    seed : int
        The initial weights depend on it only.

    Raises
    ------
    ModelError
        For a network that does not fit the features or the decoder.
    """
    plain = build_encoder(name_or_notation, mel, standardize=standardize, seed=seed)
    return AutoEncoder(
        plain.encoder,
        decoder,
        skip_dropout=skip_dropout,
        seed=seed,
        frontend=plain.frontend,
        name=plain.name,
    )
