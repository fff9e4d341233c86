"""Log-mel with the transform as a convolution, for runtimes whose own transform is not exact.

ONNX has an operator STFT, but ONNX Runtime computes it in another way for windows that are no power
of two and is off by several dB there. Sines and cosines times the window as the filters of a
convolution are exact for any window, take clips of any length, and are understood everywhere.

The file holds one turn of sine and cosine, and the rule which place of it each filter takes at each
sample: 8 KB instead of 4 MB at a window of 1024. A runtime computes the filters once, when it loads
the file.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from semisonic.features import MelOptions
from semisonic.features.decibel import to_decibel
from semisonic.features.deltas import delta
from semisonic.features.filterbank import filters_of
from semisonic.features.logmel import emphasise, hann

LONGEST_WINDOW = 2048
"""Samples. The filters of this window take 17 MB of memory, and grow by its square."""


class ConvolutionMel(nn.Module):
    """The same as :class:`semisonic.features.LogMel`, within 0.02 dB of cells that can be heard.

    Only bins that a mel band looks at are computed.

    Parameters
    ----------
    options : MelOptions
        With the input "log-mel".
    """

    bins: Tensor
    turn: Tensor
    window: Tensor
    filters: Tensor

    def __init__(self, options: MelOptions) -> None:
        super().__init__()
        self.options = options
        filters = filters_of(options)
        bins = np.flatnonzero(filters.any(axis=0))
        angle = 2 * np.pi * np.arange(options.n_fft) / options.n_fft
        turn = np.stack((np.cos(angle), np.sin(angle)))
        self.register_buffer("bins", torch.from_numpy(bins))
        self.register_buffer("turn", torch.from_numpy(turn).float())
        self.register_buffer("window", hann(options.window).float())
        self.register_buffer("filters", torch.from_numpy(filters[:, bins]).float())

    def forward(self, wave: Tensor) -> Tensor:
        """Levels in dB, shape (batch, channel, mel, frame), of waves (batch, time)."""
        options = self.options
        if options.peak_normalize:
            peak = wave.abs().amax(dim=1, keepdim=True)
            wave = wave / peak.masked_fill(peak == 0, 1.0)
        if options.preemphasis:
            wave = emphasise(wave, options.preemphasis)
        x = wave[:, None]
        if options.center:
            x = F.pad(x, (options.window // 2, options.window // 2), mode="reflect")
        parts = F.conv1d(x, self.waves(), stride=options.hop_length).square()
        real, imaginary = parts.chunk(2, dim=1)  # (batch, bin, frame)
        magnitude = real + imaginary
        if options.power != 2:
            magnitude = magnitude.pow(options.power / 2)
        level = to_decibel(torch.matmul(self.filters, magnitude), options)
        if options.deltas:
            return torch.stack((level, delta(level)), dim=1)
        return level.unsqueeze(1)

    def waves(self) -> Tensor:
        """The filters, shape (2 * bin, 1, window): cosines of all bins, then sines."""
        time = torch.arange(self.options.window)
        place = (self.bins[:, None] * time) % self.options.n_fft  # whole numbers: exact
        return (self.turn[:, place].flatten(0, 1) * self.window)[:, None]
