"""Pre-training by reconstruction: an auto-encoder repeats what it is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from semisonic.core.errors import ModelError, OptionError
from semisonic.learning.objective import BatchLike, Objective
from semisonic.models.encoder import Trace

if TYPE_CHECKING:
    from semisonic.features.frontend import Standardize
    from semisonic.models.autoencoder import AutoEncoder
    from semisonic.models.decoders import Decoder
    from semisonic.models.encoder import Encoder

# Pre-training by reconstruction: an auto-encoder repeats what it is given.
#
# Papers: Masci et al. 2011, "Stacked convolutional auto-encoders for hierarchical feature
# extraction"; the student paper that this project sets out from used it on environmental
# sounds: pre-train on unlabelled clips, then fine-tune on few labels.
#
# What it changes: no labels are needed; the mean squared error between the input and its
# reconstruction is minimised, and the encoder is kept.
#
# Where we differ: the error is taken on standardised features, not on raw decibels (0 to -80).
# Raw decibels make a loss of hundreds, whose first steps push rectified units so far that
# they never answer again. The error in dB² is recorded beside it, to compare with the paper.


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


# Pre-training by denoising: a spoilt spectrogram goes in, the clean one is asked for.
#
# Paper: Vincent et al. 2008, "Extracting and composing robust features with denoising
# auto-encoders".
#
# What it changes: the auto-encoder cannot merely copy, since what it is shown differs from
# what it must give; to undo the damage it has to know what sounds are like. Two kinds of
# damage, as in the paper and its sequel of 2010: Gaussian noise on every cell, and cells that
# are dropped.
#
# Where we differ: the noise is given in dB. A dropped cell becomes the mean of the features
# (zero once standardised), not silence, so that it does not read as a quiet moment. It is
# dropped in all channels at once, because a delta beside it would give it away.


class Denoising(Reconstruction):
    """Mean squared error between the reconstruction of spoilt features and the clean ones.

    Parameters
    ----------
    autoencoder : AutoEncoder
    standardize : Standardize
        Fitted.
    noise_db : float
        Standard deviation of the noise on each cell of the first channel, in dB. Other
        channels get noise that is as large a share of their own deviation. 0 is off.
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
        autoencoder: AutoEncoder,
        standardize: Standardize,
        *,
        noise_db: float = 6.0,
        cell_dropout: float = 0.25,
    ) -> None:
        super().__init__(autoencoder, standardize)
        if not noise_db >= 0:
            raise OptionError(f"option 'noise_db': found {noise_db}, expected at least 0 dB")
        if not 0 <= cell_dropout < 1:
            raise OptionError(
                f"option 'cell_dropout': found {cell_dropout}, expected at least 0 and less than 1"
            )
        self.noise_db = noise_db
        self.cell_dropout = cell_dropout

    def corrupt(self, x: Tensor) -> Tensor:
        """Standardised features with noise and dropped cells, same shape."""
        if self.noise_db > 0:
            x = x + torch.randn_like(x) * (self.noise_db / self.standardize.std[:1])
        if self.cell_dropout > 0:
            cells = torch.rand_like(x[:, :1])  # (batch, 1, mel, frame)
            x = x * (cells >= self.cell_dropout)
        return x

    def extra_repr(self) -> str:
        """What torch prints of it beside its modules."""
        return f"noise_db={self.noise_db}, cell_dropout={self.cell_dropout}"


# Pre-training by masking: patches of the spectrogram are hidden and must be filled in.
#
# Papers: He et al. 2022, "Masked autoencoders are scalable vision learners"; Huang et al. 2022,
# "Masked autoencoders that listen", for spectrograms; Xie et al. 2022, "SimMIM", which like
# us shows the encoder a token in place of a hidden patch.
#
# What it changes: a large part of each clip is hidden in patches, and only hidden cells count
# in the loss. What stands beside a patch tells little of it, so the encoder has to see what
# sound is going on.
#
# Where we differ: convolutions cannot leave hidden patches out as a transformer does, so the
# encoder runs over the whole clip, at full cost, with the mean of the features (zero once
# standardised) in place of hidden cells. A patch is hidden in all channels at once, because a
# delta beside it would give it away. Targets are not normalised patch by patch.


class Masked(Reconstruction):
    """Mean squared error of the reconstruction in hidden patches.

    Parameters
    ----------
    autoencoder : AutoEncoder
    standardize : Standardize
        Fitted.
    mask_share : float
        Share of the patches that are hidden, above 0 and below 1. At least one patch of a
        clip is hidden and one is not.
    patch_mels, patch_frames : int
        Size of a patch in cells. The last ones may be smaller.
    masked_only : bool
        Whether hidden cells alone count in the loss; if not, all cells do.

    Notes
    -----
    Reads the stream ``unlabelled``. Terms: ``loss`` (1 is what the constant zero scores) and
    ``mse_db2``, both over the cells that count. Patches are hidden in evaluation, too: with
    a seed set before it, each validation hides the same ones.
    """

    def __init__(
        self,
        autoencoder: AutoEncoder,
        standardize: Standardize,
        *,
        mask_share: float = 0.6,
        patch_mels: int = 8,
        patch_frames: int = 8,
        masked_only: bool = True,
    ) -> None:
        super().__init__(autoencoder, standardize)
        if not 0 < mask_share < 1:
            raise OptionError(
                f"option 'mask_share': found {mask_share}, expected more than 0 and less than 1"
            )
        if patch_mels < 1 or patch_frames < 1:
            raise OptionError(
                f"options 'patch_mels', 'patch_frames': found {patch_mels} and {patch_frames} "
                "cells, expected at least 1 each"
            )
        self.mask_share = mask_share
        self.patch = (patch_mels, patch_frames)
        self.masked_only = masked_only

    def forward(self, batches: Mapping[str, BatchLike]) -> dict[str, Tensor]:
        """The loss of one batch, labelled or not."""
        x = self.standardize(batches["unlabelled"].x)  # (batch, channel, mel, frame)
        hidden = patch_mask(x, self.mask_share, self.patch)
        difference = self.autoencoder(x.masked_fill(hidden, 0.0)).float() - x.float()
        counted = hidden.expand_as(x).float() if self.masked_only else torch.ones_like(difference)
        loss = _mean_of(difference.square(), counted)
        decibels = (difference.detach() * self.standardize.std).square()
        return {"loss": loss, "mse_db2": _mean_of(decibels, counted)}

    def extra_repr(self) -> str:
        """What torch prints of it beside its modules."""
        return f"mask_share={self.mask_share}, patch={self.patch}, masked_only={self.masked_only}"


def patch_mask(x: Tensor, share: float, patch: tuple[int, int]) -> Tensor:
    """Hide whole patches at random, as many in each clip.

    Parameters
    ----------
    x : Tensor, shape (batch, channel, mel, frame)
        Gives size and device.
    share : float
        Of the patches, 0 to 1.
    patch : (int, int)
        Mel bands and frames of a patch.

    Returns
    -------
    Tensor of bool, shape (batch, 1, mel, frame)
        True where a cell is hidden.

    Raises
    ------
    OptionError
        When a clip is a single patch.
    """
    n_mels, n_frames = x.shape[2:]
    rows, columns = -(-n_mels // patch[0]), -(-n_frames // patch[1])
    n = rows * columns
    if n < 2:
        raise OptionError(
            f"options 'patch_mels', 'patch_frames': a patch of {patch[0]} x {patch[1]} covers "
            f"features of {n_mels} x {n_frames} (mel x frame) wholly; take a smaller one"
        )
    n_hidden = min(max(round(share * n), 1), n - 1)
    order = torch.rand(len(x), n, device=x.device).argsort(dim=1).argsort(dim=1)
    hidden = (order < n_hidden).reshape(-1, 1, rows, columns)
    cells = hidden.repeat_interleave(patch[0], dim=2).repeat_interleave(patch[1], dim=3)
    return cells[:, :, :n_mels, :n_frames]


def _mean_of(values: Tensor, counted: Tensor) -> Tensor:
    """Mean over clips of the mean over the cells that count in each."""
    per_clip = (values * counted).flatten(1).sum(1) / counted.flatten(1).sum(1)
    return per_clip.mean()


# Layer-wise pre-training: one part of the encoder after the other.
#
# Papers: Bengio et al. 2007, "Greedy layer-wise training of deep networks"; Masci et al. 2011,
# "Stacked convolutional auto-encoders", where each convolution with its pool is one layer.
#
# What it changes: the first part of the encoder and a decoder of its own learn to repeat the
# features; then the second part learns to repeat the map that the first one gives, and so on.
# At last the whole auto-encoder is put together from the parts and trained on.
#
# Where we differ: the error of a layer is divided by the variance of what it repeats, so that
# 1 is what a constant scores at every depth. The parts before it run as in evaluation, so
# that their normalisations do not drift while they are not trained. A part is whatever the
# encoder can be cut into: a convolution with its pools, a stem, a residual block.


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
