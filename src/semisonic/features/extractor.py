"""The fast way on a CPU: one clip at a time through buffers that stay in the cache.

Batches of spectra leave the cache and fall on fresh memory pages every time, which costs
more than the transforms themselves. Here every buffer is allocated once, the transform
writes into it some frames at a time, and each group of mel bands multiplies only the bins
it touches. The squares of real and imaginary parts are not added first: each weight stands
twice in the product instead, which is less work than another pass over the memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from semisonic.base.errors import DataError
from semisonic.features.decibel import to_decibel
from semisonic.features.deltas import delta
from semisonic.features.filterbank import filters_of
from semisonic.features.logmel import emphasise, hann
from semisonic.features.options import MelOptions

_BANDS = 16  # mel bands of a group, about
_BLOCK_CELLS = 1 << 16  # samples of the frames of a block: its buffers fit half a megabyte
_LEAST_FRAMES = 40  # of a block: every transform has a fixed cost


@dataclass(frozen=True)
class _Block:
    """Views of the buffers for some neighbouring frames."""

    samples: torch.Tensor  # (frame, window), into the padded wave
    windowed: torch.Tensor  # (frame, window), the middle of the next
    framed: torch.Tensor  # (frame, n_fft), zeros beside a short window
    spectrum: torch.Tensor  # (frame, bin), complex
    parts: torch.Tensor  # (frame, 2 bin): real, imaginary, real ...; the same memory
    products: tuple[tuple[torch.Tensor, torch.Tensor, torch.Tensor], ...]
    # squares or magnitudes (frame, cell), weights (cell, band), result (frame, band)


class MelExtractor:
    """Log-mel features of single clips on the CPU; equals :class:`LogMel` within 1e-3 dB.

    The object owns its buffers: use one object in each thread.

    Parameters
    ----------
    options : MelOptions

    Examples
    --------
    >>> extractor = MelExtractor(MelOptions(duration=1.0))
    >>> extractor(np.zeros(22050, np.float32)).shape
    (1, 64, 44)
    """

    def __init__(self, options: MelOptions) -> None:
        self.options = options
        self._pad = options.window // 2 if options.center else 0
        n_samples = options.n_samples - (1 if options.preemphasis else 0)
        self._wave = np.zeros(n_samples + 2 * self._pad, np.float32)
        self._window = hann(options.window).float()
        self._mel = torch.empty(options.n_frames, options.n_mels)
        self._blocks = self._make_blocks()

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features of a clip.

        Parameters
        ----------
        x : ndarray of float, shape (n_samples,)
            Samples within -1 to 1 at ``options.sample_rate``.

        Returns
        -------
        ndarray of float32, shape (channel, mel, frame)
            Levels in dB, in memory of its own.

        Raises
        ------
        DataError
            For another shape, or samples that are not floating-point.
        """
        self._load(np.asarray(x))
        options = self.options
        with torch.inference_mode():
            for block in self._blocks:
                torch.mul(block.samples, self._window, out=block.windowed)
                torch.fft.rfft(block.framed, out=block.spectrum)
                block.parts.square_()
                if options.power != 2:
                    _raise(block.parts, options.power / 2)
                for cells, weights, result in block.products:
                    torch.mm(cells, weights, out=result)
            level = to_decibel(self._mel, options, in_place=True).T  # (mel, frame)
            channels = (level, delta(level)) if options.deltas else (level,)
            features: NDArray[np.float32] = torch.stack(channels).numpy()
        return features

    def _load(self, x: NDArray[np.float32]) -> None:
        """Put the clip into the padded buffer, mirrored at both ends."""
        n_samples, pad, wave = self.options.n_samples, self._pad, self._wave
        if x.shape != (n_samples,) or x.dtype.kind != "f":
            raise DataError(
                f"log-mel: found a clip of shape {x.shape} and type {x.dtype}, expected "
                f"({n_samples},) of floating-point samples; fit the clip to "
                f"{self.options.duration:g} s first"
            )
        clip = x.astype(np.float32, copy=False)
        if self.options.peak_normalize:
            peak = max(float(clip.max()), -float(clip.min()))
            if peak > 0:
                clip = clip / np.float32(peak)
        if self.options.preemphasis:
            clip = emphasise(torch.from_numpy(clip), self.options.preemphasis).numpy()
        wave[pad : pad + len(clip)] = clip
        if pad:
            wave[:pad] = wave[2 * pad : pad : -1]
            wave[-pad:] = wave[-pad - 2 : -2 * pad - 2 : -1]

    def _make_blocks(self) -> list[_Block]:
        options = self.options
        n_bins = options.n_fft // 2 + 1
        samples = torch.from_numpy(self._wave).unfold(0, options.window, options.hop_length)
        most = max(_LEAST_FRAMES, _BLOCK_CELLS // options.n_fft)
        size = math.ceil(options.n_frames / math.ceil(options.n_frames / most))  # of equal length
        framed = torch.zeros(size, options.n_fft)
        before = (options.n_fft - options.window) // 2
        windowed = framed[:, before : before + options.window]
        spectrum = torch.empty(size, n_bins, dtype=torch.complex64)
        parts = torch.view_as_real(spectrum).view(size, 2 * n_bins)
        groups = _band_groups(options)
        blocks = []
        for start in range(0, options.n_frames, size):
            rows = slice(start, min(start + size, options.n_frames))
            n = rows.stop - rows.start
            products = tuple(
                (parts[:n, cells], weights, self._mel[rows, bands])
                for bands, cells, weights in groups
            )
            blocks.append(
                _Block(samples[rows], windowed[:n], framed[:n], spectrum[:n], parts[:n], products)
            )
        return blocks


def _raise(parts: torch.Tensor, exponent: float) -> None:
    """Squares (frame, 2 bin) to powers of the magnitude, in the first place of each two."""
    pairs = parts.view(len(parts), -1, 2)
    pairs[..., 0].add_(pairs[..., 1]).pow_(exponent)
    pairs[..., 1].zero_()


def _band_groups(options: MelOptions) -> list[tuple[slice, slice, torch.Tensor]]:
    """Groups of neighbouring bands: which, the cells they touch, weights (cell, band)."""
    filters = filters_of(options)
    n_groups = math.ceil(options.n_mels / _BANDS)
    groups = []
    for bands in np.array_split(np.arange(options.n_mels), n_groups):
        chosen = slice(int(bands[0]), int(bands[-1]) + 1)
        used = np.flatnonzero(filters[chosen].any(axis=0))
        first, last = int(used[0]), int(used[-1]) + 1
        weights = np.repeat(filters[chosen, first:last].T, 2, axis=0)
        groups.append((chosen, slice(2 * first, 2 * last), torch.from_numpy(weights).float()))
    return groups
