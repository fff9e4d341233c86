"""Noise of a colour: power that falls with frequency."""

from __future__ import annotations

import torch
from torch import Tensor

PINK_FROM_HZ = 20.0
"""Pink noise has nothing below this: nobody hears it, and 1/f has no end."""

SLOPES = {"white": 0.0, "pink": 1.0}
"""The power falls as frequency to minus this: pink by 3 dB an octave."""


def coloured_noise(
    n_rows: int,
    n_samples: int,
    sample_rate: int,
    colour: str,
    *,
    device: torch.device | str = "cpu",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Gaussian noise of mean square one (on the long run), shape (n_rows, n_samples).

    Parameters
    ----------
    colour : {"white", "pink"}
    generator : torch.Generator, optional
        Torch's global one of the device by default.
    """
    white = torch.randn(n_rows, n_samples, device=device, generator=generator)
    slope = SLOPES[colour]
    if slope == 0.0:
        return white
    hz = torch.fft.rfftfreq(n_samples, 1.0 / sample_rate, device=device)
    amplitude = hz.clamp(min=PINK_FROM_HZ).pow(-slope / 2) * (hz >= PINK_FROM_HZ)
    amplitude = amplitude / amplitude.square().mean().sqrt()
    noise: Tensor = torch.fft.irfft(torch.fft.rfft(white) * amplitude, n=n_samples)
    return noise
