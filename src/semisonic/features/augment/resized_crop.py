"""Resized crop: a window in time and frequency, stretched to full size again.

Paper: Niizumi et al. 2021, "BYOL for audio" (random resize crop).

Where we differ: what is cut away is given in seconds and bands, the window never reaches
beyond the clip, and interpolation is linear.
"""

from __future__ import annotations

import torch
from torch import Tensor

from semisonic.base.errors import OptionError
from semisonic.features.augment.base import Augmentation, Drawn, at_least, uniform
from semisonic.features.augment.warp import interpolate_bands, interpolate_frames
from semisonic.features.options import MelOptions


class ResizedCrop(Augmentation):
    """Cut a random window out of each clip and stretch it over the whole.

    Parameters
    ----------
    mel : MelOptions
    max_cut : float
        Most that is cut away in time, both ends together, in seconds; 0 cuts nothing.
    max_cut_bands : int
        Most mel bands that are cut away, low and high ends together.
    probability : float
        Share of rows that are changed.
    """

    def __init__(
        self, mel: MelOptions, max_cut: float, max_cut_bands: int, probability: float = 1.0
    ) -> None:
        super().__init__(mel, probability)
        self.max_cut = at_least(max_cut, 0.0, self.named("max_cut"), "s")
        if max_cut >= mel.duration:
            raise OptionError(
                f"{self.named('max_cut')}: found {max_cut:g} s, expected less than a clip, "
                f"{mel.duration:g} s"
            )
        if not 0 <= max_cut_bands < mel.n_mels:
            raise OptionError(
                f"{self.named('max_cut_bands')}: found {max_cut_bands}, expected 0 to "
                f"{mel.n_mels - 1}, for there are {mel.n_mels} bands"
            )
        self.max_cut_bands = max_cut_bands

    def draw(self, x: Tensor) -> Drawn:
        """``cut`` frames and ``cut_bands``; ``start`` and ``low``: shares of them cut in front."""
        longest = min(self.max_cut / self.mel.duration * x.shape[3], x.shape[3] - 1.0)
        return {
            "cut": uniform(x, 0.0, longest),
            "start": uniform(x, 0.0, 1.0),
            "cut_bands": uniform(x, 0.0, float(self.max_cut_bands)),
            "low": uniform(x, 0.0, 1.0),
        }

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The resized windows."""
        if self.max_cut_bands:
            x = interpolate_bands(x, _window(x.shape[2], drawn["cut_bands"], drawn["low"]))
        if self.max_cut:
            x = interpolate_frames(x, _window(x.shape[3], drawn["cut"], drawn["start"]))
        return x


def _window(n: int, cut: Tensor, first: Tensor) -> Tensor:
    """Where the ``n`` places of the result lie in the original, shape (batch, n)."""
    place = torch.arange(n, device=cut.device)
    scale = (n - cut) / n
    source = (place + 0.5) * scale[:, None] - 0.5 + (cut * first)[:, None]
    return source.clamp(0, n - 1)
