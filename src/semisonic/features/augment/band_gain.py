"""Smooth random gain over frequency: another microphone, another room, another distance."""

from __future__ import annotations

import torch
from torch import Tensor

from semisonic.base.errors import OptionError
from semisonic.features.augment.base import Augmentation, Drawn, at_least, uniform
from semisonic.features.options import MelOptions


def smooth_weights(n_points: int, n_bands: int) -> Tensor:
    """How much of each control point a band takes, shape (n_points, n_bands).

    Points are equally spaced over the bands, with one at each end. Between two points the
    weights follow a raised cosine and sum to one, so a curve never leaves the range of its
    points.
    """
    position = torch.linspace(0, n_points - 1, n_bands, dtype=torch.float64)
    distance = (position[None] - torch.arange(n_points)[:, None]).abs().clamp(max=1.0)
    return (0.5 + 0.5 * torch.cos(torch.pi * distance)).float()


class BandGain(Augmentation):
    """Give each clip a random smooth equaliser curve.

    Parameters
    ----------
    mel : MelOptions
    max_db : float
        Largest gain of a control point, up or down, in dB.
    n_points : int
        Control points over all bands, at least 2; more make a rougher curve.
    probability : float
        Share of rows that are changed.
    """

    weights: Tensor

    def __init__(
        self, mel: MelOptions, max_db: float, n_points: int = 5, probability: float = 1.0
    ) -> None:
        super().__init__(mel, probability)
        self.max_db = at_least(max_db, 0.0, self.named("max_db"), "dB")
        if not 2 <= n_points <= mel.n_mels:
            raise OptionError(
                f"{self.named('n_points')}: found {n_points}, expected 2 to {mel.n_mels}, the "
                "number of bands"
            )
        self.n_points = n_points
        self.register_buffer("weights", smooth_weights(n_points, mel.n_mels), persistent=False)

    def draw(self, x: Tensor) -> Drawn:
        """``point_db``: the gain of each control point, (batch, n_points)."""
        return {"point_db": uniform(x, -self.max_db, self.max_db, self.n_points)}

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The clips through their equalisers; silence stays silence."""
        curve = (drawn["point_db"][:, :, None] * self.weights).sum(1)  # (batch, mel)
        return self.levels.amplify(x, curve[:, None, :, None])
