"""Frequency masks: ranges of mel bands are hidden.

Paper: Park et al. 2019, "SpecAugment: a simple data augmentation method for automatic speech
recognition".

Where we differ: a mask holds the clip's mean level, since our features are not standardised,
and silence around a short sound stays silence.
"""

from __future__ import annotations

import torch
from torch import Tensor

from semisonic.base.errors import OptionError
from semisonic.features.augment.base import Augmentation, Drawn, at_least, uniform, whole
from semisonic.features.augment.fill import check_fill, covered
from semisonic.features.augment.sounding import filled_frames
from semisonic.features.options import MelOptions


class BandMask(Augmentation):
    """Hide random ranges of neighbouring mel bands.

    Parameters
    ----------
    mel : MelOptions
    n_masks : int
        Masks a clip, at least 1; they may overlap.
    max_bands : int
        Widest mask, in mel bands; widths are drawn from 0 up to it.
    fill : {"mean", "silence"}
        What stands in a mask: the mean level of the frames that are not padding, or silence.
    probability : float
        Share of rows that are changed.
    """

    def __init__(
        self,
        mel: MelOptions,
        n_masks: int,
        max_bands: int,
        fill: str = "mean",
        probability: float = 1.0,
    ) -> None:
        super().__init__(mel, probability)
        self.n_masks = int(at_least(n_masks, 1, self.named("n_masks"), "masks"))
        self.fill = check_fill(fill, self.named("fill"))
        if not 1 <= max_bands < mel.n_mels:
            raise OptionError(
                f"{self.named('max_bands')}: found {max_bands}, expected 1 to {mel.n_mels - 1}, "
                f"for there are {mel.n_mels} bands"
            )
        self.max_bands = max_bands

    def draw(self, x: Tensor) -> Drawn:
        """``width`` in bands, ``start`` as a share of what is possible, (batch, n_masks)."""
        return {
            "width": whole(x, 0, self.max_bands, self.n_masks),
            "start": uniform(x, 0.0, 1.0, self.n_masks),
        }

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The masked clips."""
        n_bands, width = x.shape[2], drawn["width"]
        start = (drawn["start"] * (n_bands - width + 1)).floor()
        band = torch.arange(n_bands, device=x.device)
        inside = (band >= start[:, :, None]) & (band < (start + width)[:, :, None])
        mask = torch.any(inside, dim=1)  # (batch, mel)
        return covered(x, mask[:, None, :, None], filled_frames(x), self.fill, self.levels)
