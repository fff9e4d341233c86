"""Background beneath samples: another clip of the batch, or one of a bank."""

from __future__ import annotations

import torch
from torch import Tensor

from semisonic.base.errors import DataError
from semisonic.features.augment.base import Drawn, ordered, uniform, whole
from semisonic.features.augment.wave.base import WaveAugmentation, check_wave
from semisonic.features.augment.wave.noise import added


class Background(WaveAugmentation):
    """Add another clip beneath each clip.

    Parameters
    ----------
    sample_rate : int
        Hz.
    min_snr_db, max_snr_db : float
        Range of the ratio of the clip's power to the background's, in dB. Where either is
        silent, the clip stays as it is.
    bank : Tensor, shape (n, time), optional
        Background sounds at the same rate, of any length; by default the other clips of the
        batch. A batch of one clip then stays as it is.
    probability : float
        Share of rows that are changed.
    """

    bank: Tensor | None

    def __init__(
        self,
        sample_rate: int,
        min_snr_db: float,
        max_snr_db: float,
        bank: Tensor | None = None,
        probability: float = 1.0,
    ) -> None:
        super().__init__(sample_rate, probability)
        name = "Background, options 'min_snr_db', 'max_snr_db'"
        self.min_snr_db, self.max_snr_db = ordered(min_snr_db, max_snr_db, name, "dB")
        if bank is not None:
            check_wave(bank, "Background, bank")
            if not len(bank):
                raise DataError("Background: found a bank without clips, expected at least one")
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
        n_kept = source.shape[1]
        start = (drawn["start"].double() * n_kept).long()[:, None]
        index = (start + torch.arange(x.shape[1], device=x.device)).remainder(n_kept)
        return added(x, source[drawn["other"][:, None], index].float(), drawn["snr_db"])
