"""From a waveform to the input of a network: standardised log-mel levels or samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from semisonic.core.errors import DataError, OptionError
from semisonic.core.options import nearest
from semisonic.features.logmel import LogMel, MelExtractor, check_clip, peak_normalised
from semisonic.features.options import WAVE, MelOptions

KINDS = ("mel", "global", "none")
MIN_STD = 1e-4
"""Deviations below this (dB) count as zero: these cells are shifted, not scaled."""

_CHUNK = 64  # clips in float64 at a time


class Standardize(nn.Module):
    """Subtract a mean and divide by a standard deviation.

    Parameters
    ----------
    kind : {"global", "mel", "none"}
        One pair of numbers for each channel, one for each mel band of each channel, or
        nothing at all. "global" keeps the shape of the spectrum and is Piczak's (2015).
    n_channels, n_mels : int
        Size of the features.

    Attributes
    ----------
    mean, std : Tensor, shape (channel, mel or 1, 1)
        0 and 1 until :meth:`fit`.
    fitted : Tensor of bool, no dimension
        Whether :meth:`fit` has run.
    """

    mean: Tensor
    std: Tensor
    fitted: Tensor

    def __init__(self, kind: str, n_channels: int, n_mels: int) -> None:
        super().__init__()
        if kind not in KINDS:
            raise OptionError(f"standardize: found {kind!r}; {nearest(kind, KINDS)}")
        self.kind = kind
        self.n_channels, self.n_mels = n_channels, n_mels
        shape = (n_channels, n_mels if kind == "mel" else 1, 1)
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("std", torch.ones(shape))
        self.register_buffer("fitted", torch.tensor(False))

    @property
    def is_fitted(self) -> bool:
        """Whether statistics were computed, or none are needed."""
        return self.kind == "none" or bool(self.fitted)

    def fit(self, features: Any) -> Standardize:
        """Compute statistics of training features; do not call it with others.

        Parameters
        ----------
        features : array-like, shape (n, channel, mel, frame), or an iterable of such
            In dB. A memory-mapped array is read piece by piece; sums are in float64.

        Returns
        -------
        Standardize
            Itself.

        Raises
        ------
        DataError
            Without clips, with another shape, or with values that are not finite.
        """
        if self.kind == "none":
            return self
        axes = (0, 3) if self.kind == "mel" else (0, 2, 3)
        count, mean, spread = 0, np.zeros(self.mean.shape), np.zeros(self.mean.shape)
        for part in _parts(features):
            self._check(part)
            n = int(np.prod([part.shape[axis] for axis in axes]))
            part_mean = part.mean(axes, keepdims=True)[0]
            part_spread = np.square(part - part_mean).sum(axes, keepdims=True)[0]
            # Chan, Golub and LeVeque (1979): joining two samples without cancellation
            step = part_mean - mean
            total = count + n
            mean += step * (n / total)
            spread += part_spread + np.square(step) * (count * n / total)
            count = total
        if not count:
            raise DataError("standardize: found no features to compute statistics from")
        std = np.sqrt(spread / count)
        self.mean.copy_(torch.from_numpy(mean))
        self.std.copy_(torch.from_numpy(np.where(std < MIN_STD, 1.0, std)))
        self.fitted.fill_(True)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Standardised features, same shape (batch, channel, mel, frame)."""
        return x if self.kind == "none" else (x - self.mean) / self.std

    def inverse(self, x: Tensor) -> Tensor:
        """Back to dB, same shape."""
        return x if self.kind == "none" else x * self.std + self.mean

    def _check(self, part: NDArray[np.float64]) -> None:
        expected = (self.n_channels, self.n_mels)
        if part.ndim != 4 or part.shape[1:3] != expected:
            raise DataError(
                f"standardize: found features of shape {part.shape}, expected (n, "
                f"{expected[0]}, {expected[1]}, frame)"
            )
        if not np.isfinite(part).all():
            raise DataError(
                "standardize: found features that are not finite; look for recordings with "
                "NaN or infinite samples"
            )


def _parts(features: Any) -> Iterator[NDArray[np.float64]]:
    """Pieces of float64 that fit in memory."""
    if isinstance(features, Tensor):
        features = features.detach().cpu().numpy()
    if not isinstance(features, np.ndarray):
        for part in features:
            yield from _parts(part if isinstance(part, Tensor) else np.asarray(part))
        return
    n = len(features) if features.ndim == 4 else 1  # the check of the shape refuses others
    for start in range(0, n, _CHUNK):
        yield np.asarray(features[start : start + _CHUNK], np.float64)


Extractor = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""One clip (n_samples,) to its features (channel, mel, frame)."""


class Waveform(nn.Module):
    """Waves, optionally divided by their peak; the counterpart of :class:`LogMel`.

    A waveform has one channel, one "band", and a frame for each sample: shape (1, 1, time). So
    tables of features, batches, model files and scores work as with spectrograms.

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
        return (peak_normalised(wave) if self.options.peak_normalize else wave)[:, None, None]


def make_extractor(options: MelOptions) -> Extractor:
    """A function that computes features of single clips on the CPU; use one per thread.

    Parameters
    ----------
    options : MelOptions

    Returns
    -------
    callable
        Samples, (n,), to features, (channel, mel, frame), in memory of their own.
    """
    if options.input != WAVE:
        return MelExtractor(options)
    waveform = Waveform(options)

    def extract(x: NDArray[np.float32]) -> NDArray[np.float32]:
        check_clip(x, options)
        features: NDArray[np.float32] = waveform(torch.from_numpy(x.astype(np.float32))[None])[0]
        return np.asarray(features)

    return extract


class Frontend(nn.Module):
    """Log-mel (or the waveform) and standardisation, saved as part of the model.

    Parameters
    ----------
    options : MelOptions
    standardize : {"global", "mel", "none"}
        See :class:`Standardize`; fit it on the training clips only.

    Attributes
    ----------
    mel : LogMel or Waveform
    standardize : Standardize
    """

    def __init__(self, options: MelOptions, standardize: str = "global") -> None:
        super().__init__()
        self.options = options
        self.mel = Waveform(options) if options.input == WAVE else LogMel(options)
        self.standardize = Standardize(standardize, options.n_channels, options.n_mels)

    def forward(self, wave: Tensor) -> Tensor:
        """Waves (batch, time) to standardised features (batch, channel, mel, frame)."""
        features: Tensor = self.standardize(self.mel(wave))
        return features
