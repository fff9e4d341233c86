"""Pre-training by masking: patches of the spectrogram are hidden and must be filled in.

Papers: He et al. 2022, "Masked autoencoders are scalable vision learners"; Huang et al. 2022,
"Masked autoencoders that listen", for spectrograms; Xie et al. 2022, "SimMIM", which like
us shows the encoder a token in place of a hidden patch.

What it changes: a large part of each clip is hidden in patches, and only hidden cells count
in the loss. What stands beside a patch tells little of it, so the encoder has to see what
sound is going on.

Where we differ: convolutions cannot leave hidden patches out as a transformer does, so the
encoder runs over the whole clip, at full cost, with the mean of the features (zero once
standardised) in place of hidden cells. A patch is hidden in all channels at once, because a
delta beside it would give it away. Targets are not normalised patch by patch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from semisonic.base.errors import OptionError
from semisonic.learning.base import BatchLike
from semisonic.learning.reconstruction import Reconstruction

if TYPE_CHECKING:
    from semisonic.features import Standardize
    from semisonic.models import AutoEncoder


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
