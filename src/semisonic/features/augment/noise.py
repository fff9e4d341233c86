"""White and pink noise at a true signal-to-noise ratio.

The noise is real: half a minute of samples went through the front end's own filter bank
once, and each clip gets another stretch of it. So its mean spectrum, its fluctuation (the
chi-square distribution of each band, wide in low bands and narrow in high ones) and the
likeness of neighbouring frames are those of noise in a recording, at the price of a copy.

Where seed studies asked for 10 to 17 dB and got 3 to 7 (the ratio was converted twice), here
the ratio of the stretch that is added to the clip that it is added to is exact.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from semisonic.base.seeds import torch_generator
from semisonic.features.augment.adding import AtRatio
from semisonic.features.augment.base import Augmentation, Drawn, full_precision, ordered, uniform
from semisonic.features.augment.colours import coloured_noise
from semisonic.features.augment.loudness import frame_power
from semisonic.features.logmel import LogMel
from semisonic.features.options import MelOptions

BANK_DURATION = 30.0
"""Seconds of noise kept, more for long clips."""


class Noise(Augmentation):
    """Add noise of a colour; see :class:`WhiteNoise` and :class:`PinkNoise`.

    Parameters
    ----------
    mel : MelOptions
    min_snr_db, max_snr_db : float
        Range of the signal-to-noise ratio over the whole clip, in dB. Clips of silence stay
        as they are.
    probability : float
        Share of rows that are changed.
    """

    colour = "white"
    bank: Tensor
    bank_power: Tensor

    def __init__(
        self, mel: MelOptions, min_snr_db: float, max_snr_db: float, probability: float = 1.0
    ) -> None:
        super().__init__(mel, probability)
        name = f"{type(self).__name__}, options 'min_snr_db', 'max_snr_db'"
        self.min_snr_db, self.max_snr_db = ordered(min_snr_db, max_snr_db, name, "dB")
        self.add = AtRatio(self.levels)
        bank = noise_energies(mel, self.colour)
        self.register_buffer("bank", bank, persistent=False)  # (mel, frame)
        with full_precision(bank):
            power = frame_power(bank[None, None], self.add.widths)[0]
        self.register_buffer("bank_power", power, persistent=False)  # (frame,)

    def draw(self, x: Tensor) -> Drawn:
        """``snr_db``, and ``start``: where in the bank, as a share of it."""
        return {
            "snr_db": uniform(x, self.min_snr_db, self.max_snr_db),
            "start": uniform(x, 0.0, 1.0),
        }

    def change(self, x: Tensor, drawn: Drawn) -> Tensor:
        """The noisy clips."""
        n_kept = self.bank.shape[1]
        frame = torch.arange(x.shape[3], device=x.device)
        start = (drawn["start"] * n_kept).long()
        index = (start[:, None] + frame).remainder(n_kept)  # (batch, frame)
        noise = self.bank[:, index].transpose(0, 1)[:, None]  # (batch, 1, mel, frame)
        noisy: Tensor = self.add(x, noise, drawn["snr_db"], self.bank_power[index].mean(1))
        return noisy


class WhiteNoise(Noise):
    """Add white noise, of equal power in every hertz, at a random ratio; see :class:`Noise`."""

    colour = "white"


class PinkNoise(Noise):
    """Add pink noise, of equal power in every octave, at a random ratio; see :class:`Noise`."""

    colour = "pink"


def noise_energies(mel: MelOptions, colour: str) -> Tensor:
    """Energies (mel, frame) of noise of mean square one; the same at each call."""
    duration = max(BANK_DURATION, 4 * mel.duration)
    neutral = dataclasses.replace(
        mel, duration=duration, reference="one", top_db=None, peak_normalize=False, deltas=False
    )
    generator = torch_generator(0, "noise bank", colour)
    wave = coloured_noise(1, neutral.n_samples, mel.sample_rate, colour, generator=generator)
    level: Tensor = LogMel(neutral)(wave)
    return torch.exp(level[0, 0] * (torch.tensor(10.0).log() / 10))
