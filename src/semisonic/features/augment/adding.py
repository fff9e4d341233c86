"""Adding one sound to another at a signal-to-noise ratio."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from semisonic.features.augment.levels import Levels
from semisonic.features.augment.loudness import band_widths, frame_power
from semisonic.features.augment.sounding import silent_rows


class AtRatio(nn.Module):
    """Adds energies so that signal and noise have a given ratio of powers.

    Powers are means over the whole clip, padding included, of all frequencies that the bands
    reach, which is what the samples' mean squares would give. The phases of two sounds that
    have nothing to do with each other cancel on average, so energies add.
    """

    widths: Tensor

    def __init__(self, levels: Levels) -> None:
        super().__init__()
        self.levels = levels
        self.register_buffer("widths", band_widths(levels.mel), persistent=False)

    def forward(self, x: Tensor, noise: Tensor, snr_db: Tensor, noise_power: Tensor) -> Tensor:
        """Levels of the sum.

        Parameters
        ----------
        x : Tensor, shape (batch, 1, mel, frame)
            Levels in dB.
        noise : Tensor, same shape
            Energies, on any scale.
        snr_db : Tensor, shape (batch,)
        noise_power : Tensor, shape (batch,)
            Mean power of the noise; nothing is added where it is 0.

        Returns
        -------
        Tensor, same shape
            Clips of silence stay silent: they have no signal to be held against.
        """
        energy = self.levels.power(x)
        ratio = self.mean_power(energy) / noise_power.clamp(min=1e-30) * 10 ** (snr_db / -10)
        possible = ~silent_rows(x) & (noise_power > 0)
        factor = torch.where(possible, ratio, torch.zeros_like(ratio))
        return self.levels.from_power(energy.addcmul_(noise, factor[:, None, None, None]))

    def mean_power(self, energy: Tensor) -> Tensor:
        """Mean power of each clip, shape (batch,), of energies (batch, 1, mel, frame)."""
        return frame_power(energy, self.widths).mean(1)
