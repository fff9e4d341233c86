"""The power and the loudness of a clip, read from its mel bands."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from semisonic.features.augment.levels import Levels
from semisonic.features.filterbank import band_edges_hz
from semisonic.features.options import MelOptions

WINDOW = 0.1
"""Seconds over which loudness is taken."""


def band_widths(mel: MelOptions) -> Tensor:
    """Weights that turn band values into power, in Hz or without a unit, shape (n_mels,).

    A band is a mean of the power density under a triangle, so the sum over bands of value
    times half the triangle's base is the power between the first and the last centre. The
    first and the last band also stand for what is beyond their centres. Where a band is a sum
    under a triangle of height one, its weight is one.
    """
    edges = band_edges_hz(mel)
    widths = (edges[2:] - edges[:-2]) / 2
    widths[0] += (edges[1] - edges[0]) / 2
    widths[-1] += (edges[-1] - edges[-2]) / 2
    if not mel.has_unit_areas:
        widths /= (edges[2:] - edges[:-2]) / 2
    return torch.from_numpy(widths).float()


def a_weights(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Power weights of the A curve (IEC 61672), about one at 1 kHz."""
    f2 = np.square(hz)
    response = 12194.0**2 * np.square(f2) / (
        (f2 + 20.6**2)
        * np.sqrt((f2 + 107.7**2) * (f2 + 737.9**2))
        * (f2 + 12194.0**2)
    )  # fmt: skip
    weights: NDArray[np.float64] = np.square(response) * 10**0.2
    return weights


def frame_power(power: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums over bands, (batch, frame), of energies (batch, 1, mel, frame)."""
    return torch.matmul(weights, power[:, 0])


def loudness_db(x: Tensor, levels: Levels) -> Tensor:
    """A-weighted level of the loudest tenth of a second of each clip, shape (batch,).

    Parameters
    ----------
    x : Tensor, shape (batch, 1, mel, frame)
        Levels in dB.
    """
    mel = levels.mel
    weights = band_widths(mel) * torch.from_numpy(a_weights(band_edges_hz(mel)[1:-1])).float()
    heard = frame_power(levels.power(x), weights.to(x.device))
    n = min(max(1, round(WINDOW * mel.sample_rate / mel.hop_length)), heard.shape[1])
    windows = functional.avg_pool1d(heard[:, None], n, stride=1)[:, 0]
    return windows.amax(1).clamp(min=1e-30).log10() * 10
