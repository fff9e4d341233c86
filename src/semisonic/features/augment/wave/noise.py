"""White and pink noise on samples at a true signal-to-noise ratio."""

from __future__ import annotations

import torch
from torch import Tensor

from semisonic.features.augment.base import Drawn, ordered, uniform
from semisonic.features.augment.colours import coloured_noise
from semisonic.features.augment.wave.base import WaveAugmentation


class Noise(WaveAugmentation):
    """Add noise of a colour; see :class:`WhiteNoise` and :class:`PinkNoise`.

    Parameters
    ----------
    sample_rate : int
        Hz.
    min_snr_db, max_snr_db : float
        Range of the signal-to-noise ratio over the whole clip, in dB. Clips of silence stay
        as they are.
    probability : float
        Share of rows that are changed.
    """

    colour = "white"

    def __init__(
        self,
        sample_rate: int,
        min_snr_db: float,
        max_snr_db: float,
        probability: float = 1.0,
    ) -> None:
        super().__init__(sample_rate, probability)
        name = f"{type(self).__name__}, options 'min_snr_db', 'max_snr_db'"
        self.min_snr_db, self.max_snr_db = ordered(min_snr_db, max_snr_db, name, "dB")

    def draw(self, x: Tensor) -> Drawn:
        """``snr_db``, and ``noise``: samples of mean square one, about."""
        noise = coloured_noise(len(x), x.shape[1], self.sample_rate, self.colour, device=x.device)
        return {"snr_db": uniform(x, self.min_snr_db, self.max_snr_db), "noise": noise}

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The noisy clips."""
        return added(x, drawn["noise"], drawn["snr_db"])


class WhiteNoise(Noise):
    """Add white noise, of equal power in every hertz, at a random ratio; see :class:`Noise`."""

    colour = "white"


class PinkNoise(Noise):
    """Add pink noise, of equal power in every octave, at a random ratio; see :class:`Noise`."""

    colour = "pink"


def added(x: Tensor, noise: Tensor, snr_db: Tensor) -> Tensor:
    """Sums, (batch, time), in which signal and noise have exactly the ratio asked for.

    Where either is silent, the signal comes back as it is.
    """
    signal = x.square().mean(1)
    level = noise.square().mean(1)
    ratio = signal / level.clamp(min=1e-20) * 10 ** (snr_db / -10)
    scale = torch.where(level > 0, ratio, torch.zeros_like(ratio)).sqrt()
    return torch.addcmul(x, noise, scale[:, None])
