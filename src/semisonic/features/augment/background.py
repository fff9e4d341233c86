"""Background: another sound beneath the clip, as in real places.

Paper: Salamon and Bello 2017, "Deep convolutional neural networks and data augmentation for
environmental sound classification", who mixed in recordings of streets.

Where we differ: the background is another clip of the batch, or of a bank that is given, at
a ratio in dB over the clip; it starts at a random place and goes round. The label stays, so
ratios much below 10 dB teach wrong things when the background has classes of its own; for
equal shares see :class:`Mixup` and :class:`BetweenClass`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from semisonic.base.errors import DataError
from semisonic.features.augment.adding import AtRatio
from semisonic.features.augment.base import Augmentation, Drawn, ordered, uniform, whole
from semisonic.features.augment.sounding import silent_rows
from semisonic.features.options import MelOptions


class Background(Augmentation):
    """Add another clip beneath each clip.

    Parameters
    ----------
    mel : MelOptions
    min_snr_db, max_snr_db : float
        Range of the ratio of the clip's power to the background's, in dB. Where either is
        silent, the clip stays as it is.
    bank : Tensor, shape (n, channel, mel, frame), optional
        Features in dB of background sounds, of any length; by default the other clips of
        the batch. A batch of one clip then stays as it is.
    probability : float
        Share of rows that are changed.
    """

    bank: Tensor | None

    def __init__(
        self,
        mel: MelOptions,
        min_snr_db: float,
        max_snr_db: float,
        bank: Tensor | None = None,
        probability: float = 1.0,
    ) -> None:
        super().__init__(mel, probability)
        name = "Background, options 'min_snr_db', 'max_snr_db'"
        self.min_snr_db, self.max_snr_db = ordered(min_snr_db, max_snr_db, name, "dB")
        self.add = AtRatio(self.levels)
        if bank is not None:
            if not len(bank):
                raise DataError("Background: found a bank without clips, expected at least one")
            self._check(bank)
            bank = bank[:, :1].float()
        self.register_buffer("bank", bank, persistent=False)

    def draw(self, x: Tensor) -> Drawn:
        """``snr_db``; ``other``: which clip; ``start``: where in it, as a share of it."""
        if self.bank is None:
            step = whole(x, 1, max(1, len(x) - 1))
            other = (torch.arange(len(x), device=x.device) + step).remainder(len(x))
        else:
            other = whole(x, 0, len(self.bank) - 1)
        return {
            "snr_db": uniform(x, self.min_snr_db, self.max_snr_db),
            "other": other,
            "start": uniform(x, 0.0, 1.0),
        }

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The clips above their backgrounds."""
        if self.bank is None and len(x) == 1:
            return x
        source = x if self.bank is None else self.bank
        n_kept = source.shape[3]
        start = (drawn["start"] * n_kept).long()[:, None]
        index = (start + torch.arange(x.shape[3], device=x.device)).remainder(n_kept)
        row = drawn["other"][:, None]
        level = source[row, 0, :, index].transpose(1, 2)[:, None]  # (batch, 1, mel, frame)
        energy = self.levels.power(level)
        power = self.add.mean_power(energy).masked_fill(silent_rows(level), 0.0)
        mixed: Tensor = self.add(x, energy, drawn["snr_db"], power)
        return mixed
