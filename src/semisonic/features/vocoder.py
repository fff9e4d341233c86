"""Change the time and pitch of samples: resampling at any positions, and the phase vocoder."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

N_FFT, HOP = 2048, 512
"""Frame size of the phase vocoder."""

_TAPS = 10  # at twice the rate
_STEPS = 4096  # places between two samples that the table knows
_BETA = 7.0  # of the Kaiser window
_SLOPE = 0.06  # of the highest frequency that is kept: where the filter falls


def read_between_samples(x: Tensor, place: Tensor, factor: Tensor) -> Tensor:
    """Samples at any positions.

    A Fourier transform doubles the rate of the wave, which is then read with a short windowed sinc
    from a table. At twice the rate ten samples are enough for an error of -70 dB up to the highest
    frequency. The transform treats the wave as periodic, so positions beyond its ends wrap around.

    Parameters
    ----------
    x : Tensor, shape (batch, time)
    place : Tensor of float64, shape (batch, n)
        Positions in samples; beyond the ends the wave wraps around.
    factor : Tensor, shape (batch,)
        Step between positions. Above 1, frequencies that would be mirrored are removed.

    Returns
    -------
    Tensor, shape (batch, n)
    """
    n = x.shape[1]
    double = torch.fft.irfft(_limited(torch.fft.rfft(x), factor), n=2 * n) * 2
    around = _TAPS // 2 - 1
    double = torch.cat((double[:, -around:], double, double[:, : _TAPS - around]), dim=1)
    place = place * 2
    first = place.floor()
    step = ((place - first) * _STEPS).round().long()  # 0.._STEPS
    index = first.long().remainder(2 * n)
    table = _table().to(x.device)
    result = torch.zeros(place.shape, device=x.device)
    for weights in table:
        weight = weights.index_select(0, step.flatten()).view(step.shape)
        result.addcmul_(double.gather(1, index), weight)
        index += 1
    return result


def _limited(spectrum: Tensor, factor: Tensor) -> Tensor:
    """Remove frequencies above the new highest frequency."""
    frequency = torch.linspace(0, 1, spectrum.shape[1], device=spectrum.device)
    top = 1 / factor.to(frequency.dtype).clamp(min=1.0)[:, None]
    kept = ((top - frequency) / (top * _SLOPE)).clamp(0, 1)
    whole = factor[:, None] <= 1
    return spectrum * torch.where(whole, torch.ones_like(kept), kept)


@lru_cache(maxsize=1)
def _table() -> Tensor:
    """Values of the windowed sinc, (tap, step + 1)."""
    fraction = torch.linspace(0, 1, _STEPS + 1, dtype=torch.float64)
    distance = torch.arange(_TAPS, dtype=torch.float64)[:, None] - (_TAPS // 2 - 1) - fraction
    within = (1 - (distance / (_TAPS / 2)).square()).clamp(min=0).sqrt()
    beta = torch.tensor(_BETA, dtype=torch.float64)
    window = torch.special.i0(beta * within) / torch.special.i0(beta)
    kernel = torch.sinc(distance) * window
    table: Tensor = (kernel / kernel.sum(0)).float()
    return table


def stft(x: Tensor, ends: Tensor | None = None) -> Tensor:
    """Spectra (batch, bin, frame) of waves (batch, time).

    The centre of frame k is sample k times :data:`HOP`; there is one frame more than fit into the
    wave. Beyond its ends is silence, or the wave wraps around if ``ends`` (batch,) is False.

    Parameters
    ----------
    x : Tensor, shape (batch, time)
    ends : Tensor of bool, shape (batch,), optional
        Whether a wave ends at its ends, as by default; otherwise it wraps around.

    Returns
    -------
    Tensor of complex, shape (batch, bin, frame)
    """
    if ends is None:
        padded = functional.pad(x, (N_FFT // 2, N_FFT // 2 + HOP))
    else:
        place = torch.arange(-N_FFT // 2, x.shape[1] + N_FFT // 2 + HOP, device=x.device)
        beyond = (place < 0) | (place >= x.shape[1])
        padded = x[:, place.remainder(x.shape[1])].masked_fill(beyond & ends[:, None], 0.0)
    return torch.stft(padded, N_FFT, HOP, window=_window(x), center=False, return_complex=True)


def istft(spectrum: Tensor, n_samples: int) -> Tensor:
    """Waves (batch, n_samples) of spectra (batch, bin, frame).

    Parameters
    ----------
    spectrum : Tensor of complex, shape (batch, bin, frame)
    n_samples : int

    Returns
    -------
    Tensor, shape (batch, n_samples)
    """
    window = _window(spectrum.real)
    wave: Tensor = torch.istft(spectrum, N_FFT, HOP, window=window, center=True, length=n_samples)
    return wave


def phase_vocoder(spectrum: Tensor, place: Tensor) -> Tensor:
    """Spectra read at other times.

    Paper: Flanagan and Golden 1966, "Phase vocoder"; the steps are those of
    ``librosa.phase_vocoder``.

    Where we differ: each row has speeds of its own, and all rows and frames are computed at once:
    phases are a running product, without a sine or an arc tangent.

    Parameters
    ----------
    spectrum : Tensor of complex, shape (batch, bin, frame)
        Of :data:`N_FFT` and :data:`HOP`.
    place : Tensor of float, shape (batch, n)
        Positions in frames; beyond the last frame is silence.

    Returns
    -------
    Tensor of complex, shape (batch, bin, n)
        Magnitudes are interpolated linearly; phases start with the first frame and advance by the
        change between frames at each position.
    """
    n_bins, n_frames = spectrum.shape[1:]
    below = place.floor()
    first = below.long().clamp(0, n_frames)[:, None].expand(-1, n_bins, -1)
    power = spectrum.real.square() + spectrum.imag.square()
    size = functional.pad(power.sqrt(), (0, 2))
    part = (place - below)[:, None].to(size.dtype)
    size = torch.lerp(size.gather(2, first), size.gather(2, first + 1), part)
    phase = functional.pad(_phases(spectrum, power), (0, 3), value=1.0)
    turn = phase[..., 1:] * phase[..., :-1].conj()
    start = phase.gather(2, first[..., :1])
    return size * torch.cat((start, turn.gather(2, first[..., :-1])), dim=2).cumprod(2)


def _phases(spectrum: Tensor, power: Tensor) -> Tensor:
    """Complex numbers of size one; zero gets phase zero."""
    sounds = power > 0
    unit = spectrum * torch.where(sounds, power, 1.0).rsqrt()
    return torch.where(sounds, unit, torch.ones_like(unit))


def row_by_row(change: Callable[..., Tensor], *rows: Tensor) -> Tensor:
    """Apply a function of batches to one row after another on a CPU, otherwise to all at once.

    Spectra of one clip stay in the cache; those of a batch need new memory, which costs more than
    the transforms.

    Parameters
    ----------
    change : callable
        Takes batches, returns a batch.
    *rows : Tensor
        Batches of the same length.

    Returns
    -------
    Tensor
    """
    if rows[0].device.type != "cpu" or len(rows[0]) < 2:
        return change(*rows)
    single = [[row[i : i + 1] for row in rows] for i in range(len(rows[0]))]
    return torch.cat([change(*one) for one in single])


def _window(x: Tensor) -> Tensor:
    return torch.hann_window(N_FFT, device=x.device, dtype=x.dtype)
