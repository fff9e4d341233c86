"""Log-mel with the transform as a convolution, for runtimes whose own transform is not exact.

ONNX has an operator STFT, but ONNX Runtime computes it in another way for windows that are no power
of two and is off by several dB there. Sines and cosines times the window as the filters of a
convolution are exact for any window, take clips of any length, and are understood everywhere; they
cost memory of four times window times bins bytes, twice.
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
"""Samples. The filters of this window take 17 MB; work and memory grow with its square."""


class ConvolutionMel(nn.Module):
    """The same as :class:`semisonic.features.LogMel`, within 0.02 dB of cells that can be heard.

    Only bins that a mel band looks at are computed.

    Parameters
    ----------
    options : MelOptions
        With the input "log-mel".
    """

    waves: Tensor
    filters: Tensor

    def __init__(self, options: MelOptions) -> None:
        super().__init__()
        self.options = options
        filters = filters_of(options)
        bins = np.flatnonzero(filters.any(axis=0))
        angle = 2 * np.pi * bins[:, None] * np.arange(options.window) / options.n_fft
        waves = np.concatenate((np.cos(angle), np.sin(angle))) * hann(options.window).numpy()
        self.register_buffer("waves", torch.from_numpy(waves[:, None]).float(), persistent=False)
        self.register_buffer(
            "filters", torch.from_numpy(filters[:, bins]).float(), persistent=False
        )

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
        parts = F.conv1d(x, self.waves, stride=options.hop_length).square()
        real, imaginary = parts.chunk(2, dim=1)  # (batch, bin, frame)
        magnitude = real + imaginary
        if options.power != 2:
            magnitude = magnitude.pow(options.power / 2)
        level = to_decibel(torch.matmul(self.filters, magnitude), options)
        if options.deltas:
            return torch.stack((level, delta(level)), dim=1)
        return level.unsqueeze(1)
