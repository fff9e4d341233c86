"""Waveforms to log-mel levels in dB, and back; batches on any device, single clips on the CPU."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional

from semisonic.core.errors import DataError, OptionError
from semisonic.features.options import AMIN, DELTA_WIDTH, MelOptions

# Mel scales and mel filters.


_HZ_PER_MEL = 200.0 / 3.0  # below the corner
_CORNER_HZ = 1000.0
_CORNER_MEL = _CORNER_HZ / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0  # above it: 27 mel from 1 to 6.4 kHz


def hz_to_mel(hz: ArrayLike) -> NDArray[np.float64]:
    """Frequencies in Hz on Slaney's mel scale.

    Parameters
    ----------
    hz : array_like

    Returns
    -------
    ndarray of float64

    Examples
    --------
    >>> round(float(hz_to_mel(1000.0)), 6)
    15.0
    """
    f = np.asarray(hz, np.float64)
    above = _CORNER_MEL + np.log(np.maximum(f, _CORNER_HZ) / _CORNER_HZ) / _LOG_STEP
    return np.where(f < _CORNER_HZ, f / _HZ_PER_MEL, above)


def mel_to_hz(mel: ArrayLike) -> NDArray[np.float64]:
    """The inverse of :func:`hz_to_mel`.

    Parameters
    ----------
    mel : array_like

    Returns
    -------
    ndarray of float64
    """
    m = np.asarray(mel, np.float64)
    above = _CORNER_HZ * np.exp((np.maximum(m, _CORNER_MEL) - _CORNER_MEL) * _LOG_STEP)
    return np.where(m < _CORNER_MEL, m * _HZ_PER_MEL, above)


def hz_to_htk(hz: ArrayLike) -> NDArray[np.float64]:
    """Frequencies in Hz on HTK's mel scale (O'Shaughnessy 1987): 2595 log10(1 + f / 700)."""
    return np.asarray(2595.0 * np.log10(1.0 + np.asarray(hz, np.float64) / 700.0))


def htk_to_hz(mel: ArrayLike) -> NDArray[np.float64]:
    """The inverse of :func:`hz_to_htk`."""
    return np.asarray(700.0 * (10.0 ** (np.asarray(mel, np.float64) / 2595.0) - 1.0))


_SCALES = {
    "slaney": (hz_to_mel, mel_to_hz),
    "htk": (hz_to_htk, htk_to_hz),
    "kaldi": (hz_to_htk, htk_to_hz),
}


def band_edges_hz(options: MelOptions) -> NDArray[np.float64]:
    """Start, peak and end of the triangles of the bands, in Hz, shape (n_mels + 2,)."""
    to_mel, to_hz = _SCALES[options.mel_scale]
    top = options.sample_rate / 2 if options.fmax_hz is None else options.fmax_hz
    return to_hz(np.linspace(to_mel(options.fmin_hz), to_mel(top), options.n_mels + 2))


def filters_of(options: MelOptions) -> NDArray[np.float64]:
    """Weights that turn a spectrum into the mel bands of the options.

    Parameters
    ----------
    options : MelOptions

    Returns
    -------
    ndarray of float64, shape (n_mels, n_fft // 2 + 1)
        For the scale "slaney" in units of 1/Hz: each triangle has the area one. For the others
        each has the height one, over Hz for "htk" and over mel for "kaldi".

    Raises
    ------
    OptionError
        When a band contains no frequency bin and would always be silent.
    """
    n_fft, edges = options.n_fft, band_edges_hz(options)
    bins = np.arange(n_fft // 2 + 1, dtype=np.float64) * (options.sample_rate / n_fft)
    if options.mel_scale == "kaldi":
        filters = _triangles(hz_to_htk(edges), hz_to_htk(bins))
    else:
        filters = _triangles(edges, bins)
    if options.has_unit_areas:
        filters *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    empty = np.flatnonzero(filters.max(axis=1) == 0)
    if len(empty):
        raise OptionError(
            f"options 'n_mels', 'n_fft': with n_fft={n_fft}, {len(empty)} of {options.n_mels} "
            f"mel bands (first: band {empty[0]}) contain no frequency bin; choose fewer mel "
            "bands, a larger n_fft or a higher fmin_hz"
        )
    return filters


def _triangles(edges: NDArray[np.float64], bins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Height of each band's triangle at each bin, shape (band, bin)."""
    rising = (bins[None] - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins[None]) / np.diff(edges)[1:, None]
    return np.maximum(0.0, np.minimum(rising, falling))


# Samples to levels.


def to_decibel(mel: Tensor, options: MelOptions, *, in_place: bool = False) -> Tensor:
    """Level of each cell in dB.

    Parameters
    ----------
    mel : Tensor, shape (..., mel, frame) or (..., frame, mel)
        Sums of ``magnitude ** options.power``. The last two dimensions are one clip's.
    in_place : bool
        Whether ``mel`` may be overwritten, which saves memory.

    Returns
    -------
    Tensor, same shape
        With reference "one" at least ``options.quietest_db``. With reference "max" at most
        0 dB, and ``options.floor_db`` everywhere for a clip without any sound: the usual formula
        would make such a clip 0 dB, the same as the loudest cell of any other.
    """
    level = mel if in_place else mel.clone()
    if options.log_offset:
        level.add_(options.log_offset)
    else:
        level.clamp_(min=AMIN ** (options.power / 2))
    level.log10_().mul_(20.0 / options.power)
    if options.reference == "max":
        loudest = level.amax((-2, -1), keepdim=True)
        silent = loudest <= options.quietest_db + 1e-4
        level = (level - loudest).masked_fill(silent, options.floor_db)
    if options.top_db is not None:
        level = level.maximum(level.amax((-2, -1), keepdim=True) - options.top_db)
    return level


def delta(level: Tensor) -> Tensor:
    """Change per frame along the last dimension, same shape, dB per frame.

    The least-squares slope over nine frames (a Savitzky-Golay filter of order one), as
    ``librosa.feature.delta`` gives; the first and last four frames take the slope of the
    nearest full window.

    Parameters
    ----------
    level : Tensor, shape (..., frame)
        Levels in dB.

    Returns
    -------
    Tensor

    Raises
    ------
    DataError
        With fewer than nine frames.
    """
    half = DELTA_WIDTH // 2
    n_full = level.shape[-1] - 2 * half
    if n_full < 1:
        raise DataError(f"deltas: found {level.shape[-1]} frames, expected at least {DELTA_WIDTH}")
    slope = torch.zeros_like(level[..., :n_full])
    for k in range(1, half + 1):
        later = level[..., half + k : half + k + n_full]
        earlier = level[..., half - k : half - k + n_full]
        slope = slope + k * (later - earlier)
    slope = slope / (2 * sum(k * k for k in range(1, half + 1)))
    head = slope[..., :1].expand(*slope.shape[:-1], half)
    tail = slope[..., -1:].expand(*slope.shape[:-1], half)
    return torch.cat((head, slope, tail), dim=-1)


def hann(n: int) -> Tensor:
    """The periodic Hann window in float64."""
    return torch.from_numpy(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n))


def window_of(options: MelOptions) -> Tensor:
    """The analysis window in float64, shape (n_fft,), with zeros at both ends where it is short.

    It is in the middle, as in librosa: the centre of a frame is the same for any n_fft.
    """
    before = (options.n_fft - options.window) // 2
    after = options.n_fft - options.window - before
    return functional.pad(hann(options.window), (before, after))


def preemphasise(wave: Tensor, share: float) -> Tensor:
    """Each sample minus a share of the previous one: one sample fewer than (..., time).

    Parameters
    ----------
    wave : Tensor, shape (..., time)
    share : float

    Returns
    -------
    Tensor, shape (..., time - 1)
    """
    return wave[..., 1:] - share * wave[..., :-1]


def peak_normalised(wave: Tensor) -> Tensor:
    """Each wave (batch, time) divided by its largest absolute value; silence stays silence."""
    peak = wave.abs().amax(dim=1, keepdim=True)
    return wave / peak.masked_fill(peak == 0, 1.0)


def check_clip(x: NDArray[Any], options: MelOptions) -> None:
    """Raise DataError unless a clip has the number of samples of the options."""
    if x.shape != (options.n_samples,) or x.dtype.kind != "f":
        raise DataError(
            f"{options.input}: found a clip of shape {x.shape} and type {x.dtype}, expected "
            f"({options.n_samples},) of floating-point samples; pad or cut the clip to "
            f"{options.duration:g} s first"
        )


class LogMel(nn.Module):
    """Computes log-mel spectrograms of waves.

    Equal to librosa 0.11 with ``pad_mode="reflect"`` (periodic Hann window; Slaney's bands, or
    ``htk=True, norm=None``). Without ``center``, a short window begins with the first sample, as
    in TensorFlow, not in the middle of n_fft samples. Exactness with the defaults: within 1e-3 dB
    for cells down to 70 dB below the loudest of their frame, which is more than 99.7 % of the
    cells of real clips; below that float32 rounding shows (0.1 dB at 120 dB below). Under autocast
    it still computes in float32.

    Parameters
    ----------
    options : MelOptions
    """

    window: Tensor
    filters: Tensor

    def __init__(self, options: MelOptions) -> None:
        super().__init__()
        self.options = options
        # Not in the state: both follow from the options.
        self.register_buffer("window", window_of(options).float(), persistent=False)
        filters = torch.from_numpy(filters_of(options)).float()
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """Compute the features of each wave.

        Parameters
        ----------
        wave : Tensor of float, shape (batch, time)
            Samples within -1 to 1 at ``options.sample_rate``; any length of at least
            ``options.min_samples``.

        Returns
        -------
        Tensor, shape (batch, channel, mel, frame)
            Levels in dB; the second channel, if any, holds their deltas in dB per frame.

        Raises
        ------
        DataError
            For another number of dimensions or a wave too short for a frame.
        """
        if wave.ndim != 2 or not wave.is_floating_point():
            raise DataError(
                f"log-mel: found a wave of shape {tuple(wave.shape)} and type {wave.dtype}, "
                "expected (batch, time) of floating-point samples"
            )
        if wave.shape[1] < self.options.min_samples:
            raise DataError(
                f"log-mel: found {wave.shape[1]} samples, expected at least "
                f"{self.options.min_samples} for a window of {self.options.window}; pad the clip"
            )
        kind = "cpu" if wave.is_meta else wave.device.type  # shapes alone know no autocast
        with torch.autocast(kind, enabled=False):
            wave = wave.float()
            if wave.device.type == "cpu" and len(wave) > 1 and not torch.compiler.is_compiling():
                # One clip at a time stays in the cache: about twice as fast as one big batch.
                return torch.cat([self._features(one) for one in wave[:, None]])
            return self._features(wave)

    def _features(self, wave: Tensor) -> Tensor:
        options = self.options
        if options.peak_normalize:
            wave = peak_normalised(wave)
        if options.preemphasis:
            wave = preemphasise(wave, options.preemphasis)
        wave = self._padded(wave)
        spectrum = torch.stft(
            wave,
            options.n_fft,
            options.hop_length,
            window=self.window.float(),
            center=False,
            return_complex=True,
        )
        magnitude = spectrum.real.square() + spectrum.imag.square()  # (batch, bin, frame)
        if options.power != 2:
            magnitude = magnitude.pow(options.power / 2)
        mel = torch.matmul(self.filters.float(), magnitude)
        level = to_decibel(mel, options)
        if options.deltas:
            return torch.stack((level, delta(level)), dim=1)
        return level.unsqueeze(1)

    def _padded(self, wave: Tensor) -> Tensor:
        """The wave (batch, time) with the samples that the first and last frame need beyond its
        ends.

        These are the mirrored wave within the window, and zeros outside.
        """
        options = self.options
        if options.center:
            around = options.window // 2
            wave = functional.pad(wave[:, None], (around, around), mode="reflect")[:, 0]
        before = (options.n_fft - options.window) // 2
        return functional.pad(wave, (before, options.n_fft - options.window - before))


_BANDS = 16  # mel bands of a group, about
_BLOCK_CELLS = 1 << 16  # samples of the frames of a block: its buffers fit half a megabyte
_LEAST_FRAMES = 40  # of a block: every transform has a fixed cost


@dataclass(frozen=True)
class _FrameBuffers:
    """Views of the buffers for some neighbouring frames."""

    samples: torch.Tensor  # (frame, window), into the padded wave
    windowed: torch.Tensor  # (frame, window), the middle of the next
    framed: torch.Tensor  # (frame, n_fft), zeros beside a short window
    spectrum: torch.Tensor  # (frame, bin), complex
    parts: torch.Tensor  # (frame, 2 bin): real, imaginary, real ...; the same memory
    products: tuple[tuple[torch.Tensor, torch.Tensor, torch.Tensor], ...]
    # squares or magnitudes (frame, cell), weights (cell, band), result (frame, band)


class MelExtractor:
    """Log-mel features of single clips on the CPU; equal to :class:`LogMel` within 1e-3 dB.

    Batches of spectra do not fit the cache and need new memory pages every time, which costs more
    than the transforms themselves. Here every buffer is allocated once, the transform writes some
    frames at a time, and each group of mel bands multiplies only the bins that it needs. The
    squares of real and imaginary parts are not added first; each weight occurs twice in the
    product instead, which is less work than another pass over the memory.

    The object owns its buffers: use one object per thread.

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
            Levels in dB, in new memory.

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
        pad, wave = self._pad, self._wave
        check_clip(x, self.options)
        clip = x.astype(np.float32, copy=False)
        if self.options.peak_normalize:
            peak = max(float(clip.max()), -float(clip.min()))
            if peak > 0:
                clip = clip / np.float32(peak)
        if self.options.preemphasis:
            clip = preemphasise(torch.from_numpy(clip), self.options.preemphasis).numpy()
        wave[pad : pad + len(clip)] = clip
        if pad:
            wave[:pad] = wave[2 * pad : pad : -1]
            wave[-pad:] = wave[-pad - 2 : -2 * pad - 2 : -1]

    def _make_blocks(self) -> list[_FrameBuffers]:
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
                _FrameBuffers(
                    samples[rows], windowed[:n], framed[:n], spectrum[:n], parts[:n], products
                )
            )
        return blocks


def _raise(parts: torch.Tensor, exponent: float) -> None:
    """Squares (frame, 2 bin) to powers of the magnitude, in the first of each two places."""
    pairs = parts.view(len(parts), -1, 2)
    pairs[..., 0].add_(pairs[..., 1]).pow_(exponent)
    pairs[..., 1].zero_()


def _band_groups(options: MelOptions) -> list[tuple[slice, slice, torch.Tensor]]:
    """Groups of neighbouring bands: their numbers, cells, and weights (cell, band)."""
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
