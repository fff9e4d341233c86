"""Layer-wise pre-training: one part of the encoder after the other.

Papers: Bengio et al. 2007, "Greedy layer-wise training of deep networks"; Masci et al. 2011,
"Stacked convolutional auto-encoders", where each convolution with its pool is one layer.

What it changes: the first part of the encoder and a decoder of its own learn to repeat the
features; then the second part learns to repeat the map that the first one gives, and so on.
At last the whole auto-encoder is put together from the parts and trained on.

Where we differ: the error of a layer is divided by the variance of what it repeats, so that
1 is what a constant scores at every depth. The parts before it run as in evaluation, so
that their normalisations do not drift while they are not trained. A part is whatever the
encoder can be cut into: a convolution with its pools, a stem, a residual block.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from semisonic.base.errors import ModelError
from semisonic.learning.base import BatchLike, Objective
from semisonic.models.plan import Trace

if TYPE_CHECKING:
    from semisonic.features import Standardize
    from semisonic.models import AutoEncoder, Decoder, Encoder


class LayerReconstruction(Objective):
    """One part of an encoder and its own decoder repeat the map before that part.

    Parameters
    ----------
    encoder : Encoder
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
        self, encoder: Encoder, number: int, decoder: Decoder, standardize: Standardize
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
        """What torch prints of it beside its modules."""
        return f"number={self.number}"


def layer_decoder(autoencoder: AutoEncoder, number: int) -> Decoder:
    """A decoder for one part of the encoder, of the auto-encoder's kind, not initialised.

    Raises
    ------
    ModelError
        For an encoder that is one part, or a decoder whose skips go past the code.
    """
    plans = autoencoder.encoder.part_plans
    if len(plans) < 2:
        raise ModelError(
            f"layer-wise pre-training: the encoder '{autoencoder.name}' cannot be cut into "
            "layers; take another network, or another objective"
        )
    if autoencoder.decoder.needs_maps:
        raise ModelError(
            f"layer-wise pre-training: the decoder '{autoencoder.decoder_name}' sees the maps "
            "that a layer shall repeat; take 'upsample', 'subpixel' or 'unpool'"
        )
    return type(autoencoder.decoder)(plans[number])


@torch.no_grad()
def put_together(autoencoder: AutoEncoder, decoders: list[Decoder]) -> int:
    """Give the auto-encoder's decoder the convolutions of its layers' decoders.

    Parameters
    ----------
    autoencoder : AutoEncoder
        Its encoder was trained part by part; its decoder is overwritten.
    decoders : list of Decoder
        In the order of the parts.

    Returns
    -------
    int
        How many convolutions were taken over. Those of another shape are left as they were:
        the sub-pixel decoder makes all cells of a pool in the convolution before it, which
        may belong to another part.
    """
    own = autoencoder.decoder.convs
    theirs: list[nn.Module] = [conv for one in reversed(decoders) for conv in one.convs]
    taken = 0
    for mine, trained in zip(own, theirs, strict=True):
        source, target = trained.state_dict(), mine.state_dict()
        if all(source[name].shape == target[name].shape for name in target):
            mine.load_state_dict(source)
            taken += 1
    return taken
