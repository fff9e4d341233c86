"""Pre-training by reconstruction: an auto-encoder rebuilds its input.

Papers: Masci et al. 2011, "Stacked convolutional auto-encoders for hierarchical feature
extraction"; denoising, Vincent et al. 2008, "Extracting and composing robust features with
denoising auto-encoders"; layer by layer, Bengio et al. 2007, "Greedy layer-wise training of deep
networks". The student paper that this project sets out from pre-trained by reconstruction and
named the other two as further work.

What it changes: no labels are needed; the mean squared error between the features and their
reconstruction is minimised, and the encoder is kept. By denoising, the auto-encoder is shown
features with noise and dropped cells and must give the clean ones, so that it cannot merely copy.
Layer by layer, the first part of the encoder and a decoder of its own learn to repeat the
features, then the second part learns to repeat the map that the first one gives, and so on; at
last the whole auto-encoder is put together and trained on.

Where we differ: the error is taken on standardised features, not on raw decibels (0 to -80). Raw
decibels give a loss of hundreds, whose first steps make rectified units permanently inactive. The
error in dB² is recorded beside it, to compare with the paper. Noise is given in dB; a dropped cell
becomes the mean of the features, not silence, in all channels at once, because a delta beside it
would give it away. The error of a layer is divided by the variance of what it repeats, so that 1
is what a constant scores at every depth, and the parts before it run as in evaluation, so that
their normalisations do not drift.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from semisonic.core.errors import ModelError
from semisonic.learning.objective import BatchLike, Objective
from semisonic.models.decoders import Decoder
from semisonic.models.encoder import MirroredEncoder, Trace

if TYPE_CHECKING:
    from semisonic.features.frontend import Standardize
    from semisonic.models.pretrained import AutoEncoder


class Reconstruction(Objective):
    """Mean squared error of the reconstruction of standardised features.

    Parameters
    ----------
    autoencoder : AutoEncoder or nn.Module
        Maps (batch, channel, mel, frame) to the same shape.
    standardize : Standardize
        Fitted (:class:`semisonic.features.frontend.Standardize`); its buffers ``mean`` and ``std``
        are not trained.

    Notes
    -----
    Reads the stream ``unlabelled``. Terms: ``loss`` (1 is what the constant zero scores on
    the clips the statistics were fitted on) and ``mse_db2``, the same error in dB².
    """

    streams = ("unlabelled",)

    def __init__(self, autoencoder: nn.Module, standardize: Standardize) -> None:
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


class Denoising(Reconstruction):
    """Mean squared error between the reconstruction of spoilt features and the clean ones.

    Parameters
    ----------
    autoencoder : AutoEncoder or nn.Module
    standardize : Standardize
        As for :class:`Reconstruction`.
    noise_db : float
        Standard deviation of the noise on each cell of the first channel, in dB. Other channels
        get noise of the same share of their own deviation. 0 is off.
    cell_dropout : float
        Probability that a cell is dropped, from 0 up to 1 (excluded).

    Notes
    -----
    Reads the stream ``unlabelled``. Terms: ``loss`` and ``mse_db2`` as in
    :class:`Reconstruction`. Features are spoilt in evaluation, too: with a seed set before
    it, each validation sees the same damage.
    """

    def __init__(
        self,
        autoencoder: nn.Module,
        standardize: Standardize,
        *,
        noise_db: float = 6.0,
        cell_dropout: float = 0.25,
    ) -> None:
        super().__init__(autoencoder, standardize)
        self.noise_db = noise_db
        self.cell_dropout = cell_dropout

    def corrupt(self, x: Tensor) -> Tensor:
        """Standardised features with noise and dropped cells, same shape."""
        x = x + torch.randn_like(x) * (self.noise_db / self.standardize.std[:1])
        cells = torch.rand_like(x[:, :1])  # (batch, 1, mel, frame)
        return x * (cells >= self.cell_dropout)

    def extra_repr(self) -> str:
        """What torch prints besides its modules."""
        return f"noise_db={self.noise_db}, cell_dropout={self.cell_dropout}"


class LayerReconstruction(Objective):
    """One part of an encoder and its own decoder repeat the map before that part.

    Parameters
    ----------
    encoder : MirroredEncoder
        All of it. Parts before ``number`` are run and not trained, parts after it not run.
    number : int
        Of the part, from 0.
    decoder : Decoder
        Made for ``encoder.part_plans[number]``; see :func:`layer_decoder`.
    standardize : Standardize
        Fitted.

    Notes
    -----
    Reads the stream ``unlabelled``. Terms: ``loss``, the mean squared error divided by the
    variance of the map that is repeated.
    """

    streams = ("unlabelled",)

    def __init__(
        self, encoder: MirroredEncoder, number: int, decoder: Decoder, standardize: Standardize
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.number = number
        self.decoder = decoder
        self.standardize = standardize

    def forward(self, batches: Mapping[str, BatchLike]) -> dict[str, Tensor]:
        """The loss of one batch, labelled or not."""
        before = self.map_before(self.standardize(batches["unlabelled"].x))
        record = Trace(self.decoder.needs_switches, self.decoder.needs_maps)
        code = self.encoder.run_part(self.number, before, record)
        wanted = before.float()
        difference = self.decoder(code, record).float() - wanted
        return {"loss": difference.square().mean() / (wanted.var(correction=0) + 1e-6)}

    @torch.no_grad()
    def map_before(self, x: Tensor) -> Tensor:
        """What the part is shown of standardised features."""
        self.encoder.eval()
        for number in range(self.number):
            x = self.encoder.run_part(number, x, None)
        self.encoder.train(self.training)
        return x

    def extra_repr(self) -> str:
        """What torch prints besides its modules."""
        return f"number={self.number}"


def layer_decoder(autoencoder: AutoEncoder, number: int) -> Decoder:
    """A decoder for one part of the encoder.

    Parameters
    ----------
    autoencoder : AutoEncoder
    number : int
        Of the part, from 0.

    Returns
    -------
    Decoder
        Of the auto-encoder's kind, not initialised.

    Raises
    ------
    ModelError
        For an encoder that is one part, or a decoder whose skips go past the code.
    """
    plans = autoencoder.encoder.part_plans
    if len(plans) < 2:
        raise ModelError(
            f"layer-wise pre-training: the encoder '{autoencoder.name}' cannot be divided into "
            "layers; use another network or another objective"
        )
    if autoencoder.decoder.needs_maps:
        raise ModelError(
            f"layer-wise pre-training: the decoder '{autoencoder.decoder_name}' has skip "
            "connections past the layers; use 'upsample', 'subpixel' or 'unpool'"
        )
    return Decoder(plans[number], autoencoder.decoder_name)


@torch.no_grad()
def put_together(autoencoder: AutoEncoder, decoders: list[Decoder]) -> None:
    """Give the auto-encoder's decoder the convolutions of its layers' decoders.

    Those of another shape are left as they were: the sub-pixel decoder makes all cells of a pool
    in the convolution before it, which may belong to another part.

    Parameters
    ----------
    autoencoder : AutoEncoder
        Its encoder was trained part by part; its decoder is overwritten.
    decoders : list of Decoder
        In the order of the parts.
    """
    theirs: list[nn.Module] = [conv for one in reversed(decoders) for conv in one.convs]
    for mine, trained in zip(autoencoder.decoder.convs, theirs, strict=True):
        source, target = trained.state_dict(), mine.state_dict()
        if all(source[name].shape == target[name].shape for name in target):
            mine.load_state_dict(source)
