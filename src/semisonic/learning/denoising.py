"""Pre-training by denoising: a spoilt spectrogram goes in, the clean one is asked for.

Paper: Vincent et al. 2008, "Extracting and composing robust features with denoising
auto-encoders".

What it changes: the auto-encoder cannot merely copy, since what it is shown differs from
what it must give; to undo the damage it has to know what sounds are like. Two kinds of
damage, as in the paper and its sequel of 2010: Gaussian noise on every cell, and cells that
are dropped.

Where we differ: the noise is given in dB. A dropped cell becomes the mean of the features
(zero once standardised), not silence, so that it does not read as a quiet moment. It is
dropped in all channels at once, because a delta beside it would give it away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from semisonic.base.errors import OptionError
from semisonic.learning.reconstruction import Reconstruction

if TYPE_CHECKING:
    from semisonic.features import Standardize
    from semisonic.models import AutoEncoder


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
