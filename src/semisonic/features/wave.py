"""Waveforms as features, for networks that learn their own front end.

A waveform has one channel, one "band", and a frame for each sample: shape (1, 1, time). So
tables of features, batches, model files and scores work as they do with spectrograms.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from semisonic.base.errors import DataError
from semisonic.features.extractor import MelExtractor
from semisonic.features.options import WAVE, MelOptions

Extractor = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""One clip (n_samples,) to its features (channel, mel, frame)."""


class Waveform(nn.Module):
    """Waves as they are, or divided by their peak; the counterpart of :class:`LogMel`.

    Parameters
    ----------
    options : MelOptions
        With the input "wave".
    """

    def __init__(self, options: MelOptions) -> None:
        super().__init__()
        self.options = options

    def forward(self, wave: Tensor) -> Tensor:
        """Features of each wave.

        Parameters
        ----------
        wave : Tensor of float, shape (batch, time)
            Samples within -1 to 1 at ``options.sample_rate``.

        Returns
        -------
        Tensor, shape (batch, 1, 1, time)

        Raises
        ------
        DataError
            For another number of dimensions, no samples, or samples that are not floats.
        """
        if wave.ndim != 2 or not wave.is_floating_point() or not wave.shape[1]:
            raise DataError(
                f"waveform: found a wave of shape {tuple(wave.shape)} and type {wave.dtype}, "
                "expected (batch, time) of floating-point samples"
            )
        if self.options.peak_normalize:
            peak = wave.abs().amax(dim=1, keepdim=True)
            wave = wave / peak.masked_fill(peak == 0, 1.0)
        return wave[:, None, None]


class WaveExtractor:
    """The same for one clip on the CPU; the counterpart of :class:`MelExtractor`.

    Parameters
    ----------
    options : MelOptions
        With the input "wave".
    """

    def __init__(self, options: MelOptions) -> None:
        self.options = options

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """The clip (n_samples,) as (1, 1, n_samples), in memory of its own.

        Raises
        ------
        DataError
            For another shape, or samples that are not floating-point.
        """
        x = np.asarray(x)
        if x.shape != (self.options.n_samples,) or x.dtype.kind != "f":
            raise DataError(
                f"waveform: found a clip of shape {x.shape} and type {x.dtype}, expected "
                f"({self.options.n_samples},) of floating-point samples; fit the clip to "
                f"{self.options.duration:g} s first"
            )
        peak = float(np.abs(x).max()) if self.options.peak_normalize else 0.0
        return np.array(x / peak if peak > 0 else x, np.float32)[None, None]


def make_extractor(options: MelOptions) -> Extractor:
    """What computes the features of single clips on the CPU; one object for each thread."""
    return WaveExtractor(options) if options.input == WAVE else MelExtractor(options)
