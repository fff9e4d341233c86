"""Time masks: stretches of time are hidden.

Paper: Park et al. 2019, "SpecAugment: a simple data augmentation method for automatic speech
recognition".

Where we differ: environmental clips are often short sounds padded with silence. Masks are
laid over the frames that are not padding, as if it were not there, and no mask hides more than
a share of them; otherwise some masks would hide nothing and some the whole sound. A mask holds
the clip's mean level: our features are not standardised, so that zero means nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from semisonic.base.errors import OptionError
from semisonic.features.augment.base import Augmentation, Drawn, at_least, share, uniform
from semisonic.features.augment.fill import check_fill, covered
from semisonic.features.augment.sounding import filled_frames
from semisonic.features.options import MelOptions


class TimeMask(Augmentation):
    """Hide random stretches of time.

    Parameters
    ----------
    mel : MelOptions
    n_masks : int
        Masks a clip, at least 1; they may overlap.
    max_width : float
        Longest mask, in seconds; widths are drawn from 0 up to it.
    max_share : float
        Largest share, 0 to 1, of the frames that are not padding which one mask hides.
    fill : {"mean", "silence"}
        What stands in a mask: the mean level of the frames that are not padding, or silence.
    probability : float
        Share of rows that are changed.
    """

    def __init__(
        self,
        mel: MelOptions,
        n_masks: int,
        max_width: float,
        max_share: float = 0.2,
        fill: str = "mean",
        probability: float = 1.0,
    ) -> None:
        super().__init__(mel, probability)
        self.n_masks = int(at_least(n_masks, 1, self.named("n_masks"), "masks"))
        self.max_width = at_least(max_width, 0.0, self.named("max_width"), "s")
        self.max_share = share(max_share, self.named("max_share"))
        self.fill = check_fill(fill, self.named("fill"))
        if self.frames(max_width) < 1:
            raise OptionError(
                f"{self.named('max_width')}: found {max_width:g} s, expected at least one frame, "
                f"{mel.hop_length / mel.sample_rate:.3g} s"
            )

    def draw(self, x: Tensor) -> Drawn:
        """``width`` and ``start`` as shares of what is possible, (batch, n_masks)."""
        return {
            "width": uniform(x, 0.0, 1.0, self.n_masks),
            "start": uniform(x, 0.0, 1.0, self.n_masks),
        }

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The masked clips."""
        filled = filled_frames(x)
        n_filled = filled.sum(1, keepdim=True)  # (batch, 1)
        longest = (n_filled * self.max_share).floor().clamp(max=self.frames(self.max_width))
        width = (drawn["width"] * (longest + 1)).floor().minimum(longest)  # (batch, n_masks)
        start = (drawn["start"] * (n_filled - width + 1)).floor()
        place = (filled.cumsum(1) - 1)[:, None]  # among those
        inside = (place >= start[:, :, None]) & (place < (start + width)[:, :, None])
        mask = torch.any(inside, dim=1)  # (batch, frame)
        return covered(x, mask[:, None, None], filled, self.fill, self.levels)
