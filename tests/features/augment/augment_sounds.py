"""Sounds for the tests of augmentations, and their features."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from semisonic.features.logmel import LogMel
from semisonic.features.options import MelOptions

MEL = MelOptions(duration=3.0)


def tone(hz: float, mel: MelOptions = MEL, amplitude: float = 0.3) -> Tensor:
    """A sine, shape (1, time)."""
    t = torch.arange(mel.n_samples, dtype=torch.float64) / mel.sample_rate
    return (amplitude * torch.sin(2 * math.pi * hz * t)).float()[None]


def harmonics(hz: float, mel: MelOptions = MEL) -> Tensor:
    """Eight harmonics of falling strength, (1, time)."""
    return torch.stack([tone(hz * k, mel, 0.2 / k) for k in range(1, 9)]).sum(0)


def noise(n: int = 1, seed: int = 0, mel: MelOptions = MEL, amplitude: float = 0.1) -> Tensor:
    """White noise, (n, time)."""
    generator = torch.Generator().manual_seed(seed)
    return amplitude * torch.randn(n, mel.n_samples, generator=generator)


def padded(n: int = 1, length: float = 0.5, seed: int = 0, mel: MelOptions = MEL) -> Tensor:
    """A burst of noise at the start, then zeros, (n, time)."""
    wave = noise(n, seed, mel)
    wave[:, round(length * mel.sample_rate) :] = 0.0
    return wave


def features(wave: Tensor, mel: MelOptions = MEL) -> Tensor:
    """Log-mel features in dB, (n, channel, mel, frame)."""
    result: Tensor = LogMel(mel)(wave)
    return result


def mixed_batch(mel: MelOptions = MEL) -> Tensor:
    """Six clips: three of noise, a tone, a padded burst, harmonics."""
    waves = [noise(3, 1, mel), tone(700, mel), padded(1, 0.4, 2, mel), harmonics(220, mel)]
    return features(torch.cat(waves), mel)
