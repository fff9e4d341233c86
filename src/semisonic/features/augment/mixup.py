"""Mixup: clips and targets are blended.

Paper: Zhang et al. 2018, "mixup: beyond empirical risk minimization". Blending in the log
domain, as most sound classifiers do, gives spectrograms that no sound has, and works.

Where we differ: each row draws its own share (the paper's code draws one for the batch), and
energies can be blended instead of decibels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from semisonic.base.errors import OptionError
from semisonic.base.options import nearest
from semisonic.features.augment.levels import Levels
from semisonic.features.augment.mixing import PairMixing
from semisonic.features.options import WAVE, MelOptions

DOMAINS = ("db", "power")


class Mixup(PairMixing):
    """Blend each clip with another one; shares from Beta(alpha, alpha).

    Parameters
    ----------
    mel : MelOptions
    alpha : float
        Above 0. Small: mostly one clip with a little of another; 1: any share.
    domain : {"db", "power"}
        What is blended: decibels, or energies (the sum of two sounds, the louder of which
        covers the other). Of waveforms it is samples, whatever is given.
    keep_larger : bool
        Take the larger of share and rest, so that a row always is the greater part of what
        stands in its place, as MixMatch (Berthelot et al. 2019) wants it for labelled rows.

    See Also
    --------
    PairMixing.forward : for ``partner`` and ``share``.
    """

    def __init__(
        self, mel: MelOptions, alpha: float, domain: str = "db", keep_larger: bool = False
    ) -> None:
        super().__init__(mel)
        if not 0.0 < alpha < float("inf"):
            raise OptionError(
                f"Mixup, option 'alpha': found {alpha}, expected above 0; leave mixup out instead"
            )
        if domain not in DOMAINS:
            hint = nearest(domain, DOMAINS)
            raise OptionError(f"Mixup, option 'domain': found {domain!r}; {hint}")
        self.alpha, self.domain, self.keep_larger = alpha, domain, keep_larger
        self.levels = None if mel.input == WAVE else Levels(mel)

    def draw_share(self, x: Tensor) -> Tensor:
        """Shares from the beta distribution."""
        alpha = torch.full((len(x),), float(self.alpha), device=x.device)
        share: Tensor = torch.distributions.Beta(alpha, alpha, validate_args=False).sample()
        return share.maximum(1 - share) if self.keep_larger else share

    def mix(self, x: Tensor, other: Tensor, share: Tensor) -> Tensor:
        """Blended levels."""
        return blend(x, other, share, self.domain, self.levels)

    def extra_repr(self) -> str:
        """Alpha and domain."""
        return f"alpha={self.alpha:g}, domain={self.domain}"


def blend(x: Tensor, other: Tensor, share: Tensor, domain: str, levels: Levels | None) -> Tensor:
    """``share`` (batch,) of ``x`` and the rest of ``other``, both (batch, 1, mel, frame).

    Without ``levels`` the values themselves are blended: samples of waveforms.
    """
    part = share[:, None, None, None].to(x.dtype)
    if domain == "db" or levels is None:
        return torch.lerp(other, x, part)
    return levels.from_power(torch.lerp(levels.power(other), levels.power(x), part))
